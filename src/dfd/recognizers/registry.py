"""The recognizers by name, and their files: a .safetensors whose header rebuilds the network."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from dfd.core.artefacts import read_module, save_module, state_sha256
from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
from dfd.core.packages import package_file
from dfd.core.vectors import few, refuse_degenerate
from dfd.recognizers.base import Recognizer
from dfd.recognizers.dlib_resnet import DlibResNet, read_dlib_weights
from dfd.recognizers.inception_resnet import InceptionResNetV1, read_facenet_weights
from dfd.recognizers.iresnet import IResNet
from dfd.recognizers.keras_vggface import read_keras_resnet50, read_keras_vgg16
from dfd.recognizers.mobilefacenet import MobileFaceNet
from dfd.recognizers.onnx_model import OnnxRecognizer, read_onnx
from dfd.recognizers.precomputed import Precomputed
from dfd.recognizers.pytorch_files import (
    OXFORD_OPTIONS,
    SUFFIXES,
    read_oxford_resnet50,
    read_oxford_vgg16,
    read_state,
    under_prefix,
)
from dfd.recognizers.resnet50 import ResNet50
from dfd.recognizers.settings import PRECOMPUTED
from dfd.recognizers.vgg import VGG16

log = logging.getLogger(__name__)

# architecture -> its module; `options` in params.yaml are its keyword arguments
ARCHITECTURES: dict[str, Callable[..., Recognizer]] = {
    "dlib-resnet": DlibResNet,
    "vgg16": VGG16,
    "resnet50": ResNet50,
    "inception-resnet-v1": InceptionResNetV1,
    "iresnet": IResNet,
    "mobilefacenet": MobileFaceNet,
    "onnx": OnnxRecognizer,
}

# weights -> their state for the architecture they belong to
PUBLISHED: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
    "dlib-face-recognition": lambda: read_dlib_weights(
        package_file(
            "face-recognition-models", "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
        )
    ),
}

# (architecture, suffix of a user's file) -> what reads its state; a classifier in the file becomes `head.weight`, `head.bias`
IMPORTERS: dict[tuple[str, str], Callable[[Path], dict[str, torch.Tensor]]] = {
    ("dlib-resnet", ".dat"): read_dlib_weights,
    ("vgg16", ".h5"): read_keras_vgg16,
    ("vgg16", ".keras"): read_keras_vgg16,
    **{("vgg16", suffix): read_oxford_vgg16 for suffix in SUFFIXES},
    ("resnet50", ".h5"): read_keras_resnet50,
    ("resnet50", ".keras"): read_keras_resnet50,
    **{("resnet50", suffix): read_oxford_resnet50 for suffix in SUFFIXES},
    **{("inception-resnet-v1", suffix): read_facenet_weights for suffix in SUFFIXES},
    **{("iresnet", suffix): read_state for suffix in SUFFIXES},
    **{("mobilefacenet", suffix): read_state for suffix in SUFFIXES},
    ("onnx", ".onnx"): read_onnx,
}

RELEASED = ".safetensors"  # of any architecture: a file that this project wrote, as its header says
TRIFLES = ("tap", "dropout")  # options that no template depends on

PREPROCESSING = ("mean", "scale", "channels")  # buffers which options set and a file need not hold


def build_recognizer(architecture: str, options: dict) -> Recognizer:
    """A recognizer with fresh weights, in eval mode. Raises DfdError for an unknown architecture, option or layer."""
    if architecture not in ARCHITECTURES:
        known = ", ".join([*ARCHITECTURES, PRECOMPUTED])
        raise DfdError(f"recognizers: no architecture is called {architecture}; there are {known}")
    try:
        recognizer = ARCHITECTURES[architecture](**options).eval()
        recognizer.check()
    except (TypeError, ValueError, RuntimeError) as error:  # the last: layers that a size leaves nothing for
        raise DfdError(f"recognizers: options of {architecture}: {error}") from error
    return recognizer


def import_recognizer(architecture: str, options: dict, weights: str) -> Recognizer:
    """A recognizer with published weights: a name in PUBLISHED, or the path of a file that IMPORTERS can read.

    Raises DfdError where they are unknown, missing, damaged, unsafe, or do not fit the architecture and its options.
    """
    read = PUBLISHED[weights] if weights in PUBLISHED else _importer(architecture, options, Path(weights).expanduser())
    recognizer = build_recognizer(architecture, options)
    state = _state(read, weights, recognizer)
    try:
        recognizer.fit(state)
    except DfdError as error:
        raise DfdError(f"{weights}: {error}") from error
    expected = recognizer.state_dict()
    optional = {*PREPROCESSING, *(name for name in expected if name.endswith("num_batches_tracked"))}
    wrong = [f"it has {name}, which the network lacks" for name in state if name not in expected]
    wrong += [f"it lacks {name}" for name in expected if name not in state and name not in optional]
    for name in expected:
        if name in state and state[name].shape != expected[name].shape:
            wrong.append(f"{name} is {_shape(state[name])} in it and {_shape(expected[name])} in the network")
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        reason = f"{'; '.join(wrong[:3])}{more}"
        raise DfdError(f"import_recognizer: the weights {weights} do not fit {architecture} with its options: {reason}")
    recognizer.load_state_dict(state, strict=False)
    if recognizer.head is not None:
        try:
            with torch.no_grad():
                recognizer.activations(torch.zeros(1, 3, *recognizer.size), ["logits"])
        except (DfdError, RuntimeError) as error:
            raise DfdError(f"import_recognizer: the classifier in {weights} does not fit: {error}") from error
    _refuse_blind(recognizer, weights)
    unsaid = OXFORD_OPTIONS.get(architecture, {}) if Path(weights).suffix == ".pth" else {}
    if unsaid := {name: value for name, value in unsaid.items() if name not in options}:
        log.warning("%s: such files of Oxford's need the options %s, which are not set", weights, unsaid)
    return recognizer


def _state(
    read: Callable[[], dict[str, torch.Tensor]], weights: str, recognizer: Recognizer
) -> dict[str, torch.Tensor]:
    """What a file holds for a recognizer, by its names; whatever a damaged one leads to in its reader is a DfdError."""
    try:
        state = read()
    except DfdError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DfdError(f"{weights}: cannot be read as weights ({reason}); get the file again") from error
    names = [name for name, _ in recognizer.named_parameters()]
    return under_prefix(state, names) if names else state


def _importer(architecture: str, options: dict, path: Path) -> Callable[[], dict[str, torch.Tensor]]:
    """What reads the state in a user's file."""
    suffixes = list(dict.fromkeys([*(suffix for name, suffix in IMPORTERS if name == architecture), RELEASED]))
    if not path.suffix and not path.exists():
        raise DfdError(
            f"import_recognizer: no weights are called {path}; there are {', '.join(PUBLISHED)}, those of "
            f"`dfd weights list`, and files ({', '.join(suffixes)}) by their path"
        )
    if architecture in ARCHITECTURES and path.suffix not in suffixes:
        raise DfdError(f"{path}: weights of {architecture} are imported from {' or '.join(suffixes)} files")
    if not path.is_file():
        raise DfdError(f"{path}: no such weights file; put it there, or correct the path in `import_recognizer`")
    if path.suffix == RELEASED and ((architecture, RELEASED) not in IMPORTERS or _written_here(path)):
        return lambda: _read_released(architecture, options, path)
    return lambda: IMPORTERS[architecture, path.suffix](path)


def _written_here(path: Path) -> bool:
    """Whether a .safetensors file is of this project, by its header; of a damaged one, too, which its reader tells."""
    try:
        with safe_open(path, framework="pt") as file:
            return "config" in (file.metadata() or {})
    except SafetensorError:
        return True


def _refuse_blind(recognizer: Recognizer, weights: str) -> None:
    """Raise DfdError where weights are no finite numbers, or give two images of noise no or equal templates."""
    state = recognizer.state_dict().items()
    if broken := [name for name, tensor in state if tensor.is_floating_point() and not tensor.isfinite().all()]:
        raise DfdError(f"{weights}: damaged, NaN or infinity in {few(broken)}; get the file again")
    images = torch.rand(2, 3, *recognizer.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        refuse_degenerate(recognizer.embed(images), None, f"{weights}, shown noise", distinct=True)


def _read_released(architecture: str, options: dict, path: Path) -> dict[str, torch.Tensor]:
    """The state of a recognizer that this project trained and wrote. Raises DfdError where it is another than asked for."""
    config, state = read_module(path)
    refuse_other_options(config, architecture, options, str(path))
    return state


def refuse_other_options(config: dict, architecture: str, options: dict, where: str) -> None:
    """Raise DfdError where a recognizer's file (its header: config) is of another architecture, or was made with other
    options than the params', by which its templates are others."""
    written = config.get("options")
    if config.get("architecture") != architecture or not isinstance(written, dict):
        raise DfdError(f"{where}: a file of the architecture {config.get('architecture')}, not of {architecture}")
    made, asked = (
        {name: json.loads(json.dumps(value)) for name, value in part.items() if name not in TRIFLES}
        for part in (written, options)
    )
    different = [
        f"{name} is {made.get(name, 'not set')} in it, {asked.get(name, 'not set')} in params"
        for name in sorted(asked.keys() | made.keys())
        if asked.get(name) != made.get(name)
    ]
    if different:
        raise DfdError(f"{where}: made with other options: {'; '.join(different)}")


def weights_sha256(recognizer: Recognizer) -> str:
    """A digest of all that decides a recognizer's templates: architecture, layer, input, window, weights, colours.

    It does not depend on the file that the weights came from, nor on what no template depends on: tap, classifier.
    """
    state = {
        name: value
        for name, value in recognizer.state_dict().items()
        if not name.endswith("num_batches_tracked") and (recognizer.layer == "logits" or not name.startswith("head."))
    }
    decides = json.dumps(recognizer.decides(), sort_keys=True)
    return hashlib.sha256(f"{decides}\n{state_sha256(state)}".encode()).hexdigest()


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"


def recognizer_facts(recognizer: Recognizer) -> dict:
    """What a user should know of a recognizer before building on it, as metrics."""
    facts = {
        "dimension": recognizer.dimension,
        "parameters": recognizer.count_parameters(),
        "weights_bytes": sum(tensor.nbytes for tensor in recognizer.state_dict().values()),
        "gives_gradients": recognizer.gives_gradients,
        "embeds_images": recognizer.embeds_images,
    }
    if facts["parameters"] is None:
        facts["parameters_note"] = "the file does not say which of its numbers were learned"
    if not recognizer.embeds_images:
        facts |= LeftOut(
            "templates alone: left out is whatever needs the template of another image (perturbed faces, maps, the cosine of "
            "reconstructions under this recognizer), its perceptual features, and adversarial attacks on it"
        ).metrics(note="left_out")
    elif not recognizer.gives_gradients:
        facts |= LeftOut(
            "templates without gradients: left out are its perceptual features, decoders trained with them (white-box "
            "variants), and adversarial attacks on it"
        ).metrics(note="left_out")
    return facts


def save_recognizer(path: str | Path, recognizer: Recognizer, architecture: str, options: dict) -> None:
    """Write a recognizer's weights, its head among them, and what rebuilds it."""
    save_module(path, recognizer, {"architecture": architecture, "options": options})


def load_recognizer(path: str | Path, device: torch.device, geometry: str) -> Recognizer:
    """Read what `save_recognizer` wrote: in eval mode, without gradients for its weights, channels last, and placed in faces
    of this geometry (a key of GEOMETRIES). Raises DfdError also where they do not hold its window."""
    config, state = read_module(path)
    try:
        if config["architecture"] == PRECOMPUTED:  # looked up, never computed with: whatever the device, in memory
            return Precomputed.from_state(config["options"]["datasets"], state)
        recognizer = build_recognizer(config["architecture"], config["options"])
        recognizer.fit(state)
        recognizer.load_state_dict(state)
        recognizer.place(geometry)
    except DfdError as error:
        raise DfdError(f"{path}: {error}") from error
    except (KeyError, TypeError, RuntimeError) as error:  # the last: a state of another network
        raise DfdError(f"{path}: not a recognizer's file, or damaged ({' '.join(str(error).split())[:200]})") from error
    return recognizer.requires_grad_(False).to(device, memory_format=torch.channels_last)
