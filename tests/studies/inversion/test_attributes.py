"""What probes and pictures tell of perceived attributes, beside chance."""

import numpy as np
import pytest
import torch

from dfd.measures.estimates import People
from dfd.studies.inversion.attributes import Perceived, attribute_metrics, by_person, probed


def world(count: int, seed: int) -> tuple[torch.Tensor, Perceived]:
    """Templates whose first number tells gender, and whose second tells age."""
    rng = np.random.default_rng(seed)
    male, age = rng.random(count) < 0.7, rng.uniform(20, 60, count)
    templates = np.column_stack([np.where(male, 1, -1), (age - 40) / 20, rng.normal(size=(count, 6))])
    return torch.from_numpy(templates).float(), Perceived(male, age)


def test_linear_probes_find_what_is_linear():
    training, labels = world(400, 0)
    templates, truth = world(100, 1)
    found = probed(training, labels, templates)
    assert (found.male == truth.male).mean() == 1 and np.abs(found.age - truth.age).mean() < 1
    assert probed(training, Perceived(np.ones(400, bool), labels.age), templates) is None


def test_a_person_has_one_label():
    labels = by_person(
        Perceived(np.array([True, True, False, False]), np.array([20.0, 30, 40, 50])), np.array(list("aaab"))
    )
    assert labels.male.tolist() == [True, True, True, False] and labels.age.tolist() == [30, 30, 30, 50]


def test_accuracies_stand_beside_chance():
    _, labels = world(200, 2)
    people = People(np.arange(200).astype(str), 200, 0)
    wrong = Perceived(~labels.male, labels.age + 5)
    told = {"photo": labels, "probe": None, "decoder": wrong}
    found = attribute_metrics(told, labels, world(400, 0)[1], people)
    majority = max(labels.male.mean(), 1 - labels.male.mean())
    assert found["gender"]["chance"] == pytest.approx(majority)
    assert found["gender"]["photo"]["mean"] == 1 and found["gender"]["photo"]["balanced"]["value"] == 1
    assert found["gender"]["decoder"]["mean"] == 0 and found["gender"]["decoder"]["balanced"]["value"] == 0
    assert found["gender"]["photo"]["minus_chance"]["mean"] == pytest.approx(1 - majority)
    assert found["gender"]["probe"]["mean"] is None and "one gender" in found["gender"]["probe"]["probe_note"]
    assert found["age"]["decoder"]["mean"] == pytest.approx(5) and 8 < found["age"]["chance"] < 12
    assert found["n_male"] + found["n_female"] == 200


def test_one_gender_has_no_balance():
    labels = Perceived(np.ones(4, bool), np.full(4, 30.0))
    found = attribute_metrics({"photo": labels}, labels, labels, People(list("abcd"), 100, 0))
    assert found["gender"]["photo"]["balanced"]["value"] is None
