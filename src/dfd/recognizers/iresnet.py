"""IResNet (Duta et al., 2020) as insightface publishes it for ArcFace (`arcface_torch`), at any width and input size.

Modules bear the names of the published state dicts, which `pytorch_files.read_state` therefore reads as they are.
"""

from collections.abc import Iterator

import torch
from torch import nn

from dfd.core.errors import DfdError
from dfd.recognizers.base import Recognizer, Window

BLOCKS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}  # depth -> blocks of each stage
CHANNELS = (64, 128, 256, 512)  # of each stage
TEMPLATE = 512


class Block(nn.Module):
    """Normalise, 3×3, normalise, PReLU, 3×3 (which has the stride), normalise, plus a shortcut; no activation after it."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(y)) + (x if self.downsample is None else self.downsample(x))


class IResNet(Recognizer):
    """512-d templates (at width 1) of aligned 112×112 images, of any length.

    Layers: `conv1`, `prelu` (conv1 normalised and activated), `layer1` … `layer4` (maps), `bn2`, `fc`, `template` (fc
    normalised: the module `features`). depth: 50 or 100.
    """

    def __init__(
        self,
        size: int = 112,
        layer: str = "template",
        tap: str = "layer3",
        depth: int = 50,
        width: float = 1.0,
        bgr: bool = False,
        window: Window = "arcface",
    ):
        super().__init__(size, layer, tap, mean=(127.5, 127.5, 127.5), scale=1 / 127.5, window=window, bgr=bgr)
        if depth not in BLOCKS:
            raise DfdError(f"IResNet has a depth of {' or '.join(map(str, BLOCKS))}, not {depth}")
        if size < 16:
            raise DfdError(f"IResNet halves its input four times: it needs a size of 16 or more, not {size}")
        widths = [max(1, round(channels * width)) for channels in (CHANNELS[0], *CHANNELS)]
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        for stage, count in enumerate(BLOCKS[depth], start=1):
            first = Block(widths[stage - 1], widths[stage], stride=2)
            others = [Block(widths[stage], widths[stage], stride=1) for _ in range(count - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *others))
        self.bn2 = nn.BatchNorm2d(widths[-1])
        template = max(1, round(TEMPLATE * width))
        self.fc = nn.Linear(widths[-1] * (-(-size // 16)) ** 2, template)
        self.features = nn.BatchNorm1d(template)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        x = self.conv1(x)
        yield "conv1", x
        x = self.prelu(self.bn1(x))
        yield "prelu", x
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
            yield name, x
        x = self.bn2(x)
        yield "bn2", x
        x = self.fc(x.flatten(1))
        yield "fc", x
        yield "template", self.features(x)
