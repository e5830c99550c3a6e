"""The residual de-convolution decoder against its published layers (Otroshi Shahreza et al.), and at other sizes."""

import pytest
import torch
from torch import nn

from dfd.core.errors import DfdError
from dfd.decoder.residual_deconvolution import ResidualBranch, ResidualDeconvolution

# Published: channels, stride and padding of each transposed convolution, and the side of its map: (h − 1)·s − 2p + 4
STAGES = [(512, 1, 0, 4), (256, 2, 1, 8), (128, 2, 1, 16), (64, 2, 2, 30), (32, 2, 2, 58), (16, 2, 3, 112)]


def published(size: int = 112, dimension: int = 512) -> ResidualDeconvolution:
    with torch.device("meta"):
        return ResidualDeconvolution(dimension, size, 1.0)


def test_the_published_layers():
    net = published()
    convolutions = [module for module in net.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert all(module.kernel_size == (4, 4) for module in convolutions)
    seen = []
    for module in convolutions:
        module.register_forward_hook(
            lambda layer, inputs, output: seen.append(
                (output.shape[1], layer.stride[0], layer.padding[0], output.shape[-1])
            )
        )
    assert net(torch.zeros(2, 512, device="meta")).shape == (2, 3, 112, 112)
    assert seen == STAGES
    side = 1
    for _, stride, padding, expected in STAGES:
        side = (side - 1) * stride - 2 * padding + 4
        assert side == expected


def test_the_published_number_of_parameters():
    expected, inputs = 0, 512
    for channels, *_ in STAGES:
        expected += inputs * channels * 16 + channels + 2 * channels  # 4×4, bias, normalisation
        expected += 3 * (channels * channels * 9 + channels + 2 * channels)
        inputs = channels
    expected += 16 * 3 * 9 + 3
    assert sum(parameter.numel() for parameter in published().parameters()) == expected


def test_the_branch_is_added_to_its_input():
    torch.manual_seed(0)
    branch, x = ResidualBranch(4).eval(), torch.randn(2, 4, 6, 6)
    kinds = [type(layer) for layer in branch.layers]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 3
    torch.testing.assert_close(branch(x), x + branch.layers(x))
    assert not torch.equal(branch(x), branch.layers(x))


@pytest.mark.parametrize(
    "size, stages", [(4, 1), (30, 4), (31, 5), (56, 5), (58, 5), (64, 6), (112, 6), (113, 7), (224, 7)]
)
def test_sizes_take_the_first_stages_that_reach_them(size, stages):
    net = published(size, 12)
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in net.modules()) == stages
    assert net(torch.zeros(1, 12, device="meta")).shape == (1, 3, size, size)


@pytest.mark.parametrize("size", [0, 225])
def test_a_size_it_cannot_make_is_refused(size):
    with pytest.raises(DfdError, match=rf"decoder\.size: no {size} px"):
        ResidualDeconvolution(12, size, 1.0)


def test_faces_stay_between_black_and_white_and_scale_of_templates_does_not_matter():
    torch.manual_seed(0)
    net, templates = ResidualDeconvolution(12, 56, 0.06).eval(), torch.randn(20, 12)
    net.set_statistics(templates, torch.zeros(3, 56, 56))
    plain = net(templates)
    assert plain.min() >= 0 and plain.max() <= 1
    assert not torch.allclose(net(100 * templates + 7), plain, atol=1e-3)
    net.set_statistics(100 * templates + 7, torch.zeros(3, 56, 56))
    torch.testing.assert_close(net(100 * templates + 7), plain, atol=1e-4, rtol=1e-4)
