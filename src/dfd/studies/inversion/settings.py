"""What sets the study of templates of other recognizers, mapped to those that a decoder learned."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Count, Settings


class Adapters(Settings):
    decoder: str
    recognizers: Annotated[list[str], Field(min_length=1)]
    pairs: Annotated[list[Annotated[int, Field(ge=20)]], Field(min_length=1)]
    max_faces: Count
