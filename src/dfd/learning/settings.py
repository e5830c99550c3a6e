"""What sets learning: the variants, the losses of Eq. 2, and how decoders and recognizers are trained."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dfd.core.settings import Batch, LearningRate, NonNegative, Processes, Rounds, Settings, Unique

PERCEPTUAL = ("perceptual", "local_perceptual")  # the terms of Eq. 2 that need φ
ArcFaceMargin = Annotated[float, Field(ge=0, le=1.57)]  # radians
ArcFaceScale = Annotated[float, Field(ge=1, le=1000)]


class Variant(Settings):
    """A decoder to train. loss, training: entries that replace those of all variants' `Loss` and `TrainDecoder`."""

    template: str
    perceptual: str
    identity: str | None = None
    loss: dict[str, Any] = {}
    training: dict[str, Any] = {}


class Loss(Settings):
    """Eq. 2, and terms beyond it."""

    pixel: NonNegative
    gradient: NonNegative
    perceptual: NonNegative
    local: bool
    local_pixel: NonNegative
    local_gradient: NonNegative
    local_perceptual: NonNegative
    chroma: NonNegative
    identity: NonNegative
    perceptual_share: Annotated[float, Field(ge=0.01, le=1)]
    features: Literal["balanced", "raw"]

    def weights(self) -> dict[str, float]:
        """λ by term; `local: false` sets those of the local terms to zero."""
        terms = self.model_dump(exclude={"local", "features", "perceptual_share"})
        return {term: 0.0 if term.startswith("local_") and not self.local else weight for term, weight in terms.items()}

    @property
    def takes_features(self) -> bool:
        """Whether a perceptual term has a weight."""
        return any(self.weights()[term] for term in PERCEPTUAL)

    def without_features(self) -> "Loss":
        """The same without the perceptual terms: what is left where φ gives no gradients."""
        return self.model_copy(update=dict.fromkeys(PERCEPTUAL, 0.0))


class LossTerms(Settings):
    """A part of the losses: a row of Table 1."""

    terms: Annotated[list[Literal["pixel", "gradient", "perceptual"]], Field(min_length=1), Unique]
    local: bool

    def applied_to(self, loss: Loss) -> Loss:
        """`loss` with the weights of the terms that are left out at zero.

        `perceptual_share` is for terms beside others: where φ teaches alone, it teaches from every face.
        """
        kept = {*self.terms, *(f"local_{term}" for term in self.terms if self.local)}
        left_out = dict.fromkeys(loss.weights().keys() - kept, 0.0)
        alone = {"perceptual_share": 1.0} if self.terms == ["perceptual"] else {}
        return loss.model_copy(update={"local": True} | left_out | alone)


class TrainDecoder(Settings):
    epochs: Rounds
    patience: Rounds
    batch_size: Batch
    learning_rate: LearningRate
    weight_decay: NonNegative
    schedule: Literal["one-cycle", "constant", "halving"]
    averaging: Annotated[float, Field(ge=0, le=0.99999)]
    clip: NonNegative
    noise: Annotated[float, Field(ge=0, le=10)]
    processes: Processes = 1


class CompetitorTraining(Settings):
    """How a competitor was published to learn (`dfd.learning.phases`)."""

    perceptual_epochs: Annotated[int, Field(ge=0, le=100_000)] = 0
    batch_size: Batch
    learning_rate: LearningRate
    perceptual_learning_rate: LearningRate | None = None
    beta1: Annotated[float, Field(ge=0, le=0.9999)]
    schedule: Literal["one-cycle", "constant", "halving"]

    def refuse_unfit(self, phases: Sequence[str], epochs: int) -> None:
        """Raise ValueError where an architecture that learns in these phases, the second on features, cannot do so."""
        if len(phases) == 1 and (self.perceptual_epochs or self.perceptual_learning_rate):
            raise ValueError("it learns in one phase: leave perceptual_epochs and perceptual_learning_rate out")
        if len(phases) == 2 and not 0 < self.perceptual_epochs < epochs:
            raise ValueError(
                f"perceptual_epochs are the last of train_decoder.epochs, {epochs}, at least one and not all: "
                f"{self.perceptual_epochs} do not fit"
            )

    def by_phase(self, phases: Sequence[str], ours: TrainDecoder) -> dict[str, TrainDecoder]:
        """How each phase, the only one or the second being on features, is trained: in all as long as ours."""
        alike = {
            "patience": ours.patience, "batch_size": self.batch_size, "schedule": self.schedule,
            "weight_decay": 0.0, "averaging": 0.0, "clip": 0.0, "noise": 0.0,
        }  # fmt: skip
        first = TrainDecoder(epochs=ours.epochs, learning_rate=self.learning_rate, **alike)
        if len(phases) == 1:
            return {phases[0]: first}
        second = {
            "epochs": self.perceptual_epochs,
            "learning_rate": self.perceptual_learning_rate or self.learning_rate,
        }
        return {
            phases[0]: first.model_copy(update={"epochs": ours.epochs - self.perceptual_epochs}),
            phases[1]: first.model_copy(update=second),
        }


class RecognizerTraining(Settings):
    """How a recognizer learns from a data set's faces."""

    objective: Literal["softmax", "arcface", "distil"]
    margin: ArcFaceMargin
    arcface_scale: ArcFaceScale
    epochs: Rounds
    triplet_epochs: Annotated[int, Field(ge=0, le=100_000)]
    triplet_margin: Annotated[float, Field(gt=0, le=4)]  # squared distances of normalised templates end at 4
    batch_size: Batch
    learning_rate: LearningRate

    @model_validator(mode="after")
    def _triplets_have_labels(self):
        if self.objective == "distil" and self.triplet_epochs:
            raise ValueError("a triplet loss needs labelled identities: objective softmax or arcface")
        return self


class TrainRecognizer(RecognizerTraining):
    """One of the pipeline's own."""

    dataset: str
    teacher: str
    processes: Processes = 1
