"""What sets the study of reconstructions: who is reconstructed, and what is trained to be compared (Figs. 3 to 7, Table 1)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dfd.core.settings import Batch, Count, LearningRate, Name, Part, Rate, Rounds, Seed, Settings, Shown, Unique
from dfd.learning.settings import ArcFaceMargin, ArcFaceScale, CompetitorTraining, LossTerms, RecognizerTraining


class Evaluate(Settings):
    max_faces: Count
    storage_faces: Count
    far: Rate


class Reconstruct(Settings):
    faces: Shown


class Ablation(Settings):
    variant: str
    epochs: Rounds
    seeds: Annotated[list[Seed], Field(min_length=1), Unique]
    losses: Annotated[dict[Name, LossTerms], Field(min_length=1)]


class RecognizerLoss(Settings):
    dataset: str
    train: Part | None = None
    architecture: str
    options: dict[str, Any] = {}
    objectives: Annotated[list[Literal["softmax", "arcface"]], Field(min_length=1), Unique]
    margin: ArcFaceMargin
    arcface_scale: ArcFaceScale
    recognizer_epochs: Rounds
    batch_size: Batch
    learning_rate: LearningRate
    perceptual: str
    epochs: Rounds

    def training(self, objective: str) -> RecognizerTraining:
        """How the recognizer of one objective is trained: without a triplet phase."""
        alike = {name: getattr(self, name) for name in ("margin", "arcface_scale", "batch_size", "learning_rate")}
        return RecognizerTraining(
            objective=objective, epochs=self.recognizer_epochs, triplet_epochs=0, triplet_margin=1.0, **alike
        )


class TemplateLayer(Settings):
    recognizer: str
    layers: Annotated[list[str], Field(min_length=1), Unique]
    perceptual: str
    epochs: Rounds


class Competitor(Settings):
    """options: of the architecture, beside the size. training: with the losses that it was published with; without it a
    decoder learns as ours do, from their losses."""

    options: dict[str, Any]
    training: CompetitorTraining | None = None


class Competitors(Settings):
    variants: Annotated[list[str], Field(min_length=1), Unique]
    far: Rate
    decoders: dict[Literal["inverted-vgg", "nbnet", "residual-deconvolution"], Competitor]
