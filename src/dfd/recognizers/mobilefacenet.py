"""MobileFaceNet (Chen, Liu, Gao & Han, CCBR 2018) as Xiaoccer/MobileFaceNet_Pytorch publishes it, trained by ArcFace's loss.

Its file, model/best/068.ckpt, is a dictionary of `epoch` and `net_state_dict`; our modules bear the names of its keys.
"""

from collections.abc import Iterator

import torch
from torch import nn

from dfd.recognizers.base import Recognizer, Window

# (expansion, channels, blocks, stride of the first one) of each stage
STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
SIZE = (112, 96)  # the last map is 7×6, which `linear7` takes whole


class Unit(nn.Module):
    """Convolution, batch normalisation, and a PReLU with one slope per channel, unless `linear`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.prelu = nn.Identity() if linear else nn.PReLU(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.prelu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """1×1 to `expansion` times the channels, depthwise 3×3, 1×1 without activation; added to the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        inner = inputs * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.PReLU(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.PReLU(inner),
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileFaceNet(Recognizer):
    """128-d templates of ArcFace's window, 112 high and 96 wide, of any length.

    Layers: `conv1` and `dw_conv1` (56×48), `block0` … `block14`, `conv2` (7×6), and `template`.
    """

    def __init__(self, layer: str = "template", tap: str = "block0", bgr: bool = False, window: Window = "arcface"):
        super().__init__(SIZE, layer, tap, mean=(127.5, 127.5, 127.5), scale=1 / 128, window=window, bgr=bgr)
        self.conv1 = Unit(3, 64, 3, 2, 1)
        self.dw_conv1 = Unit(64, 64, 3, 1, 1, groups=64)
        blocks, channels = [], 64
        for expansion, outputs, count, stride in STAGES:
            for index in range(count):
                blocks.append(Bottleneck(channels, outputs, stride if index == 0 else 1, expansion))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.conv2 = Unit(channels, 512, 1)
        self.linear7 = Unit(512, 512, (7, 6), groups=512, linear=True)
        self.linear1 = Unit(512, 128, 1, linear=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        x = self.conv1(x)
        yield "conv1", x
        x = self.dw_conv1(x)
        yield "dw_conv1", x
        for index, block in enumerate(self.blocks):
            x = block(x)
            yield f"block{index}", x
        x = self.conv2(x)
        yield "conv2", x
        yield "template", self.linear1(self.linear7(x)).flatten(1)
