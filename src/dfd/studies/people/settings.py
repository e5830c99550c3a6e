"""What sets the study of one person's templates: clusters and aggregates (Figs. 14 to 16)."""

from typing import Annotated

from pydantic import Field, model_validator

from dfd.core.settings import Count, Settings, Shown


class Clusters(Settings):
    count: Annotated[int, Field(ge=2, le=100)]
    people: Shown


class Aggregation(Settings):
    counts: Annotated[list[Count], Field(min_length=1)]
    max_people: Annotated[Count, Field(ge=2)]
    probes: Count
    draws: Annotated[int, Field(ge=2, le=1000, multiple_of=2)]
    decoded_draws: Count
    shown: Shown

    @model_validator(mode="after")
    def _counts_ascend(self):
        if sorted(set(self.counts)) != self.counts:
            raise ValueError(f"`counts` must ascend, not {self.counts}")
        return self

    @model_validator(mode="after")
    def _decoded_draws_are_draws(self):
        if self.decoded_draws > self.draws:
            raise ValueError(f"`decoded_draws` ({self.decoded_draws}) are of the {self.draws} `draws`")
        return self
