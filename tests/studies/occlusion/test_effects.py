"""Changes by an occlusion, on templates and pictures whose changes are known."""

import numpy as np
import pytest
import torch

from dfd.measures.estimates import People
from dfd.studies.occlusion.effects import gender_flipped, identity_kept, reconstruction_change, template_change

PEOPLE = People(["a", "a", "b", "c"], 100, 0)


def test_cosines_of_known_templates():
    clean = torch.tensor([[1.0, 0], [2, 0], [0, 1], [0, 1]])
    blocked = torch.tensor([[0, 1.0], [1, 0], [0, 3], [1, 1]])
    found = template_change(clean, blocked, PEOPLE)
    assert found["mean"] == pytest.approx((0 + 1 + 1 + 0.5**0.5) / 4)
    # Pairs of different people: a-b and a-c twice each, 0; b-c, 1.
    assert found["different_people"] == pytest.approx(1 / 5)
    assert found["ci95_low"] <= found["mean"] <= found["ci95_high"]


def test_of_one_person_there_are_no_others():
    found = template_change(torch.ones(2, 3), torch.ones(2, 3), People(["a", "a"], 100, 0))
    assert found["different_people"] is None and "different_people_note" in found and found["ci95_low"] is None


def pictures():
    covered = torch.zeros(4, 1, 8, 8)
    covered[..., :2] = 1  # a quarter
    clean = torch.full((4, 3, 8, 8), 0.6)
    return clean, covered


def test_a_change_that_stays_inside():
    clean, covered = pictures()
    blocked = clean - 0.2 * covered
    found = reconstruction_change(clean + 0.1, clean, blocked, covered, PEOPLE)
    inside = found["change_inside"]
    assert inside["mean"] == pytest.approx(1) and inside["area"] == pytest.approx(0.25)
    assert inside["minus_area"]["mean"] == pytest.approx(0.75)
    brightness = found["brightness_inside"]
    assert brightness["mean"] == brightness["minus_outside"]["mean"] == pytest.approx(-51, abs=1e-3)
    assert brightness["outside"] == 0
    # Without the mean, −0.05: −0.15 in a quarter, 0.05 elsewhere.
    assert found["local_change_inside"]["mean"] == pytest.approx(0.25 * 9 / (0.25 * 9 + 0.75), abs=1e-5)
    # Beside the region the reconstruction is as far from the original as it was, and did not change at all.
    outside = found["psnr_outside"]
    assert outside["mean"] == pytest.approx(outside["clean"]) == pytest.approx(20, abs=0.2)
    assert outside["minus_clean"]["mean"] == 0
    assert found["psnr_outside_clean"]["mean"] is None and "psnr_outside_clean_note" in found["psnr_outside_clean"]


def test_a_change_everywhere_has_the_regions_share():
    clean, covered = pictures()
    found = reconstruction_change(clean, clean + 5 / 255, clean + 25 / 255, covered, PEOPLE)
    assert found["change_inside"]["mean"] == pytest.approx(0.25, abs=1e-5)
    assert found["psnr_outside_clean"]["mean"] == pytest.approx(-20 * np.log10(20 / 255), abs=1e-3)
    assert found["psnr_outside"]["minus_clean"]["mean"] == pytest.approx(-20 * np.log10(5), abs=1e-3)


def test_no_change_has_no_place():
    clean, covered = pictures()
    found = reconstruction_change(clean + 0.1, clean, clean, covered, PEOPLE)
    inside = found["change_inside"]
    assert inside["mean"] is None and inside["minus_area"] is None and "change_inside_note" in inside


def test_the_identity_that_is_left_and_what_was_without_the_block():
    photos = torch.tensor([[1.0, 0]] * 4)
    clean, occluded = torch.tensor([[2.0, 0], [1, 1], [0, 1], [1, 0]]), torch.tensor([[0, 3.0], [1, 1], [0, 1], [1, 1]])
    found = identity_kept(photos, clean, occluded, PEOPLE)
    root = 0.5**0.5
    assert found["mean"] == pytest.approx(2 * root / 4) and found["clean"] == pytest.approx((2 + root) / 4)
    assert found["minus_clean"]["mean"] == pytest.approx((root - 2) / 4)
    assert found["ci95_low"] <= found["mean"] <= found["ci95_high"]


def test_a_gender_flips_where_it_crosses_one_half():
    found = gender_flipped(np.array([0.9, 0.6, 0.2, 0.4]), np.array([0.6, 0.4, 0.3, 0.7]), PEOPLE)
    assert (
        found["mean"] == 0.5
        and (found["count"], found["n"]) == (2, 4)
        and found["ci95_low"] <= 0.5 <= found["ci95_high"]
    )
