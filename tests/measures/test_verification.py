"""Verification against scikit-learn (also under bootstrap weights), closed forms and resampling of whole data sets."""

import json
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.metrics.pairwise import cosine_similarity

from dfd.measures import verification
from dfd.measures.estimates import People, bootstrap_weights
from dfd.measures.verification import FARS, Pairs, auc, cosine_pairs, eer, roc, roc_table, tar_at_far


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def people(n: int, photos: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Templates (n · photos, 16) around one centre per person, and their identities, shuffled."""
    generator = rng(seed)
    identities = generator.permutation(np.repeat(np.arange(n), photos))
    centres = generator.normal(size=(n, 16))
    return (centres[identities] + noise * generator.normal(size=(n * photos, 16))).astype(np.float32), identities


def scored(genuine: list[float], impostor: list[float]) -> Pairs:
    """Pairs with given scores: genuine pairs of people 0, 1, …, impostor pairs of person 0 with the others."""
    first = np.append(np.arange(len(genuine)), np.zeros(len(impostor), int))
    second = np.append(np.arange(len(genuine)), 1 + np.arange(len(impostor)))
    scores = np.array([*genuine, *impostor], np.float32)
    return Pairs(scores, first == second, first, second)


@pytest.fixture(params=["distinct", "tied"])
def pairs(request) -> Pairs:
    """780 pairs of 12 people; `tied`: scores rounded to a tenth, so that both kinds share most scores."""
    templates, identities = people(10, 4, noise=2.0)
    found = cosine_pairs(templates, templates, identities)
    return found if request.param == "distinct" else found._replace(scores=found.scores.round(1))


def verified(pairs: Pairs, fars=FARS, samples: int = 20, seed: int = 0):
    """By all people in the pairs."""
    return People(np.unique([pairs.first, pairs.second]), samples, seed).verification(pairs, fars)


def reference_tar(genuine, scores, far, weights=None) -> float:
    fpr, tpr, _ = roc_curve(genuine, scores, sample_weight=weights, drop_intermediate=False)
    return tpr[fpr <= far + 1e-9].max()


def reference_eer(genuine, scores, weights=None) -> float:
    """FVC2000: the last step where FMR <= FNMR, the first where FMR >= FNMR, the smaller sum, halved."""
    fpr, tpr, _ = roc_curve(genuine, scores, sample_weight=weights, drop_intermediate=False)
    fnmr = 1 - tpr
    before, after = np.flatnonzero(fpr <= fnmr + 1e-12)[-1], np.flatnonzero(fpr >= fnmr - 1e-12)[0]
    return min(fpr[before] + fnmr[before], fpr[after] + fnmr[after]) / 2


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_cosine_pairs_are_all_pairs_in_row_order(monkeypatch, chunk):
    monkeypatch.setattr(verification, "CHUNK", chunk)
    a, identities = people(5, 4, noise=1.0)
    b = a + rng(1).normal(size=a.shape).astype(np.float32)
    names = np.array(["anna", "ben", "clara", "dan", "eve"])[identities]
    pairs = cosine_pairs(a, b, names)
    expected = cosine_similarity(a.astype(np.float64), b.astype(np.float64))
    i, j = np.array(list(combinations(range(20), 2))).T
    np.testing.assert_allclose(pairs.scores, expected[i, j], atol=1e-6)
    assert (pairs.genuine == (names[i] == names[j])).all()
    assert (pairs.first == identities[i]).all() and (pairs.second == identities[j]).all()
    assert pairs.scores.dtype == np.float32 and pairs.genuine.dtype == bool and pairs.genuine.sum() == 5 * 6


def test_cosine_pairs_ignore_length_and_stay_in_range():
    a, identities = people(5, 4, noise=1.0)
    scales = 10 ** rng(1).uniform(-3, 3, (20, 1)).astype(np.float32)
    np.testing.assert_allclose(
        cosine_pairs(a * scales, a, identities).scores, cosine_pairs(a, a, identities).scores, atol=1e-6
    )
    same = np.repeat(a[:1], 20, 0)
    assert (cosine_pairs(same, same, identities).scores <= 1).all()
    assert (cosine_pairs(-same, same, identities).scores >= -1).all()
    assert (cosine_pairs(np.zeros_like(a), a, identities).scores == 0).all()


def test_cosine_pairs_refuse():
    a, identities = people(3, 2, noise=1.0)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        cosine_pairs(a, a[:-1], identities)
    with pytest.raises(ValueError, match="NaN"):
        cosine_pairs(np.full_like(a, np.nan), a, identities)


def test_roc_is_scikit_learn_s(pairs):
    far, tar, threshold = roc(pairs)
    expected = roc_curve(pairs.genuine, pairs.scores, drop_intermediate=False)
    for ours, theirs in zip((far, tar, threshold), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert far[0] == tar[0] == 0 and far[-1] == tar[-1] == 1 and np.isinf(threshold[0])
    assert (np.diff(threshold) < 0).all()


def test_auc_is_scikit_learn_s(pairs):
    assert auc(pairs) == pytest.approx(roc_auc_score(pairs.genuine, pairs.scores), abs=1e-12)


def test_eer_is_where_the_errors_cross(pairs):
    assert eer(pairs) == pytest.approx(reference_eer(pairs.genuine, pairs.scores), abs=1e-12)


@pytest.mark.parametrize("far", [0.0, 0.001, 0.01, 0.05, 0.3, 1.0])
def test_tar_at_far_is_read_at_a_step(pairs, far):
    result = tar_at_far(pairs, far)
    assert result["value"] == pytest.approx(reference_tar(pairs.genuine, pairs.scores, far), abs=1e-12)
    assert result["far"] <= far
    accepted = pairs.scores >= (np.inf if result["threshold"] is None else result["threshold"])
    assert result["accepted_genuine"] == (accepted & pairs.genuine).sum()
    assert result["accepted_impostor"] == (accepted & ~pairs.genuine).sum()
    assert result["n_genuine"] == pairs.genuine.sum() and result["n_impostor"] == (~pairs.genuine).sum()
    assert result["value"] == result["accepted_genuine"] / result["n_genuine"]
    assert result["far"] == result["accepted_impostor"] / result["n_impostor"]
    assert ("note" in result) == (far < 1 / result["n_impostor"])


def test_tar_at_far_by_hand():
    # In falling order: g .9, i .8, g .7, i .6 tied with g .6, i .5, g .4, i .3
    pairs = scored([0.9, 0.7, 0.6, 0.4], [0.8, 0.6, 0.5, 0.3])
    wanted = {
        0.2: (0.25, 0.0, 0.9),
        0.25: (0.5, 0.25, 0.7),
        0.5: (0.75, 0.5, 0.6),
        0.75: (1, 0.75, 0.4),
        1: (1, 1, 0.3),
    }
    for far, (tar, reached, threshold) in wanted.items():
        result = tar_at_far(pairs, far)
        assert (result["value"], result["far"]) == (tar, reached), far
        assert result["threshold"] == pytest.approx(threshold), far
    assert "too few" in tar_at_far(pairs, 0.2)["note"] and "note" not in tar_at_far(pairs, 0.25)
    assert eer(pairs) == 0.375  # .6 accepts 2 of 4 impostors and 3 of 4 genuine, .7 accepts 1 and 2: (.25 + .5) / 2
    assert auc(pairs) == (4 + 3 + 2.5 + 1) / 16


def test_a_far_that_the_pairs_reach_exactly_is_kept():
    # 0.29 × 100 is 28.999999999999996 in floating point.
    assert tar_at_far(scored([0.0], list(np.linspace(0.1, 1, 100))), 0.29)["accepted_impostor"] == 29


def test_an_impostor_above_all_leaves_no_threshold():
    result = tar_at_far(scored([0.5, 0.4], [0.9, 0.1]), 0.1)
    assert result["value"] == result["far"] == 0 and result["threshold"] is None
    assert "highest score" in result["threshold_note"]


def test_separable_inverted_and_constant_scores():
    perfect, inverted, constant = (
        scored([0.8, 0.9], [0.1, 0.2, 0.3]),
        scored([0.1, 0.2], [0.7, 0.8, 0.9]),
        scored([0.5, 0.5], [0.5, 0.5, 0.5]),
    )
    assert (eer(perfect), auc(perfect), tar_at_far(perfect, 0.001)["value"]) == (0, 1, 1)
    assert (eer(inverted), auc(inverted)) == (1, 0)
    assert (eer(constant), auc(constant), tar_at_far(constant, 0.5)["value"]) == (0.5, 0.5, 0)


def test_gaussian_scores_have_closed_forms():
    generator, normal, distance = rng(), NormalDist(), 2.0
    pairs = scored(list(generator.normal(distance, 1, 20000)), list(generator.normal(0, 1, 40000)))
    assert eer(pairs) == pytest.approx(normal.cdf(-distance / 2), abs=0.005)
    assert auc(pairs) == pytest.approx(normal.cdf(distance / 2**0.5), abs=0.005)
    expected = 1 - normal.cdf(normal.inv_cdf(0.99) - distance)
    assert tar_at_far(pairs, 0.01)["value"] == pytest.approx(expected, abs=0.02)


def test_monotone_changes_of_the_scores_change_nothing(pairs):
    changed = pairs._replace(scores=np.exp(3 * pairs.scores.astype(np.float64)))
    assert (eer(changed), auc(changed)) == (eer(pairs), auc(pairs))
    assert tar_at_far(changed, 0.01)["value"] == tar_at_far(pairs, 0.01)["value"]


def test_summary_under_bootstrap_weights_is_scikit_learn_s(pairs):
    """Each replicate is scikit-learn's ROC with the pairs weighted w_i (genuine) and w_i · w_j (impostor)."""
    fars, replicates = (0.01, 0.1), []
    for w in bootstrap_weights(10, 40, rng(5)):
        weights = np.where(pairs.genuine, w[pairs.first], w[pairs.first] * w[pairs.second])
        tars = [reference_tar(pairs.genuine, pairs.scores, far, weights) for far in fars]
        area = roc_auc_score(pairs.genuine, pairs.scores, sample_weight=weights)
        replicates.append([*tars, reference_eer(pairs.genuine, pairs.scores, weights), area])
    summary = verified(pairs, fars, 40, seed=5).metrics()
    assert list(summary) == ["tar_at_far_0.01", "tar_at_far_0.1", "eer", "auc"]
    low, high = np.percentile(replicates, [2.5, 97.5], axis=0)
    np.testing.assert_allclose([part["ci95_low"] for part in summary.values()], low, atol=1e-9)
    np.testing.assert_allclose([part["ci95_high"] for part in summary.values()], high, atol=1e-9)
    assert all(part["ci95_low"] < part["ci95_high"] for part in summary.values())
    for far in fars:
        part = summary[f"tar_at_far_{far:g}"]
        assert {name: part[name] for name in part if not name.startswith("ci95")} == tar_at_far(pairs, far)
    assert summary["eer"]["value"] == eer(pairs) and summary["auc"]["value"] == auc(pairs)
    json.dumps(summary, allow_nan=False)


def test_the_interval_is_as_wide_as_new_people_would_spread_it():
    """The AUC of 150 data sets of 40 new people each spreads as the bootstrap of one says; pairs as units would not."""
    areas, widths = [], []
    for seed in range(150):
        templates, identities = people(40, 3, noise=2.0, seed=seed)
        pairs = cosine_pairs(templates, templates, identities)
        areas.append(auc(pairs))
        if seed < 10:
            part = verified(pairs, (0.01,), 200).estimates["auc"]
            widths.append(part.high - part.low)
    assert 0.8 < np.mean(widths) / (2 * 1.96 * np.std(areas)) < 1.4


def test_codes_need_not_be_dense(pairs):
    sparse = pairs._replace(first=pairs.first * 7 + 3, second=pairs.second * 7 + 3)
    ours, same = (verified(p).metrics() for p in (sparse, pairs))
    assert ours == same


def test_paired_difference_of_a_thing_with_itself_is_zero(pairs):
    for part in (verified(pairs) - verified(pairs)).metrics().values():
        assert part == {"difference": 0, "ci95_low": 0, "ci95_high": 0}


@pytest.mark.parametrize("noise", [0.4, 1.5])
def test_paired_difference_is_signed_and_narrower_than_unpaired(noise):
    templates, identities = people(40, 3, noise=1.5)
    worse = templates + noise * rng(1).normal(size=templates.shape).astype(np.float32)
    good, bad = cosine_pairs(templates, templates, identities), cosine_pairs(worse, templates, identities)
    first, second = (verified(each, (0.01,), 200) for each in (good, bad))
    difference, first, second = (rates.metrics() for rates in (first - second, first, second))
    assert all(part.paired for part in (verified(good) - verified(bad)).estimates.values())
    assert list(difference) == ["tar_at_far_0.01", "eer", "auc"]
    for name, part in difference.items():
        assert part["difference"] == pytest.approx(first[name]["value"] - second[name]["value"], abs=1e-12)
        assert part["ci95_low"] <= part["difference"] <= part["ci95_high"]
        unpaired = np.hypot(*(summary[name]["ci95_high"] - summary[name]["ci95_low"] for summary in (first, second)))
        if noise < 1:  # otherwise the two have little in common
            assert part["ci95_high"] - part["ci95_low"] < 0.8 * unpaired
    if noise > 1:
        assert difference["tar_at_far_0.01"]["ci95_low"] > 0
        assert difference["auc"]["ci95_low"] > 0 and difference["eer"]["ci95_high"] < 0


def test_paired_difference_refuses_other_pairs(pairs):
    order = rng().permutation(len(pairs.scores))
    with pytest.raises(ValueError, match="same order"):
        verified(pairs) - verified(Pairs(*(column[order] for column in pairs)))


def test_a_gain_minus_another_is_resampled_with_it(pairs):
    """Per resampling, not per interval: of ((a − b) − (c − d)) under each of the weights."""
    series = [pairs, *(pairs._replace(scores=np.roll(pairs.scores, shift)) for shift in (1, 2, 3))]
    a, b, c, d = (verified(each, (0.01,), 50) for each in series)
    gain = (a - b) - (c - d)
    replicates = (a.replicates - b.replicates) - (c.replicates - d.replicates)
    for part, value, column in zip(gain.estimates.values(), gain.values, replicates.T, strict=True):
        assert part.value == value and part[1:3] == tuple(np.percentile(column, [2.5, 97.5]))
    assert all(
        part == {"difference": 0, "ci95_low": 0, "ci95_high": 0} for part in ((a - b) - (a - b)).metrics().values()
    )
    with pytest.raises(ValueError, match="same pairs"):
        (a - b) - verified(Pairs(*(column[::-1] for column in pairs)), (0.01,), 50)


def test_roc_table_holds_actual_steps(pairs):
    far, tar, threshold = roc(pairs)
    steps = set(zip(far, tar, threshold, strict=True))
    for points in (10, 50, 500):
        table = roc_table(pairs, points)
        assert list(table.columns) == ["far", "tar", "threshold"]
        assert 2 <= len(table) <= points
        assert set(table.itertuples(index=False, name=None)) <= steps
        assert table.far.min() > 0 and np.isfinite(table.to_numpy()).all()
        assert table.far.iloc[-1] == 1 and table.far.iloc[0] == far[far > 0].min()
        assert table.far.is_monotonic_increasing and table.tar.is_monotonic_increasing
    assert len(roc_table(pairs, 10**6)) == (far > 0).sum()


def test_roc_table_is_spaced_in_log_far():
    generator = rng()
    table = roc_table(scored(list(generator.normal(1, 1, 500)), list(generator.normal(0, 1, 100_000))), points=101)
    per_decade = np.histogram(np.log10(table.far), bins=[-3, -2, -1, 0])[0]
    assert len(table) > 60 and (abs(per_decade - 20) <= 2).all()


@pytest.mark.parametrize("measure", [roc, roc_table, eer, auc, lambda pairs: tar_at_far(pairs, 0.01)])
def test_refuses_pairs_of_one_kind_and_nan(measure):
    with pytest.raises(ValueError, match="no genuine pairs among 2"):
        measure(scored([], [0.1, 0.2]))
    with pytest.raises(ValueError, match="no impostor pairs among 2"):
        measure(scored([0.1, 0.2], []))
    with pytest.raises(ValueError, match="no genuine pairs among 0"):
        measure(cosine_pairs(np.ones((1, 3)), np.ones((1, 3)), [0]))
    with pytest.raises(ValueError, match="NaN"):
        measure(scored([0.1, np.nan], [0.1]))
    with pytest.raises(ValueError, match="exactly where"):
        measure(scored([0.1], [0.1])._replace(genuine=np.array([True, True])))


def test_refuses_a_far_that_is_no_rate(pairs):
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        tar_at_far(pairs, -0.1)


def test_too_few_identities_have_no_interval():
    templates, _ = people(2, 2, noise=1.0)
    for identities in ([0, 0, 1, 1], [0, 0, 1, 2]):  # two people; three, with genuine pairs of one
        summary = verified(cosine_pairs(templates, templates, identities), samples=50).metrics()
        for part in summary.values():
            assert part["ci95_low"] is None and part["ci95_high"] is None and part["ci95_note"]
            assert part["value"] is not None


def test_replicates_without_genuine_pairs_are_left_out():
    templates, _ = people(8, 1, noise=1.0)
    pairs = cosine_pairs(templates, templates, [0, 0, 1, 1, 2, 3, 4, 5])  # one replicate in nine draws neither 0 nor 1
    summary = verified(pairs, samples=200).metrics()
    json.dumps(summary, allow_nan=False)
    assert summary["auc"]["ci95_low"] <= summary["auc"]["value"] <= summary["auc"]["ci95_high"]
