"""Every decoder of the registry: shapes, gradients, files, what it sees of templates; and the inverted VGG's published size."""

import numpy as np
import pytest
import torch
from torch import nn

from dfd.core.artefacts import file_sha256
from dfd.core.errors import DfdError
from dfd.decoder import settings
from dfd.decoder.base import FLOOR, Decoder
from dfd.decoder.inverted_vgg import InvertedVGG
from dfd.decoder.registry import DECODERS, build_decoder, decode, load_decoder, save_decoder

D = 12
CPU = torch.device("cpu")
TINY = {
    "width": 0.04,
    "hidden": 1024,
    "channels": [512, 512, 256, 128, 64],
    "dropout": 0.0,
    "normalise": "batch",
    "output": "linear",
}
OPTIONS = {  # architecture -> its options beside the size
    "residual": {"hidden": 24, "rank": 12, "channels": 16, "axes": 3},
    "inverted-vgg": TINY,
    "linear": {},
    "quadratic": {"axes": 3},
    "nbnet": {"width": 0.06},
    "residual-deconvolution": {"width": 0.06},
    "adapted": {"architecture": "nbnet", "takes": 7, "options": {"width": 0.06}},
}
LATE = {
    "residual": 2
}  # steps until a gradient reaches everything: its blocks start as the identity, its last layer at zero
WHITENING = ("residual", "inverted-vgg")
BOUNDED = ("nbnet", "residual-deconvolution", "adapted")  # tanh or a sigmoid ends them
PAPER = TINY | {"size": 224, "width": 1.0, "hidden": 4096, "dropout": 0.5, "normalise": "none"}


def test_every_decoder_is_tested():
    assert set(OPTIONS) == set(DECODERS)
    assert settings.OPTIONS.keys() == DECODERS.keys() - {"adapted"}  # which is made of another


def build(architecture: str, size: int, **changes) -> Decoder:
    torch.manual_seed(0)
    return build_decoder(architecture, D, OPTIONS[architecture] | {"size": size} | changes)


def templates(n: int = 6) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", [56, 64, 112, 224])
@pytest.mark.parametrize("architecture", DECODERS)
def test_images_of_the_size_asked_for_and_gradients_for_every_parameter(architecture, size):
    decoder = build(architecture, size).train()
    optimizer = torch.optim.SGD(decoder.parameters(), 1e-3)
    for _ in range(1 + LATE.get(architecture, 0)):
        optimizer.step()
        optimizer.zero_grad()
        images = decoder(templates())
        assert images.shape == (6, 3, size, size) and torch.isfinite(images).all()
        (images * torch.randn(images.shape)).sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("architecture", DECODERS)
def test_every_decoder_is_a_decoder(architecture):
    decoder = build(architecture, 56)
    assert isinstance(decoder, Decoder)
    assert (decoder.dimension, decoder.size, decoder.device, decoder.config) == (D, 56, CPU, {})
    mean = torch.rand(3, 56, 56)
    decoder.set_statistics(3 + 2 * templates(50), mean)
    assert torch.equal(decoder.mean_face, mean)
    assert torch.isfinite(decode(decoder.eval(), templates())).all()


@pytest.mark.parametrize("output", ["linear", "bounded"])
@pytest.mark.parametrize("normalise", ["none", "batch", "group"])
@pytest.mark.parametrize("size", [7, 13, 14, 52, 56])
def test_every_option_of_the_inverted_vgg(size, normalise, output):
    decoder = build("inverted-vgg", size, normalise=normalise, output=output, dropout=0.3).train()
    images = decoder(templates())
    assert images.shape == (6, 3, size, size) and torch.isfinite(images).all()
    images.square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in decoder.parameters())


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_file_gives_the_decoder_back(architecture, tmp_path):
    decoder = build(architecture, 56)
    options = OPTIONS[architecture] | {"size": 56}
    decoder.set_statistics(3 + 2 * templates(50), torch.rand(3, 56, 56))
    decoder.train()(templates())  # its batch normalisation has seen something
    config = {"architecture": architecture, "dimension": D, "options": options, "variant": "vgg-vgg"}
    for name in ("a", "b"):
        save_decoder(tmp_path / f"{name}.safetensors", decoder, config)
    assert file_sha256(tmp_path / "a.safetensors") == file_sha256(tmp_path / "b.safetensors")

    loaded = load_decoder(tmp_path / "a.safetensors", CPU)
    assert loaded.config == config and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    state = decoder.state_dict()
    assert state.keys() == loaded.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in loaded.state_dict().items())
    with torch.no_grad():
        expected = decoder.eval().to(memory_format=torch.channels_last)(templates())
    assert torch.equal(loaded(templates()), expected)

    save_decoder(tmp_path / "c.safetensors", loaded, loaded.config)
    assert file_sha256(tmp_path / "a.safetensors") == file_sha256(tmp_path / "c.safetensors")


@pytest.mark.parametrize("architecture", DECODERS)
def test_decoding_is_batched_and_clipped(architecture):
    decoder = build(architecture, 56).eval()
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if name in ("to_rgb.bias", "to_rgb.0.bias", "affine.bias"):
                parameter += 0.8  # so that some values leave [0, 1]
        direct = decoder(100 * templates())
    assert architecture in BOUNDED or direct.min() < 0 or direct.max() > 1
    images = decode(decoder, 100 * templates(), batch=4)
    torch.testing.assert_close(images, direct.clamp(0, 1), atol=1e-4, rtol=1e-4)


def test_an_unknown_architecture_is_named():
    with pytest.raises(DfdError, match="no architecture is called unet; there are residual, inverted-vgg"):
        build_decoder("unet", D, {})


@pytest.mark.parametrize("architecture", DECODERS)
def test_an_unknown_option_is_named(architecture):
    with pytest.raises(DfdError, match=f"{architecture}.*colour"):
        build(architecture, 56, colour="grey")


@pytest.mark.parametrize("size", [57, 5, 50, 1, 226])
@pytest.mark.parametrize("architecture", WHITENING)
def test_a_size_it_cannot_make_is_refused(architecture, size):
    with pytest.raises(DfdError, match=rf"decoder\.size: no {size} px"):
        build(architecture, size)


def full(dimension: int, **changes) -> InvertedVGG:
    with torch.device("meta"):
        return InvertedVGG(dimension, **PAPER | changes)


@pytest.mark.parametrize("dimension", [4096, 2048])
def test_the_full_mirror_of_vgg_16(dimension):
    """Three dense layers and VGG's thirteen 3×3 convolutions backwards, each with a bias, then the one to RGB."""
    hidden, channels, counts, side = 4096, [512, 512, 256, 128, 64], [3, 3, 3, 2, 2], 7
    expected = dimension * hidden + hidden  # D → 4096
    expected += hidden * hidden + hidden  # fc7 and fc6 backwards
    expected += hidden * side**2 * channels[0] + side**2 * channels[0]  # to the 7×7×512 map
    inputs = channels[0]
    for outputs, count in zip(channels, counts, strict=True):
        for _ in range(count):
            expected += 3 * 3 * inputs * outputs + outputs
            inputs = outputs
    expected += 3 * 3 * inputs * 3 + 3
    decoder = full(dimension)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == expected
    # VGG-16 without its classifier has 134.3 M; the mirror has a dense layer more, and wider convolutions after each ×2
    assert expected == pytest.approx(134.3e6 + dimension * 4096, rel=0.02)
    assert decoder(torch.zeros(2, dimension, device="meta")).shape == (2, 3, 224, 224)


def test_its_layers_are_the_papers():
    decoder = full(4096)
    dropouts = [module for module in decoder.modules() if isinstance(module, nn.Dropout)]
    assert [dropout.p for dropout in dropouts] == [0.5] * 4
    assert sum(isinstance(module, nn.Upsample) for module in decoder.modules()) == 5
    assert sum(isinstance(module, nn.Conv2d) for module in decoder.modules()) == 14
    assert sum(isinstance(module, nn.Linear) for module in decoder.modules()) == 3
    assert [layer.out_features for layer in decoder.dense if isinstance(layer, nn.Linear)] == [4096, 4096, 512 * 49]


def test_dropout_acts_in_training_alone():
    decoder = build("inverted-vgg", 56, dropout=0.5, normalise="none")
    assert not torch.equal(decoder.train()(templates()), decoder(templates()))
    assert torch.equal(decoder.eval()(templates()), decoder(templates()))


def test_bounded_stays_between_black_and_white():
    decoder = build("inverted-vgg", 56, output="bounded").eval()
    decoder.set_statistics(templates(50), torch.rand(3, 56, 56).round())  # black and white, where logits end
    with torch.no_grad():
        decoder.to_rgb.weight *= 1e4
        images = decoder(1e3 * templates())
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.1 and torch.isfinite(images).all()


@pytest.mark.parametrize("output", ["linear", "bounded"])
def test_training_starts_near_the_mean_face(output):
    decoder = build("inverted-vgg", 56, output=output)
    mean = 0.2 + 0.6 * torch.rand(3, 56, 56)
    decoder.set_statistics(templates(50), mean)
    assert (decoder(templates()) - mean).abs().mean() < 0.1


def test_no_axis_counts_beyond_five_standard_deviations():
    """A few unseen templates lie hundreds out along axes of little variance: extrapolated that far, they decoded to black."""
    decoder = build("inverted-vgg", 56).eval()
    decoder.set_statistics(templates(200), torch.rand(3, 56, 56))
    with torch.no_grad():
        decoder.to_rgb.weight *= 100  # so that the template shows
        direction = torch.linalg.inv(decoder.whitening.matrix)[
            3
        ]  # a unit step is one standard deviation of axis 3, and of no other
        near, far, farther = (decoder(templates(200).mean(0) + steps * direction[None]) for steps in (2, 15, 500))
    assert (far - farther).abs().max() < 0.01 * (near - far).abs().max()


@pytest.mark.parametrize("architecture", WHITENING)
@pytest.mark.parametrize("scale, shift", [(1.0, 0.0), (1e3, -70.0), (1e-3, 2.0)])
def test_what_it_sees_of_templates_is_white(architecture, scale, shift):
    """Mixed and stretched templates of any scale arrive with no correlation, and variance 1."""
    mix = (
        torch.logspace(-1.5, 0, D)[:, None]
        * torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(4))).Q
    )
    correlated = scale * templates(200) @ mix + shift
    decoder = build(architecture, 56).eval()
    decoder.set_statistics(correlated, torch.rand(3, 56, 56))
    seen = []
    decoder.dense.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    decoder(correlated)
    torch.testing.assert_close(seen[0].mean(0), torch.zeros(D), atol=1e-2, rtol=0)
    variances = np.linalg.eigvalsh(np.cov(correlated.double().numpy().T, bias=True))[::-1]
    expected = np.diag(variances / (variances + FLOOR * variances[0]))
    assert expected[0, 0] > 0.999 and expected[-1, -1] > 0.999
    np.testing.assert_allclose(seen[0].T @ seen[0] / 200, expected, atol=2e-2)


@pytest.mark.parametrize("architecture", WHITENING)
def test_an_axis_without_variance_is_not_amplified(architecture):
    varied = torch.cat([templates(50), 1e-9 * torch.randn(50, 1) + 3], 1)
    torch.manual_seed(0)
    decoder = build_decoder(architecture, D + 1, OPTIONS[architecture] | {"size": 56}).eval()
    decoder.set_statistics(varied, torch.rand(3, 56, 56))
    with torch.no_grad():
        for parameter in decoder.parameters():  # so that the template shows, also where training would have to show it
            parameter += 0.1 * torch.randn(parameter.shape)
    images, moved = decoder(varied), varied.clone()
    moved[:, D] += 1e-6
    assert (decoder(moved) - images).square().mean().sqrt() < 0.03 * images.std(0).mean()


@pytest.mark.parametrize("architecture", DECODERS)
def test_templates_that_do_not_vary_are_no_division_by_zero(architecture):
    decoder = build(architecture, 56).eval()
    decoder.set_statistics(torch.ones(5, D), torch.rand(3, 56, 56))
    assert torch.isfinite(decoder(torch.ones(2, D))).all()
