"""Protections do what they say, and whoever knows one undoes it as far as a linear map can."""

import numpy as np
import pytest
import torch

from dfd.studies.inversion import settings
from dfd.studies.inversion.protections import IDENTITY_PART, NONE, PROTECTIONS, halves, pooled, undoing
from dfd.templates.belonging import Axes
from dfd.templates.linear import soft_whitening

SCALES = torch.linspace(2, 0.2, 24)


def draw(count: int, seed: int) -> torch.Tensor:
    """Templates with variances that differ, about a mean, in 24 numbers; 72 for those that truncation needs."""
    return 1 + torch.randn(count, 24, generator=torch.Generator().manual_seed(seed)) * SCALES


TRAINING, VALIDATION, PHOTOS = draw(2000, 0), draw(300, 1), draw(50, 2)


@pytest.mark.parametrize("name", PROTECTIONS)
def test_every_protection_gives_finite_templates_and_the_same_again(name):
    one, other = (PROTECTIONS[name].fit(TRAINING, 3)(PHOTOS) for _ in range(2))
    assert one.shape == PHOTOS.shape and one.isfinite().all() and torch.equal(one, other)


def test_truncation_keeps_the_largest_axes_and_the_mean_of_the_others():
    protected = PROTECTIONS["axes-8"].fit(TRAINING, 0)(PHOTOS)
    assert torch.linalg.matrix_rank(protected - TRAINING.mean(0), tol=1e-3) == 8
    # The axes are those of the numbers, nearly: the first vary most.
    assert (protected - PHOTOS)[:, :4].abs().mean() < 0.5 * (protected - PHOTOS)[:, -4:].abs().mean()
    assert torch.allclose(PROTECTIONS["axes-32"].fit(TRAINING, 0)(PHOTOS), PHOTOS, atol=1e-5)


@pytest.mark.parametrize("name, levels", [("1-bit", 2), ("4-bits", 16)])
def test_levels_are_so_many_and_equally_frequent(name, levels):
    found = PROTECTIONS[name].fit(TRAINING, 0)(TRAINING)
    for column in (0, 23):
        values, counts = found[:, column].unique(return_counts=True)
        assert len(values) == levels and counts.min() > 0.5 * len(TRAINING) / levels
    assert torch.equal(PROTECTIONS[name].fit(TRAINING, 0)(found), found)


def test_noise_is_as_large_as_it_says_and_anew_each_time():
    protect = PROTECTIONS["noise-0.5"].fit(TRAINING, 0)
    first, second = protect(VALIDATION) - VALIDATION, protect(VALIDATION) - VALIDATION
    assert first.std() / SCALES.square().mean().sqrt() == pytest.approx(0.5, rel=0.05)
    assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.05


def test_a_biohash_is_the_signs_along_orthonormal_directions():
    one, other = (PROTECTIONS["biohash"].fit(TRAINING, key) for key in (0, 1))
    assert set(one(PHOTOS).unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(one(PHOTOS), -one(2 * TRAINING.mean(0) - PHOTOS))
    assert 0.4 < (one(PHOTOS) == other(PHOTOS)).float().mean() < 0.6


def whitened_error(undo, protect, space) -> float:
    return float((space(undo(protect(PHOTOS))) - space(PHOTOS)).square().mean())


@pytest.mark.parametrize("space", [None, Axes(*soft_whitening(TRAINING, 1e-8))])
def test_what_is_invertible_is_undone(space):
    mixing = torch.randn(24, 24, generator=torch.Generator().manual_seed(5))
    protected = tuple(part @ mixing for part in (TRAINING, VALIDATION))
    undo = undoing(protected, (TRAINING, VALIDATION), space)
    assert torch.allclose(undo(PHOTOS @ mixing), PHOTOS, atol=2e-2)


def test_a_known_key_is_undone_and_another_is_not():
    space = Axes(*soft_whitening(TRAINING, 1e-8))
    protect, wrong = (PROTECTIONS["biohash"].fit(TRAINING, key) for key in (0, 1))
    exact = TRAINING, VALIDATION
    known, guessed = (undoing(tuple(own(part) for part in exact), exact, space) for own in (protect, wrong))
    assert whitened_error(known, protect, space) < 1 < whitened_error(guessed, protect, space)
    # Lengthened: what is told spreads as far as templates do.
    assert space(known(protect(PHOTOS))).square().mean() == pytest.approx(1, abs=0.2)


def test_halves_pool_every_other_photo_of_a_person():
    people = np.array(["b", "a", "b", "c", "b"])
    groups = halves(people)
    assert groups[0] == groups[4] != groups[2] and len({*groups.tolist()}) == 4
    means = pooled(PHOTOS[:5], groups)
    assert torch.allclose(means[0], (PHOTOS[0] + PHOTOS[4]) / 2) and torch.equal(means[0], means[4])
    assert torch.allclose(means[1:4], PHOTOS[1:4])


def test_settings_know_every_protection():
    assert (NONE, *settings.PROTECTIONS) == (*PROTECTIONS, IDENTITY_PART)
