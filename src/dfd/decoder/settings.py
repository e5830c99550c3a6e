"""What sets a decoder: its network, and where one that exists comes from."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dfd.core.settings import Settings, Text, Units, Width

Channels = Annotated[int, Field(ge=4, le=4096)]
Axes = Annotated[int, Field(ge=0, le=100)]  # whose products are features: 100 make 5,050


class ResidualOptions(Settings):
    hidden: Units
    rank: Units
    channels: Channels
    axes: Axes


class InvertedVGGOptions(Settings):
    width: Width
    hidden: Units
    channels: Annotated[list[Channels], Field(min_length=5, max_length=5)]
    dropout: Annotated[float, Field(ge=0, le=0.9)]
    normalise: Literal["none", "batch", "group"]
    output: Literal["linear", "bounded"]


class CompetitorOptions(Settings):
    width: Width


class ClosedForm(Settings):
    axes: Axes


# architecture -> its options in params, beside the size
OPTIONS: dict[str, type[Settings]] = {
    "linear": Settings,
    "quadratic": ClosedForm,
    "residual": ResidualOptions,
    "inverted-vgg": InvertedVGGOptions,
    "nbnet": CompetitorOptions,
    "residual-deconvolution": CompetitorOptions,
}


class Decoder(Settings):
    """size: of its faces, in pixels. options: of the architecture, beside the size."""

    architecture: str
    size: Annotated[int, Field(ge=14, le=1024)]
    options: dict[str, Any] = {}

    def all_options(self) -> dict[str, Any]:
        """What `build_decoder` takes: the size among them."""
        return {"size": self.size} | self.options


class ImportDecoder(Settings):
    weights: Text
    template: str
    adapter: Text | None = None
