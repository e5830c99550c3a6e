"""Type I and II acceptance against loops over all comparisons."""

import numpy as np
import pytest

from dfd.evaluation.acceptance import accepted, attack_summary, has_pairs, unattacked
from dfd.evaluation.comparison import against

PEOPLE = np.array(["b", "a", "b", "c", "a", "b", "d", "d"])


def templates(seed: int) -> np.ndarray:
    """One direction per person, and noise."""
    rng = np.random.default_rng(seed)
    centres = {person: np.random.default_rng(ord(person)).normal(size=6) for person in "abcd"}
    return np.array([centres[person] + 0.7 * rng.normal(size=6) for person in PEOPLE]).astype(np.float32)


def cosine(a, b) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("threshold", [-1.0, 0.3, 0.8, 1.0])
def test_acceptance_is_what_loops_count(threshold):
    photos, attacks = templates(0), templates(1)
    found = accepted(attacks, photos, PEOPLE, threshold)
    own = [cosine(attacks[i], photos[i]) >= threshold for i in range(8)]
    other = {
        person: [
            cosine(attacks[i], photos[j]) >= threshold
            for i in range(8)
            for j in range(8)
            if i != j and PEOPLE[i] == PEOPLE[j] == person
        ]
        for person in "abcd"
    }
    assert found["type_1"].values.tolist() == own and found["type_1"].identities.tolist() == PEOPLE.tolist()
    for person, expected in other.items():
        ours = found["type_2"].values[found["type_2"].identities == person]
        assert sorted(ours) == sorted(expected)
    assert len(found["type_2"].values) == 6 + 2 + 0 + 2


def test_the_threshold_is_that_of_the_unattacked_system():
    photos = templates(0)
    before = unattacked(photos, PEOPLE, 0.1)
    pairs = [(i, j) for i in range(8) for j in range(i)]
    impostors = [cosine(photos[i], photos[j]) for i, j in pairs if PEOPLE[i] != PEOPLE[j]]
    genuine = [cosine(photos[i], photos[j]) for i, j in pairs if PEOPLE[i] == PEOPLE[j]]
    slack = 1e-6
    assert np.mean(np.array(impostors) >= before["threshold"] - slack) <= 0.1
    assert before["value"] == np.mean(np.array(genuine) >= before["threshold"] - slack)


def test_the_summary_of_perfect_and_of_blind_attacks():
    photos = templates(0)
    attacks = {"perfect": photos, "blind": -photos, "some": templates(1)}
    found = attack_summary(attacks, photos, PEOPLE, 0.1, against(attacks, "perfect"), 200, 0)
    tar = found["unattacked"]
    perfect, blind, some = (found["decoders"][name] for name in attacks)
    assert perfect["type_1"]["value"] == 1 and perfect["type_1"]["accepted"] == perfect["type_1"]["n"] == 8
    assert perfect["type_2"]["value"] == pytest.approx(tar["value"])  # an attack with the photos is the system itself
    assert perfect["type_2"]["n"] == 2 * tar["n_genuine"]
    assert blind["type_1"]["value"] == blind["type_2"]["value"] == 0
    difference = blind["type_1"]["minus_perfect"]
    assert difference["mean"] == -1 and difference["ci95_low"] is None and "ci95_note" in difference
    assert "minus_perfect" not in perfect["type_1"]
    for kind in ("type_1", "type_2"):
        share = some[kind]
        assert share["value"] == share["accepted"] / share["n"]
        assert share["ci95_low"] <= share["value"] <= share["ci95_high"]
        difference = share["minus_perfect"]
        assert difference["mean"] == pytest.approx(share["value"] - perfect[kind]["value"])
        assert difference["ci95_low"] <= difference["mean"] <= difference["ci95_high"]


def test_equal_inputs_give_equal_intervals():
    photos = templates(0)
    first, second = (attack_summary({"x": templates(1)}, photos, PEOPLE, 0.1, {"x": []}, 200, 3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("people", [list("abcdefgh"), ["a"] * 8])
def test_without_pairs_there_is_a_note(people):
    people = np.array(people)
    assert not has_pairs(people) and has_pairs(PEOPLE)
    found = attack_summary({"x": templates(1)}, templates(0), people, 0.1, {"x": []}, 100, 0)
    assert list(found) == ["acceptance_note"]


def test_without_a_threshold_there_is_a_note():
    photos = np.array([[1, 0], [1, 0], [0, 1]], np.float32)  # an impostor pair as alike as can be
    found = attack_summary({"x": photos}, photos, np.array(["a", "b", "a"]), 0.001, {"x": []}, 100, 0)
    assert found["unattacked"]["threshold"] is None and "left out" in found["acceptance_note"] and "decoders" not in found


def test_none_of_so_many_people_is_no_certainty():
    """No success in n trials: the exact interval ends where n failures have a chance of 2.5 %; all successes mirror it."""
    photos = templates(0)
    attacks = {"blind": -photos, "perfect": photos}
    found = attack_summary(attacks, photos, PEOPLE, 0.1, against(attacks, "perfect"), 200, 0)["decoders"]
    none, every = found["blind"]["type_1"], found["perfect"]["type_1"]
    assert none["ci95_low"] == 0 and (1 - none["ci95_high"]) ** 4 == pytest.approx(0.025)
    assert every["ci95_high"] == 1 and every["ci95_low"] ** 4 == pytest.approx(0.025)
    three = found["blind"]["type_2"]  # one person has a single photo
    assert (1 - three["ci95_high"]) ** 3 == pytest.approx(0.025)
