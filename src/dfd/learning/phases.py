"""The phases in which competing decoders were published to learn: which terms of `CompetingLoss` have which weight."""

from collections.abc import Mapping

# architecture -> its phases of training in order, each the terms' weights; a phase may need φ's gradients
PHASES: dict[str, dict[str, dict[str, float]]] = {
    # Mai et al.: absolute error first, then features alone. A factor on a single term changes nothing under Adam.
    "nbnet": {"pixel": {"absolute": 1.0}, "perceptual": {"perceptual": 1.0}},
    # Otroshi Shahreza et al.: all at once.
    "residual-deconvolution": {"all": {"absolute": 1.0, "ssim": 0.75, "perceptual": 0.02, "identity": 0.025}},
}


def without_features(phases: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The phases without the terms that need φ, and without phases that have no others."""
    kept = {
        name: {term: weight for term, weight in weights.items() if term in ("absolute", "ssim")}
        for name, weights in phases.items()
    }
    return {name: weights for name, weights in kept.items() if weights}
