"""Type I and II acceptance against loops over all comparisons."""

import numpy as np
import pytest

from dfd.core.artefacts import write_json
from dfd.measures.acceptance import accepted, attack_summary, has_pairs, unattacked
from dfd.measures.estimates import People
from dfd.studies.reconstruction.comparison import against

PEOPLE = np.array(["b", "a", "b", "c", "a", "b", "d", "d"])


def templates(seed: int) -> np.ndarray:
    """One direction per person, and noise."""
    rng = np.random.default_rng(seed)
    centres = {person: np.random.default_rng(ord(person)).normal(size=6) for person in "abcd"}
    return np.array([centres[person] + 0.7 * rng.normal(size=6) for person in PEOPLE]).astype(np.float32)


def summary(
    attacks: dict, photos: np.ndarray, people: np.ndarray = PEOPLE, far: float = 0.1, references=None, seed: int = 0
):
    """Against `perfect`, where it is among the attacks."""
    references = references or against(attacks, *({"perfect"} & attacks.keys()))
    return attack_summary(attacks, photos, People(people, 200, seed), unattacked(photos, people, far), references)


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
    assert found["type_1"].values.tolist() == own and found["type_1"].faces.tolist() == list(range(8))
    for person, expected in other.items():
        ours = found["type_2"].values[PEOPLE[found["type_2"].faces] == person]
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
    tar = unattacked(photos, PEOPLE, 0.1)
    perfect, blind, some = summary(attacks, photos).values()
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
    first, second = (summary({"x": templates(1)}, templates(0), seed=3) for _ in range(2))
    assert first == second


def test_the_threshold_is_the_one_given():
    """Of a system of more photos than are attacked, say: nothing but the given threshold decides."""
    photos, attacks = templates(0), templates(1)
    cosines = sorted(cosine(attack, photo) for attack, photo in zip(attacks, photos, strict=True))
    for count in (1, 4, 7):
        before = {"threshold": (cosines[7 - count] + cosines[8 - count]) / 2}
        found = attack_summary({"x": attacks}, photos, People(PEOPLE, 200, 0), before, {"x": []})["x"]
        assert (found["type_1"]["accepted"], found["type_1"]["n"]) == (count, 8)


@pytest.mark.parametrize("people", [list("abcdefgh"), ["a"] * 8])
def test_without_pairs_all_is_null_with_a_note(people, tmp_path):
    people = np.array(people)
    assert not has_pairs(people) and has_pairs(PEOPLE)
    before = unattacked(templates(0), people, 0.1)
    assert before["value"] is before["threshold"] is None and "no person has two photos" in before["threshold_note"]
    found = summary({"x": templates(1), "perfect": templates(0)}, templates(0), people)
    for kind in ("type_1", "type_2"):
        share = found["x"][kind]
        difference = share.pop("minus_perfect")
        assert {name for name, value in share.items() if value is not None} == {"acceptance_note"}
        assert set(share) == {"value", "ci95_low", "ci95_high", "accepted", "n", "acceptance_note"}
        assert difference["mean"] is None and difference["acceptance_note"] == share["acceptance_note"]
    write_json(tmp_path / "metrics.json", found)


def test_without_a_threshold_all_is_null_with_a_note():
    photos = np.array([[1, 0], [1, 0], [0, 1]], np.float32)  # an impostor pair as alike as can be
    people = np.array(["a", "b", "a"])
    assert unattacked(photos, people, 0.001)["threshold"] is None
    share = summary({"x": photos}, photos, people, 0.001)["x"]["type_1"]
    assert share["value"] is None and "impostor pair has the highest score" in share["acceptance_note"]


def test_of_single_photos_there_is_no_type_2():
    """The system has pairs, those who are attacked have none."""
    photos, people = templates(0), PEOPLE
    some = np.array([0, 1, 3, 6])
    before = unattacked(photos, people, 0.1)
    found = attack_summary({"x": photos[some]}, photos[some], People(people[some], 200, 0), before, {"x": []})["x"]
    assert found["type_1"]["value"] == 1 and found["type_1"]["n"] == 4
    assert found["type_2"]["value"] is None and "two of the photos" in found["type_2"]["acceptance_note"]


def test_an_attempt_without_a_template_is_an_attempt():
    """A reconstruction in which there is nothing to embed counts, as not accepted; a photo without template gives no
    pair."""
    photos, attacks = templates(0), templates(0)
    attacks[2] = np.nan
    found = summary({"x": attacks, "perfect": photos}, photos)["x"]
    assert (found["type_1"]["accepted"], found["type_1"]["n"]) == (7, 8)
    assert found["type_2"]["n"] == 10
    photos[3] = np.nan
    before, without = unattacked(photos, PEOPLE, 0.1), np.arange(8) != 3
    assert before == unattacked(photos[without], PEOPLE[without], 0.1)
    assert before["n_impostor"] == 7 * 6 // 2 - before["n_genuine"]


def test_none_of_so_many_people_is_no_certainty():
    """No success in n trials: the exact interval ends where n failures have a chance of 2.5 %; all successes mirror
    it."""
    photos = templates(0)
    attacks = {"blind": -photos, "perfect": photos}
    found = summary(attacks, photos)
    none, every = found["blind"]["type_1"], found["perfect"]["type_1"]
    assert none["ci95_low"] == 0 and (1 - none["ci95_high"]) ** 4 == pytest.approx(0.025)
    assert every["ci95_high"] == 1 and every["ci95_low"] ** 4 == pytest.approx(0.025)
    three = found["blind"]["type_2"]  # one person has a single photo
    assert (1 - three["ci95_high"]) ** 3 == pytest.approx(0.025)
