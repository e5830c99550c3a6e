"""Recognizers on the same faces: paired differences by their definition."""

import numpy as np
import pytest

from dfd.measures.estimates import People
from dfd.measures.side_by_side import verification_by_recognizer
from dfd.measures.verification import cosine_pairs

PEOPLE = np.repeat([f"p{i}" for i in range(8)], 3)


def templates(seed: int, noise: float) -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(8, 5)).repeat(3, 0)
    return (centres + noise * np.random.default_rng(seed).normal(size=centres.shape)).astype(np.float32)


def pairs(own, other):
    return cosine_pairs(own, other, PEOPLE)


def test_verification_beside_that_of_the_first():
    both = {"a": templates(1, 1.0), "b": templates(2, 0.3)}
    found = verification_by_recognizer(both, People(PEOPLE, 50, 0))["verification"]
    alone = {name: People(PEOPLE, 50, 0).verification(pairs(own, own)).metrics() for name, own in both.items()}
    assert found["a"] == alone["a"] and "minus_b" not in found["a"]
    difference = found["b"].pop("minus_a")
    assert found["b"] == alone["b"]
    gain = alone["b"]["auc"]["value"] - alone["a"]["auc"]["value"]
    assert gain > 0 and difference["auc"]["difference"] == pytest.approx(gain)


def test_people_without_pairs_are_a_note():
    strangers = People(np.arange(24), 50, 0)
    assert "no person" in verification_by_recognizer({"a": templates(1, 1.0)}, strangers)["verification_note"]
