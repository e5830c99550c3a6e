"""What the settings of every room are made of: frozen models of sections of params.yaml, and the ranges of their numbers."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


def _zero_or_more(value: float) -> float:
    if 0 < value < 1e-6:
        raise ValueError(f"{value:g} is next to nothing; give 0, or 1e-6 or more")
    return value


def _different(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError(f"each may be there once, not {values}")
    return values


# What is accepted runs to its end. No end of a range is where anybody who means it wants to go: beyond are slips of the
# finger, which would run out of memory or for ever.
Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0.01, le=0.99)]  # some of a thing, and not all of it
Count = Annotated[int, Field(ge=1, le=10**8)]  # of faces, photos, people, pairs
Rounds = Annotated[int, Field(ge=1, le=100_000)]  # of what takes time each: epochs, steps
Shown = Annotated[int, Field(ge=1, le=100)]  # in a picture
Side = Annotated[int, Field(ge=1, le=4096)]  # pixels
Units = Annotated[int, Field(ge=1, le=2**14)]  # of a layer
Width = Annotated[float, Field(ge=0.01, le=4)]  # of a network, a share of the published
Batch = Annotated[int, Field(ge=2, le=2**14)]
LearningRate = Annotated[float, Field(ge=1e-8, le=1)]
Rate = Annotated[float, Field(ge=1e-9, lt=1)]  # at which a recognizer accepts the wrong person
Positive = Annotated[float, Field(ge=1e-6, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e6), AfterValidator(_zero_or_more)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Processes = Annotated[int, Field(ge=1, le=1024)] | Literal["auto"]
Text = Annotated[str, Field(min_length=1)]
Unique = AfterValidator(_different)  # of a list, none twice


def _plain(name: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_-]*", name):
        raise ValueError(
            f"{name!r} is to be of letters (a to z), digits, _ and -, like my-photos: it names files and stages"
        )
    return name


Name = Annotated[str, AfterValidator(_plain)]  # of an entry: part of paths, commands and DVC's own names


class Settings(BaseModel):
    """A section of params: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def validated(model: type[Settings], values, where: str) -> Any:
    """Values as a model of their own, where another's decides which. Raises ValueError, in one line that names `where`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError(problems(error, f"{where}.")) from error


def problems(error: ValidationError, where: str = "") -> str:
    """All that is wrong, in one line: each problem with its key, which `where` goes before."""
    lines = (where + ".".join(map(str, problem["loc"])) + ": " + problem["msg"] for problem in error.errors())
    return " ".join("; ".join(line.removeprefix(": ").replace("Value error, ", "") for line in lines).split())
