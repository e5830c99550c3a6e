"""Inception-ResNet-v1 (Szegedy et al., 2017) as facenet-pytorch builds and publishes it (Esler; release v2.2.9)."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from dfd.recognizers.base import Recognizer, Window
from dfd.recognizers.pytorch_files import read_state

CONVOLUTIONAL = (
    *("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "conv2d_4b"),
    *("repeat_1", "mixed_6a", "repeat_2", "mixed_7a", "repeat_3", "block8"),
)


class InceptionResNetV1(Recognizer):
    """512-d templates of unit length, of 160×160 images.

    Layers, named after facenet-pytorch's modules: `conv2d_1a` … `block8` (maps), `avgpool_1a` (1792), `last_linear` and
    `last_bn` (512), `template` (last_bn divided by its length); `logits`, from last_bn, with a head.
    """

    def __init__(
        self,
        size: int = 160,
        layer: str = "template",
        tap: str = "repeat_1",
        bgr: bool = False,
        window: Window = "box",
    ):
        super().__init__(size, layer, tap, mean=(127.5, 127.5, 127.5), scale=1 / 128, window=window, bgr=bgr)
        # Here, not above: it brings all of torchvision, for which no other recognizer has to wait.
        from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1

        for name, module in InceptionResnetV1(pretrained=None, classify=False).named_children():
            self.add_module(name, module)  # under its own name, so that the published state needs no translation
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def _layers(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        for name in CONVOLUTIONAL:
            x = self.get_submodule(name)(x)
            yield name, x
        x = self.avgpool_1a(x).flatten(1)
        yield "avgpool_1a", x
        x = self.last_linear(self.dropout(x))
        yield "last_linear", x
        x = self.last_bn(x)
        yield "last_bn", x
        yield "template", F.normalize(x)
        if self.head is not None:
            yield "logits", self.head(x)


def read_facenet_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The state of an InceptionResNetV1 from facenet-pytorch's `20180402-114759-vggface2.pt` or `…-casia-webface.pt`.

    Its classifier `logits` becomes `head`. Raises DfdError where the file is no state dict.
    """
    return {name.replace("logits.", "head.", 1): tensor for name, tensor in read_state(path).items()}
