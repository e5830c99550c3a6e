"""A perceptual network for the decoder's tests: a tiny VGG-16 with random weights, frozen as `load_recognizer` does it."""

import pytest
import torch

from dfd.recognizers.registry import build_recognizer


@pytest.fixture(scope="session")
def phi():
    torch.manual_seed(1)
    options = {"size": 32, "width": 0.05, "tap": "conv2_2", "normalise": True}
    return build_recognizer("vgg16", options).requires_grad_(False)
