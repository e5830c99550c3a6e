"""ResNet-50 (He et al., CVPR 2016) as Cao et al. published it for VGGFace2 (2018), at any width and input size.

The stride sits on a bottleneck's first 1×1 convolution. conv1 and the first max-pooling pad as TensorFlow does or,
as in the original network, as Caffe does.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError
from dfd.recognizers.base import Recognizer, Window

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # (inner channels, bottlenecks); a bottleneck's output is 4× wider


def published_names() -> dict[str, str]:
    """Our layers -> their names in published files; `head` is the classifier, of 8,631 people."""
    names = {"conv1": "conv1/7x7_s2", "norm1": "conv1/7x7_s2/bn", "head": "classifier"}
    for stage, (_, count) in enumerate(STAGES, start=2):
        for block in range(1, count + 1):
            ours, theirs = f"blocks.{stage}_{block}", f"conv{stage}_{block}"
            for layer, name in (("reduce", "1x1_reduce"), ("spatial", "3x3"), ("increase", "1x1_increase")):
                names[f"{ours}.{layer}"] = f"{theirs}_{name}"
                names[f"{ours}.{layer}_norm"] = f"{theirs}_{name}/bn"
        names[f"blocks.{stage}_1.project.0"] = f"conv{stage}_1_1x1_proj"
        names[f"blocks.{stage}_1.project.1"] = f"conv{stage}_1_1x1_proj/bn"
    return names


class Bottleneck(nn.Module):
    """1×1 reduce, 3×3, 1×1 increase, each with batch normalisation, plus a shortcut (projected where shapes differ)."""

    def __init__(self, inputs: int, inner: int, stride: int, epsilon: float):
        super().__init__()
        self.reduce = nn.Conv2d(inputs, inner, 1, stride, bias=False)
        self.reduce_norm = nn.BatchNorm2d(inner, eps=epsilon)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.spatial_norm = nn.BatchNorm2d(inner, eps=epsilon)
        self.increase = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.increase_norm = nn.BatchNorm2d(4 * inner, eps=epsilon)
        self.project = None
        if inputs != 4 * inner or stride != 1:
            self.project = nn.Sequential(
                nn.Conv2d(inputs, 4 * inner, 1, stride, bias=False), nn.BatchNorm2d(4 * inner, eps=epsilon)
            )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The raw 3×3 convolution (before its normalisation) and the block's output."""
        raw = self.spatial(F.relu(self.reduce_norm(self.reduce(x))))
        y = self.increase_norm(self.increase(F.relu(self.spatial_norm(raw))))
        return raw, F.relu(y + (x if self.project is None else self.project(x)))


class ResNet50(Recognizer):
    """2048-d templates (`avg_pool`) at width 1.

    Layers: `conv1`, then for stage s = 2 … 5 and block b `conv{s}_{b}_3x3`, the raw 3×3 convolution, and
    `conv{s}_{b}`, after the block's ReLU; `avg_pool`; `logits` with a head. The paper's tap is `conv4_3_3x3`.

    padding: `tensorflow` ("same" for conv1, nothing for the max-pooling) or `caffe` (3 pixels on all sides of conv1; the
    max-pooling rounds up). epsilon: of the batch normalisation; 1e-3 is Keras' default, 1e-5 Caffe's.
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
        window: Window = "box",
        padding: str = "tensorflow",
        epsilon: float = 1e-3,
    ):
        super().__init__(size, layer, tap, mean, scale, window, bgr)
        if padding not in ("tensorflow", "caffe"):
            raise DfdError(f"ResNet-50 pads as tensorflow or caffe does, not as {padding}")
        self.padding, self.epsilon = padding, epsilon
        channels = max(1, round(64 * width))
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, bias=False)
        self.norm1 = nn.BatchNorm2d(channels, eps=epsilon)
        blocks = {}
        for stage, (full, count) in enumerate(STAGES, start=2):
            inner = max(1, round(full * width))
            for block in range(1, count + 1):
                blocks[f"{stage}_{block}"] = Bottleneck(channels, inner, 2 if block == 1 and stage > 2 else 1, epsilon)
                channels = 4 * inner
        self.blocks = nn.ModuleDict(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def decides(self) -> dict:
        return super().decides() | {"padding": self.padding, "epsilon": self.epsilon}

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        caffe = self.padding == "caffe"
        x = self.conv1(F.pad(x, (3, 3, 3, 3)) if caffe else _padded_same(x, kernel=7, stride=2))
        yield "conv1", x
        x = F.max_pool2d(F.relu(self.norm1(x)), 3, 2, ceil_mode=caffe)
        for name, block in self.blocks.items():
            raw, x = block(x)
            yield f"conv{name}_3x3", raw
            yield f"conv{name}", x
        x = x.mean((2, 3))
        yield "avg_pool", x
        if self.head is not None:
            yield "logits", self.head(x)


def _padded_same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Zero padding as TensorFlow's "same": an odd pixel goes to the right and to the bottom."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)
