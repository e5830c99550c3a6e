"""Stored templates against numpy's float16, Python's own text, and a loop over int8."""

import numpy as np
import pytest
import torch

from dfd.templates.storage import FORMATS


@pytest.fixture
def templates() -> torch.Tensor:
    """As a recognizer's: axes of very different lengths, one of them tiny."""
    scales = torch.tensor([1.0, 0.3, 0.05, 1e-3, 4e-6])
    return torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) * scales


def test_float16_is_numpys(templates):
    expected = templates.numpy().astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(FORMATS["float16"](templates).numpy(), expected)
    assert not torch.equal(FORMATS["float16"](templates), templates)


def test_float16_has_an_end():
    assert FORMATS["float16"](torch.tensor([[1e6, -1e6]])).tolist() == [[65504.0, -65504.0]]


@pytest.mark.parametrize("digits", [4, 5])
def test_decimals_are_those_of_a_text_file(templates, digits):
    written = [[f"{number:.{digits}f}" for number in row] for row in templates.tolist()]
    expected = np.array([[float(text) for text in row] for row in written], np.float32)
    np.testing.assert_array_equal(FORMATS[f"decimals-{digits}"](templates).numpy(), expected)


def test_int8_is_what_a_loop_rounds(templates):
    largest = max(abs(number) for row in templates.tolist() for number in row)
    expected = [[round(number * 127 / largest) * largest / 127 for number in row] for row in templates.tolist()]
    found = FORMATS["int8"](templates)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-9)
    assert len(found.unique()) <= 255 and found.abs().max() == pytest.approx(largest)


def test_the_scale_of_int8_is_the_files(templates):
    assert not torch.allclose(FORMATS["int8"](templates)[:1], FORMATS["int8"](templates[:1]))


# The largest error, half a step. A step of float16: 2⁻¹⁰ of the number's power of two, or the smallest there is.
STEPS = {
    "float16": lambda x: torch.maximum(2.0 ** (x.abs().log2().floor() - 11), torch.tensor(2.0**-25)),
    "decimals-5": lambda x: torch.tensor(5e-6),
    "decimals-4": lambda x: torch.tensor(5e-5),
    "int8": lambda x: x.abs().max() / 254,
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_error_is_half_a_step_at_most_and_is_reached(templates, name):
    error, most = (FORMATS[name](templates) - templates).abs(), STEPS[name](templates)
    assert (error <= most * 1.01).all() and (error > 0.5 * most).any()


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_read_back_is_stored_alike(templates, name):
    once = FORMATS[name](templates)
    assert once.dtype == torch.float32 and once.shape == templates.shape
    torch.testing.assert_close(FORMATS[name](once), once, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", FORMATS)
def test_zeros_stay_zeros(name):
    assert not FORMATS[name](torch.zeros(2, 3)).any()
