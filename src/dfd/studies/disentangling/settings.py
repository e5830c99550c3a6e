"""What sets the study of PFRNet: its two parts, and who it learns from and is measured on (Fig. 17)."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Count, LearningRate, NonNegative, Settings, Shown, Units


class Disentangling(Settings):
    attribute_size: Units
    hidden: Units
    training_faces: Count
    steps: Annotated[int, Field(ge=10, le=10**6)]
    batch_size: Annotated[int, Field(ge=4, le=2**14)]
    learning_rate: LearningRate
    weight: NonNegative
    max_faces: Count
    cosine_faces: Count
    shown: Shown
