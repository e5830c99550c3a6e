"""Templates alone, of a system whose model nobody has: every stage, on templates that another recognizer's run gave."""

import importlib
import json
import sys
from copy import deepcopy
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML
from training import VGG_TRAINING

from dfd import cli
from dfd.core.artefacts import read_module
from dfd.core.errors import DfdError
from dfd.decoder.closed_form import fit
from dfd.decoder.registry import build_decoder, load_decoder
from dfd.faces.examples import Examples
from dfd.faces.store import FaceStore
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.reporting.tables import verification_table
from dfd.studies.disentangling import pfrnet as disentangling
from dfd.studies.equivariance.maps import read_transforms
from dfd.templates.files import write_templates_file
from dfd.templates.store import TemplateStore

ROOT = Path(__file__).parents[2]
SIZE = 28
VGG = {"size": 32, "width": 0.05, "normalise": True}
CPU = torch.device("cpu")
WITHOUT = 3  # training faces of `synthetic`, and one face of `orl`, have no template
FOREIGN = ["x/1.jpg", "x/2.jpg"]
CHANGES = {
    "device": "cpu",
    "precision": "float32",
    "datasets": {
        name: {"source": "folder", "path": "x", "split": {"test": 1.0}} for name in ("synthetic", "orl", "others")
    },
    "recognizers": {"vgg": {"architecture": "vgg16", "options": VGG}, "mine": {"architecture": "precomputed"}},
    "import_recognizer": {
        "vgg": {"weights": "x"},  # its file is put in its place
        "mine": {"weights": "precomputed", "templates": {"synthetic": "mine.parquet", "orl": "mine.npz"}},
    },
    "train_recognizer": {},
    "variants": {name: {"template": name.partition("-")[0], "perceptual": "vgg"} for name in ("vgg-vgg", "mine-vgg")},
    "decoder.size": SIZE,
    "import_decoder": {},
    "decoder.options": {"hidden": 64, "rank": 16, "channels": 16, "axes": 3},
    "train_decoder.epochs": 1,
    "experiments.competitors.decoders": {},  # nbnet takes two
    "experiments.competitors.variants": ["vgg-vgg"],
    "experiments.ablation.variant": "vgg-vgg",
    "experiments.template_layer.perceptual": "vgg",
    "experiments.adapters.decoder": "vgg-vgg",
    "transforms.faces": 4,
    "transforms.held_out": 100,  # more than there are
    "transforms.rotate": 180,
    "transforms.scale": [0.5],
    "verify.rotate": 180,
    "evaluate.max_faces": 6,
    "bootstrap": 100,
    "reconstruct.faces": 2,
    "occlusions.max_faces": 4,
    "attacks.pairs": 3,
    "attacks.cw_l2.pairs": 1,
    "attacks.cw_l2.iterations": 2,
    "attacks.matching_pairs": 4,
    "attacks.epsilons": [4],
    "aggregation.draws": 2,
    "aggregation.decoded_draws": 2,
    "disentangling.steps": 10,
    "disentangling.training_faces": 60,
    "disentangling.max_faces": 6,
    "disentangling.cosine_faces": 3,
}


class Project:
    """A folder in which stages run, in this process."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.params = YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        self.change(CHANGES)

    def change(self, changes: dict) -> None:
        for key, value in changes.items():
            *parents, last = key.split(".")
            section = self.params
            for parent in parents:
                section = section[parent]
            section[last] = deepcopy(value)
        with open(self.folder / "params.yaml", "w", encoding="utf-8") as file:
            YAML().dump(self.params, file)

    def stage(self, name: str, *arguments: str) -> None:
        importlib.import_module(f"stages.{name}").main(*arguments)

    def faces(self, dataset: str) -> FaceStore:
        return FaceStore(self.folder / f"data/faces/{dataset}.h5")

    def templates(self, dataset: str, recognizer: str) -> TemplateStore:
        return TemplateStore(self.folder / f"data/templates/{dataset}/{recognizer}.h5", self.faces(dataset))

    def json(self, name: str) -> dict:
        return json.loads((self.folder / f"metrics/{name}.json").read_text(encoding="utf-8"))

    def export(self, dataset: str, without: int, path: str) -> None:
        """The templates that `vgg` gave, in a file of the user's: some missing, some of other photos, in another order."""
        store = self.templates(dataset, "vgg")
        keys, vectors = store.faces.faces["key"].tolist(), store.template[:].numpy()
        rows = np.setdiff1d(
            np.arange(len(keys)), store.faces.rows("train" if dataset == "synthetic" else "test")[:without]
        )
        rows = np.random.default_rng(0).permutation(rows)
        others = np.eye(len(FOREIGN), store.dimension, dtype=np.float32)
        write_templates_file(
            self.folder / path, [keys[row] for row in rows] + FOREIGN, np.concatenate([vectors[rows], others])
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory, synthetic_store, orl_photos, to_store):
    """The project after all stages, from import_recognizer on, of `vgg`, and of `mine`: vgg's templates alone."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT), *sys.path])
        patch.setenv("TORCH_HOME", str(folder / "torch"))
        trunk = folder / "torch/hub/checkpoints/alexnet-owt-7be5be79.pth"  # LPIPS is null: nothing is downloaded
        trunk.parent.mkdir(parents=True)
        trunk.write_bytes(b"")
        patch.setattr(disentangling, "FEWEST", {"training": 2, "validation": 1})
        patch.chdir(folder)
        project = Project(folder)
        (folder / "data/faces").mkdir(parents=True)
        for suffix in (".h5", ".parquet"):
            (folder / f"data/faces/synthetic{suffix}").write_bytes(
                synthetic_store.path.with_suffix(suffix).read_bytes()
            )
        for name in ("orl", "others"):
            to_store(orl_photos, folder / f"data/faces/{name}.h5", shares={"test": 1.0})
        torch.manual_seed(0)
        save_recognizer(folder / "data/recognizers/vgg.safetensors", build_recognizer("vgg16", VGG), "vgg16", VGG)

        for dataset in ("synthetic", "orl", "others"):
            project.stage("embed", dataset, "vgg")
        project.export("synthetic", WITHOUT, "mine.parquet")
        project.export("orl", 1, "mine.npz")
        project.stage("import_recognizer", "mine")
        for dataset in ("synthetic", "orl", "others"):
            project.stage("embed", dataset, "mine")
        for name in ("vgg", "mine"):
            project.stage("fit_closed_form", name)
            project.stage("fit_transforms", name)
            project.stage("train_decoder", f"{name}-vgg")
            project.stage("evaluate", f"{name}-vgg")
            project.stage("verify", name)
            project.stage("attack", name)
            project.stage("disentangle", name)
        for stage in ("occlude", "cluster", "aggregate", "reconstruct"):
            project.stage(stage)
        project.stage("report")
        yield project


def test_every_face_has_the_template_that_was_exported_or_none(project):
    for dataset, without in (("synthetic", WITHOUT), ("orl", 1), ("others", 20)):
        computed, looked_up = project.templates(dataset, "vgg"), project.templates(dataset, "mine")
        known = looked_up.known
        assert (~known).sum() == without and looked_up.mirrored is None
        assert (computed.mirrored is not None) == (len(computed.faces.rows("train")) > 0)
        assert torch.equal(looked_up.template[known], computed.template[known])
        metrics = project.json(f"embed/{dataset}/mine")
        n = len(known)
        assert (metrics["n_faces"], metrics["n_templates"], metrics["faces_without_template"]) == (
            n,
            n - without,
            without,
        )
        assert (
            metrics["unmatched_keys"] == (0 if dataset == "others" else 2)
            and metrics["dimension"] == computed.dimension
        )
        assert dataset == "others" or all(key in metrics["unmatched_note"] for key in FOREIGN)
        full = project.json(f"embed/{dataset}/vgg")
        assert (full["n_templates"], full["unmatched_keys"], full["faces_without_template"]) == (n, 0, 0)


def test_decoders_learn_from_the_faces_that_have_a_template_and_from_nothing_else(project):
    """The same as a fit of the computed templates of these faces, not mirrored."""
    faces, computed = project.faces("synthetic"), project.templates("synthetic", "vgg")
    rows = faces.rows("train")[WITHOUT:]
    training = Examples(faces, rows, SIZE, computed.template, None, 1.0)
    validation = Examples(faces, faces.rows("validation"), SIZE, computed.template, None, 1.0)
    for architecture, options in (("linear", {"size": SIZE}), ("quadratic", {"size": SIZE, "axes": 35})):
        decoder = build_decoder(architecture, computed.dimension, options)
        fit(decoder, training, validation)
        _, state = read_module(project.folder / f"data/closed_form/mine/{architecture}.safetensors")
        assert state.keys() == decoder.state_dict().keys()
        assert all(torch.equal(state[name], value) for name, value in decoder.state_dict().items())
    assert project.json("train_decoder/mine-vgg")["n_faces"] == len(rows) == len(faces.rows("train")) - WITHOUT
    network = load_decoder(project.folder / "data/decoders/mine-vgg.safetensors", CPU)
    torch.testing.assert_close(network.whitening.mean, computed.template[rows].mean(0))
    assert all(parameter.isfinite().all() for parameter in network.parameters())


def test_what_needs_other_images_is_null_with_a_note(project):
    assert read_transforms(project.folder / "data/transforms/mine.h5") == {}
    maps, of_vgg = (project.json(f"fit_transforms/{name}") for name in ("mine", "vgg"))
    held_out = len(project.faces("synthetic").rows("validation"))
    assert of_vgg.pop("held_out_note") == f"{held_out} validation faces of synthetic, all it has"
    assert "precomputed" in maps.pop("maps_note") and maps.keys() == of_vgg.keys()
    assert set(maps.values()) == {None}
    for variant in ("vgg-vgg", "mine-vgg"):
        metrics = project.json(f"evaluate/{variant}")
        for dataset in ("synthetic", "orl"):
            assert (
                metrics[dataset]["cosine"]["mine"]["mean"] is None
                and "precomputed" in metrics[dataset]["cosine"]["mine"]["cosine_note"]
            )
            assert metrics[dataset]["cosine"]["vgg"]["mean"] is not None and metrics[dataset]["psnr"]["mean"] > 5
    metrics = project.json("verify/mine")
    for condition in ("rotated", "translated", "scaled"):
        assert metrics[condition] is None and "precomputed" in metrics[f"{condition}_note"]


def test_analyses_that_need_other_images_leave_it_out_with_a_note_and_the_others_go_on(project):
    for stage in ("occlude", "attack"):
        metrics = project.json(f"{stage}/mine")
        assert metrics[stage] is None and "precomputed" in metrics[f"{stage}_note"]
    assert "targeted" in project.json("attack/vgg") and "orl" in project.json("occlude/vgg")
    for stage, photos in (("cluster", 19), ("aggregate", 15)):  # of which all have templates; the same for all
        assert project.json(f"{stage}/mine")["n_photos"] == project.json(f"{stage}/vgg")["n_photos"] == photos
    assert project.json("aggregate/mine")["people_note"].startswith("1 of 4 people: left out")  # it lacks a photo
    assert 0 < project.json("cluster/mine")["templates"]["within_person_share"]["value"] < 1
    metrics = project.json("disentangle/mine")
    assert metrics["others"] is None and metrics["others_note"]
    assert (
        metrics["orl"]["cosine"]["mine"]["unmodified"] is None
        and metrics["orl"]["cosine"]["vgg"]["unmodified"]["mean"] < 1
    )


def test_faces_without_a_template_are_counted_and_left_out(project):
    metrics = project.json("evaluate/mine-vgg")
    assert metrics["orl"]["faces_without_template"] == 1 and metrics["synthetic"]["faces_without_template"] == 0
    assert metrics["orl"]["n_faces"] == 6  # as many as were asked for
    assert metrics["others"] is None and "mine has no templates" in metrics["others_note"]
    assert project.json("evaluate/vgg-vgg")["others"]["n_faces"] == 6

    verified, full = project.json("verify/mine"), project.json("verify/vgg")
    assert (verified["n_faces"], verified["faces_without_template"]) == (19, 1)
    assert (full["n_faces"], full["faces_without_template"]) == (20, 0)
    # every impostor pair, less those of the missing face with 15 faces of others
    tar, full_tar = (values["original"]["without"]["tar_at_far_0.01"] for values in (verified, full))
    assert tar["n_impostor"] == full_tar["n_impostor"] - 15 and tar["n_genuine"] == full_tar["n_genuine"] - 4


def test_every_null_has_a_note(project):
    def check(values: dict, where: str) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                check(value, f"{where}.{key}")
            assert value is not None or any(name.endswith("_note") for name in values), f"{where}.{key}"

    for path in (project.folder / "metrics").rglob("*.json"):
        check(json.loads(path.read_text(encoding="utf-8")), path.name)


def test_tables_and_pictures_go_on_without_what_is_missing(project):
    roc = pd.read_csv(project.folder / "plots/roc.csv")
    assert set(roc.loc[roc["recognizer"] == "mine", "condition"]) == {"original"}
    assert set(roc.loc[roc["recognizer"] == "vgg", "condition"]) == {"original", "rotated", "translated", "scaled"}
    names = {path.stem for path in (project.folder / "plots/reconstruct").iterdir()}
    assert names == {"variants"} | {
        f"{f}-{d}" for f in ("rotate", "translate", "scale") for d in ("synthetic", "orl", "others")
    }
    html = (project.folder / "plots/report.html").read_text(encoding="utf-8")
    assert "All measures, others" in html and "mine-vgg" in html
    table = verification_table({name: project.json(f"verify/{name}") for name in ("vgg", "mine")})
    assert (table.loc[table["recognizer"] == "mine", "without"] == "–").tolist() == [False, True, True, True]
    with Image.open(project.folder / "plots/reconstruct/variants.png") as image:
        colours = {colour: count for count, colour in image.convert("RGB").getcolors(1 << 24)}
    cells = 2 * 2  # of mine-vgg and of the linear decoder, for the faces of `others`
    assert cells * 112**2 * 0.9 < colours[(0xE0,) * 3] < (cells + 1) * 112**2


def test_a_teacher_may_be_templates_alone(project):
    """What it learned from: the faces with a template, without their mirror images."""
    project.change({
        "recognizers.student": {"architecture": "vgg16", "options": VGG},
        "train_recognizer": {"student": VGG_TRAINING | {"dataset": "synthetic", "teacher": "mine", "epochs": 1}},
    })  # fmt: skip
    project.stage("train_recognizer", "student")
    metrics = project.json("train_recognizer/student")
    assert metrics["n_faces"] == len(project.faces("synthetic").rows("train")) - WITHOUT
    assert np.isfinite(list(metrics["loss"].values())).all()


def test_what_gives_no_gradients_cannot_be_trained(project):
    project.change({
        "recognizers.student": {"architecture": "onnx"},
        "train_recognizer": {"student": VGG_TRAINING | {"dataset": "synthetic", "teacher": "vgg", "epochs": 1}},
    })  # fmt: skip
    with pytest.raises(DfdError, match=r"train_recognizer\.student: onnx cannot be trained; import its weights"):
        project.stage("train_recognizer", "student")


def test_templates_of_no_face_and_of_other_lengths_stop_the_pipeline(project, monkeypatch):
    before = (project.folder / "data/recognizers/mine.safetensors").read_bytes()
    project.export("orl", 1, "mine.h5")
    with h5py.File(project.folder / "mine.h5", "r+") as file:
        file["key"][...] = [key.decode().replace("/", "_") for key in file["key"]]
    monkeypatch.setitem(project.params["import_recognizer"]["mine"]["templates"], "orl", "mine.h5")
    project.change({})
    project.stage("import_recognizer", "mine")
    with pytest.raises(DfdError, match=r"orl\.h5: none of 21 templates .* like s\d+_\d\.pgm, .* like s1/1\.pgm"):
        project.stage("embed", "orl", "mine")
    write_templates_file(project.folder / "mine.h5", ["s1/1.pgm"], np.eye(1, 3))
    with pytest.raises(DfdError, match="205 in synthetic, 3 in orl"):
        project.stage("import_recognizer", "mine")
    (project.folder / "data/recognizers/mine.safetensors").write_bytes(before)


def test_the_command_line_embeds_nothing_with_it_and_decodes_its_file(project, tmp_path, monkeypatch, capsys):
    def run(*arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["dfd", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
            sys.exit(0)
        return stopped.value.code or 0, capsys.readouterr().err

    photo = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(photo)
    for command in (
        ("embed", photo, "--recognizer", "mine", "--out", "t.npz"),
        ("reconstruct", photo, "--variant", "mine-vgg", "--out", "o"),
    ):
        code, error = run(*command)
        assert (
            code == 1
            and error.count("\n") == 1
            and error.startswith("error: recognizer mine: ")
            and "dfd decode" in error
        )
    assert run("decode", "mine.parquet", "--variant", "mine-vgg", "--out", tmp_path / "faces")[0] == 0
    names = {path.name for path in (tmp_path / "faces").iterdir()}
    faces = project.faces("synthetic")
    assert len(names) == len(faces) - WITHOUT + len(FOREIGN) and "x_1.jpg.png" in names
