"""The stage `attack` on a few faces of ORL, with random networks."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_project
from small_project import change, read

from dfd.core.errors import DfdError
from dfd.faces.store import FaceStore, write_index
from dfd.recognizers.vgg import VGG16

PICTURES = {"grid.png", "targeted.png", "roc.png", "epsilon.png"}
TABLES = {"targeted.csv", "roc.csv", "epsilon.csv"}
SMALL = {"pairs": 6, "matching_pairs": 12, "epsilon": 8, "epsilons": [2]}
SMALL_CW = {"pairs": 2, "searches": 2, "iterations": 10}


@pytest.fixture
def stage(project):
    """A function: runs the stage with some of the variants, and gives its metrics and its plots' names and bytes."""

    def run(variants=("vgg-resnet",), leakage: bool = False):
        def few(values: dict) -> None:
            values["attacks"].update(SMALL)
            values["attacks"]["cw_l2"].update(SMALL_CW)
            values["variants"] = {name: dict(zip(("template", "perceptual"), name.split("-"))) for name in variants}
            values["experiments"]["ablation"]["variant"] = values["experiments"]["adapters"]["decoder"] = variants[0]
            values["experiments"]["competitors"]["variants"] = list(variants)
            values["roles"]["allow_leakage"] = leakage

        change(few)
        small_project.stage("attack", "vgg")
        return read("attack/vgg"), {path.name: path.read_bytes() for path in Path("plots/attack/vgg").iterdir()}

    return run


def nulls(values: dict):
    """The objects that hold a null."""
    for value in values.values():
        if isinstance(value, dict):
            yield from nulls(value)
    if None in values.values():
        yield values


def test_it_writes_metrics_and_plots_and_the_same_again(stage):
    metrics, plots = stage()
    assert set(plots) == PICTURES | TABLES
    assert (metrics["n_faces"], metrics["n_identities"], metrics["leaked_identities"]) == (20, 4, 0)
    assert metrics["identification"]["n_enrolled"] + metrics["identification"]["n_held_out"] == 20
    counts = {name: part["n_pairs"] for name, part in metrics["targeted"].items()}
    assert counts == {"original": 6, "tfgsm": 6, "itfgsm": 6, "tcw": 6, "itcw": 6, "cw-l2": 2}
    assert all("vgg-resnet" in part for part in metrics["targeted"].values())
    verification = metrics["verification"]
    assert verification["epsilon"] == 8 and verification["n_matching_pairs"] == 12
    assert set(verification) >= {"original", "attacked_by_2", "attacked_by_8", "decline"}
    assert set(verification["attacked_by_2"]) == {"before", "vgg-resnet"}
    for values in nulls(metrics):
        assert any(key.endswith("_note") for key in values), values
    epsilon = pd.read_csv("plots/attack/vgg/epsilon.csv")
    assert sorted(epsilon["epsilon"].unique()) == [0, 2, 8] and epsilon["tar"].between(0, 1).all()
    roc = pd.read_csv("plots/attack/vgg/roc.csv")
    assert len(roc.groupby(["attack", "decoding"])) == 4 and roc["far"].between(0, 1, inclusive="right").all()
    assert stage() == (metrics, plots)


def test_without_a_variant_that_decodes_it_all_is_before_decoding(stage):
    metrics, plots = stage(variants=("resnet-vgg",))
    assert set(plots) == PICTURES | TABLES and "vgg" in metrics["decoding_note"]
    assert set(metrics["verification"]["original"]) == {"before"}


def test_without_gradients_there_is_a_note_in_place_of_plots(stage, monkeypatch):
    monkeypatch.setattr(VGG16, "gives_gradients", False, raising=False)
    metrics, plots = stage()
    assert metrics["attack"] is None and "no gradients" in metrics["attack_note"]
    assert "targeted" not in metrics and metrics["n_faces"] == 20
    assert set(plots) == {"note.txt"} and plots["note.txt"].decode().strip() == metrics["attack_note"]


def test_without_people_of_enough_photos_there_is_a_note(stage, monkeypatch):
    monkeypatch.setattr(importlib.import_module("stages.attack"), "with_most_photos", lambda *_: np.zeros(0, int))
    metrics, plots = stage()
    assert "at least 2" in metrics["attack_note"] and metrics["n_identities"] == 0 and set(plots) == {"note.txt"}


def test_people_seen_in_training_are_refused(stage):
    path = Path("data/faces/synthetic.parquet")
    index = pd.read_parquet(path)
    taught = index.index[(index["split"] == "train") & index["row"].notna()]
    tested = FaceStore("data/faces/orl.h5").faces["identity"].unique()
    index.loc[taught[: len(tested)], "identity"] = tested
    write_index(path, index)
    with pytest.raises(DfdError, match="seen in training"):
        stage()
    assert stage(leakage=True)[0]["leaked_identities"] == 4
