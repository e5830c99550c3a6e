"""NbNet against its published layers (Mai et al., TPAMI 2019), and at other sizes."""

import pytest
import torch
from torch import nn

from dfd.core.errors import DfdError
from dfd.decoder.nbnet import NbNet, NeighbourlyBlock

# Published: pixels of each map, channels into and out of its block, and the block's layers
STAGES = [(5, 256, 512, 32), (10, 128, 256, 16), (20, 64, 128, 8), (40, 32, 64, 4), (80, 16, 32, 2), (160, 8, 16, 1)]


def published(dimension: int = 128, size: int = 160) -> NbNet:
    with torch.device("meta"):
        return NbNet(dimension, size, 1.0)


def test_the_published_layers():
    net = published()
    seen = []
    for module in net.modules():
        if isinstance(module, NeighbourlyBlock):
            module.register_forward_hook(
                lambda block, inputs, output: seen.append(
                    (output.shape[-1], inputs[0].shape[1], output.shape[1], len(block.layers))
                )
            )
    assert net(torch.zeros(2, 128, device="meta")).shape == (2, 3, 160, 160)
    assert seen == STAGES


def test_the_published_number_of_parameters():
    """Convolutions without bias, two numbers per normalised channel; a bias of the three colours is ours."""
    expected = 128 * 256 * 5 * 5
    for (_, inputs, outputs, layers), following in zip(STAGES, [*STAGES[1:], None], strict=True):
        for layer in range(layers):
            channels = inputs + 8 * layer
            expected += 2 * channels + channels * 8 * 3 * 3
        assert outputs == inputs + 8 * layers == 2 * inputs
        expected += 2 * outputs + (outputs * following[1] * 4 * 4 if following else outputs * 3)
    assert sum(parameter.numel() for parameter in published().parameters()) == expected + 3


def test_a_block_keeps_what_it_was_given_and_each_layer_sees_all_before():
    torch.manual_seed(0)
    block = NeighbourlyBlock(4, 3, 2).eval()
    x = torch.randn(2, 4, 6, 6)
    y = block(x)
    assert y.shape == (2, 10, 6, 6) and torch.equal(y[:, :4], x)
    assert [layer[2].in_channels for layer in block.layers] == [4, 6, 8]
    assert torch.equal(y[:, 8:], block.layers[2](y[:, :8]))


def test_every_convolution_follows_batch_normalisation_and_relu():
    block = NeighbourlyBlock(4, 2, 2)
    assert [[type(part) for part in layer] for layer in block.layers] == [[nn.BatchNorm2d, nn.ReLU, nn.Conv2d]] * 2


@pytest.mark.parametrize("size, doublings", [(5, 0), (56, 4), (80, 4), (81, 5), (224, 6)])
def test_sizes_take_the_fewest_doublings_that_reach_them(size, doublings):
    with torch.device("meta"):
        net = NbNet(12, size, 0.1)
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in net.modules()) == 1 + doublings
    assert net(torch.zeros(1, 12, device="meta")).shape == (1, 3, size, size)


def test_a_size_it_cannot_make_is_refused():
    with pytest.raises(DfdError, match=r"decoder\.size: no 4 px"):
        NbNet(12, 4, 1.0)


def test_bright_faces_are_within_reach_of_a_narrow_net_whose_last_weights_are_negative():
    """By the bias alone: what the last layer weighs is positive, after a ReLU, so without it nothing is above mid-grey."""
    torch.manual_seed(0)
    net = NbNet(12, 56, 0.06).train()  # fresh weights are small: only normalised by the batch does anything arrive
    templates = torch.randn(20, 12)
    with torch.no_grad():
        net.to_rgb.weight.abs_().neg_()
        dark = net(templates)
        assert dark.max() <= 0.5 + 1e-6 and dark.min() < 0.45
        net.to_rgb.bias += 2
        assert net(templates).max() > 0.9


def test_faces_stay_between_black_and_white():
    torch.manual_seed(0)
    net = NbNet(12, 56, 0.06).train()  # fresh weights are small: only normalised by the batch does anything arrive
    with torch.no_grad():
        net.to_rgb.weight *= 1e4
        images = net(100 * torch.randn(20, 12))
    assert images.min() >= -1e-6 and images.max() <= 1 + 1e-6  # shrinking rounds
    assert images.std() > 0.1


@pytest.mark.parametrize("scale, shift", [(1.0, 0.0), (1e3, -70.0), (1e-3, 2.0)])
def test_what_it_sees_of_templates_is_centred_and_of_unit_variance(scale, shift):
    net, templates = NbNet(12, 56, 0.06).eval(), scale * torch.randn(200, 12) + shift
    net.set_statistics(templates, torch.zeros(3, 56, 56))
    seen = []
    net.first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].flatten(1)))
    net(templates)
    torch.testing.assert_close(seen[0].mean(0), torch.zeros(12), atol=1e-2, rtol=0)
    assert float(seen[0].square().mean()) == pytest.approx(1, rel=1e-2)


def test_templates_that_do_not_vary_are_no_division_by_zero():
    net = NbNet(12, 56, 0.06).eval()
    net.set_statistics(torch.ones(5, 12), torch.zeros(3, 56, 56))
    assert net(torch.ones(2, 12)).isfinite().all()
