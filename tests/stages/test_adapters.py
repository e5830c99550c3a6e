"""The stage `adapters` on a few faces, with tiny networks."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from dfd.decoder.registry import build_decoder, decode, load_decoder, save_decoder
from dfd.faces.store import FaceStore
from dfd.measures.acceptance import accepted, unattacked
from dfd.photos.archives import write_photos
from dfd.photos.synthetic import synthetic_photos
from dfd.recognizers.registry import load_recognizer, save_recognizer
from dfd.recognizers.vgg import VGG16
from dfd.templates.embedding import embed_faces, embed_images
from dfd.templates.store import TemplateStore, write_templates

ROOT = Path(__file__).parents[2]
TINY = {"size": 32, "width": 0.05, "normalise": True, "layer": "fc7", "tap": "conv2_2"}
OTHER = TINY | {"layer": "conv5-avg"}  # templates of another length
OPTIONS = {"size": 14, "hidden": 16, "rank": 8, "channels": 8, "axes": 3}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, to_store, orl_store):
    """A folder with ORL, 25 synthetic training faces or more, two recognizers, their templates and a decoder."""
    folder = tmp_path_factory.mktemp("project")
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["recognizers"] = {name: {"architecture": "vgg16", "options": TINY} for name in ("vgg", "resnet")}
    values["evaluate"] |= {"far": 0.1}
    values["bootstrap"] = 100
    values["experiments"]["adapters"] = {
        "decoder": "resnet-vgg",
        "recognizers": ["vgg"],
        "pairs": [20, 22, 9000],
        "max_faces": 15,
    }
    write_photos(folder / "synthetic.tar", synthetic_photos(32, seed=1))
    (folder / "data/faces").mkdir(parents=True)
    to_store(
        folder / "synthetic.tar",
        folder / "data/faces/synthetic.h5",
        shares={"train": 0.8, "validation": 0.1, "test": 0.1},
    )
    for suffix in (".h5", ".parquet"):
        shutil.copy(orl_store.path.with_suffix(suffix), folder / f"data/faces/orl{suffix}")
    values["faces"]["geometry"] = orl_store.geometry
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(values, file)
    for seed, (name, options) in enumerate({"vgg": OTHER, "resnet": TINY}.items()):
        torch.manual_seed(seed)
        path = folder / f"data/recognizers/{name}.safetensors"
        save_recognizer(path, VGG16(**options), "vgg16", options)
        for dataset in ("synthetic", "orl"):
            store = FaceStore(folder / f"data/faces/{dataset}.h5")
            template, mirrored = embed_faces(load_recognizer(path, CPU, orl_store.geometry), store)
            arrays = template.numpy(), None if mirrored is None else mirrored.numpy()
            write_templates(folder / f"data/templates/{dataset}/{name}.h5", store, *arrays, {"weights_sha256": name})
    store = TemplateStore(folder / "data/templates/synthetic/resnet.h5", FaceStore(folder / "data/faces/synthetic.h5"))
    decoder = build_decoder("residual", store.dimension, OPTIONS)
    decoder.set_statistics(store.template[store.rows("train")], torch.full((3, 14, 14), 0.5))
    torch.nn.init.normal_(decoder.skip[-1].weight)
    config = {"architecture": "residual", "dimension": store.dimension, "options": OPTIONS}
    config |= {"dataset": "synthetic", "people": []}
    save_decoder(folder / "data/decoders/resnet-vgg.safetensors", decoder, config)
    return folder


@pytest.fixture
def stage(finished, monkeypatch):
    """A function: runs the stage in the folder and gives the metrics."""
    monkeypatch.chdir(finished)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])

    def run() -> dict:
        importlib.import_module("stages.adapters").main()
        return json.loads(Path("metrics/adapters/vgg.json").read_text(encoding="utf-8"))

    return run


def test_each_number_of_pairs_is_judged_by_the_system_itself(stage):
    metrics = stage()
    assert (metrics["n_faces"], metrics["n_identities"], metrics["leaked_identities"]) == (15, 3, 0)
    for kinds in (metrics["20"], metrics["22"], metrics["own"]):
        assert kinds["type_1"]["n"] == 15 and kinds["type_2"]["n"] == 15 * 4
        for share in (kinds["type_1"], kinds["type_2"]):
            assert share["value"] == pytest.approx(share["accepted"] / share["n"], abs=1e-5)
            assert share["ci95_low"] <= share["value"] <= share["ci95_high"]
    assert metrics["22"]["n_people"] == 22
    for name in ("cosine", "cosine_whitened"):
        assert -1 <= metrics["22"][name] <= 1 and metrics["22"][name] != metrics["20"][name]
    table = pd.read_csv("plots/adapters/vgg.csv")
    assert sorted(table["count"].unique()) == [20, 22] and len(table) == 4
    with Image.open("plots/adapters/vgg.png") as image:
        assert min(image.size) > 100


def test_a_number_of_pairs_that_there_are_not_is_null(stage):
    beyond = stage()["9000"]
    assert beyond["type_1"]["value"] is None and beyond["type_2"]["n"] is None and beyond["cosine"] is None
    assert "the data set has 2" in beyond["pairs_note"] and "pairs" in beyond["type_1"]["acceptance_note"]


def test_its_own_is_the_decoder_without_an_adapter(stage):
    own = stage()["own"]
    faces = FaceStore("data/faces/orl.h5")
    store = TemplateStore("data/templates/orl/resnet.h5", faces)
    recognizer = load_recognizer("data/recognizers/resnet.safetensors", CPU, faces.geometry)
    decoder = load_decoder("data/decoders/resnet-vgg.safetensors", CPU)
    seen = embed_images(recognizer, decode(decoder, store.template[:15])).numpy()
    before = unattacked(store.template[:].numpy(), faces.identities(range(20)), 0.1)
    expected = accepted(seen, store.template[:15].numpy(), faces.identities(range(15)), before["threshold"])
    for kind, (values, _) in expected.items():
        assert own[kind]["accepted"] == values.sum()


def test_what_cannot_embed_faces_is_left_out(stage, monkeypatch):
    monkeypatch.setattr(VGG16, "embeds_images", False)
    metrics = stage()
    assert metrics["20"] is None and metrics["own"] is None and "precomputed" in metrics["adapters_note"]
    assert Path("plots/adapters/vgg.png").is_file() and list(pd.read_csv("plots/adapters/vgg.csv"))
