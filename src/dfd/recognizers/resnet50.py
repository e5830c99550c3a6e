"""ResNet-50 (He et al., CVPR 2016) as Cao et al. published it for VGGFace2 (2018), at any width and input size.

The stride sits on a bottleneck's first 1×1 convolution, and conv1 and the first max-pooling pad as TensorFlow does.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from dfd.recognizers.base import Recognizer

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # (inner channels, bottlenecks); a bottleneck's output is 4× wider
EPSILON = 1e-3  # of the batch normalisation: Keras' default


class Bottleneck(nn.Module):
    """1×1 reduce, 3×3, 1×1 increase, each with batch normalisation, plus a shortcut (projected where shapes differ)."""

    def __init__(self, inputs: int, inner: int, stride: int):
        super().__init__()
        self.reduce = nn.Conv2d(inputs, inner, 1, stride, bias=False)
        self.reduce_norm = nn.BatchNorm2d(inner, eps=EPSILON)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.spatial_norm = nn.BatchNorm2d(inner, eps=EPSILON)
        self.increase = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.increase_norm = nn.BatchNorm2d(4 * inner, eps=EPSILON)
        self.project = None
        if inputs != 4 * inner or stride != 1:
            self.project = nn.Sequential(
                nn.Conv2d(inputs, 4 * inner, 1, stride, bias=False), nn.BatchNorm2d(4 * inner, eps=EPSILON)
            )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The raw 3×3 convolution (before its normalisation) and the block's output."""
        raw = self.spatial(F.relu(self.reduce_norm(self.reduce(x))))
        y = self.increase_norm(self.increase(F.relu(self.spatial_norm(raw))))
        return raw, F.relu(y + (x if self.project is None else self.project(x)))


class ResNet50(Recognizer):
    """2048-d templates (`avg_pool`) at width 1.

    Layers: `conv1`, then for stage s = 2 … 5 and block b `conv{s}_{b}_3x3`, the raw 3×3 convolution, and
    `conv{s}_{b}`, after the block's ReLU; `avg_pool`. The paper's tap is `conv4_3_3x3`.
    """

    def __init__(
        self,
        size: int = 224,
        layer: str = "avg_pool",
        tap: str = "conv4_3_3x3",
        width: float = 1.0,
        mean: tuple[float, ...] = (91.4953, 103.8827, 131.0912),
        scale: float = 1.0,
        bgr: bool = True,
    ):
        super().__init__(size, layer, tap, mean, scale, bgr)
        channels = max(1, round(64 * width))
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, bias=False)
        self.norm1 = nn.BatchNorm2d(channels, eps=EPSILON)
        blocks = {}
        for stage, (full, count) in enumerate(STAGES, start=2):
            inner = max(1, round(full * width))
            for block in range(1, count + 1):
                blocks[f"{stage}_{block}"] = Bottleneck(channels, inner, 2 if block == 1 and stage > 2 else 1)
                channels = 4 * inner
        self.blocks = nn.ModuleDict(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        x = self.conv1(_padded_same(x, kernel=7, stride=2))
        yield "conv1", x
        x = F.max_pool2d(F.relu(self.norm1(x)), 3, 2)
        for name, block in self.blocks.items():
            raw, x = block(x)
            yield f"conv{name}_3x3", raw
            yield f"conv{name}", x
        yield "avg_pool", x.mean((2, 3))


def _padded_same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Zero padding as TensorFlow's "same": an odd pixel goes to the right and to the bottom."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)
