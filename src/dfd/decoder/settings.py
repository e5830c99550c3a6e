"""What sets a decoder: its network, and where one that exists comes from."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dfd.core.settings import Count, Positive, Settings, Text


class ResidualOptions(Settings):
    hidden: Count
    rank: Count
    channels: Count
    axes: Annotated[int, Field(ge=0)]


class InvertedVGGOptions(Settings):
    width: Positive
    hidden: Count
    channels: Annotated[list[Count], Field(min_length=5, max_length=5)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    normalise: Literal["none", "batch", "group"]
    output: Literal["linear", "bounded"]


class CompetitorOptions(Settings):
    width: Positive


# architecture -> its options in params, beside the size
OPTIONS: dict[str, type[Settings]] = {
    "residual": ResidualOptions,
    "inverted-vgg": InvertedVGGOptions,
    "nbnet": CompetitorOptions,
    "residual-deconvolution": CompetitorOptions,
}


class Decoder(Settings):
    """size: of its faces, in pixels. options: of the architecture, beside the size."""

    architecture: str
    size: Count
    options: dict[str, Any] = {}

    def all_options(self) -> dict[str, Any]:
        """What `build_decoder` takes: the size among them."""
        return {"size": self.size} | self.options


class ClosedForm(Settings):
    axes: Annotated[int, Field(ge=0)]


class ImportDecoder(Settings):
    weights: Text
    template: str
    adapter: Text | None = None
