"""The spread of residuals, by closed forms."""

import numpy as np
import pytest
import torch

from dfd.measures.estimates import People
from dfd.studies.inversion.regions import region_maps
from dfd.studies.inversion.spread import covered, ensemble, heat, residual_spread, spread_grid, spread_metrics

SIDE = 28


def noisy(images: torch.Tensor, deviation: torch.Tensor, seed: int) -> torch.Tensor:
    return images + deviation * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))


def test_gaussian_residuals_are_measured_and_cover_others():
    deviation = torch.linspace(0.02, 0.1, SIDE).expand(3, SIDE, SIDE)
    images = torch.full((400, 3, SIDE, SIDE), 0.5)
    spread = residual_spread(images, noisy(images, deviation, 0))
    assert torch.allclose(spread, deviation, rtol=0.2)
    found = covered(images, noisy(images, deviation, 1), spread)
    assert found.shape == (400,) and found.mean() == pytest.approx(0.954, abs=0.01)
    assert covered(images[:2], noisy(images[:2], 3 * deviation, 1), spread).mean() < 0.6


def test_metrics_are_grey_levels_by_region():
    maps = region_maps("portrait", SIDE)
    spread = torch.where(maps["eyes"][0] > 0.5, 0.2, 0.1).expand(3, SIDE, SIDE)
    images = torch.full((3, 3, SIDE, SIDE), 0.5)
    found = spread_metrics(images, images, spread, maps, People(np.array(["a", "b", "c"]), 100, 0))
    assert found["by_region"]["rest"] == pytest.approx(25.5, abs=0.5)
    assert 40 < found["by_region"]["eyes"] <= 51 and found["within_two"]["mean"] == 1


def test_trainings_differ_by_a_map_for_each_template():
    deviation = torch.linspace(0, 0.1, SIDE).expand(3, SIDE, SIDE)
    originals = torch.full((4, 3, SIDE, SIDE), 0.5)
    trainings = [noisy(originals, deviation, seed) for seed in range(8)]
    people = People(np.array(list("aabc")), 100, 0)
    found = ensemble(trainings, originals, region_maps("portrait", SIDE), people)
    assert found.spread.shape == originals.shape and torch.equal(found.images, trainings[0])
    rms = 255 * float(deviation.square().mean().sqrt())
    assert found.metrics["grey_levels"]["mean"] == pytest.approx(rms, rel=0.05)
    assert found.metrics["misses"]["mean"] == pytest.approx(rms, rel=0.05)  # here nothing else is missed
    assert found.metrics["by_region"]["eyes"]["mean"] < 0.7 * rms * 2
    assert 0.2 < found.metrics["correlation"]["mean"] < 0.9 and found.metrics["n_trainings"] == 8
    alike = ensemble(trainings[:1] * 2, originals, region_maps("portrait", SIDE), people)
    assert alike.metrics["grey_levels"]["mean"] == 0 and alike.metrics["correlation"]["mean"] is None


def test_the_grid_has_a_map_of_each_face(tmp_path):
    images = torch.rand(2, 3, SIDE, SIDE)
    spread_grid(tmp_path / "grid.png", images, images, torch.zeros(3, SIDE, SIDE), "nothing is open")
    spread_grid(tmp_path / "other.png", images, images.flip(0), torch.full((3, SIDE, SIDE), 0.1), "much is")
    assert (tmp_path / "grid.png").stat().st_size > 1000
    shades = heat(torch.linspace(0, 0.2, SIDE).expand(3, SIDE, SIDE), 0.1)
    assert (
        shades.shape == (3, SIDE, SIDE)
        and shades[:, 0, 0].sum() < 0.1
        and torch.equal(shades[:, 0, 14], shades[:, 0, 27])
    )
