"""Any recognizer in an ONNX file, computed by onnxruntime: templates without gradients.

The file format is protobuf: a message of at most 2 GB. Larger tensors, and by default all large ones that PyTorch's newer
exporters write, lie in files beside it ("external data"); reading takes them in, so that the saved recognizer is whole.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from dfd.core.errors import DfdError
from dfd.recognizers.base import Recognizer, Window

log = logging.getLogger(__name__)
LARGEST = 2**31 - 1  # bytes of a protobuf message
ALIKE = 1e-2  # relative: templates that differ by less are the same but for rounding, to float16 for one
SIZE = 112  # pixels, where neither the model nor the options say it

# onnxruntime's name of the input's type -> torch's
INPUTS = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
OUTPUTS = {*INPUTS, "tensor(int8)", "tensor(int32)", "tensor(int64)"}


class OnnxRecognizer(Recognizer):
    """Templates (N, D) of an ONNX model with one input: images (N, 3, H, W) or (N, H, W, 3), N free or fixed.

    size: as the model states it, so only needed (else 112) where H and W are free. layer: the name of the output that is the
    template; the first one by default. Activations of any shape are flattened to (N, D). The defaults of mean, scale,
    bgr and window are ArcFace's, (x − 127.5) / 127.5; a model that takes uint8 needs mean 0 and scale 1, grey levels as they are.

    The model itself, a file's bytes, is the only weight (`model`, uint8), so size and layer are known once `fit` has it.
    There are no perceptual features and no gradients: what needs them raises DfdError, as does a model that is no such
    recognizer.
    """

    gives_gradients = False

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        layer: str | None = None,
        mean: float | tuple[float, ...] = (127.5, 127.5, 127.5),
        scale: float | tuple[float, ...] = 1 / 127.5,
        bgr: bool = False,
        window: Window = "arcface",
    ):
        size = _sides(size)
        super().__init__(size, layer, "", mean, scale, window, bgr)
        self.register_buffer("model", torch.empty(0, dtype=torch.uint8))
        self._session, self._session_device = None, None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_session": None}  # which a worker process opens for itself

    def check(self) -> None:
        """The preprocessing's shapes; and, where there is a model, that it gives templates of two images."""
        with torch.no_grad():
            self.preprocess(torch.zeros(1, 3, 1, 1))
            if len(self.model):
                self._check_batches(torch.rand(2, 3, *self.size, generator=torch.Generator().manual_seed(0)))

    def _check_batches(self, images: torch.Tensor) -> None:
        """Many a model takes any number of images by its own account, but was made for one: such a one gets one at a time."""
        if self._batch is not None:
            self.embed(images)
            return
        try:
            together = self.embed(images)
        except DfdError:
            together = None
        self._batch = 1
        single = self.embed(images)
        if together is not None and (together - single).norm() <= ALIKE * single.norm():
            self._batch = None
        else:
            log.info("the ONNX model takes any number of images, but is made for one: it runs on one at a time")

    def fit(self, state: dict[str, torch.Tensor]) -> None:
        """Take the model in `state`, and size, layout and layer from it."""
        super().fit(state)
        if "model" not in state:
            return
        self.model, self._session = state["model"].clone(), None
        session = self._open()
        inputs, outputs = session.get_inputs(), {output.name: output.type for output in session.get_outputs()}
        if len(inputs) != 1:
            names = ", ".join(source.name for source in inputs) or "none"
            raise DfdError(f"a recognizer has one input, the images; this model has {names}")
        self._input = inputs[0].name
        if inputs[0].type not in INPUTS:
            raise DfdError(f"its input {self._input} is a {inputs[0].type}; supported are {', '.join(INPUTS)}")
        self._dtype = INPUTS[inputs[0].type]
        if self._dtype == torch.uint8 and (self.mean.any() or (self.scale != 1).any()):
            raise DfdError(
                f"its input {self._input} takes grey levels (uint8): set the options mean: 0.0 and scale: 1.0"
            )
        self._take_shape(inputs[0].shape or ["N", 3, "H", "W"])
        self._outputs = [name for name, kind in outputs.items() if kind in OUTPUTS]
        if self.layer is None and self._outputs:
            self.layer = self._outputs[0]
        if self.layer not in self._outputs:
            wanted = "no output of numbers" if self.layer is None else f"no output {self.layer} of numbers"
            raise DfdError(f"it has {wanted}; there are {', '.join(f'{n} ({kind})' for n, kind in outputs.items())}")
        self.check()

    def _take_shape(self, shape: list[int | str | None]) -> None:
        """Batch size, layout and image size, of the input's shape; what is no positive number in it is free."""
        written = f"its input {self._input} has the shape {' × '.join(map(str, shape))}"
        if len(shape) != 4:
            raise DfdError(f"{written}; a recognizer takes images, N × 3 × H × W or N × H × W × 3")
        batch, *sides = (side if isinstance(side, int) and side > 0 else None for side in shape)
        self._channels_last = sides[2] == 3 and sides[0] != 3
        channels = sides.pop(2 if self._channels_last else 0)
        if channels not in (3, None):
            raise DfdError(f"{written}; a recognizer takes three channels, N × 3 × H × W or N × H × W × 3")
        wanted = self.size or tuple(side or other or SIZE for side, other in zip(sides, sides[::-1], strict=True))
        if any(side and side != own for side, own in zip(sides, wanted, strict=True)):
            raise DfdError(f"{written}, but the option `size` is {_pixels(self.size)}; leave it out, or correct it")
        self._batch, self.size = batch, wanted

    def perceptual(self, images: torch.Tensor) -> torch.Tensor:
        raise DfdError("an ONNX model has no perceptual features; name another recognizer as `perceptual`")

    def count_parameters(self) -> int | None:
        """Numbers in the model's initializers, other than shapes and indices; None where it keeps none there."""
        import onnx

        graph = onnx.load_model_from_string(self.model.cpu().numpy().tobytes()).graph
        indices = (onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.STRING)
        return sum(int(np.prod(w.dims)) for w in graph.initializer if w.data_type not in indices) or None

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        if torch.is_grad_enabled() and x.requires_grad:
            raise DfdError("an ONNX model gives no gradients with respect to images; use another recognizer here")
        if not len(self.model):
            raise DfdError("an ONNX recognizer is its model: import it (`import_recognizer`), it cannot be trained")
        x = x.permute(0, 2, 3, 1) if self._channels_last else x
        x = x.round().clamp(0, 255) if self._dtype == torch.uint8 else x
        pixels = x.cpu().to(self._dtype).contiguous().numpy()
        for name in [self.layer, *(name for name in self._outputs if name != self.layer)]:
            yield name, torch.from_numpy(self._compute(name, pixels)).to(x.device)

    def _compute(self, name: str, pixels: np.ndarray) -> np.ndarray:
        """The output `name` as float32 (N, D), in runs of the model's own batch size, the last of which is filled up."""
        session, step, parts = self._open(), self._batch or len(pixels), []
        for start in range(0, len(pixels), step):
            part = pixels[start : start + step]
            count = len(part)
            part = np.concatenate([part, np.repeat(part[-1:], step - count, axis=0)])
            try:
                output = np.asarray(session.run([name], {self._input: part})[0])
            except Exception as error:  # onnxruntime's own errors have no common class but this
                raise DfdError(
                    f"the ONNX model cannot be run on {step} images of {_pixels(self.size)} px: {_reason(error)}"
                ) from error
            if output.size == 0 or (step > 1 and output.shape[:1] != (step,)):
                shape = " × ".join(map(str, output.shape)) or "one number"
                raise DfdError(
                    f"the ONNX model gave {name} of shape {shape} for {step} images; export it for a batch of one image"
                )
            parts.append(output.reshape(step, -1)[:count].astype(np.float32))
        return np.concatenate(parts)

    def _open(self):
        """onnxruntime's session of the model, made once per device."""
        import onnxruntime  # here: nobody else has to wait for it

        device = self.device
        if self._session is None or self._session_device != device:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4  # its errors are raised; it need not print them as well
            options.intra_op_num_threads = torch.get_num_threads()
            wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
            available = onnxruntime.get_available_providers()
            providers = [name for name in [*wanted, "CPUExecutionProvider"] if name in available]
            if wanted and len(providers) == 1:
                log.warning(
                    "this onnxruntime has no CUDA (the package onnxruntime-gpu does): ONNX models run on the CPU"
                )
            try:
                self._session = onnxruntime.InferenceSession(self.model.cpu().numpy().tobytes(), options, providers)
            except Exception as error:
                raise DfdError(f"not a model that onnxruntime can run ({_reason(error)})") from error
            self._session_device = device
        return self._session


def read_onnx(path: str | Path) -> dict[str, torch.Tensor]:
    """The state of an OnnxRecognizer: the model as one message, external data included; equal files, equal bytes.

    Raises DfdError for a file that is damaged or too large, and for external data that is missing or lies outside its folder.
    """
    import onnx

    path = Path(path)
    _within_limit(path, path.stat().st_size)
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's, whose classes are its own
        raise DfdError(f"{path}: not an ONNX model ({_reason(error)}); export or download it again") from error
    if not model.HasField("graph"):
        raise DfdError(f"{path}: not an ONNX model (it has no graph); export or download it again")
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    locations = sorted({entry.value for entry in entries if entry.key == "location"})
    for location in locations:
        file = path.parent / location
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise DfdError(f"{path}: refused: its external data {location} lies outside its folder")
        if not file.is_file():
            raise DfdError(f"{path}: its external data is missing; put the file {location} beside it")
    _within_limit(path, path.stat().st_size + sum((path.parent / location).stat().st_size for location in locations))
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        data = model.SerializeToString(deterministic=True)
    except Exception as error:  # cut short, or of tensors other than the graph's own
        raise DfdError(
            f"{path}: its external data cannot be read ({_reason(error)}); export or download it again"
        ) from error
    return {"model": torch.frombuffer(bytearray(data), dtype=torch.uint8)}


def _sides(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """The option `size` as (height, width); None stays None. Raises DfdError for anything but one or two numbers of pixels."""
    sides = (size, size) if isinstance(size, int) else size
    if sides is None:
        return None
    if not isinstance(sides, Sequence) or len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise DfdError(f"`size` is a number of pixels, or height and width, not {size}")
    return tuple(sides)


def _pixels(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]} × {size[1]}"


def _within_limit(path: Path, size: int) -> None:
    if size > LARGEST:
        raise DfdError(
            f"{path}: {size / 1e9:.1f} GB with its external data; an ONNX model of more than 2 GB is not supported"
        )


def _reason(error: Exception) -> str:
    """An error's text in one line, without onnxruntime's codes."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(" : ", 3)[-1][:300] if text.startswith("[ONNXRuntimeError]") else text[:300]
