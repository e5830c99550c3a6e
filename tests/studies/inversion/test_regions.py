"""Regions lie where faces have their parts, and fidelity is told of each alone."""

import numpy as np
import pytest
import torch

from dfd.faces.geometry import ALIGNED, FRAMES, inverse
from dfd.measures.estimates import People
from dfd.studies.inversion.regions import REGIONS, region_fidelity, region_maps


@pytest.mark.parametrize("geometry", FRAMES)
@pytest.mark.parametrize("size", [56, 112])
def test_every_pixel_is_shared_out_once(geometry, size):
    maps = region_maps(geometry, size)
    assert tuple(maps) == REGIONS and all(part.shape == (1, 1, size, size) for part in maps.values())
    assert torch.allclose(sum(maps.values()), torch.ones(1, 1, size, size))
    assert all(part.min() >= 0 and part.mean() > 0.01 for part in maps.values())


@pytest.mark.parametrize("geometry", ["portrait", "aligned"])
def test_landmarks_lie_in_their_regions(geometry):
    frame = inverse(FRAMES[geometry])
    places = (ALIGNED * 2 - 1) @ frame[:, :2].T + frame[:, 2]
    maps = region_maps(geometry, 112)
    for region, points in {"eyes": places[:2], "mouth": places[2:]}.items():
        for x, y in points:
            assert maps[region][0, 0, int((y + 1) * 56), int((x + 1) * 56)] == 1
    assert maps["rest"][0, 0, 0, 0] == 1


def test_an_error_in_the_mouth_counts_there_alone():
    maps = region_maps("portrait", 56)
    originals = torch.full((3, 3, 56, 56), 0.5)
    images = originals + torch.where(maps["mouth"] > 0, 0.2, 0.02)  # 8-bit: 51 and 5 grey levels
    found = region_fidelity(images, torch.full((3, 56, 56), 0.6), originals, maps, People(["a", "b", "c"], 100, 0))
    assert found["mouth"]["psnr"]["mean"] == pytest.approx(-20 * np.log10(51 / 255), abs=0.2)
    assert found["eyes"]["psnr"]["mean"] == pytest.approx(-20 * np.log10(0.02), abs=0.3)
    assert found["mouth"]["psnr_minus_mean_face"]["mean"] == pytest.approx(20 * np.log10(0.5), abs=0.3)
    same = region_fidelity(originals, torch.zeros(3, 56, 56), originals, maps, People(["a", "b", "c"], 100, 0))
    assert same["skin"]["psnr"]["mean"] is None and "equals" in same["skin"]["psnr"]["region_note"]
