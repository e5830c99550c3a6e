"""What sets the study of what templates give away, and that of templates of other recognizers."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Count, Settings


class Inversion(Settings):
    fmrs: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    max_faces: Count
    probe_faces: Annotated[int, Field(ge=20)]
    protected_faces: Count
    protections: list[str]
    keys: Count
    refined_faces: Count
    refinement_steps: Count
    shown: Count


class Adapters(Settings):
    decoder: str
    recognizers: Annotated[list[str], Field(min_length=1)]
    pairs: Annotated[list[Annotated[int, Field(ge=20)]], Field(min_length=1)]
    max_faces: Count
