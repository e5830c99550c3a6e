"""What a recognizer learns from: a head on its templates, and a loss. One objective, one class, one entry.

An objective takes templates (B, D) and targets (B, …) and gives the loss per face, (B,).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.rows import Rows
from dfd.templates.linear import deviation, mean


class Softmax(nn.Module):
    """Cross-entropy of a linear classifier; targets are labels (B,)."""

    def __init__(self, dimension: int, classes: int):
        super().__init__()
        self.head = nn.Linear(dimension, classes)

    def forward(self, templates: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.head(templates), labels, reduction="none")


class ArcFace(nn.Module):
    """Deng et al., CVPR 2019, Eq. 3: cross-entropy of cosines times `scale`, `margin` radians added to the true angle."""

    def __init__(self, dimension: int, classes: int, margin: float, scale: float):
        super().__init__()
        self.centres = nn.Parameter(torch.empty(classes, dimension))
        nn.init.normal_(self.centres, std=0.01)
        self.margin, self.scale = margin, scale

    def forward(self, templates: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        cosines = F.normalize(templates) @ F.normalize(self.centres).T
        angles = torch.acos(cosines.clamp(-1 + 1e-6, 1 - 1e-6))
        # Beyond π − margin the cosine would rise again; the authors' code goes on along the cosine itself, below it. Held at
        # −1 instead, templates opposite to every centre would cost ln(classes) only, and learn no more: all fall there.
        beyond = cosines - self.margin * math.sin(self.margin)
        widened = torch.where(angles + self.margin < torch.pi, torch.cos(angles + self.margin), beyond)
        true = F.one_hot(labels, len(self.centres)).bool()
        return F.cross_entropy(self.scale * torch.where(true, widened, cosines), labels, reduction="none")


class Distil(nn.Module):
    """Squared error of a linear head against a teacher's standardised templates (B, T), averaged over T."""

    def __init__(self, dimension: int, teacher: torch.Tensor | Rows):
        super().__init__()
        self.head = nn.Linear(dimension, teacher.shape[1])
        self.register_buffer("mean", mean(teacher))
        self.register_buffer("std", deviation(teacher))

    def forward(self, templates: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (self.head(templates) - (targets - self.mean) / self.std).square().mean(1)


class Triplet(nn.Module):
    """The hardest positive against the hardest negative of the batch (Hermans et al., 2017), on the unit sphere.

    A face whose identity has no other face in the batch adds nothing.
    """

    def __init__(self, margin: float):
        super().__init__()
        self.margin = margin

    def forward(self, templates: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        points = F.normalize(templates)
        distances = 2 - 2 * points @ points.T
        same = labels[:, None] == labels
        other = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        farthest = distances.masked_fill(~other, -1).amax(1)
        nearest = distances.masked_fill(same, 5).amin(1)
        return F.relu(farthest - nearest + self.margin) * other.any(1)


# objective -> (settings, template dimension, training targets) -> the module; `triplet` is its own second phase
OBJECTIVES: dict[str, Callable[..., nn.Module]] = {
    "softmax": lambda settings, dimension, targets: Softmax(dimension, int(targets.max()) + 1),
    "arcface": lambda settings, dimension, targets: ArcFace(
        dimension, int(targets.max()) + 1, settings.margin, settings.arcface_scale
    ),
    "distil": lambda settings, dimension, targets: Distil(dimension, targets),
}
