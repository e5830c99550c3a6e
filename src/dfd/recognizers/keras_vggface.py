"""The weights of Keras VGGFace (rcmalli/keras-vggface, release v2.0; VGG16 and ResNet50, with or without "top").

The file is HDF5, in one of two layouts:
- Keras 1 and 2, and `model.save("x.h5")` of Keras 3: the attribute `layer_names` lists groups, the attribute `weight_names`
  of each group its datasets; a "/" in a name nests groups. A file of a whole model has all that under `model_weights`.
- `model.save_weights("x.weights.h5")` of Keras 3, and that same file inside a .keras archive: `layers/<group>/vars/<i>`, weights
  in the order of their creation. A group is called after its class; the attribute `name` of its `vars` is the layer's name.
Kernels are H·W·I·O, dense kernels I·O, and fc6 reads a flattened H·W·C map. Keras 3 allows no "/" in a layer's name: "_",
or any other sign, may stand for it. Nothing in the file is ever executed.
"""

import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch

from dfd.core.errors import DfdError
from dfd.recognizers import resnet50, vgg

# the end of a weight's name, in Keras 2 (conv1_1/kernel:0) and 1 (conv1_1_W_1:0) -> its name in torch
KINDS = {
    "kernel": "weight",
    "W": "weight",
    "gamma": "weight",
    "bias": "bias",
    "b": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "running_mean": "running_mean",
    "moving_variance": "running_var",
    "running_std": "running_var",  # no typo: Keras 1 kept a variance under this name
}
NUMBERED = {"kernel": ("weight", "bias"), "normalisation": ("weight", "bias", "running_mean", "running_var")}
UNNAMED = re.compile(r"(conv2d|dense|batch_normalization)(_\d+)?")  # groups that are called after a class
KIND = re.compile(rf"(?:^|[/_])({'|'.join(KINDS)})(?:_\d+)?(?::\d+)?$")


def read_keras_vgg16(path: str | Path) -> dict[str, torch.Tensor]:
    """The state of a VGG16; the classifier fc8, where the file has it, as `head`. Raises DfdError for another file."""
    layers = _read_layers(path)
    kernel, last = (layers.get(name, {}).get("weight", np.empty(0)) for name in ("fc6", "conv5_3"))
    if kernel.ndim == 2 and last.ndim == 4:
        side = math.isqrt(len(kernel) // (channels := last.shape[-1]))
        if len(kernel) != side * side * channels:
            raise DfdError(
                f"{path}: the layer fc6 is {_shape(kernel)}, which no square map of {channels} channels fits"
            )
        maps = kernel.reshape(side, side, channels, -1)
        layers["fc6"]["weight"] = maps.transpose(2, 0, 1, 3).reshape(kernel.shape)
    return _state(path, layers, vgg.published_names())


def read_keras_resnet50(path: str | Path) -> dict[str, torch.Tensor]:
    """The state of a ResNet50; its classifier, where the file has it, as `head`. Raises DfdError for another file."""
    return _state(path, _read_layers(path), resnet50.published_names())


def _state(
    path: str | Path, layers: dict[str, dict[str, np.ndarray]], names: dict[str, str]
) -> dict[str, torch.Tensor]:
    """The file's layers under our names, in torch's order of axes."""
    ours = {_plain(theirs): name for name, theirs in names.items()}
    state = {}
    for layer, weights in layers.items():
        if (module := ours.get(_plain(layer))) is None:
            raise DfdError(f"{path}: its layer {layer} is not one of this architecture's; import it as what it is")
        for kind, array in weights.items():
            if array.ndim not in (1, 2, 4):
                raise DfdError(
                    f"{path}: the {kind} of layer {layer} is {_shape(array)}: no weights of this architecture"
                )
            axes = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[array.ndim]
            state[f"{module}.{kind}"] = torch.from_numpy(np.ascontiguousarray(array.transpose(axes)))
    return state


def _read_layers(path: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """{layer: {weight, bias, running_mean, running_var: float32 array as in the file}}, layers without weights left out."""
    try:
        with _open(path) as file:
            root = file.get("model_weights", file)
            numbered = "layers" in root and not any(name.startswith("layer_names") for name in root.attrs)
            layers = {}
            for layer, kind, array in (_numbered if numbered else _listed)(path, root):
                if kind is None or not isinstance(array, h5py.Dataset) or array.dtype.kind != "f":
                    raise DfdError(f"{path}: the layer {layer} has an unknown weight {array.name}")
                layers.setdefault(layer, {})[kind] = array[()].astype(np.float32)
            return layers
    except (
        OSError,
        KeyError,
        AttributeError,
        TypeError,
        ValueError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        # cut short, damaged, or laid out otherwise
        raise DfdError(f"{path}: not an HDF5 file of Keras weights ({error}); download or save it again") from error


def _open(path: str | Path) -> h5py.File:
    if not zipfile.is_zipfile(path):
        return h5py.File(path, "r")
    with zipfile.ZipFile(path) as archive:
        return h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")


def _listed(path: str | Path, root: h5py.Group) -> Iterator[tuple[str, str | None, h5py.Dataset]]:
    """(layer, kind, array) in the layout of Keras 1 and 2."""
    for layer in _strings(root, "layer_names"):
        for name in _strings(root[layer], "weight_names"):
            kind = KIND.search(name)
            yield layer, kind and KINDS[kind[1]], root[layer][name]


def _numbered(path: str | Path, root: h5py.Group) -> Iterator[tuple[str, str | None, h5py.Dataset]]:
    """(layer, kind, array) in the layout of Keras 3. Raises DfdError where it does not tell which layer is which."""
    for group, layer in root["layers"].items():
        variables = layer.get("vars", {})
        arrays = [variables[index] for index in sorted(variables, key=int)]
        if not arrays:
            continue
        if "name" not in variables.attrs and UNNAMED.fullmatch(group):  # as TensorFlow 2's own Keras writes it
            raise DfdError(
                f'{path}: its {group} has no name to tell which layer it is; write it with model.save("x.h5")'
            )
        kinds = NUMBERED["kernel" if arrays[0].ndim > 1 else "normalisation"]
        whole = arrays[0].ndim > 1 or len(arrays) == len(kinds)  # a normalisation without one of them: which one?
        for index, array in enumerate(arrays):
            yield str(variables.attrs.get("name", group)), kinds[index] if whole and index < len(kinds) else None, array


def _strings(group: h5py.Group, name: str) -> list[str]:
    """A list attribute, which Keras splits into `<name>0`, `<name>1`, … where it is longer than HDF5 allows."""
    parts = [name]
    if name not in group.attrs:
        parts = [f"{name}{i}" for i in range(len(group.attrs)) if f"{name}{i}" in group.attrs]
    if not parts:
        raise KeyError(f"no attribute {name}")
    values = [value for part in parts for value in group.attrs[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _plain(name: str) -> str:
    """A layer's name without what some versions of Keras refuse in it."""
    return re.sub(r"\W", "_", name)


def _shape(array: np.ndarray) -> str:
    return "×".join(map(str, array.shape))
