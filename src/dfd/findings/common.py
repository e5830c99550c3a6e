"""What all claims share: names, margins, and how parts are looked up.

Paths are those of metrics/<stage>/<key>.json, without the ending. `vgg` and `resnet` are the paper's recognizers, by the
names that params.yaml gives them; a metric of another name is missing.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from dfd.findings.rule import Missing, attempted, look_up
from dfd.measures.estimates import Estimate

VGG, RESNET = "vgg", "resnet"
BACKBONES = (VGG, RESNET)
TAR = "tar_at_far_0.001"


class Names(NamedTuple):
    """What params.yaml calls the metrics' keys, and the margins within which two things count as alike.

    psnr_margin: in dB. rate_margin: of rates, accuracies and probabilities.
    """

    ablation: str  # variant
    losses: tuple[str, ...]
    recognizer_loss: str  # data set
    objectives: tuple[str, ...]
    template_layer: str  # recognizer
    layers: tuple[str, ...]
    competitors: tuple[str, ...]  # variants
    decoders: tuple[str, ...]  # published ones, with their own losses
    far: float  # of the recognizer whose acceptance counts as a recovered identity
    psnr_margin: float
    rate_margin: float


def names_of(experiments) -> Names:
    """The names and margins in the section `experiments` of params.yaml."""
    return Names(
        ablation=experiments.ablation.variant,
        losses=tuple(experiments.ablation.losses),
        recognizer_loss=experiments.recognizer_loss.dataset,
        objectives=tuple(experiments.recognizer_loss.objectives),
        template_layer=experiments.template_layer.recognizer,
        layers=tuple(experiments.template_layer.layers),
        competitors=tuple(experiments.competitors.variants),
        decoders=tuple(name for name, other in experiments.competitors.decoders.items() if other.training),
        far=experiments.competitors.far,
        psnr_margin=experiments.findings.psnr_margin,
        rate_margin=experiments.findings.rate_margin,
    )


def variants_by_template() -> dict[str, str]:
    """The template recognizer of each of the paper's four variants."""
    return {f"{template}-{perceptual}": template for template in BACKBONES for perceptual in BACKBONES}


def parts_of(effects: Mapping[str, Callable[[], Estimate]]) -> dict[str, Estimate]:
    """Each part's effect, from functions; null with a note where its metric is missing."""
    return {name: attempted(effect) for name, effect in effects.items()}


def threshold_of(metrics: Mapping, recognizer: str) -> float:
    """That at which a recognizer accepts 0.1 % of the impostor pairs. Raises Missing where there is none."""
    found = look_up(metrics, "verify", recognizer, "original", "without", TAR)
    if found.get("threshold") is None:
        raise Missing(found.get("threshold_note", f"no threshold of {recognizer} at 0.1 % FAR"))
    return found["threshold"]
