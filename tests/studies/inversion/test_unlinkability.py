"""D(s) and D_sys against closed forms."""

import numpy as np
import pytest
import torch

from dfd.studies.inversion.protections import PROTECTIONS
from dfd.studies.inversion.unlinkability import linkability, local_linkability, system_linkability


@pytest.mark.parametrize("bins", [10, 100])
def test_equal_distributions_are_unlinkable_and_disjoint_ones_linkable(bins):
    scores = np.linspace(0, 1, 5000)
    assert system_linkability(scores, scores, bins) == 0
    assert system_linkability(scores + 2, scores, bins) == 1
    assert system_linkability(np.ones(3), np.ones(5), bins) == 0


def test_half_of_the_mated_scores_apart_are_half_linkable():
    """Of the mated scores half lie where no others are; the others are half as frequent there as non-mated ones."""
    mated, non_mated = np.array([0.25, 0.75]).repeat(100), np.full(300, 0.25)
    assert system_linkability(mated, non_mated, 2) == pytest.approx(0.5)


def test_the_closed_form_of_a_likelihood_ratio():
    """LR = 3 in the upper bin, 1/3 in the lower: D = 2·3/4 − 1 = 0.5, of which 3/4 of the mated scores are."""
    mated, non_mated = np.repeat([0.0, 1.0], [25, 75]), np.repeat([0.0, 1.0], [75, 25])
    assert local_linkability(mated, non_mated, 2).tolist() == [0, 0.5]
    assert system_linkability(mated, non_mated, 2) == pytest.approx(0.375)
    assert local_linkability(mated, non_mated, 2, omega=2.0)[1] == pytest.approx(2 * 6 / 7 - 1)


def test_scores_that_are_missing_or_not_finite_are_refused():
    for mated in (np.empty(0), np.array([np.nan])):
        with pytest.raises(ValueError, match="finite"):
            system_linkability(mated, np.ones(3), 10)


def test_keys_make_templates_unlinkable_and_their_absence_does_not():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(30), 4)
    photos = torch.from_numpy(rng.normal(size=(30, 64)).repeat(4, 0) + 0.2 * rng.normal(size=(120, 64))).float()
    training = torch.from_numpy(rng.normal(size=(500, 64))).float()
    plain = linkability(lambda key: photos, people, [(0, 0)], 0)
    hashed = linkability(lambda key: PROTECTIONS["biohash"].fit(training, key)(photos), people, [(0, 1), (2, 3)], 0)
    assert plain["bins_10"]["value"] > 0.95 and plain["n_mated"] == 30 * 6
    assert hashed["bins_10"]["value"] < 0.1 and hashed["n_mated"] == 2 * 30 * 6 and hashed["key_pairs"] == 2
    assert plain["bins_100"]["chance"] < 0.5
    alone = linkability(lambda key: photos, np.arange(120), [(0, 1)], 0)
    assert alone["bins_10"]["value"] is None and "two photos" in alone["bins_10"]["linkability_note"]
