"""The reconstruction losses of Eq. 2–5, unreduced per image, and two more: chroma and identity.

Images are RGB in [0, 1], (N, 3, H, W); the losses work in grey levels (0–255), where the paper's weights of 1 balance,
and are means over pixels and channels, each (N,) and ≥ 0.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F

from dfd.core.errors import DfdError
from dfd.learning.jitter import jittered
from dfd.recognizers.base import Recognizer

LOCAL = 100 / 224  # the central window's share of the side: 100 of 224 pixels


def pixel_loss(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Eq. 3: the mean squared difference, (N,), in squared grey levels (0–65025)."""
    return (255 * (images - targets)).square().mean((1, 2, 3))


def gradient_loss(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Eq. 4: the mean squared difference of forward differences, down plus across, (N,), in squared grey levels."""
    difference = 255 * (images - targets)  # differences are linear: those of the difference are the difference of those
    return difference.diff(dim=2).square().mean((1, 2, 3)) + difference.diff(dim=3).square().mean((1, 2, 3))


def chroma_loss(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The gradient loss of colour alone: of the difference minus its mean over RGB, (N,), in squared grey levels (ours).

    Adversarial patterns, which a loss through a recognizer invites, lie mostly in colour's fine detail.
    """
    difference = images - targets
    return gradient_loss(difference - difference.mean(1, keepdim=True), torch.zeros_like(difference))


def identity_loss(templates: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 − the cosine of templates (N, D), times 255², (N,): in squared grey levels (0–130050), as the other terms are."""
    return 255**2 * (1 - F.cosine_similarity(templates, targets))


def perceptual_loss(features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Eq. 5: the mean squared difference of φ's features (N, C, h, w), (N,), in the features' own squared units."""
    return (features - targets).square().mean((1, 2, 3))


def local_window(images: torch.Tensor) -> torch.Tensor:
    """The central window x_l (N, 3, h, w): 100×100 of 224×224, and the same share of other sizes."""
    (top, bottom), (left, right) = _bounds(images.shape[2]), _bounds(images.shape[3])
    return images[:, :, top:bottom, left:right]


def local_padded(images: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """The images with everything outside the central window painted in `colour` (3, 1, 1).

    The paper zero-pads after subtracting the mean: with φ's mean colour, the padding is zero where φ sees it.
    """
    (top, bottom), (left, right) = _bounds(images.shape[2]), _bounds(images.shape[3])
    mask = torch.zeros(images.shape[2:], dtype=torch.bool, device=images.device)
    mask[top:bottom, left:right] = True
    return torch.where(mask, images, colour)


def _bounds(side: int) -> tuple[int, int]:
    margin = round(side * (1 - LOCAL) / 2)
    return margin, side - margin


TERMS = ("pixel", "gradient", "perceptual", "local_pixel", "local_gradient", "local_perceptual", "chroma", "identity")


class ReconstructionLoss:
    """Eq. 2: the weighted sum of the terms whose weight λ is not zero; the only place that weighs and reduces.

    perceptual: φ, frozen. weights: λ by term, of TERMS. gain: multiplies the perceptual terms, to bring features of any
    scale to squared grey levels. share: φ sees only this share of a batch's faces (the first; batches are shuffled), an
    unbiased estimate of its terms at that share of their cost; so does the recognizer of the identity term (the last).
    identity: the frozen recognizer ξ of the identity term, seen through `jittered`. white_box: whether the decoder's
    templates are its own, and so what the reconstructions' are to be; else those of the faces are, as it sees them.
    Raises DfdError where every weight is zero, and where the identity term has no recognizer with gradients.
    """

    def __init__(
        self,
        perceptual: Recognizer,
        weights: Mapping[str, float],
        gain: float = 1.0,
        share: float = 1.0,
        identity: Recognizer | None = None,
        white_box: bool = True,
    ):
        self.perceptual = perceptual
        self.weights = {term: weights[term] for term in TERMS if weights.get(term, 0) > 0}
        if not self.weights:
            raise DfdError("loss: every weight is 0; give at least one term a weight")
        if "identity" in self.weights and (identity is None or not identity.gives_gradients):
            raise DfdError("loss.identity: it needs a recognizer with gradients; name one in the variant's `identity`")
        self.gain = gain
        self.share = share
        self.identity = identity
        self.white_box = white_box

    def terms(self, images: torch.Tensor, targets: torch.Tensor, templates: torch.Tensor) -> dict[str, torch.Tensor]:
        """Each term before its weight: (N,), those through a recognizer (⌈share·N⌉,). templates: (N, D), the decoded ones."""
        seen = math.ceil(self.share * len(images))
        measures = {
            "pixel": lambda: pixel_loss(images, targets),
            "gradient": lambda: gradient_loss(images, targets),
            "perceptual": lambda: self._perceptual(images[:seen], targets[:seen]),
            "local_pixel": lambda: pixel_loss(local_window(images), local_window(targets)),
            "local_gradient": lambda: gradient_loss(local_window(images), local_window(targets)),
            "local_perceptual": lambda: self._perceptual(self._local(images[:seen]), self._local(targets[:seen])),
            "chroma": lambda: chroma_loss(images, targets),
            "identity": lambda: self._identity(images[-seen:], targets[-seen:], templates[-seen:]),
        }
        return {term: measures[term]() for term in self.weights}

    def total(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of the terms' means over the batch, a scalar."""
        return torch.stack([self.weights[term] * value.mean() for term, value in terms.items()]).sum()

    def _local(self, images: torch.Tensor) -> torch.Tensor:
        return local_padded(images, self.perceptual.mean_colour)

    def _perceptual(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = self.perceptual.perceptual(targets).float()
        return self.gain * perceptual_loss(self.perceptual.perceptual(images).float(), wanted)

    def _identity(self, images: torch.Tensor, targets: torch.Tensor, templates: torch.Tensor) -> torch.Tensor:
        if not self.white_box:
            with torch.no_grad():
                templates = self.identity(targets).float()
        return identity_loss(self.identity.embed(jittered(images, self.identity)).float(), templates)


@torch.no_grad()
def balanced_gain(perceptual: Recognizer, images: torch.Tensor) -> float:
    """The gain at which φ's features of these images (N, 3, H, W) vary as much as their pixels do, in grey levels²."""
    features = perceptual.perceptual(images).float()
    pixels = (255 * (images - images.mean(0))).square().mean()
    return float(pixels / (features - features.mean(0)).square().mean().clamp_min(1e-12))
