"""NbNet, a competing decoder: transposed convolutions with dense blocks between them (Mai et al., TPAMI 2019).

Published for 128-d FaceNet templates and 160×160 pixels; this is its variant B, each layer of a block seeing all before.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError
from dfd.core.rows import Rows
from dfd.decoder.base import Decoder
from dfd.templates.linear import deviation, mean

SIDE, CHANNELS, LAYERS, GROWTH = 5, 256, 32, 8  # of the first map; channels and layers halve with every doubling
EPSILON = 1e-4  # of the published batch normalisations
PUBLISHED = 5  # doublings: 5·2⁵ = 160 pixels


class NeighbourlyBlock(nn.Module):
    """(N, C, h, w) → (N, C + layers·growth, h, w): each BN-ReLU-3×3 layer adds `growth` channels, made of all so far."""

    def __init__(self, inputs: int, layers: int, growth: int):
        super().__init__()
        self.outputs = inputs + layers * growth
        self.layers = nn.ModuleList(
            nn.Sequential(
                *_normalised(inputs + i * growth), nn.Conv2d(inputs + i * growth, growth, 3, padding=1, bias=False)
            )
            for i in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def _normalised(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels, eps=EPSILON), nn.ReLU()]


class NbNet(Decoder):
    """Templates (N, D) to RGB faces (N, 3, size, size) in [0, 1].

    Template as a 1×1 map → transposed convolution 5×5 to 256 channels → five times {block, BN-ReLU, transposed
    convolution 4×4 of stride 2 to half the channels} → block → BN-ReLU → 1×1 convolution → tanh, moved into [0, 1].
    Blocks double the channels: 32, 16, 8, 4, 2, 1 layers of growth 8.

    size: the doublings are the least that reach it (fewer than the published five up to 80 pixels, a sixth above 160:
    its block has one layer again), and a larger map is shrunk to it. width: multiplies channels and growth.
    The last convolution has a bias, unlike the published: of the few channels after a ReLU that a small width leaves, a
    colour's weights may all turn negative, and it would never pass mid-grey.

    Templates are centred and scaled to unit variance by `set_statistics`: recognizers' templates differ in scale.
    """

    def __init__(self, dimension: int, size: int, width: float):
        super().__init__(dimension, size)
        if size < SIDE:
            raise DfdError(f"decoder.size: no {size} px: NbNet makes {SIDE} pixels or more")
        self.register_buffer("template_mean", torch.zeros(dimension))
        self.register_buffer("template_scale", torch.ones(()))
        channels, layers, growth = max(1, round(CHANNELS * width)), LAYERS, max(1, round(GROWTH * width))
        self.first = nn.ConvTranspose2d(dimension, channels, SIDE, bias=False)
        stages: list[nn.Module] = []
        for _ in range(max(0, math.ceil(math.log2(size / SIDE)))):
            stages.append(NeighbourlyBlock(channels, layers, growth))
            channels, layers = max(1, channels // 2), max(1, layers // 2)
            inputs = stages[-1].outputs
            stages += [*_normalised(inputs), nn.ConvTranspose2d(inputs, channels, 4, 2, 1, bias=False)]
        stages.append(NeighbourlyBlock(channels, layers, growth))
        self.stages = nn.Sequential(*stages, *_normalised(stages[-1].outputs))
        self.to_rgb = nn.Conv2d(stages[-1].outputs, 3, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(self.to_rgb.bias)

    def set_statistics(self, templates: torch.Tensor | Rows, mean_face: torch.Tensor) -> None:
        """Take centre and scale from training templates (M, D); the mean face is kept, but has no part in decoding."""
        self.mean_face.copy_(mean_face)
        self.template_mean.copy_(mean(templates))
        self.template_scale.copy_(deviation(templates).clamp_min(1e-12))

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        x = ((templates - self.template_mean) / self.template_scale)[:, :, None, None]
        x = self.stages(self.first(x).contiguous(memory_format=torch.channels_last))
        return shrunk_to((torch.tanh(self.to_rgb(x)) + 1) / 2, self.size)


def shrunk_to(images: torch.Tensor, size: int) -> torch.Tensor:
    """Images (N, 3, H, H) with H ≥ size, averaged down to (N, 3, size, size)."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
