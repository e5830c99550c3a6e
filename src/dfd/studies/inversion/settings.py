"""Settings of the inversion study."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]


class Inversion(BaseModel):
    """The section `inversion` of params.yaml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    fmrs: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    faces: Count
    probe_faces: Annotated[int, Field(ge=20)]
    protected_faces: Count
    protections: list[str]
    keys: Count
    refined_faces: Count
    refinement_steps: Count
    shown: Count
