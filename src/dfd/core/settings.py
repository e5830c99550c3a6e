"""What the settings of every room are made of: frozen models of sections of params.yaml, and the ranges of their numbers."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


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
    return "; ".join(line.removeprefix(": ").replace("Value error, ", "") for line in lines)
