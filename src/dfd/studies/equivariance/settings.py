"""What sets the study of perturbed templates: which maps are fitted, and which conditions are verified (Table 2)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dfd.core.settings import Count, Settings

Factor = Annotated[float, Field(ge=0.1, le=10)]  # of the face's size


class Transforms(Settings):
    faces: Annotated[Count, Field(ge=10)]
    held_out: Annotated[Count, Field(ge=5)]
    rotate: Annotated[int, Field(ge=1, le=180)]
    translate: Annotated[float, Field(ge=0.01, le=0.5)]
    scale: list[Factor]

    @model_validator(mode="after")
    def _scales_have_names_of_their_own(self):
        if len({f"{factor:g}" for factor in self.scale}) < len(self.scale):
            raise ValueError(f"`scale`: each may be there once, to six digits, not {self.scale}")
        return self


class Verify(Settings):
    rotate: int
    translate: Literal["left", "right", "up", "down"]
    scale: Factor
    photos: Annotated[Count, Field(ge=2)]
