"""The residual de-convolution decoder, a competing one (Otroshi Shahreza et al., ICIP 2022; TIFS 2024).

Published for 512-d templates and 112×112 pixels.
"""

import torch
from torch import nn

from dfd.core.errors import DfdError
from dfd.core.rows import Rows
from dfd.decoder.base import Decoder
from dfd.decoder.nbnet import shrunk_to
from dfd.templates.linear import deviation, mean

# (channels, stride, padding) of the 4×4 transposed convolutions; the seventh, for more than 112 pixels, is ours
STAGES = ((512, 1, 0), (256, 2, 1), (128, 2, 1), (64, 2, 2), (32, 2, 2), (16, 2, 3), (16, 2, 1))
SIDES = (4, 8, 16, 30, 58, 112, 224)  # pixels of their maps


class ResidualBranch(nn.Module):
    """Three 3×3 convolutions, each with batch normalisation and ReLU, added to their input (N, C, h, w)."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(layer for _ in range(3) for layer in _block(nn.Conv2d(channels, channels, 3, padding=1)))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def _block(convolution: nn.Module) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


class ResidualDeconvolution(Decoder):
    """Templates (N, D) to RGB faces (N, 3, size, size) in [0, 1].

    Template as a 1×1 map → six times {transposed convolution 4×4, BN, ReLU, residual branch}, to 112 pixels →
    3×3 convolution → sigmoid.

    size: the stages are the first that reach it (five, of 58 pixels, for 56; a seventh above 112), and a larger map is
    shrunk to it. width: multiplies the channels. Templates are centred and scaled by `set_statistics`.
    Raises DfdError for a size above 224.
    """

    def __init__(self, dimension: int, size: int, width: float):
        super().__init__(dimension, size)
        if not 1 <= size <= SIDES[-1]:
            raise DfdError(
                f"decoder.size: no {size} px: the residual de-convolution decoder makes 1 to {SIDES[-1]} pixels"
            )
        self.register_buffer("template_mean", torch.zeros(dimension))
        self.register_buffer("template_scale", torch.ones(()))
        layers: list[nn.Module] = []
        inputs = dimension
        for full, stride, padding in STAGES[: next(i for i, side in enumerate(SIDES, start=1) if side >= size)]:
            channels = max(1, round(full * width))
            layers += [*_block(nn.ConvTranspose2d(inputs, channels, 4, stride, padding)), ResidualBranch(channels)]
            inputs = channels
        self.stages = nn.Sequential(*layers)
        self.to_rgb = nn.Conv2d(inputs, 3, 3, padding=1)

    def set_statistics(self, templates: torch.Tensor | Rows, mean_face: torch.Tensor) -> None:
        """Take centre and scale from training templates (M, D); the mean face is kept, but has no part in decoding."""
        self.mean_face.copy_(mean_face)
        self.template_mean.copy_(mean(templates))
        self.template_scale.copy_(deviation(templates).clamp_min(1e-12))

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        x = ((templates - self.template_mean) / self.template_scale)[:, :, None, None]
        x = self.stages(x.contiguous(memory_format=torch.channels_last))
        return shrunk_to(torch.sigmoid(self.to_rgb(x)), self.size)
