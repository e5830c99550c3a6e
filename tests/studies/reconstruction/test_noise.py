"""Gradient energy by frequency band: closed forms, and numpy's spectrum of the gradients themselves."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.core.artefacts import write_json
from dfd.studies.reconstruction.noise import BANDS, chroma, gradient_energy, luma, noise

SIDE = 48


def photos(count: int = 6, seed: int = 0) -> torch.Tensor:
    """Pictures whose power falls with frequency, as photos' does, in colour."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)
    spectrum = np.fft.fft2(rng.normal(size=(count, 3, SIDE, SIDE))) / (0.02 + np.hypot(down, across))
    pictures = np.fft.ifft2(spectrum).real
    return torch.from_numpy(0.5 + 0.12 * pictures / pictures.std()).float().clamp(0, 1)


def band_pass_gradients(image: np.ndarray, low: float, high: float) -> float:
    """The same by another way: band-passed, derived in both directions by the spectrum, squared and summed over
    pixels."""
    image = image.astype(np.float64)
    axes = [0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side) for side in image.shape]
    window = np.outer(*axes)
    down, across = np.meshgrid(np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1]), indexing="ij")
    radius = np.hypot(down, across)
    spectrum = np.fft.rfft2(image * window) * ((radius > low) & (radius <= high))
    gradients = [np.fft.irfft2(1j * direction * spectrum, image.shape) for direction in (down, across)]
    return sum((gradient**2).sum() for gradient in gradients) / (window**2).sum()


@pytest.mark.parametrize("size", [(47, 47), (45, 33)])  # odd sides: every derivative is a real picture
def test_it_is_the_energy_of_the_band_passed_gradients(size):
    pictures = photos()[:3, :, : size[0], : size[1]]
    found = gradient_energy(pictures)
    for band, limits in BANDS.items():
        expected = [sum(band_pass_gradients(channel, *limits) for channel in picture) for picture in pictures.numpy()]
        np.testing.assert_allclose(found[band], expected, rtol=1e-6)


def test_photos_are_as_photos_are():
    assert noise(photos(), photos()) == {"top_octave": 1, "second_octave": 1, "chroma_top_octave": 1}


@pytest.mark.parametrize("deviation", [0.02, 0.1])
def test_white_noise_adds_its_closed_form(deviation):
    """Grey noise of variance σ²: S = σ², so a band from a to b gains the integral of f² over its ring, 2π(b⁴ − a⁴)/4 ·
    σ²."""
    pictures = photos(200)
    grey = deviation * torch.randn(200, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    # With either sign, so that how the noise happens to lie with the pictures cancels out.
    found, before = noise(torch.cat([pictures + grey, pictures - grey]), pictures), gradient_energy(luma(pictures))
    for band, (low, high) in BANDS.items():
        gain = deviation**2 * 2 * np.pi * (high**4 - low**4) / 4
        # The grid of frequencies has no more than this of the ring's area wrong at either edge.
        assert found[band] - 1 == pytest.approx(gain / float(before[band].mean()), rel=0.05), band
    assert found["chroma_top_octave"] == pytest.approx(1, abs=1e-6)
    assert found["top_octave"] > found["second_octave"] > 1


def test_coloured_noise_is_seen_in_colour():
    pictures = photos()
    red_and_blue = 0.1 * torch.randn(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    pattern = torch.tensor([0.114, 0.0, -0.299])[:, None, None] / 0.299  # without luma
    found = noise(pictures + red_and_blue * pattern, pictures)
    assert found["chroma_top_octave"] > 1.5 and found["top_octave"] == pytest.approx(1, abs=1e-4)


def test_a_blurred_photo_has_less():
    pictures = photos()
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    found = noise(blurred, pictures)
    assert found["top_octave"] < found["second_octave"] < 1 and found["chroma_top_octave"] < 0.3


@pytest.mark.parametrize(
    "down, across, band",
    [(0, 1 / 3, "top_octave"), (0.25, 0.25, "top_octave"), (-5 / 12, 1 / 6, "top_octave"),
     (1 / 6, 0, "second_octave"), (1 / 8, 1 / 8, "second_octave"), (1 / 16, 1 / 24, None), (11 / 24, 11 / 24, None)],
)  # fmt: skip
def test_a_wave_is_in_its_band(down, across, band):
    """A cos(2πf·x) has the power A²/2, all of it at |f|."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    wave = 0.3 * torch.cos(2 * np.pi * (down * rows + across * columns).double())
    power = 0.3**2 / 2 * (down**2 + across**2)
    for name, energy in gradient_energy(0.5 + wave[None, None]).items():
        # Hann's window spreads a wave over the frequencies beside it.
        assert energy.item() == pytest.approx(power, rel=0.02) if name == band else energy.item() < 0.01 * power


def test_stripes_of_single_pixels_are_in_the_top_octave():
    """Their power A² lies at 0.5; Hann's window spreads a third of it along either axis: of what stays at 0.5 in one, a
    third leaves the octave in the other."""
    stripes = 0.5 + 0.1 * (-1.0) ** torch.arange(SIDE).expand(1, 1, SIDE, SIDE)
    found = gradient_energy(stripes)
    squared = (4 / 9 * 0.5**2, 2 / 9 * (23 / 48) ** 2, 1 / 9 * ((23 / 48) ** 2 + (1 / 48) ** 2))
    assert (
        found["top_octave"].item() == pytest.approx(0.1**2 * sum(squared), rel=1e-6)
        and found["second_octave"].item() < 1e-9
    )


def test_grey_photos_have_no_colour_to_compare_with(tmp_path):
    grey = photos().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    found = noise(photos(), grey)
    assert found["chroma_top_octave"] is None and "no chroma" in found["chroma_top_octave_note"]
    assert found["top_octave"] > 0
    flat = noise(photos(), torch.full_like(photos(), 0.5))
    assert flat["top_octave"] is flat["second_octave"] is None
    write_json(tmp_path / "metrics.json", {"orl": found, "flat": flat})


def test_photos_rounded_to_8_bits_count():
    """Of photos with nothing but rounding there is nothing to compare with; a little more than that is enough."""
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(20, 1, SIDE, SIDE, generator=generator).expand(-1, 3, -1, -1) / 255
    for factor, counts in ((0.2, False), (0.4, True)):  # rounding: √(1/12) = 0.29 grey levels
        assert (noise(photos(), 0.5 + factor * white)["top_octave"] is not None) is counts


def test_luma_and_chroma_of_known_colours():
    red = torch.tensor([1.0, 0, 0])[None, :, None, None]
    assert luma(red).item() == pytest.approx(0.299) and luma(torch.ones(1, 3, 1, 1)).item() == pytest.approx(1)
    torch.testing.assert_close(chroma(red).flatten(), torch.tensor([2 / 3, -1 / 3, -1 / 3]))


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="same size"):
        noise(photos(), photos()[..., :40])
