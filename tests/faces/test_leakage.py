"""Nobody who was seen in training is evaluated unnoticed."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from dfd.core.errors import DfdError
from dfd.faces.leakage import people_seen, person_hash, refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.project import Project
from dfd.templates.store import Templates

ROOT = Path(__file__).parents[2]


class Store:
    """As much of a face store as matters here: identities by split."""

    def __init__(self, name: str, **splits: str):
        self.name, self.path = name, Path(f"data/faces/{name}.h5")
        self.people = [(split, person) for split, people in splits.items() for person in people.split()]

    def rows(self, split: str) -> np.ndarray:
        return np.array([row for row, (own, _) in enumerate(self.people) if own == split], dtype=int)

    def identities(self, rows) -> np.ndarray:
        return np.array([person for _, person in self.people], dtype=str)[rows]


FACES = Store("a", train="anna anna ben", validation="clara", test="dan dan eve")
OTHER = Store("b", train="eve", test="anna ben clara dan")


def leaked(trained: dict, faces: Store, allow: bool = False) -> int:
    return refuse_leakage(
        {role: people_seen(store) for role, store in trained.items()}, faces, faces.rows("test"), allow
    )


def test_the_splits_of_a_data_set_do_not_leak():
    assert leaked({"decoder": FACES, "recognizer vgg": FACES}, FACES) == 0
    assert leaked({}, FACES) == 0
    assert leaked({"decoder": Store("c", test="dan eve")}, FACES) == 0


def test_people_of_another_data_set_do():
    with pytest.raises(DfdError) as error:
        leaked({"decoder": FACES, "recognizer vgg": OTHER}, OTHER)
    message = str(error.value)
    assert message.startswith("data/faces/b.h5: 3 of 4 identities") and "anna, ben, clara" in message
    assert (
        "decoder (a)" in message and "vgg" not in message and "roles.allow_leakage" in message and "\n" not in message
    )


def test_allowed_they_are_counted_once():
    assert leaked({"decoder": FACES, "recognizer vgg": FACES}, OTHER, allow=True) == 3
    assert leaked({"decoder": OTHER}, FACES, allow=True) == 1
    assert leaked({"decoder": FACES}, FACES, allow=True) == 0


def test_few_of_many_are_named():
    many = " ".join(f"p{n:03d}" for n in range(200))
    with pytest.raises(DfdError, match=r"200 of 200 .*\(p000, p001, p002, …\)"):
        leaked({"decoder": Store("c", train=many)}, Store("d", test=many))


def test_only_the_rows_that_are_evaluated_count():
    assert refuse_leakage({"decoder": people_seen(FACES)}, OTHER, OTHER.rows("test")[3:], allow=False) == 0


def test_what_learns_from_chosen_rows_has_seen_their_people_only():
    seen = people_seen(FACES, FACES.rows("test")[:2])
    assert seen == ("a", {"dan"})
    with pytest.raises(DfdError, match=r"1 of 4 identities .*\(dan\), by chosen \(a\)"):
        refuse_leakage({"chosen": seen}, OTHER, OTHER.rows("test"), allow=False)
    assert refuse_leakage({"chosen": seen}, FACES, FACES.rows("test")[2:], allow=False) == 0


def test_a_recognizer_has_seen_what_its_teachers_saw():
    def train(dataset, objective="distil", teacher="x"):
        return SimpleNamespace(dataset=dataset, objective=objective, teacher=teacher)

    settings = {
        "small": train("a", teacher="large"),
        "large": train("b", "softmax", teacher="other"),
        "other": train("c"),
    }
    assert trained_on("small", settings) == {"recognizer small": "a", "recognizer large": "b"}
    assert trained_on("large", settings) == {"recognizer large": "b"}
    assert trained_on("imported", settings) == {}
    circle = {"a": train("x", teacher="b"), "b": train("y", teacher="a")}
    assert trained_on("a", circle) == {"recognizer a": "x", "recognizer b": "y"}


TRAIN = {  # an entry of train_recognizer
    "dataset": "synthetic", "objective": "distil", "teacher": "resnet", "margin": 0.5, "arcface_scale": 32, "epochs": 6,
    "triplet_epochs": 0, "triplet_margin": 0.2, "batch_size": 32, "learning_rate": 2.0e-3,
}  # fmt: skip


@pytest.fixture
def same_people_twice(orl_photos, to_store, tmp_path, monkeypatch):
    """A project with the same people in two data sets, `copy` to train on and `orl` to test; a function that allows it."""
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    del values["datasets"]["synthetic"]
    values["datasets"]["copy"] = {"source": "folder", "path": "orl.tar", "split": {"train": 1.0}}
    values["roles"]["decoders"] = "copy"
    values["train_recognizer"] = {"vgg": TRAIN | {"dataset": "copy"}}
    del values["import_recognizer"]["vgg"]
    to_store(orl_photos, tmp_path / "data/faces/copy.h5", shares={"train": 1.0})
    to_store(orl_photos, tmp_path / "data/faces/orl.h5", shares={"test": 1.0})
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    monkeypatch.chdir(tmp_path)

    def allow(leakage: bool) -> None:
        values["roles"]["allow_leakage"] = leakage
        with open(tmp_path / "params.yaml", "w", encoding="utf-8") as file:
            yaml.dump(values, file)

    allow(False)
    return allow


def test_verify_refuses_before_it_opens_a_template(same_people_twice):
    main = importlib.import_module("stages.verify").main
    with pytest.raises(DfdError, match=r"orl\.h5: 4 of 4 identities .*maps \(copy\)") as error:
        main("resnet")
    assert "recognizer" not in str(error.value)  # imported
    with pytest.raises(DfdError, match=r"maps \(copy\), recognizer vgg \(copy\)"):
        main("vgg")
    same_people_twice(True)
    with pytest.raises(DfdError, match="data/templates"):  # the next thing that it opens
        main("resnet")


def without_templates(dataset: str) -> Templates:
    faces = FaceStore(f"data/faces/{dataset}.h5")
    return Templates(faces, torch.zeros(len(faces), 2), None)


@pytest.fixture
def evaluate(monkeypatch):
    """The stage, with nothing to load and nothing to measure."""
    stage = importlib.import_module("stages.evaluate")
    people = [person_hash(f"s{number}") for number in range(1, 41)]
    decoder = SimpleNamespace(config={"dataset": "copy", "people": people})
    monkeypatch.setattr("dfd.studies.reconstruction.study.load_lpips", lambda device: None)
    for name in ("decoder", "closed_form", "recognizer"):
        monkeypatch.setattr(Project, name, lambda *_: decoder)
    monkeypatch.setattr(
        Project, "template_stores", lambda self, dataset, names: dict.fromkeys(names, without_templates(dataset))
    )
    monkeypatch.setattr(stage.Study, "measured", lambda *_: {"psnr": {"mean": 1.0, "linear": 1.0}})
    return stage.main


def test_evaluate_refuses_or_counts(same_people_twice, evaluate):
    with pytest.raises(
        DfdError, match=r"orl\.h5: 4 of 4 identities .*baselines \(copy\), recognizer vgg \(copy\), decoder \(copy\)"
    ):
        evaluate("resnet-resnet")
    assert not Path("metrics").exists()
    same_people_twice(True)
    evaluate("resnet-resnet")
    metrics = json.loads(Path("metrics/evaluate/resnet-resnet.json").read_text(encoding="utf-8"))
    assert metrics == {
        "orl": {"psnr": {"mean": 1.0, "linear": 1.0}, "leaked_identities": 4, "faces_without_template": 0}
    }
