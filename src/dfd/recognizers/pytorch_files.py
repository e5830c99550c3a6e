"""Weights that others saved with PyTorch: state dicts, read without running any code in them.

Trainers keep the weights of a checkpoint under a name beside its epoch, and the network under a name within what they
trained (`module.`, `model.`, `backbone.`): see WRAPPERS and `under_prefix`.

Oxford's networks were ported by Albanie as `vgg_face_dag.pth` and `resnet50_ft_dag.pth`: layers named as in Keras VGGFace,
"_" for "/". They are fed RGB, not BGR, and ResNet-50 pads as Caffe does, with another epsilon: see OXFORD_OPTIONS.
"""

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from dfd.core.errors import DfdError
from dfd.core.vectors import few
from dfd.recognizers import resnet50, vgg

log = logging.getLogger(__name__)
SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")  # of files that `read_state` reads

# architecture -> the options that Oxford's PyTorch files were published for; our defaults are Keras VGGFace's
OXFORD_OPTIONS = {
    "vgg16": {"mean": (129.186279296875, 104.76238250732422, 93.59396362304688), "bgr": False},
    "resnet50": {
        "mean": (131.0912, 103.8827, 91.4953),
        "bgr": False,
        "padding": "caffe",
        "epsilon": 1e-5,
    },
}


# under which a checkpoint keeps the weights, beside its epoch
WRAPPERS = ("state_dict", "net_state_dict", "model_state_dict", "model", "net", "backbone")


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict (name → tensor, on the CPU) in a file, or under one of WRAPPERS in it.

    Raises DfdError where the file holds anything but tensors (a pickled model could run code), or is damaged.
    """
    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DfdError(
            f"{path}: refused: damaged, or it holds Python objects, which could run code; where you trust it, save its "
            "weights alone: python -c \"import torch; x = torch.load('" + Path(path).name + "', weights_only=False); "
            "x = x.state_dict() if hasattr(x, 'state_dict') else x.get('state_dict', x); torch.save(x, 'weights.pth')\""
        ) from error
    except Exception as error:  # whatever a damaged archive or pickle leads to, a wrong size in it to too little memory
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DfdError(f"{path}: not a PyTorch file of weights ({reason}); download it again") from error
    if isinstance(state, dict):
        state = next((state[name] for name in WRAPPERS if isinstance(state.get(name), dict)), state)
    tensors = (
        isinstance(state, dict)
        and state
        and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items())
    )
    if not tensors:
        raise DfdError(f"{path}: not a state dict (names and tensors); save `model.state_dict()` alone")
    return dict(state)


def under_prefix(state: dict[str, torch.Tensor], names: Sequence[str]) -> dict[str, torch.Tensor]:
    """The part of a state dict under the prefix under which most of the network's `names` lie, without the prefix.

    Without such a prefix, all of it; with one, what lies elsewhere (a classifier, mostly) is left out, and said.
    """
    prefixes = [key.removesuffix(names[0]) for key in state if f".{key}".endswith(f".{names[0]}")]
    counts = {prefix: sum(prefix + name in state for name in names) for prefix in prefixes}
    prefix = max(counts, key=counts.get, default="")
    if not prefix or counts[prefix] < len(names) / 2:
        return state
    part = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    if left_out := [key for key in state if not key.startswith(prefix)]:
        log.warning("the weights under %s are taken; left out: %s", prefix, few(left_out))
    return part


def read_oxford_vgg16(path: str | Path) -> dict[str, torch.Tensor]:
    """The state of a VGG16 from `vgg_face_dag.pth`, its fc8 as `head`. Raises DfdError for another file."""
    return _renamed(path, vgg.published_names())


def read_oxford_resnet50(path: str | Path) -> dict[str, torch.Tensor]:
    """The state of a ResNet50 from `resnet50_ft_dag.pth`, its classifier as `head`. Raises DfdError for another file."""
    return _renamed(path, resnet50.published_names())


def _renamed(path: str | Path, names: dict[str, str]) -> dict[str, torch.Tensor]:
    ours = {theirs.replace("/", "_"): name for name, theirs in names.items()}
    state = {}
    for key, tensor in under_prefix(read_state(path), [f"{layer}.weight" for layer in ours]).items():
        layer, _, kind = str(key).rpartition(".")
        if layer not in ours:
            raise DfdError(f"{path}: its {key} is not one of this architecture's layers; import it as what it is")
        # A classifier may be a 1×1, fc6 a 7×7 convolution: the same numbers in the same order.
        dense = ours[layer] in ("fc6", "fc7", "head") and tensor.ndim == 4
        state[f"{ours[layer]}.{kind}"] = tensor.flatten(1) if dense else tensor
    return state
