"""What sets the study of PFRNet: its two parts, and who it learns from and is measured on (Fig. 17)."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Count, NonNegative, Positive, Settings


class Disentangling(Settings):
    attribute_size: Count
    hidden: Count
    training_faces: Count
    steps: Annotated[int, Field(ge=10)]
    batch_size: Annotated[int, Field(ge=4)]
    learning_rate: Positive
    weight: NonNegative
    max_faces: Count
    cosine_faces: Count
    shown: Count
