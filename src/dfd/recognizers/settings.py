"""What sets a recognizer: its network, and where weights that exist come from."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from dfd.core.settings import Settings, Text

PRECOMPUTED = "precomputed"  # the architecture, and the weights, of a recognizer that is templates alone
LARGEST = 1024  # pixels of an input's side
WINDOWS = ("dlib", "arcface", "box")  # those of faces/geometry.py, which brings torch with it


def _numbers(value: Any, *counts: int) -> bool:
    """Whether it is a list of so many finite numbers."""
    numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
    return numbers and len(value) in counts and all(map(math.isfinite, value))


def _per_channel(value: Any) -> Any:
    if not _numbers(value if isinstance(value, list) else [value], 1, 3):
        raise ValueError(f"a number, or one for each of the three channels, not {value!r}")
    return value


def _not_zero(value: Any) -> Any:
    if 0 in (value if isinstance(value, list) else [value]):
        raise ValueError("a scale of 0 makes all images the same")
    return value


def _window(value: Any) -> Any:
    five = isinstance(value, list) and len(value) == 5 and all(_numbers(point, 2) for point in value)
    if not five and (not isinstance(value, str) or value not in WINDOWS):
        raise ValueError(f"{', '.join(WINDOWS)}, or five points [x, y] in pixels of the input, not {value!r}")
    return value


def _sides(value: Any) -> Any:
    sides = value if isinstance(value, list) else [value, value]
    if len(sides) != 2 or not all(type(side) is int and 0 < side <= LARGEST for side in sides):
        raise ValueError(f"a number of pixels up to {LARGEST}, or [height, width], not {value!r}")
    return value


Side = Annotated[int, Field(ge=1, le=LARGEST)]
Width = Annotated[float, Field(ge=0.01, le=2)]  # of the published channels
Mean = Annotated[Any, AfterValidator(_per_channel)]
Scale = Annotated[Any, AfterValidator(_per_channel), AfterValidator(_not_zero)]


class Options(Settings):
    """What every architecture can be given. None: not given, so that it is the architecture's own."""

    layer: Text = None
    bgr: bool = None
    window: Annotated[Any, AfterValidator(_window)] = None


class TappedOptions(Options):
    tap: Text = None


class SizedOptions(TappedOptions):
    size: Side = None


class VGG16Options(SizedOptions):
    size: Annotated[Side, Field(multiple_of=32)] = None
    width: Width = None
    normalise: bool = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = None
    mean: Mean = None
    scale: Scale = None
    top: bool = None


class ResNet50Options(SizedOptions):
    width: Width = None
    mean: Mean = None
    scale: Scale = None
    padding: Literal["tensorflow", "caffe"] = None
    epsilon: Annotated[float, Field(ge=1e-8, le=1)] = None


class IResNetOptions(SizedOptions):
    size: Annotated[Side, Field(ge=16)] = None
    depth: Literal[50, 100] = None
    width: Width = None


class OnnxOptions(Options):
    size: Annotated[Any, AfterValidator(_sides)] = None
    mean: Mean = None
    scale: Scale = None


# architecture -> its options in params
OPTIONS: dict[str, type[Settings]] = {
    "dlib-resnet": SizedOptions,
    "vgg16": VGG16Options,
    "resnet50": ResNet50Options,
    "inception-resnet-v1": SizedOptions,
    "iresnet": IResNetOptions,
    "mobilefacenet": TappedOptions,
    "onnx": OnnxOptions,
}


class Recognizer(Settings):
    architecture: str
    options: dict[str, Any] = {}


class ImportRecognizer(Settings):
    weights: str
    templates: Annotated[dict[str, Text], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _templates_are_precomputed(self):
        if (self.weights == PRECOMPUTED) != (self.templates is not None):
            raise ValueError(f"`templates`, a file for each data set, and `weights: {PRECOMPUTED}` go together")
        return self
