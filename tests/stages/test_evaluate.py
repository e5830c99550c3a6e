"""The stages `evaluate` and `invert` on a few faces: trained and imported decoders, of another size than the baselines."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML
from small_project import change, read, stage

from dfd.decoder.registry import build_decoder, decode, load_decoder, save_decoder
from dfd.faces.store import FaceStore, write_index
from dfd.measures.acceptance import unattacked
from dfd.measures.quality import psnr
from dfd.studies.disentangling import pfrnet
from dfd.studies.inversion import attributes
from dfd.templates.store import TemplateStore

SIZES = {"vgg-resnet": 14, "resnet-fidelity": 28}  # decoder, a trained and an imported one: pixels


def few(values: dict) -> None:
    values["import_decoder"] = {"resnet-fidelity": {"weights": "x", "template": "resnet"}}
    values["evaluate"] = {"max_faces": 15, "storage_faces": 4, "far": 0.1}
    values["verify"]["photos"] = 3
    values["inversion"] |= {"fmrs": [0.1, 0.0001], "max_faces": 8, "probe_faces": 20, "protected_faces": 6, "keys": 2}
    values["inversion"] |= {"refined_faces": 3, "refinement_steps": 2, "fine_tuning_steps": 2, "shown": 2}
    values["inversion"]["protections"] = [
        "8-bits",
        "axes-8",
        "biohash",
        "biohash-secret",
        "aggregated",
        "identity-part",
    ]
    values["disentangling"] |= {"attribute_size": 2, "steps": 10, "batch_size": 4}


@pytest.fixture
def decoders(project):
    """The small project with decoders in closed form, and two random ones of different sizes."""
    change(few)
    for name in ("vgg", "resnet"):
        stage("fit_closed_form", name)
    dimension = TemplateStore("data/templates/orl/vgg.h5", FaceStore("data/faces/orl.h5")).dimension
    for name, size in SIZES.items():
        decoder = build_decoder("linear", dimension, {"size": size})
        torch.nn.init.normal_(decoder.affine.weight, std=0.01)
        torch.nn.init.uniform_(decoder.affine.bias)
        config = {"architecture": "linear", "dimension": dimension, "options": {"size": size}}
        config |= {"dataset": "synthetic", "people": []}
        if name == "resnet-fidelity":  # a file that says with which losses it learned
            loss = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8"))["loss"]
            config["loss"] = loss | {"identity": 0.2}
        save_decoder(f"data/decoders/{name}.safetensors", decoder, config)


def evaluated(name: str) -> dict:
    stage("evaluate", name)
    return read(f"evaluate/{name}")


@pytest.mark.parametrize("name", SIZES)
def test_a_decoder_is_measured_at_its_own_size(decoders, name):
    metrics = evaluated(name)
    assert set(metrics) == {"synthetic", "orl"}
    template, size = name.partition("-")[0], SIZES[name]
    decoder, faces = (
        load_decoder(f"data/decoders/{name}.safetensors", torch.device("cpu")),
        FaceStore("data/faces/orl.h5"),
    )
    store = TemplateStore(f"data/templates/orl/{template}.h5", faces)
    rows, found = np.arange(15), metrics["orl"]
    expected = psnr(decode(decoder, store.template[rows]), faces.views(rows, size))
    assert found["psnr"]["mean"] == pytest.approx(float(expected.mean()), rel=1e-5)
    assert set(found["cosine"]) == {"vgg", "resnet"} and set(found["transfer"]) == {"vgg", "resnet"} - {template}
    # The threshold is of all test faces, at most three of each person; so are the attempts, of those evaluated.
    some = np.array([5 * person + photo for person in range(4) for photo in range(3)])
    before = unattacked(store.template[some].numpy(), faces.identities(some), 0.1)
    assert found["acceptance"]["unattacked"] == pytest.approx(before, rel=1e-5)
    tried = int((some < 15).sum())
    for attack in (found["acceptance"], *found["transfer"].values()):
        assert (attack["type_1"]["n"], attack["type_2"]["n"]) == (tried, 2 * tried)
    assert (
        {kept["psnr"]["n"] for kept in found["storage"].values()}
        == {kept["type_1"]["n"] for kept in found["storage"].values()}
        == {4}
    )
    for key in ("linear", "quadratic", "mean_face"):
        assert 5 < found["psnr"][key] < 40
    assert found["noise"]["top_octave"] > 1.3  # its random weights paint noise


def test_where_nobody_has_two_photos_nulls_have_notes(decoders):
    found = evaluated("vgg-resnet")["synthetic"]
    for attack in (found["acceptance"], *found["transfer"].values()):
        assert (
            attack["unattacked"]["threshold"] is None
            and attack["type_1"]["value"] is None
            and attack["type_2"]["acceptance_note"]
        )
    assert found["storage"]["float16"]["type_1"]["value"] is None and found["storage"]["float16"]["psnr"]["value"] > 0
    assert found["psnr"]["minus_quadratic"]["mean"] == pytest.approx(
        found["psnr"]["mean"] - found["psnr"]["quadratic"], rel=1e-4
    )


@pytest.mark.parametrize("name", SIZES)
def test_a_decoder_is_tried_as_an_attack(decoders, name, monkeypatch):
    path = Path("data/faces/orl.parquet")  # which now lists who wears glasses
    index = pd.read_parquet(path)
    write_index(path, index.assign(glasses=pd.array([True, False, False, None, True] * 4, dtype="boolean")))
    monkeypatch.setattr(attributes, "FEWEST", 1)
    if name == "resnet-fidelity":
        monkeypatch.setattr(pfrnet, "FEWEST", {"training": 1, "validation": 0})
    stage("invert", name)
    metrics = read(f"invert/{name}")
    own, found = name.partition("-")[0], metrics["orl"]
    assert (found["n_photos"], found["n_faces"], found["n_identities"]) == (12, 8, 4)
    assert {judge: rates["self_judged"] for judge, rates in found["transfer"].items()} == {
        judge: judge == own for judge in ("vgg", "resnet")
    }
    rates = found["transfer"][own]["fmr_0.1"]
    assert (rates["type_1"]["n"], rates["type_2"]["n"]) == (8, 16)
    assert "too few" in found["transfer"][own]["fmr_0.0001"]["type_1"]["sar_note"]
    assert set(found["sources"]) == {"decoder", "linear", "quadratic", "mean_face", "nearest"}
    decoder, faces = (
        load_decoder(f"data/decoders/{name}.safetensors", torch.device("cpu")),
        FaceStore("data/faces/orl.h5"),
    )
    rows = np.array([5 * person + photo for person in range(4) for photo in range(3)])
    rows = rows[np.linspace(0, 11, 8).round().astype(int)]
    store = TemplateStore(f"data/templates/orl/{own}.h5", faces)
    expected = psnr(decode(decoder, store.template[rows]), faces.views(rows, SIZES[name])).mean()
    assert found["sources"]["decoder"]["psnr"]["mean"] == pytest.approx(float(expected), rel=1e-5)
    protections = found["protections"]
    assert protections["none"]["unaware"]["type_1"]["n"] == 6 and protections["none"]["tar"]["n"] == 12
    assert "does not take them" in protections["biohash"]["unaware"]["type_1"]["sar_note"]
    if name == "vgg-resnet":
        assert protections.pop("identity-part") is None and "10 of each" in protections.pop("identity-part_note")
    else:
        part = protections["identity-part"]
        assert (
            part["unaware"]["type_1"]["value"] is None and part["aware"]["type_1"]["n"] == 6 and part["tar"]["n"] == 12
        )
    for protection, tuned in ((name, measures["tuned"]["type_1"]) for name, measures in protections.items()):
        if name == "vgg-resnet":
            assert "which losses" in tuned["sar_note"]
        elif protection == "aggregated":
            assert "nothing to undo" in tuned["sar_note"]
        else:
            assert tuned["n"] == 6
    assert protections["biohash"]["tar"]["value"] == protections["biohash-secret"]["tar"]["value"]
    assert protections["aggregated"]["unaware"]["type_2"]["n"] < protections["none"]["unaware"]["type_2"]["n"]
    assert 0 <= found["unlinkability"]["biohash"]["bins_10"]["value"] <= 1
    assert found["refinement"]["n_faces"] == 3 and set(found["refinement"]) >= {"vgg", "resnet", "psnr"}
    glasses = found["attributes"]["glasses"]
    assert (
        glasses["n_with"]
        and glasses["n_without"]
        and glasses["judge_note"].endswith({"vgg": "resnet", "resnet": "vgg"}[own])
    )
    assert all(0 <= glasses[source]["mean"] <= 1 for source in ("probe", "photo", "decoder", "nearest"))
    alone = metrics["synthetic"]
    assert "glasses" not in alone["attributes"] and "smile" not in found["attributes"]
    assert alone["transfer"][own]["fmr_0.1"]["type_2"]["value"] is None and "protections" not in alone
    for file in ("curves.csv", "curves.png", "judges.png", "spread.png", "sources.png", "protections.png"):
        assert Path(f"plots/invert/{name}/orl/{file}").stat().st_size > 100
