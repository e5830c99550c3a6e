"""The stage `disentangle` on few faces, with a tiny recognizer and a linear decoder: what it writes and leaves out."""

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
from training import train_vgg

from dfd.decoder import registry as decoders
from dfd.decoder.closed_form import LinearDecoder
from dfd.faces.store import FaceStore
from dfd.measures.gender import LISTED, PREDICTED
from dfd.recognizers import registry
from dfd.recognizers.base import Recognizer
from dfd.studies.disentangling import pfrnet as disentangling
from dfd.templates.store import write_templates

ROOT = Path(__file__).parents[2]
D, SIZE = 24, 16


class Colours(Recognizer):
    """Templates are random projections of a face's pixels, so that they can be computed anew."""

    def __init__(self, embeds_images: bool):
        super().__init__(SIZE, "projected", "projected", (0.0, 0.0, 0.0), 1 / 255, window="box")
        self.embeds_images = embeds_images
        self.projection = torch.randn(3 * 16, D, generator=torch.Generator().manual_seed(0))

    def _layers(self, x):
        assert self.embeds_images
        yield "projected", torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1) @ self.projection


@pytest.fixture
def project(synthetic_store, tmp_path, monkeypatch):
    """A function: genders (one per face, or None), and whether recognizers embed images → the metrics of `resnet`."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    stage = importlib.import_module("stages.disentangle")
    monkeypatch.setattr(disentangling, "FEWEST", {"training": 2, "validation": 1})
    monkeypatch.chdir(tmp_path)

    def run(genders=None, embeds_images=True, variants=True) -> dict:
        yaml = YAML()
        values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        values["datasets"] = {
            "faces": {"source": "synthetic", "faces": 24, "split": {"train": 0.5, "validation": 0.25, "test": 0.25}}
        }
        values["roles"] |= {"decoders": "faces", "verification": "faces"}
        train_vgg(values, dataset="faces")
        values["variants"] = {"resnet-vgg": {"template": "resnet", "perceptual": "vgg"}} if variants else {}
        values["experiments"]["recognizer_loss"]["dataset"] = "faces"
        if variants:
            values["experiments"]["ablation"]["variant"] = "resnet-vgg"
        values["decoder"]["size"] = SIZE
        values["disentangling"] |= {"steps": 10, "batch_size": 8, "hidden": 8, "attribute_size": 4}
        with open(tmp_path / "params.yaml", "w", encoding="utf-8") as file:
            yaml.dump(values, file)
        (tmp_path / "data" / "faces").mkdir(parents=True)
        shutil.copy(synthetic_store.path, "data/faces/faces.h5")
        index = pd.read_parquet(synthetic_store.path.with_suffix(".parquet"))
        if genders is not None:
            index["gender"] = pd.array([genders[i % len(genders)] for i in range(len(index))], dtype="string")
        index.to_parquet("data/faces/faces.parquet", index=False)
        faces = FaceStore("data/faces/faces.h5")
        templates = Colours(True)(faces.views(np.arange(len(faces)), SIZE)).numpy()
        for name in ("resnet", "vgg"):
            write_templates(f"data/templates/faces/{name}.h5", faces, templates, templates[:, ::-1].copy(), {})
        monkeypatch.setattr(registry, "load_recognizer", lambda path, device, geometry: Colours(embeds_images))
        torch.manual_seed(1)
        decoder = LinearDecoder(D, SIZE)
        monkeypatch.setattr(decoders, "load_decoder", lambda path, device: decoder)
        stage.main("resnet")
        return json.loads(Path("metrics/disentangle/resnet.json").read_text(encoding="utf-8"))

    return run


def test_faces_without_labels_are_predicted_and_everything_is_written(project):
    found = project()
    assert found["training"]["labels_note"] == found["faces"]["labels_note"] == PREDICTED
    assert found["faces"]["leaked_identities"] == 0 and set(found["faces"]["cosine"]) == {"resnet", "vgg"}
    assert Path("plots/disentangle/resnet/faces.png").is_file()
    history = pd.read_csv("plots/disentangle/resnet/training.csv")
    assert history.notna().all().all() and history["step"].max() == 10


def test_listed_labels_are_used_and_equal_runs_give_equal_files(project, tmp_path):
    found = project(["male", "female", "female"])
    assert (
        found["training"]["labels_note"] == LISTED and found["training"]["n_female"] > found["training"]["n_male"] > 0
    )
    outs = [path for folder in ("metrics", "plots") for path in Path(folder).rglob("*.*")]
    before = {path: path.read_bytes() for path in outs}
    importlib.import_module("stages.disentangle").main("resnet")
    assert len(outs) == 3 and {path: path.read_bytes() for path in outs} == before


@pytest.mark.parametrize("genders", [["male"], ["female"]])
def test_a_data_set_of_one_gender_is_left_out_with_a_note(project, genders):
    found = project(genders)
    assert (
        set(found) == {"left_out_note"}
        and f" 0 {'fe' if genders == ['male'] else ''}male" in f" {found['left_out_note']}"
    )
    assert list(pd.read_csv("plots/disentangle/resnet/training.csv")) == list(disentangling.HISTORY)


def test_recognizers_that_embed_no_images_leave_the_cosine_out_and_nothing_else(project):
    found = project(["male", "female"], embeds_images=False)["faces"]
    assert set(found["cosine"]) == {"resnet"} and found["cosine"]["resnet"]["unmodified"] is None
    assert (
        found["cosine"]["resnet"]["cosine_note"]
        and found["gender"]["attribute-male"]["flipped"]["n"] == found["n_faces"]
    )
    assert Path("plots/disentangle/resnet/faces.png").is_file()


def test_without_a_variant_there_are_probes_only(project):
    found = project(["male", "female"], variants=False)
    assert "no variant" in found["variant_note"] and "gender" not in found["faces"]
    assert found["faces"]["probe"]["attribute"] and not Path("plots/disentangle/resnet/faces.png").exists()
