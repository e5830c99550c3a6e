"""The stage `attack` on a few faces of ORL, with a random recognizer and a random decoder in closed form."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from dfd.core.errors import DfdError
from dfd.decoder.registry import build_decoder, save_decoder
from dfd.faces.store import FaceStore, write_index
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.recognizers.vgg import VGG16
from dfd.templates.embedding import embed_faces
from dfd.templates.store import write_templates

ROOT = Path(__file__).parents[2]
OPTIONS = {"size": 32, "width": 0.05, "normalise": True, "layer": "fc7", "tap": "conv4_3"}
PICTURES = {"grid.png", "targeted.png", "roc.png", "epsilon.png"}
TABLES = {"targeted.csv", "roc.csv", "epsilon.csv"}
SMALL = {"pairs": 6, "matching_pairs": 12, "epsilon": 8, "epsilons": [2]}
SMALL_CW = {"pairs": 2, "searches": 2, "iterations": 10}


@pytest.fixture(scope="module")
def checkout(orl_store, tmp_path_factory) -> Path:
    """A folder with what the stage reads: 20 faces of 4 people, and training faces of 4 others."""
    folder = tmp_path_factory.mktemp("attack")
    for name in ("orl", "synthetic"):
        (folder / "data/faces").mkdir(parents=True, exist_ok=True)
        shutil.copy(orl_store.path, folder / f"data/faces/{name}.h5")
    write_index(folder / "data/faces/orl.parquet", orl_store.index)
    others = orl_store.index.assign(split="train", identity="t" + orl_store.index["identity"])
    write_index(folder / "data/faces/synthetic.parquet", others)
    torch.manual_seed(0)
    recognizer, faces = build_recognizer("vgg16", OPTIONS), FaceStore(folder / "data/faces/orl.h5")
    save_recognizer(folder / "data/recognizers/vgg.safetensors", recognizer, "vgg16", OPTIONS)
    template, _ = embed_faces(recognizer, faces)
    write_templates(folder / "data/templates/orl/vgg.h5", faces, template.numpy(), None, {})
    options = {"size": 28}
    config = {"architecture": "linear", "dimension": template.shape[1], "options": options}
    save_decoder(
        folder / "data/decoders/vgg-resnet.safetensors", build_decoder("linear", template.shape[1], options), config
    )
    return folder


@pytest.fixture
def stage(checkout, monkeypatch):
    """A function: runs the stage with changes of the variants, and gives its metrics and its plots' names and bytes."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    module = importlib.import_module("stages.attack")
    monkeypatch.chdir(checkout)

    def run(variants=("vgg-resnet",), leakage: bool = False):
        yaml = YAML()
        values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        values["attacks"].update(SMALL)
        values["attacks"]["cw_l2"].update(SMALL_CW)
        values["bootstrap"], values["device"] = 100, "cpu"
        values["variants"] = {name: dict(zip(("template", "perceptual"), name.split("-"))) for name in variants}
        values["roles"]["allow_leakage"] = leakage
        with open("params.yaml", "w", encoding="utf-8") as file:
            yaml.dump(values, file)
        shutil.rmtree("plots", ignore_errors=True)
        module.main("vgg")
        plots = {path.name: path.read_bytes() for path in Path("plots/attack/vgg").iterdir()}
        return json.loads(Path("metrics/attack/vgg.json").read_text()), plots

    run.module = module
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
    monkeypatch.setattr(stage.module, "with_most_photos", lambda *_: np.zeros(0, int))
    metrics, plots = stage()
    assert "at least 2" in metrics["attack_note"] and metrics["n_identities"] == 0 and set(plots) == {"note.txt"}


def test_people_seen_in_training_are_refused(stage, checkout):
    path = checkout / "data/faces/synthetic.parquet"
    kept = path.read_bytes()
    index = pd.read_parquet(path)
    write_index(path, index.assign(identity=index["identity"].str.removeprefix("t")))
    try:
        with pytest.raises(DfdError, match="seen in training"):
            stage()
        assert stage(leakage=True)[0]["leaked_identities"] == 4
    finally:
        path.write_bytes(kept)
