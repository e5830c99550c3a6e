"""VGG-16 (Simonyan & Zisserman, ICLR 2015) with its fully connected layers, at any width and input size."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError
from dfd.recognizers.base import Recognizer, Window

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, convolutions) between the max-poolings
HIDDEN = 4096


def published_names() -> dict[str, str]:
    """Our layers -> their names in published files; `head` is the classifier, of 2,622 people."""
    stages = enumerate(STAGES, start=1)
    names = [f"conv{stage}_{index}" for stage, (_, count) in stages for index in range(1, count + 1)]
    return {f"convolutions.{name}": name for name in names} | {"fc6": "fc6", "fc7": "fc7", "head": "fc8"}


class VGG16(Recognizer):
    """Layers: `conv1_1` … `conv5_3` (after their ReLU), `pool5`, `conv5-avg` (conv5_3 averaged over space), `fc6` and
    `fc7` (before their ReLU, as in Keras VGGFace); `logits` with a head.

    width: multiplies all channels; at 1 the template `fc7` has 4096 numbers. normalise: batch normalisation after each
    convolution, without which training from scratch does not start; published weights have none. dropout: the rate
    after fc6 and fc7 while training (0.5 as published, for labels; 0 for `distil`, a regression). top: whether it has
    fc6 and fc7, which a file of published weights may lack.
    """

    def __init__(
        self,
        size: int = 224,
        layer: str = "fc7",
        tap: str = "conv4_3",
        width: float = 1.0,
        normalise: bool = False,
        dropout: float = 0.5,
        mean: tuple[float, ...] = (93.5940, 104.7624, 129.1863),
        scale: float = 1.0,
        bgr: bool = True,
        window: Window = "box",
        top: bool = True,
    ):
        super().__init__(size, layer, tap, mean, scale, window, bgr)
        if size % 32 or size < 32:
            raise DfdError(f"VGG-16 needs an input size that is a multiple of 32, not {size}")
        self.dropout = dropout
        convolutions, norms, channels = {}, {}, 3
        for stage, (full, count) in enumerate(STAGES, start=1):
            for index in range(1, count + 1):
                name = f"conv{stage}_{index}"
                convolutions[name] = nn.Conv2d(channels, _scaled(full, width), 3, padding=1, bias=not normalise)
                channels = _scaled(full, width)
                norms[name] = nn.BatchNorm2d(channels) if normalise else nn.Identity()
        self.convolutions = nn.ModuleDict(convolutions)
        self.norms = nn.ModuleDict(norms)
        self.top = top
        if top:
            self.fc6 = nn.Linear(channels * (size // 32) ** 2, _scaled(HIDDEN, width))
            self.fc7 = nn.Linear(_scaled(HIDDEN, width), _scaled(HIDDEN, width))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        for stage, (_, count) in enumerate(STAGES, start=1):
            for index in range(1, count + 1):
                name = f"conv{stage}_{index}"
                x = F.relu(self.norms[name](self.convolutions[name](x)))
                yield name, x
            if stage == len(STAGES):
                yield "conv5-avg", x.mean((2, 3))
            x = F.max_pool2d(x, 2)
        yield "pool5", x
        if not self.top:
            return
        x = self.fc6(x.flatten(1))
        yield "fc6", x
        x = self.fc7(F.dropout(F.relu(x), self.dropout, self.training))
        yield "fc7", x
        if self.head is not None:
            yield "logits", self.head(F.dropout(F.relu(x), self.dropout, self.training))


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))
