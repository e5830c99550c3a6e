"""What sets the study of adversarial noise (Figs. 12 and 13)."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Count, LearningRate, Part, Positive, Rounds, Settings, Unique

GreyLevels = Annotated[float, Field(ge=0.01, le=255)]


class CwL2(Settings):
    pairs: Count
    searches: Annotated[int, Field(ge=1, le=100)]
    iterations: Rounds
    initial: Positive
    learning_rate: LearningRate
    confidence: Annotated[float, Field(ge=0, le=1000)]


class Attacks(Settings):
    max_people: Annotated[Count, Field(ge=2)]
    photos: Annotated[Count, Field(ge=4)]
    enrol: Part
    epsilon: GreyLevels
    pairs: Count
    cw_l2: CwL2
    matching_pairs: Count
    epsilons: Annotated[list[GreyLevels], Field(min_length=1), Unique]

    @property
    def every_epsilon(self) -> list[float]:
        return sorted({*self.epsilons, self.epsilon})
