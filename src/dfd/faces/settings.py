"""What sets the face store: from photo to crop."""

from typing import Annotated, Literal

from PIL import ImageColor
from pydantic import Field, field_validator, model_validator

from dfd.core.settings import Count, Positive, Settings, Share


class Faces(Settings):
    geometry: Literal["portrait", "aligned", "box"]
    size: Annotated[int, Field(ge=16)]
    context: Annotated[float, Field(ge=1)]
    fill: Literal["edge", "black", "reflect"]
    select: Literal["largest", "central"]
    min_probability: Share
    min_face: Annotated[float, Field(gt=0, le=1)]
    detection_sides: Annotated[list[Count], Field(min_length=2, max_length=2)]
    max_megapixels: Positive
    min_side: Count
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
