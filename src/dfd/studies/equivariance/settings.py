"""What sets the study of perturbed templates: which maps are fitted, and which conditions are verified (Table 2)."""

from typing import Annotated, Literal

from pydantic import Field

from dfd.core.settings import Count, Positive, Settings


class Transforms(Settings):
    faces: Count
    held_out: Count
    rotate: Annotated[int, Field(ge=1, le=180)]
    translate: Annotated[float, Field(gt=0, le=0.5)]
    scale: list[Positive]


class Verify(Settings):
    rotate: int
    translate: Literal["left", "right", "up", "down"]
    scale: Positive
    photos: Annotated[int, Field(ge=2)]
