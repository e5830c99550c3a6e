"""SAR and its operating points against loops over all comparisons, and against `tar_at_far`."""

import numpy as np
import pytest

from dfd.measures.acceptance import attempts
from dfd.measures.verification import cosine_pairs, tar_at_far
from dfd.studies.inversion.attack_rate import Attacked, attack_rates, operating_points, rate_curve

PEOPLE = np.repeat([f"p{i}" for i in range(12)], 3)


def templates(seed: int, noise: float = 0.6) -> np.ndarray:
    centres = np.random.default_rng(9).normal(size=(12, 8))
    return (centres.repeat(3, 0) + noise * np.random.default_rng(seed).normal(size=(36, 8))).astype(np.float32)


def cosine(a, b) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("fmr", [0.1, 0.01, 0.003])
def test_a_point_is_that_of_the_roc(fmr):
    pairs = cosine_pairs(templates(0), templates(0), PEOPLE)
    point, expected = operating_points(pairs, [fmr])[fmr], tar_at_far(pairs, fmr)
    assert point.threshold == expected["threshold"]
    assert point.metrics["fmr"] == expected["far"] <= fmr
    assert point.metrics["fnmr"] == pytest.approx(1 - expected["value"])
    assert point.metrics["accepted_impostor"] == expected["accepted_impostor"]


def test_too_few_impostors_are_null_with_a_note():
    point = operating_points(cosine_pairs(templates(0), templates(0), PEOPLE), [1e-4])[1e-4]
    assert point.threshold is None and "594 impostor pairs are too few" in point.metrics["threshold_note"]


def test_an_impostor_with_the_highest_score_of_all_leaves_no_threshold():
    photos = templates(0)
    photos[3] = photos[6] = photos[9] = photos[0]  # six impostor pairs with cosine 1
    point = operating_points(cosine_pairs(photos, photos, PEOPLE), [0.005])[0.005]
    assert point.threshold is None and "highest score" in point.metrics["threshold_note"]


def test_people_with_one_photo_have_a_threshold_and_type_1_alone():
    alone = np.array([f"p{i}" for i in range(36)])
    photos = templates(0)
    points = operating_points(cosine_pairs(photos, photos, alone), [0.1])
    assert points[0.1].threshold is not None and points[0.1].metrics["fnmr"] is None
    found = attack_rates(Attacked(attempts(photos, photos, alone), alone, points), 100, 0)["fmr_0.1"]
    assert found["type_1"]["value"] == 1 and found["type_1"]["n"] == 36
    assert found["type_2"]["value"] is None and "two photos" in found["type_2"]["sar_note"]


@pytest.mark.parametrize("grouped", [False, True])
def test_attempts_are_what_loops_find(grouped):
    photos, attacks, faces = templates(0), templates(1)[:5], np.array([0, 4, 5, 20, 35])
    groups = np.arange(36) // 2 if grouped else np.arange(36)
    found = attempts(attacks, photos, PEOPLE, faces, groups)
    assert found.same == pytest.approx([cosine(a, photos[i]) for a, i in zip(attacks, faces, strict=True)], abs=1e-6)
    expected = [
        (k, cosine(attacks[k], photos[j]))
        for k, i in enumerate(faces)
        for j in range(36)
        if PEOPLE[i] == PEOPLE[j] and groups[i] != groups[j]
    ]
    ours = sorted(zip(found.attack.tolist(), found.other.tolist(), strict=True))
    assert np.array(ours) == pytest.approx(np.array(sorted(expected)), abs=1e-5)


def test_rates_count_all_attempts_and_differences_are_paired():
    photos, attacks = templates(0), templates(1)
    points = operating_points(cosine_pairs(photos, photos, PEOPLE), [0.05, 1e-4])
    tried = attempts(attacks, photos, PEOPLE)
    found = attack_rates(Attacked(tried, PEOPLE, points), 200, 0)
    own, other = tried.same >= points[0.05].threshold, tried.other >= points[0.05].threshold
    rates = found["fmr_0.05"]
    assert (rates["type_1"]["accepted"], rates["type_1"]["n"]) == (own.sum(), 36)
    assert rates["type_2"]["value"] == pytest.approx(other.mean()) and rates["type_2"]["n"] == 72
    difference = np.mean([other[a] - float(own[k]) for a, k in enumerate(tried.attack)])
    assert rates["type_2_minus_type_1"]["mean"] == pytest.approx(difference)
    assert rates["type_1"]["ci95_low"] <= rates["type_1"]["value"] <= rates["type_1"]["ci95_high"]
    assert found["fmr_0.0001"]["type_2"]["value"] is None


def test_a_curve_is_the_rates_at_its_thresholds():
    photos, attacks = templates(0), templates(1)
    pairs, tried = cosine_pairs(photos, photos, PEOPLE), attempts(attacks, photos, PEOPLE)
    curve = rate_curve(pairs, tried)
    assert curve["fmr"].is_monotonic_increasing and curve["fmr"].iloc[-1] == 1
    for row in curve.itertuples():
        assert row.fmr == pytest.approx((pairs.scores[~pairs.genuine] >= row.threshold).mean())
        assert row.fnmr == pytest.approx((pairs.scores[pairs.genuine] < row.threshold).mean())
        assert row.type_1 == pytest.approx((tried.same >= row.threshold).mean())
        assert row.type_2 == pytest.approx((tried.other >= row.threshold).mean())
