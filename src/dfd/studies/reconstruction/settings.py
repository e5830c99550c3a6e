"""What sets the study of reconstructions: who is reconstructed, and what is trained to be compared (Figs. 3 to 7, Table 1)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dfd.core.settings import Count, NonNegative, Positive, Settings
from dfd.learning.settings import CompetitorTraining, LossTerms, RecognizerTraining


class Evaluate(Settings):
    max_faces: Count
    storage_faces: Count
    far: Annotated[float, Field(gt=0, lt=1)]


class Reconstruct(Settings):
    faces: Count


class Ablation(Settings):
    variant: str
    epochs: Count
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    losses: Annotated[dict[str, LossTerms], Field(min_length=1)]


class RecognizerLoss(Settings):
    dataset: str
    train: Annotated[float, Field(gt=0, lt=1)] | None = None
    architecture: str
    options: dict[str, Any] = {}
    objectives: Annotated[list[Literal["softmax", "arcface"]], Field(min_length=1)]
    margin: NonNegative
    arcface_scale: Positive
    recognizer_epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    perceptual: str
    epochs: Count

    def training(self, objective: str) -> RecognizerTraining:
        """How the recognizer of one objective is trained: without a triplet phase."""
        alike = {name: getattr(self, name) for name in ("margin", "arcface_scale", "batch_size", "learning_rate")}
        return RecognizerTraining(
            objective=objective, epochs=self.recognizer_epochs, triplet_epochs=0, triplet_margin=1.0, **alike
        )


class TemplateLayer(Settings):
    recognizer: str
    layers: Annotated[list[str], Field(min_length=1)]
    perceptual: str
    epochs: Count


class Competitor(Settings):
    """options: of the architecture, beside the size. training: with the losses that it was published with; without it a
    decoder learns as ours do, from their losses."""

    options: dict[str, Any]
    training: CompetitorTraining | None = None


class Competitors(Settings):
    variants: Annotated[list[str], Field(min_length=1)]
    far: Annotated[float, Field(gt=0, lt=1)]
    decoders: dict[Literal["inverted-vgg", "nbnet", "residual-deconvolution"], Competitor]
