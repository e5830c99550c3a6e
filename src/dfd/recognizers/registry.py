"""The recognizers by name, and their files: a .safetensors whose header rebuilds the network."""

from collections.abc import Callable
from pathlib import Path

import torch

from dfd.core.artefacts import read_module, save_module
from dfd.core.errors import DfdError
from dfd.core.packages import package_file
from dfd.recognizers.base import Recognizer
from dfd.recognizers.dlib_resnet import DlibResNet, read_dlib_weights
from dfd.recognizers.resnet50 import ResNet50
from dfd.recognizers.vgg import VGG16

# architecture -> its module; `options` in params.yaml are its keyword arguments
ARCHITECTURES: dict[str, Callable[..., Recognizer]] = {
    "dlib-resnet": DlibResNet,
    "vgg16": VGG16,
    "resnet50": ResNet50,
}

# weights -> their state for the architecture they belong to
PUBLISHED: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
    "dlib-face-recognition": lambda: read_dlib_weights(
        package_file("face-recognition-models", "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat")
    ),
}


def build_recognizer(architecture: str, options: dict) -> Recognizer:
    """A recognizer with fresh weights, in eval mode. Raises DfdError for an unknown architecture, option or layer."""
    if architecture not in ARCHITECTURES:
        raise DfdError(f"recognizers: no architecture is called {architecture}; there are {', '.join(ARCHITECTURES)}")
    try:
        recognizer = ARCHITECTURES[architecture](**options).eval()
        with torch.no_grad():
            blank = torch.zeros(1, 3, recognizer.size, recognizer.size)
            recognizer.activations(blank, [recognizer.layer, recognizer.tap])
    except (TypeError, ValueError, RuntimeError) as error:  # the last: layers that a size leaves nothing for
        raise DfdError(f"recognizers: options of {architecture}: {error}") from error
    return recognizer


def import_recognizer(architecture: str, options: dict, weights: str) -> Recognizer:
    """A recognizer with published weights. Raises DfdError where they are unknown or do not fit the architecture."""
    if weights not in PUBLISHED:
        raise DfdError(f"import_recognizer: no weights are called {weights}; there are {', '.join(PUBLISHED)}")
    recognizer = build_recognizer(architecture, options)
    state = PUBLISHED[weights]()
    try:
        missing, unexpected = recognizer.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise DfdError(f"import_recognizer: the weights {weights} do not fit {architecture}: {error}") from error
    wrong = [name for name in missing if name in dict(recognizer.named_parameters())] + unexpected
    if wrong:
        raise DfdError(f"import_recognizer: the weights {weights} do not fit {architecture}: {', '.join(wrong[:5])}")
    return recognizer


def save_recognizer(path: str | Path, recognizer: Recognizer, architecture: str, options: dict) -> None:
    """Write a recognizer's weights and what rebuilds it."""
    save_module(path, recognizer, {"architecture": architecture, "options": options})


def load_recognizer(path: str | Path, device: torch.device) -> Recognizer:
    """Read what `save_recognizer` wrote: in eval mode, without gradients for its weights, channels last."""
    config, state = read_module(path)
    recognizer = build_recognizer(config["architecture"], config["options"])
    recognizer.load_state_dict(state)
    return recognizer.requires_grad_(False).to(device, memory_format=torch.channels_last)
