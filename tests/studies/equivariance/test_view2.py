"""View 2: folds against loops over them, failures as rejections, figures by hand."""

import numpy as np
import pandas as pd
import pytest

from dfd.core.artefacts import write_json
from dfd.core.errors import DfdError
from dfd.measures.estimates import People
from dfd.measures.verification import tar_at_far
from dfd.studies.equivariance.view2 import (
    as_pairs,
    best_threshold,
    pair_scores,
    pairs_without,
    people_in,
    people_of,
    too_few,
    view2,
    view2_paired,
    view2_summary,
)

NAN = float("nan")


def listed(folds: int, count: int) -> pd.DataFrame:
    """Pairs as `read_pairs` gives them; nobody is in two folds."""
    rows = []
    for fold in range(1, folds + 1):
        for n in range(count):
            a, b = f"p{fold}_{n}", f"q{fold}_{n}"
            rows.append((fold, f"{a}/{a}_0001.jpg", f"{a}/{a}_0002.jpg", True))
            rows.append((fold, f"{a}/{a}_0001.jpg", f"{b}/{b}_0001.jpg", False))
    return pd.DataFrame(rows, columns=["fold", "first", "second", "genuine"])


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    return listed(10, 60)


@pytest.fixture(scope="module")
def scores(pairs) -> np.ndarray:
    """Overlapping cosines, and failures of both kinds."""
    generator = np.random.default_rng(0)
    values = np.clip(np.where(pairs["genuine"], 0.55, 0.1) + generator.normal(0, 0.2, len(pairs)), -1, 1)
    values[[0, 1, 2, 500, 777]] = NAN
    return values


def accuracy(scores, genuine, threshold) -> float:
    return np.mean([(score >= threshold) == bool(kind) for score, kind in zip(scores, genuine, strict=True)])


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_best(seed):
    generator = np.random.default_rng(seed)
    genuine = generator.random(60) < 0.5
    scores = (generator.normal(genuine, 1.0)).round(1)  # with ties
    scores[generator.random(60) < 0.1] = NAN
    best = accuracy(scores, genuine, best_threshold(scores, genuine))
    tried = [accuracy(scores, genuine, threshold) for threshold in [*np.linspace(-4, 5, 901), np.inf]]
    assert best == pytest.approx(max(tried), abs=1e-12)


def test_a_threshold_lies_in_the_middle_of_what_it_parts():
    assert best_threshold(np.array([0.2, 0.8]), np.array([False, True])) == pytest.approx(0.5)
    assert best_threshold(np.array([0.2, 0.8]), np.array([True, True])) == 0.2
    assert best_threshold(np.array([0.2, 0.8]), np.array([False, False])) == np.inf
    assert best_threshold(np.array([NAN, NAN]), np.array([False, True])) == np.inf
    near = np.array([0.5, np.nextafter(0.5, 1)])
    assert best_threshold(near, np.array([False, True])) == near[1]


def test_each_fold_is_tested_with_what_the_others_chose(pairs, scores):
    metrics = view2(pairs, scores, fars=(0.01,))
    accuracies, tars, fars = [], [], []
    for number in range(1, 11):
        tested, genuine = pairs["fold"] == number, pairs["genuine"]
        threshold = best_threshold(scores[~tested], genuine[~tested].to_numpy())
        accuracies.append(accuracy(scores[tested], genuine[tested], threshold))
        threshold = tar_at_far(as_pairs(pairs[~tested], scores[~tested]), 0.01)["threshold"]
        tars.append((scores[tested & genuine] >= threshold).mean())
        fars.append((scores[tested & ~genuine] >= threshold).mean())
    at_far = metrics["tar_at_far_0.01"]
    for part, values in (
        (metrics["accuracy"], accuracies),
        (at_far["folds"]["tar"], tars),
        (at_far["folds"]["far"], fars),
    ):
        assert part["mean"] == pytest.approx(np.mean(values), abs=1e-12)
        assert part["standard_error"] == pytest.approx(np.std(values, ddof=1) / 10**0.5, abs=1e-12)
    assert 0.8 < metrics["accuracy"]["mean"] < 0.95 and 0 < metrics["accuracy"]["standard_error"] < 0.03
    assert at_far["n_genuine"] == at_far["n_impostor"] == 600 and at_far["far"] <= 0.01


def test_a_failure_is_a_rejection_and_is_counted(pairs):
    perfect = np.where(pairs["genuine"], 0.9, 0.1)
    without = view2(pairs, perfect)
    assert without["accuracy"] == {"mean": 1, "standard_error": 0}
    assert without["failures"] == {"pairs": 0, "genuine": 0, "impostor": 0}
    failing = perfect.copy()
    failing[[0, 2, 4, 1]] = NAN  # three genuine pairs of the first fold, one impostor pair
    metrics = view2(pairs, failing)
    assert metrics["failures"] == {"pairs": 4, "genuine": 3, "impostor": 1}
    assert metrics["accuracy"]["mean"] == pytest.approx(1 - 3 / 1200)
    for far in ("0.001", "0.01"):
        pooled = metrics[f"tar_at_far_{far}"]
        assert pooled["value"] == pytest.approx(597 / 600) and pooled["n_genuine"] == 600
        assert pooled["folds"]["tar"]["mean"] == pytest.approx(597 / 600) and pooled["folds"]["far"]["mean"] == 0


def test_pooled_is_tar_at_far(pairs, scores):
    pooled = view2(pairs, scores, fars=(0.1,))["tar_at_far_0.1"]
    expected = tar_at_far(as_pairs(pairs, scores), 0.1)
    assert {name: pooled[name] for name in expected} == expected


def test_metrics_can_be_written(pairs, scores, tmp_path):
    write_json(tmp_path / "view2.json", view2(pairs, scores))
    some = view2(pairs, np.where(pairs["genuine"], 0.1, 0.9))  # every impostor above all: no threshold
    assert some["tar_at_far_0.01"]["value"] == 0
    write_json(tmp_path / "view2.json", some)


def test_one_fold_or_other_scores_are_refused(pairs, scores):
    with pytest.raises(DfdError, match="one fold"):
        view2(pairs[pairs["fold"] == 1], scores[pairs["fold"] == 1])
    with pytest.raises(ValueError, match="one for each pair"):
        view2(pairs, scores[:-1])


def test_pairs_are_scored_by_key():
    pairs = listed(1, 2)
    keys = [
        "p1_0/p1_0_0002.jpg",
        "p1_0/p1_0_0001.jpg",
        "q1_0/q1_0_0001.jpg",
        "p1_1/p1_1_0001.jpg",
        "q1_1/q1_1_0001.jpg",
    ]
    templates = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [-1.0, 0.0]], np.float32)
    scores = pair_scores(pairs, keys, templates)
    np.testing.assert_allclose(scores, [0.6, 0.0, NAN, 0.0], atol=1e-7)  # p1_1's second photo has no face
    with pytest.raises(DfdError, match="none of the 4 pairs"):
        pair_scores(pairs, ["a.jpg"], templates[:1])


def test_the_summary_adds_intervals_to_the_pooled_rates(pairs, scores):
    summary = view2_summary(pairs, scores, people_of(pairs, 100, 0))
    codes = np.unique([as_pairs(pairs, scores).first, as_pairs(pairs, scores).second])
    plain, pooled = view2(pairs, scores), People(codes, 100, 0).verification(as_pairs(pairs, scores)).metrics()
    assert (
        summary["accuracy"] == plain["accuracy"] and summary["eer"] == pooled["eer"] and summary["auc"] == pooled["auc"]
    )
    tar = summary["tar_at_far_0.001"]
    assert tar["folds"] == plain["tar_at_far_0.001"]["folds"] and tar["ci95_low"] <= tar["value"] <= tar["ci95_high"]


def test_pairs_without_some_people(pairs):
    left = pairs_without(pairs, {"p1_0", "q2_3", "nobody"})
    assert len(pairs) - len(left) == 2 + 1  # both pairs of p1_0, and the impostor pair with q2_3
    assert people_in(pairs) - people_in(left) == {"p1_0", "q1_0", "q2_3"}
    assert left.index.tolist() == list(range(len(left)))


def test_too_few_pairs_are_told_apart(pairs):
    assert too_few(pairs) is None and too_few(pairs[pairs["fold"] < 3]) is None
    assert "1 folds" in str(too_few(pairs[pairs["fold"] == 4]))
    assert too_few(pairs[pairs["genuine"] | (pairs["fold"] > 1)]) is not None  # fold 1 without impostors
    assert too_few(pairs[:0]) is not None


def test_the_second_template_comes_from_others():
    pairs = listed(2, 3)
    keys = sorted(set(pairs["first"]) | set(pairs["second"]))
    generator = np.random.default_rng(0)
    ours, others = generator.normal(size=(2, len(keys), 5))
    scores = pair_scores(pairs, keys, ours, others)
    row = pairs.iloc[2]
    a, b = ours[keys.index(row["first"])], others[keys.index(row["second"])]
    assert scores[2] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    np.testing.assert_array_equal(pair_scores(pairs, keys, ours, ours), pair_scores(pairs, keys, ours))


def test_both_sides_of_a_comparison_are_summaries_of_their_own(pairs, scores):
    worse = np.where(np.arange(len(scores)) % 7 == 0, 0.3, scores)
    both = view2_paired(pairs, scores, worse, people_of(pairs, 50, 3))
    assert both["with"] == view2_summary(pairs, scores, people_of(pairs, 50, 3))
    assert both["without"] == view2_summary(pairs, worse, people_of(pairs, 50, 3))
    difference = both["difference"]["auc"]["difference"]
    assert (
        difference == pytest.approx(both["with"]["auc"]["value"] - both["without"]["auc"]["value"]) and difference > 0
    )
