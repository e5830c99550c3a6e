"""What sets the face store: from photo to crop."""

from typing import Annotated, Literal

from PIL import ImageColor
from pydantic import Field, field_validator, model_validator

from dfd.core.settings import Settings, Share, Side

LARGEST_CROP = 4096  # pixels


class Faces(Settings):
    geometry: Literal["portrait", "aligned", "box"]
    size: Annotated[int, Field(ge=16, le=1024)]
    context: Annotated[float, Field(ge=1, le=8)]
    fill: Literal["edge", "black", "reflect"]
    select: Literal["largest", "central"]
    min_probability: Share
    min_face: Annotated[float, Field(ge=0.02, le=1)]  # a smaller one takes a far enlarged photo, and its memory
    detection_sides: Annotated[list[Annotated[Side, Field(ge=24)]], Field(min_length=2, max_length=2)]
    max_megapixels: Annotated[float, Field(ge=0.001, le=10_000)]
    min_side: Side
    background: str

    @field_validator("background")
    @classmethod
    def _is_a_colour(cls, name: str) -> str:
        try:
            ImageColor.getrgb(name)
        except ValueError as error:
            raise ValueError(f"{name!r} is no colour; give a name like white, or #rrggbb") from error
        return name

    @model_validator(mode="after")
    def _sides_ascend(self):
        if self.detection_sides[0] > self.detection_sides[1]:
            raise ValueError(f"`detection_sides` are the least and the most pixels, not {self.detection_sides}")
        return self

    @model_validator(mode="after")
    def _crops_have_a_sane_side(self):
        if self.size * self.context > LARGEST_CROP:
            raise ValueError(
                f"`size` times `context`, the stored crop's side, is {self.size * self.context:g} pixels; at most {LARGEST_CROP}"
            )
        return self
