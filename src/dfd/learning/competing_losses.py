"""The losses that the competing decoders were published with; their networks are in `dfd.decoder`.

Both took perceptual features of an ImageNet VGG; here they are φ's, as in Eq. 5. Like `ReconstructionLoss`, each gives
its terms unreduced per image, (N,) and ≥ 0, of RGB images (N, 3, H, W) in [0, 1], and their weighted sum.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from dfd.core.devices import float32
from dfd.learning.losses import perceptual_loss
from dfd.recognizers.base import Recognizer


def absolute_loss(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean absolute difference, (N,), in [0, 1] for images in [0, 1]."""
    return (images - targets).abs().mean((1, 2, 3))


def ssim_loss(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 − SSIM (Wang et al., 2004: σ = 1.5, K1 = 0.01, K2 = 0.03), (N,), in [0, 2]."""
    # Local variances are differences of nearly equal numbers: no reduced precision.
    with float32(images.device):
        similarity = structural_similarity_index_measure(
            images.float(), targets.float(), data_range=1.0, reduction="none"
        )
    return 1 - similarity.reshape(-1)


def identity_loss(templates: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The squared distance of templates (N, D) on the unit sphere, 2 − 2·cosine, (N,), in [0, 4]."""
    return 2 - 2 * F.cosine_similarity(templates, targets)


class CompetingLoss:
    """A weighted sum of the terms `absolute`, `ssim`, `perceptual` and `identity`.

    perceptual: φ, frozen; None for weights that have neither of the terms that need it. scale: multiplies φ's squared
    feature differences, as `feature_scale` gives it.
    """

    def __init__(self, perceptual: Recognizer | None, weights: Mapping[str, float], scale: float = 1.0):
        self.perceptual = perceptual
        self.weights = dict(weights)
        self.scale = scale

    def terms(self, images: torch.Tensor, targets: torch.Tensor, templates: torch.Tensor) -> dict[str, torch.Tensor]:
        """Each term before its weight, (N,). templates: the decoded ones, which no term looks at."""
        measures = {
            "absolute": lambda: absolute_loss(images, targets),
            "ssim": lambda: ssim_loss(images, targets),
            "perceptual": lambda: (
                self.scale * self._compared(self.perceptual.perceptual, perceptual_loss, images, targets)
            ),
            "identity": lambda: self._compared(self.perceptual, identity_loss, images, targets),
        }
        return {term: measures[term]() for term in self.weights}

    def total(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of the terms' means over the batch, a scalar."""
        return torch.stack([self.weights[term] * value.mean() for term, value in terms.items()]).sum()

    @staticmethod
    def _compared(network, loss, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = network(targets).float()
        return loss(network(images).float(), wanted)


@torch.no_grad()
def feature_scale(perceptual: Recognizer, images: torch.Tensor) -> float:
    """1 / the variance of φ's features of these images (N, 3, H, W): at that scale unrelated faces differ by about 2."""
    features = perceptual.perceptual(images).float()
    return 1 / float((features - features.mean(0)).square().mean().clamp_min(1e-12))
