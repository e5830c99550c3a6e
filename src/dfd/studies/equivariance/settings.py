"""What sets the study of perturbed templates: which maps are fitted, and which conditions are verified (Table 2)."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from dfd.core.settings import Count, Settings

Factor = Annotated[float, Field(ge=0.1, le=10)]  # of the face's size


class Transforms(Settings):
    faces: Annotated[Count, Field(ge=4)]
    held_out: Annotated[Count, Field(ge=2)]
    rotate: Annotated[int, Field(ge=1, le=180)]
    translate: Annotated[float, Field(ge=0.01, le=0.5)]
    scale: list[Factor]

    @field_validator("scale")
    @classmethod
    def _have_names_of_their_own(cls, factors: list[float]) -> list[float]:
        if len({f"{factor:g}" for factor in factors}) < len(factors):
            raise ValueError(f"each may be there once, to six digits, not {factors}")
        return factors


class Verify(Settings):
    rotate: int
    translate: Literal["left", "right", "up", "down"]
    scale: Factor
    photos: Annotated[Count, Field(ge=2)]
