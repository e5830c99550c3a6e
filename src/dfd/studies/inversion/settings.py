"""What sets the study of what templates give away, and that of templates of other recognizers."""

from typing import Annotated, Literal

from pydantic import Field

from dfd.core.settings import Count, Rate, Rounds, Settings, Shown, Unique

PROTECTIONS = (  # those of protections.py, which brings torch with it
    "normalised", "float16", "8-bits", "4-bits", "1-bit", "axes-64", "axes-32", "axes-16", "axes-8",
    "noise-0.5", "noise-1", "noise-2", "biohash", "biohash-secret", "aggregated", "identity-part",
)  # fmt: skip


class Inversion(Settings):
    fmrs: Annotated[list[Rate], Field(min_length=1), Unique]
    max_faces: Count
    probe_faces: Annotated[Count, Field(ge=20)]
    protected_faces: Count
    protections: Annotated[list[Literal[PROTECTIONS]], Unique]
    fine_tuning_steps: Annotated[int, Field(ge=0, le=100_000)]
    keys: Annotated[int, Field(ge=1, le=1000)]
    refined_faces: Count
    refinement_steps: Rounds
    shown: Shown


class Adapters(Settings):
    decoder: str
    recognizers: Annotated[list[str], Field(min_length=1), Unique]
    pairs: Annotated[list[Annotated[Count, Field(ge=20)]], Field(min_length=1), Unique]
    max_faces: Count
