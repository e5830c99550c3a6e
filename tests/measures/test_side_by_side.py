"""Recognizers on the same faces: paired differences by their definition."""

import numpy as np
import pytest

from dfd.measures.side_by_side import gains_by_recognizer, verification_by_recognizer
from dfd.measures.verification import cosine_pairs, gain_difference, paired_summary, verification_summary

PEOPLE = np.repeat([f"p{i}" for i in range(8)], 3)


def templates(seed: int, noise: float) -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(8, 5)).repeat(3, 0)
    return (centres + noise * np.random.default_rng(seed).normal(size=centres.shape)).astype(np.float32)


def pairs(own, other):
    return cosine_pairs(own, other, PEOPLE)


def test_verification_beside_that_of_the_first():
    both = {"a": templates(1, 1.0), "b": templates(2, 0.3)}
    found = verification_by_recognizer(both, PEOPLE, 50, 0)["verification"]
    alone = {
        name: verification_summary(pairs(own, own), samples=50, generator=np.random.default_rng(0))
        for name, own in both.items()
    }
    assert found["a"] == alone["a"] and "minus_b" not in found["a"]
    difference = found["b"].pop("minus_a")
    assert found["b"] == alone["b"]
    gain = alone["b"]["auc"]["value"] - alone["a"]["auc"]["value"]
    assert gain > 0 and difference["auc"]["difference"] == pytest.approx(gain)


def test_people_without_pairs_are_a_note():
    assert (
        "no person" in verification_by_recognizer({"a": templates(1, 1.0)}, np.arange(24), 50, 0)["verification_note"]
    )
    assert "no person" in gains_by_recognizer({"a": templates(1, 1.0)}, {}, {}, np.arange(24), 50, 0)["maps_note"]


def test_a_gain_beside_another_is_the_difference_of_both():
    a, b = (templates(seed, noise) for seed, noise in ((1, 0.3), (2, 0.5)))
    bad, good = templates(3, 2.0), templates(4, 0.4)
    ours, theirs = (pairs(a, good), pairs(a, bad)), (pairs(b, b), pairs(b, good))
    found = gain_difference(ours, theirs, samples=200, generator=np.random.default_rng(0))
    gains = [
        paired_summary(*sides, samples=200, generator=np.random.default_rng(0))["difference"]
        for sides in (ours, theirs)
    ]
    for measure, value in found.items():
        assert value["difference"] == pytest.approx(gains[0][measure]["difference"] - gains[1][measure]["difference"])
        assert value["ci95_low"] <= value["ci95_high"]
    same = gain_difference(ours, ours, samples=50, generator=np.random.default_rng(0))
    assert all(value == {"difference": 0, "ci95_low": 0, "ci95_high": 0} for value in same.values())
    with pytest.raises(ValueError, match="same pairs"):
        gain_difference(ours, (cosine_pairs(b, b, PEOPLE[::-1]), theirs[1]), generator=np.random.default_rng(0))


def test_the_gains_of_maps_by_condition():
    originals = {"a": templates(1, 0.3), "b": templates(2, 0.3)}
    perturbed = {name: {"rotated": templates(5, 2.0)} for name in originals}
    mapped = {"a": {"rotated": templates(5, 2.0)}, "b": {"rotated": templates(6, 0.3)}}
    found = gains_by_recognizer(originals, perturbed, mapped, PEOPLE, 100, 0)
    assert list(found) == ["rotated"] and list(found["rotated"]) == ["b"]
    assert found["rotated"]["b"]["minus_a"]["auc"]["difference"] > 0  # the map of b undoes all, that of a nothing
