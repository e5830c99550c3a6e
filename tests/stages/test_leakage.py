"""Every stage that measures people refuses those whom something in it learned from."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from small_project import ROOT, change, fit_maps, stage

from dfd.core.artefacts import read_module, save_module
from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
from dfd.decoder.registry import load_decoder
from dfd.faces.store import FaceStore, write_index
from dfd.studies.disentangling import pfrnet
from dfd.studies.equivariance.perturbed import Perturbed, write_perturbed

DECODER = "data/decoders/vgg-resnet.safetensors"
REFUSED = r"orl\.h5: (\d) of \1 identities to be evaluated were seen in training \(s\d.*\), by .*\(synthetic\)"

# stage -> its arguments
STAGES = {
    "train_recognizer": ["vgg"],
    "evaluate": ["vgg-resnet"],
    "verify": ["resnet"],
    "attack": ["vgg"],
    "occlude": [],
    "cluster": [],
    "aggregate": [],
    "disentangle": ["vgg"],
    "invert": ["vgg-resnet"],
    "reconstruct": [],
    "ablation": [],
    "recognizer_loss": [],
    "template_layer": [],
    "competitors": ["vgg-resnet"],
    "backbones": [],
    "adapters": [],
    "rivals": [],
    "map_gains": [],
}


def test_these_are_all_the_stages_that_measure_people():
    """By what they declare: a bootstrap is over people (only drawn by reconstruct), and leakage is allowed where it would be refused."""
    declared = {"roles.allow_leakage": set(), "bootstrap": set()}
    for file in ("dvc.yaml", "experiments/dvc.yaml"):
        for written in YAML(typ="safe").load((ROOT / file).read_text(encoding="utf-8"))["stages"].values():
            written = written.get("do", written)
            for param, stages in declared.items():
                if {param, param.partition(".")[0]} & set(written.get("params", [])):
                    stages.add(written["cmd"].split()[2].removeprefix("stages."))
    assert declared == {"roles.allow_leakage": set(STAGES), "bootstrap": STAGES.keys() - {"reconstruct"}}


def test_no_stage_asks_for_leakage_itself():
    """Test rows are had at the door, with the rule."""
    for name in STAGES:
        assert "refuse_leakage" not in (ROOT / f"stages/{name}.py").read_text(encoding="utf-8"), name


@pytest.fixture
def leaking(project, monkeypatch):
    """The small project with all that any stage reads; the four people of ORL, whom they test, are among those who taught."""
    monkeypatch.setattr(pfrnet, "FEWEST", {"training": 2, "validation": 1})
    change(lambda values: values["disentangling"].update(attribute_size=2, steps=10, batch_size=4))
    path = Path("data/faces/synthetic.parquet")
    index = pd.read_parquet(path).assign(gender=lambda index: pd.array(["male", "female"] * len(index))[: len(index)])
    taught = index.index[(index["split"] == "train") & index["row"].notna()]
    tested = FaceStore("data/faces/orl.h5").faces["identity"].unique()
    index.loc[taught[: len(tested)], "identity"] = tested
    write_index(path, index)
    fit_maps()
    stage("fit_closed_form", "vgg")
    faces = FaceStore("data/faces/orl.h5")
    for name in ("vgg", "resnet"):
        write_perturbed(f"data/perturbed/{name}.h5", faces, Perturbed(faces.rows("test"), {}))
    folders = [
        f"data/experiments/{name}" for name in ("ablation/full", "recognizer_loss/softmax", "template_layer/fc7")
    ]
    for folder, file in zip(folders, ("decoder-0", "decoder", "decoder"), strict=True):
        Path(folder).mkdir(parents=True)
        shutil.copy(DECODER, f"{folder}/{file}.safetensors")
    shutil.copy("data/recognizers/vgg.safetensors", f"{folders[1]}/recognizer.safetensors")
    competitors = [f"competitors/{name}-vgg-resnet" for name in ("inverted-vgg", "nbnet", "residual-deconvolution")]
    for name in ("ablation/pixel", "recognizer_loss/arcface", "template_layer/conv5-avg", *competitors):
        LeftOut("not trained here").write(f"data/experiments/{name}")


@pytest.mark.parametrize("name", STAGES)
def test_people_who_taught_are_refused(leaking, name):
    with pytest.raises(DfdError, match=REFUSED):
        stage(name, *STAGES[name])
    assert not Path("metrics").exists()


@pytest.mark.parametrize("name", ["evaluate", "adapters"])
def test_people_who_taught_a_decoder_elsewhere_are_refused(leaking, name):
    """They are known by the header of its file alone."""
    path = Path("data/faces/synthetic.parquet")
    index = pd.read_parquet(path)
    write_index(path, index.assign(identity=[f"t{number}" for number in range(len(index))]))
    config, state = read_module(DECODER)
    decoder = load_decoder(DECODER, "cpu")
    decoder.load_state_dict(state)
    save_module(DECODER, decoder, config | {"dataset": "elsewhere", "people": ["s1"]})
    with pytest.raises(DfdError, match=r"1 of 4 identities .* \(s1\), by decoder \(elsewhere\)"):
        stage(name, *STAGES[name])
