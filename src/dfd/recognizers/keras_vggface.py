"""The weights of Keras VGGFace (rcmalli/keras-vggface, release v2.0; VGG16 and ResNet50, with or without "top").

The file is HDF5 as Keras 1 and 2 save weights: the attribute `layer_names` lists groups, the attribute `weight_names` of
each group its datasets; a "/" in a name nests groups. A file of a whole model has all that under `model_weights`.
Kernels are H·W·I·O, dense kernels I·O, and fc6 reads a flattened H·W·C map. Nothing in the file is ever executed.
"""

import math
import re
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
    ours = {theirs: name for name, theirs in names.items()}
    state = {}
    for layer, weights in layers.items():
        if layer not in ours:
            raise DfdError(f"{path}: its layer {layer} is not one of this architecture's; import it as what it is")
        for kind, array in weights.items():
            if array.ndim not in (1, 2, 4):
                raise DfdError(
                    f"{path}: the {kind} of layer {layer} is {_shape(array)}: no weights of this architecture"
                )
            axes = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[array.ndim]
            state[f"{ours[layer]}.{kind}"] = torch.from_numpy(np.ascontiguousarray(array.transpose(axes)))
    return state


def _read_layers(path: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """{layer: {weight, bias, running_mean, running_var: float32 array as in the file}}, layers without weights left out."""
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            layers = {}
            for layer in _strings(root, "layer_names"):
                for name in _strings(root[layer], "weight_names"):
                    kind, array = KIND.search(name), root[layer][name]
                    if kind is None or not isinstance(array, h5py.Dataset) or array.dtype.kind != "f":
                        raise DfdError(f"{path}: the layer {layer} has an unknown weight {name}")
                    layers.setdefault(layer, {})[KINDS[kind[1]]] = array[()].astype(np.float32)
            return layers
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:  # cut short, or laid out otherwise
        raise DfdError(f"{path}: not an HDF5 file of Keras 1 or 2 weights ({error}); download it again") from error


def _strings(group: h5py.Group, name: str) -> list[str]:
    """A list attribute, which Keras splits into `<name>0`, `<name>1`, … where it is longer than HDF5 allows."""
    parts = [name]
    if name not in group.attrs:
        parts = [f"{name}{i}" for i in range(len(group.attrs)) if f"{name}{i}" in group.attrs]
    if not parts:
        raise KeyError(f"no attribute {name}")
    values = [value for part in parts for value in group.attrs[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _shape(array: np.ndarray) -> str:
    return "×".join(map(str, array.shape))
