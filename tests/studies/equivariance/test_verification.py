"""Table 2's figures against the functions of single figures."""

import numpy as np
import pandas as pd
import pytest

from dfd.measures.estimates import People
from dfd.measures.verification import cosine_pairs
from dfd.studies.equivariance.perturbed import Sides
from dfd.studies.equivariance.verification import all_pairs, gains_by_recognizer, listed_pairs, photos_compared
from dfd.studies.equivariance.view2 import pair_scores, people_of, view2_paired, view2_summary


@pytest.fixture(scope="module")
def faces():
    """40 people with 3 photos each: originals, perturbed and mapped templates (120, 8), identities and keys."""
    generator = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 3)
    originals = (generator.normal(size=(40, 8))[people] + 0.6 * generator.normal(size=(120, 8))).astype(np.float32)
    noise = generator.normal(size=(120, 8)).astype(np.float32)
    keys = [f"p{person}/p{person}_{number % 3 + 1:04d}.jpg" for number, person in enumerate(people)]
    return originals, {"worse": originals + 2 * noise}, {"worse": originals + noise}, people, keys


def test_all_pairs(faces):
    originals, perturbed, mapped, people, _ = faces
    metrics, curves = all_pairs(originals, perturbed, mapped, People(people, 30, 5))
    fars = (0.0001, 0.001, 0.01)
    plain = cosine_pairs(originals, originals, people)
    everybody = People(people, 30, 5)
    assert metrics["original"]["without"] == everybody.verification(plain, fars).metrics()
    with_, without = (
        everybody.verification(cosine_pairs(originals, side["worse"], people), fars) for side in (mapped, perturbed)
    )
    difference = (with_ - without).metrics()
    assert metrics["worse"] == {"with": with_.metrics(), "without": without.metrics(), "difference": difference}
    assert metrics["worse"]["difference"]["auc"]["difference"] > 0  # mapped, with less noise, is better
    assert set(map(tuple, curves[["condition", "map"]].drop_duplicates().to_numpy())) == {
        ("original", "without"), ("worse", "without"), ("worse", "with")
    }  # fmt: skip


def test_without_a_condition_there_is_the_original_only(faces):
    metrics, curves = all_pairs(faces[0], {}, {}, People(faces[3], 30, 5))
    assert list(metrics) == ["original"] and set(curves["condition"]) == {"original"}


def test_listed_pairs(faces):
    originals, perturbed, mapped, people, keys = faces
    rows = [
        (fold, keys[first], keys[second], bool(people[first] == people[second]))
        for fold in (1, 2)
        for first in range(60 * fold - 60, 60 * fold, 3)
        for second in (first + 1, (first + 3) % 60 + 60 * fold - 60)
    ]
    pairs = pd.DataFrame(rows, columns=["fold", "first", "second", "genuine"])
    metrics = listed_pairs(pairs, keys, originals, perturbed, mapped, people_of(pairs, 30, 5))
    plain = pair_scores(pairs, keys, originals)
    assert metrics["original"]["without"] == view2_summary(pairs, plain, people_of(pairs, 30, 5))
    sides = [pair_scores(pairs, keys, originals, side["worse"]) for side in (mapped, perturbed)]
    assert metrics["worse"] == view2_paired(pairs, *sides, people_of(pairs, 30, 5))
    assert not np.allclose(sides[0], sides[1])


def test_of_a_person_only_the_first_photos_are_compared(faces):
    metrics, curves = photos_compared(Sides(*faces[:3]), faces[3], 2, 30, 5)
    kept = np.arange(120) % 3 < 2
    some = [faces[0][kept], *({"worse": side["worse"][kept]} for side in faces[1:3])]
    table, expected = all_pairs(*some, People(faces[3][kept], 30, 5))
    assert metrics == {"faces_beyond_limit": 40} | table and curves.equals(expected)


@pytest.mark.parametrize("identities", [np.zeros(3), np.arange(3), np.arange(0)])
def test_without_pairs_of_both_kinds_there_is_a_note(identities):
    none = np.zeros((len(identities), 2))
    metrics, curves = photos_compared(Sides(none, {"worse": none}, {"worse": none}), identities, 2, 30, 5)
    assert metrics["original"] is None and metrics["worse"] is None and not len(curves)
    assert metrics["worse_note"].startswith(f"{len(identities)} faces of {len(set(identities))} people: too few")


def test_the_gains_of_maps_by_condition(faces):
    originals, perturbed, mapped, identities, _ = faces
    people = People(identities, 100, 0)
    # the map of b undoes a part of the noise, that of a nothing: what is left is the gain of b
    compared = {"a": Sides(originals, perturbed, perturbed), "b": Sides(originals, perturbed, mapped)}
    found = gains_by_recognizer(compared, people)
    assert list(found) == ["worse"] and list(found["worse"]) == ["b"]
    with_, without = (
        people.verification(cosine_pairs(originals, view["worse"], identities)) for view in (mapped, perturbed)
    )
    assert found["worse"]["b"]["minus_a"] == (with_ - without).metrics()
    assert found["worse"]["b"]["minus_a"]["auc"]["ci95_low"] > 0
    assert "no person" in gains_by_recognizer(compared, People(np.arange(120), 50, 0))["maps_note"]
