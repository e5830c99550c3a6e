"""What sets the study of adversarial noise (Figs. 12 and 13)."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Count, NonNegative, Positive, Settings

GreyLevels = Annotated[float, Field(gt=0, le=255)]


class CwL2(Settings):
    pairs: Count
    searches: Count
    iterations: Count
    initial: Positive
    learning_rate: Positive
    confidence: NonNegative


class Attacks(Settings):
    max_people: Annotated[int, Field(ge=2)]
    photos: Annotated[int, Field(ge=4)]
    enrol: Annotated[float, Field(gt=0, lt=1)]
    epsilon: GreyLevels
    pairs: Count
    cw_l2: CwL2
    matching_pairs: Count
    epsilons: list[GreyLevels]

    @property
    def every_epsilon(self) -> list[float]:
        return sorted({*self.epsilons, self.epsilon})
