"""The inverted VGG-16: dense layers, then VGG's convolutions backwards (paper, section 3.3; no layer list is published)."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from dfd.core.errors import DfdError
from dfd.core.rows import Rows
from dfd.decoder.base import Decoder, Whitening

CONVOLUTIONS = (3, 3, 3, 2, 2)  # of the five stages: VGG's 2, 2, 3, 3, 3 backwards
SIDE = 7  # pixels: the least side of the map that the last dense layer makes
NORMS = {
    "none": nn.Identity,
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(math.gcd(8, channels), channels),
}


class InvertedVGG(Decoder):
    """D: templates (N, D) to RGB faces (N, 3, size, size).

    size: 7 to 13 pixels doubled up to five times (224 = 7·2⁵ in the paper); at fewer doublings the first stages keep their
    resolution. width: multiplies `hidden` (4096) and the five stages' `channels` (512, 512, 256, 128, 64). dropout: the
    rate of four dropouts, after each dense layer and after the first stage. normalise: `none`, `batch` or `group`, after
    each convolution. output: `linear` (any value) or `bounded` (a sigmoid, in [0, 1]), around the mean training face.

    The decoder whitens its input and adds the mean face itself: `set_statistics` takes both from the training data.
    Raises DfdError for a size it cannot make.
    """

    def __init__(
        self,
        dimension: int,
        size: int,
        width: float,
        hidden: int,
        channels: Sequence[int],
        dropout: float,
        normalise: str,
        output: str,
    ):
        super().__init__(dimension, size)
        doublings = min(len(CONVOLUTIONS), int(math.log2(max(1, size / SIDE))))
        if size < SIDE or size % 2**doublings:
            raise DfdError(
                f"decoder.size: no {size} px: use 7 to 13 pixels doubled up to five times, as 56, 64, 112, 224"
            )
        self.side = size // 2**doublings
        self.bounded = output == "bounded"
        hidden = max(1, round(hidden * width))
        widths = [max(1, round(full * width)) for full in channels]
        self.whitening = Whitening(dimension)
        self.dense = nn.Sequential(
            nn.Linear(dimension, hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden, widths[0] * self.side**2), nn.ReLU(), nn.Dropout(dropout),
        )  # fmt: skip
        layers: list[nn.Module] = []
        inputs = widths[0]
        for stage, (outputs, count) in enumerate(zip(widths, CONVOLUTIONS, strict=True)):
            if stage >= len(CONVOLUTIONS) - doublings:
                layers.append(nn.Upsample(scale_factor=2))
            for _ in range(count):
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=normalise == "none"))
                layers += [NORMS[normalise](outputs), nn.ReLU()]
                inputs = outputs
            if stage == 0:
                layers.append(nn.Dropout(dropout))
        self.convolutions = nn.Sequential(*layers)
        self.to_rgb = nn.Conv2d(inputs, 3, 3, padding=1)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        # Training starts near the mean face, far from the grey levels that a unit-variance output would have.
        nn.init.normal_(self.to_rgb.weight, std=0.01)

    def set_statistics(self, templates: torch.Tensor | Rows, mean_face: torch.Tensor) -> None:
        self.whitening.learn(templates)
        self.mean_face.copy_(mean_face)

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        x = self.dense(self.whitening(templates))
        x = x.unflatten(1, (-1, self.side, self.side)).contiguous(memory_format=torch.channels_last)
        x = self.to_rgb(self.convolutions(x))
        if self.bounded:
            return torch.sigmoid(x + torch.logit(self.mean_face, eps=1e-3))
        return x + self.mean_face
