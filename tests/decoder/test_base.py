"""What decoders see of templates: whitened softly, clipped, noisy in training; against numpy."""

import numpy as np
import pytest
import torch

from dfd.core.devices import autocast
from dfd.decoder.base import CLIP, FLOOR, NOISE, Decoder, Whitening
from dfd.templates.linear import soft_whitening, whitening

D, N = 8, 4000
CPU = torch.device("cpu")


def stretched(scale: float = 1.0, shift: float = 0.0, spread: float = 3.0) -> torch.Tensor:
    """Templates (N, D) whose deviations along D random directions fall from `scale` by `spread` orders of magnitude."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(D, D, generator=generator)).Q
    return (scale * torch.randn(N, D, generator=generator) * torch.logspace(0, -spread, D)) @ directions + shift


def learned(templates: torch.Tensor) -> Whitening:
    module = Whitening(templates.shape[1]).eval()
    module.learn(templates)
    return module


@pytest.mark.parametrize("scale, shift", [(1.0, 0.0), (300.0, -20.0), (1e-2, 0.5)])
@pytest.mark.parametrize("floor", [1e-4, 1e-2, 0.0])
def test_an_axis_of_variance_v_ends_with_the_cube_of_v_over_v_plus_the_floor(scale, shift, floor):
    templates = stretched(scale, shift, spread=2.0)
    mean, matrix, spreads = soft_whitening(templates, floor)
    x = templates.double().numpy()
    covariance = (x - x.mean(0)).T @ (x - x.mean(0)) / N
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-4, atol=1e-4 * scale)
    variances = np.linalg.svd(covariance)[1]
    np.testing.assert_allclose(spreads, variances, rtol=1e-3)
    expected = (variances / (variances + floor * variances[0])) ** 3
    ended = matrix.double().numpy().T @ covariance @ matrix.double().numpy()
    np.testing.assert_allclose(ended, np.diag(expected), atol=1e-2)
    assert (np.diff(np.diag(ended)) < 1e-2).all()  # by falling variance


def test_without_a_floor_it_is_the_whitening_of_all_axes():
    templates = stretched(spread=2.0)
    for soft, plain in zip(soft_whitening(templates, 0.0)[:2], whitening(templates), strict=True):
        torch.testing.assert_close(soft, plain, rtol=1e-4, atol=1e-4)


def test_an_axis_that_training_does_not_have_says_nothing_however_much_others_vary_along_it():
    templates = stretched(spread=2.0)
    templates[:, -1] = 0
    module = learned(templates)
    other = templates.clone()
    other[:, -1] = 1e3 * templates.std()
    torch.testing.assert_close(module(other), module(templates), rtol=0, atol=1e-3)


def test_what_a_decoder_learns_has_the_floor():
    templates = stretched(spread=5.0)
    module = learned(templates)
    mean, matrix, variances = soft_whitening(templates, FLOOR)
    torch.testing.assert_close(
        module(templates), ((templates - mean) @ matrix).clamp(-CLIP, CLIP), rtol=1e-3, atol=2e-3
    )
    assert torch.equal(module.variances, variances)
    spread = module(templates).std(0)
    assert spread[0] > 0.98 and spread[-1] < 0.2  # of deviation 1e-5, a tenth of the floor's 1e-4


def test_nothing_counts_beyond_the_clip():
    templates = stretched(spread=1.0)
    module = learned(templates)
    direction = torch.linalg.inv(module.matrix)[2]
    for steps, seen in {-500.0: -CLIP, -CLIP / 2: -CLIP / 2, 3.0: 3.0, CLIP + 1: CLIP, 1e9: CLIP}.items():
        white = module((module.mean + steps * direction)[None])[0]
        assert float(white[2]) == pytest.approx(seen, rel=1e-2)
        assert white.abs().max() <= CLIP


def test_there_is_noise_in_training_and_nowhere_else():
    templates = stretched(spread=0.5)
    module = learned(templates)
    plain = module(templates)
    assert torch.equal(module(templates), plain)
    module.train()
    torch.manual_seed(0)
    first, second = module(templates), module(templates)
    for noise in (first - plain, second - plain, (first - second) / 2**0.5):
        assert float(noise.std()) == pytest.approx(NOISE, rel=0.02) and abs(float(noise.mean())) < NOISE / 50
    torch.manual_seed(0)
    assert torch.equal(module(templates), first)


@pytest.mark.parametrize("training", [True, False])
def test_it_is_exact_where_all_else_is_rounded(training):
    """bfloat16 has three digits: along small axes what it rounds off would be larger than the noise."""
    templates = stretched(shift=1.0)
    module = learned(templates).train(training)
    torch.manual_seed(0)
    exact = module(templates)
    torch.manual_seed(0)
    with autocast(CPU, "bfloat16"):
        rounded = module(templates)
    assert torch.equal(rounded, exact) and rounded.dtype == torch.float32


def test_a_decoder_says_what_it_is():
    decoder = Decoder(D, 14)
    assert (decoder.dimension, decoder.size, decoder.config, decoder.device) == (D, 14, {}, CPU)
    assert torch.equal(decoder.mean_face, torch.full((3, 14, 14), 0.5)) and list(decoder.state_dict()) == ["mean_face"]
    assert decoder.to("meta").device.type == "meta"
    with pytest.raises(NotImplementedError):
        decoder.set_statistics(torch.zeros(3, D), torch.zeros(3, 14, 14))
