"""What probes and pictures tell of perceived attributes, beside chance."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from dfd.measures.estimates import People
from dfd.studies.inversion.attributes import Perceived, attribute_metrics, by_person, listed, probed, trait_metrics


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


def glasses(seed: int, tells: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of 60 people with 4 photos each whether they wear glasses, the people, and templates that tell it so clearly."""
    rng = np.random.default_rng(seed)
    shows = rng.random(240) < 0.3
    templates = rng.normal(size=(240, 8))
    templates[:, 0] += tells * shows
    return shows.astype(float), np.repeat(np.arange(60), 4).astype(str), templates


def test_probes_tell_what_is_listed_of_people_whom_they_did_not_see():
    shows, people, templates = glasses(0, 6.0)
    attacked, nothing = np.arange(0, 240, 3), np.zeros((80, 8))
    probes = [
        (templates, {"probe": templates[attacked]}),
        (templates, {"photo": templates[attacked], "decoder": nothing}),
    ]
    found = trait_metrics(shows, people, attacked, probes, 200, 0)
    chance = max(shows[attacked].mean(), 1 - shows[attacked].mean())
    assert found["chance"] == pytest.approx(chance) and found["n_with"] + found["n_without"] == 80
    assert found["photo"]["mean"] > 0.97 and found["photo"]["minus_chance"]["ci95_low"] > 0.1
    assert found["probe"] == found["photo"] and found["decoder"]["balanced"]["value"] == 0.5
    _, _, silent = glasses(0, 0.0)
    found = trait_metrics(shows, people, attacked, [(silent, {"probe": silent[attacked]})], 200, 0)
    assert found["probe"]["balanced"]["ci95_low"] < 0.55  # a person's other photos would have told it


def test_too_few_with_a_trait_are_null_with_a_note():
    shows, people, templates = glasses(0, 6.0)
    shows[9:] = 0
    found = trait_metrics(shows, people, np.arange(9), [(templates, {"probe": templates[:9]})], 100, 0)
    assert found["probe"] is None and "too few for a probe" in found["probe_note"]


def test_only_what_the_data_set_lists_is_asked(orl_store):
    assert listed(orl_store, np.arange(3)) == {}
    with_column = copy.copy(orl_store)
    column = pd.array([True, False, None] + [None] * (len(orl_store) - 3), dtype="boolean")
    with_column.faces = orl_store.faces.assign(smile=column)
    found = listed(with_column, np.arange(3))
    assert set(found) == {"smile"} and found["smile"][:2].tolist() == [1, 0] and np.isnan(found["smile"][2])
