"""dlib's face-recognition ResNet-29 (King, 2017; public domain) as a PyTorch module with gradients.

The file format is dlib's `serialize`: an integer is one control byte (low 7 bits: how many bytes follow; high bit:
sign) and little-endian bytes; a tensor is the integer 2 (its version), four dimensions, and raw little-endian float32.
In forward order each convolution is one tensor (O·I·k·k weights, then O biases) followed by its affine layer as one
tensor (O gammas, then O betas); the last tensor is the 256×128 projection.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError
from dfd.recognizers.base import Recognizer, Window

# (channels, blocks, whether the first one halves the resolution) of each stage
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))


class Block(nn.Module):
    """conv-ReLU-conv plus a shortcut; a down block halves the resolution without padding."""

    def __init__(self, inputs: int, outputs: int, down: bool):
        super().__init__()
        self.down = down
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2 if down else 1, padding=0 if down else 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)

    def finish(self, x: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """The block's output from its input and its first convolution's."""
        y = self.conv2(F.relu(first))
        shortcut = F.avg_pool2d(x, 2, 2) if self.down else x
        return F.relu(_grown(y, shortcut.shape) + _grown(shortcut, y.shape))


def _grown(x: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """`x` zero-padded at the back, the bottom and the right to at least the channels and sides of `shape`."""
    missing = [max(0, wanted - have) for wanted, have in zip(shape[1:], x.shape[1:], strict=True)]
    return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x


def _max_pooled(x: torch.Tensor) -> torch.Tensor:
    """The largest of 3×3, in steps of 2: in channels_last, on a CPU six times as fast (a seventh of the network's time),
    and back, for the layout decides in which order the convolutions sum."""
    pooled = F.max_pool2d(x.contiguous(memory_format=torch.channels_last), 3, 2)
    return pooled.contiguous() if x.is_contiguous() else pooled


class DlibResNet(Recognizer):
    """128-d templates of 150×150 images.

    Layers: `conv1`, then for stage s and block b (both from 1) `conv{s}_{b}_3x3`, the first convolution before its ReLU,
    and `block{s}_{b}`, after the block's ReLU; `pool` (256) and `template` (128).
    """

    def __init__(
        self,
        size: int = 150,
        layer: str = "template",
        tap: str = "block3_3",
        bgr: bool = False,
        window: Window = "dlib",
    ):
        super().__init__(size, layer, tap, mean=(122.782, 117.001, 104.298), scale=1 / 256, window=window, bgr=bgr)
        self.conv1 = nn.Conv2d(3, 32, 7, stride=2)
        blocks, channels = {}, 32
        for stage, (width, count, down) in enumerate(STAGES, start=1):
            for block in range(1, count + 1):
                blocks[f"{stage}_{block}"] = Block(channels, width, down and block == 1)
                channels = width
        self.blocks = nn.ModuleDict(blocks)
        self.projection = nn.Linear(256, 128, bias=False)

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        x = self.conv1(x)
        yield "conv1", x
        x = _max_pooled(F.relu(x))
        for name, block in self.blocks.items():
            first = block.conv1(x)
            yield f"conv{name}_3x3", first
            x = block.finish(x, first)
            yield f"block{name}", x
        x = x.mean((2, 3))
        yield "pool", x
        yield "template", self.projection(x)


def read_dlib_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The state of a DlibResNet from dlib's `dlib_face_recognition_resnet_model_v1.dat`.

    The affine layers (what remains of batch normalisation) are folded into the convolutions before them: the same
    network, a quarter faster. What stands between the tensors (layer names, hyper-parameters) is passed over: each tensor is found by its header.
    Raises DfdError where the file is not that network.
    """
    model = DlibResNet()
    convolutions = [model.conv1, *(conv for block in model.blocks.values() for conv in (block.conv1, block.conv2))]
    data, position = Path(path).read_bytes(), 0

    def next_tensor(*dimensions: int) -> torch.Tensor:
        nonlocal position
        header, count = b"".join(_integer(value) for value in (2, *dimensions)), math.prod(dimensions)
        begin = data.find(header, position)
        if begin < 0 or begin + len(header) + 4 * count > len(data):
            raise DfdError(f"{path}: not the weights of dlib's ResNet (no tensor {dimensions} after byte {position})")
        position = begin + len(header) + 4 * count
        return torch.from_numpy(np.frombuffer(data, "<f4", count, begin + len(header)).copy())

    with torch.no_grad():
        for conv in convolutions:
            weights = next_tensor(conv.weight.numel() + conv.out_channels, 1, 1, 1)
            gamma, beta = next_tensor(2 * conv.out_channels, 1, 1, 1).chunk(2)
            conv.weight.copy_(weights[: -conv.out_channels].view_as(conv.weight) * gamma.view(-1, 1, 1, 1))
            conv.bias.copy_(weights[-conv.out_channels :] * gamma + beta)
        model.projection.weight.copy_(next_tensor(256, 128, 1, 1).view(256, 128).T)
    return {
        name: parameter.detach() for name, parameter in model.named_parameters()
    }  # the preprocessing is the options'


def _integer(value: int) -> bytes:
    """A non-negative integer as dlib serialises it."""
    length = max(1, (value.bit_length() + 7) // 8)
    return bytes([length]) + value.to_bytes(length, "little")
