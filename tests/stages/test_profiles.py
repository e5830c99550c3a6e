"""The profile `paper`, as `dfd profile` applies it, to its end: on a miniature of every format that it reads.

Changed after it are paths and sizes alone. The stages run in the order that DVC gives, in this process: starting one
takes longer than what it does here.
"""

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from dvc.repo import Repo
from keras_files import resnet_layers, vgg_layers, write
from networkx import topological_sort
from PIL import Image
from processes import in_two
from ruamel.yaml import YAML

from dfd import cli
from dfd.core.artefacts import read_module, write_json
from dfd.faces import examples
from dfd.faces.leakage import Seen
from dfd.faces.store import FaceStore
from dfd.learning.losses import TERMS
from dfd.params import load_params, patched
from dfd.photos.pairs import read_pairs
from dfd.photos.synthetic import synthetic_photos
from dfd.project import Project

ROOT = Path(__file__).parents[2]
COPIED = (
    "dvc.yaml",
    "params.yaml",
    "README.md",
    "docs",
    "stages",
    "src",
    "profiles",
    ".dvc/config",
    ".dvc/plots",
    ".dvcignore",
    ".gitignore",
)
VARIANTS, RECOGNIZERS = ("vgg-vgg", "vgg-resnet", "resnet-vgg", "resnet-resnet"), ("vgg", "resnet")
TESTED = {"lfw": 13, "celeba-hq": 8}  # people
FOLDS = 10
EQ_2 = [term for term in TERMS if term not in ("chroma", "identity")]


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


def people(count: int, photos: int, seed: int, side: int) -> list[list[bytes]]:
    """Nobody's faces: for each of `count` the JPEGs of `photos`, of `side` pixels, that differ in light and noise."""
    random = np.random.default_rng(seed)
    found = []
    for _, data in synthetic_photos(count, seed):
        face = np.asarray(Image.open(io.BytesIO(data)).resize((side, side), Image.Resampling.BILINEAR), float)
        found.append([jpeg(face * (1 - 0.06 * k) + random.normal(0, 4, face.shape)) for k in range(photos)])
    return found


def add(file: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    file.addfile(entry, io.BytesIO(data))


def calm(layers: dict) -> dict:
    """Layers whose activations stay as large as a trained network's: random statistics let them grow to millions."""
    for name, weights in layers.items():
        if "moving_variance" in weights:
            weights["moving_variance"] = np.maximum(weights["moving_variance"], 1e4 if name.startswith("conv1/") else 1)
    return layers


def write_data(folder: Path) -> dict[str, str]:
    """The archives, lists and weights as published, but small; gives the params that name them."""
    folder.mkdir()
    with tarfile.open(folder / "vggface2_train.tar.gz", "w:gz") as file:
        for n, photos in enumerate(people(26, 3, seed=1, side=96), start=2):
            for k, photo in enumerate(photos, start=1):
                add(file, f"train/n{n:06d}/{k:04d}_01.jpg", photo)
    names = [f"Name_{chr(ord('A') + n)}" for n in range(TESTED["lfw"])]
    with tarfile.open(folder / "lfw.tgz", "w:gz") as file:
        add(file, "lfw/Nobody/Nobody_0001.jpg", jpeg(np.full((100, 100, 3), 128)))
        for name, photos in zip(names, people(len(names), 3, seed=2, side=100), strict=True):
            for k, photo in enumerate(photos, start=1):
                add(file, f"lfw/{name}/{name}_{k:04d}.jpg", photo)
    lines = [f"{FOLDS}\t2"]
    for n in range(FOLDS):
        lines += [f"{names[n]}\t1\t2", f"{names[n + 1]}\t2\t3", f"{names[n]}\t1\t{names[n + 2]}\t3"]
        lines += [f"{names[n]}\t3\t{names[n + 3]}\t1" if n else f"{names[n]}\t2\tNobody\t1"]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    with zipfile.ZipFile(folder / "CelebA-HQ-img.zip", "w") as file:
        identities, number = [], 0
        for n, photos in enumerate(people(TESTED["celeba-hq"], 2, seed=3, side=160)):
            for photo in photos:
                file.writestr(f"CelebA-HQ-img/{number}.jpg", photo)
                identities.append(f"{number}.jpg {700 + n}\n")
                number += 1
    (folder / "identity_CelebA-HQ.txt").write_text("".join(identities))
    write(folder / "vgg16.h5", vgg_layers(side=1), style=1)
    write(folder / "notop_resnet50.h5", calm(resnet_layers(top=False)))
    return {
        "datasets.vggface2.path": "vggface2_train.tar.gz",
        "datasets.lfw.path": "lfw.tgz",
        "datasets.lfw.pairs": "pairs.txt",
        "datasets.celeba-hq.path": "CelebA-HQ-img.zip",
        "datasets.celeba-hq.identities": "identity_CelebA-HQ.txt",
        "import_recognizer.vgg.weights": "vgg16.h5",
        "import_recognizer.resnet.weights": "notop_resnet50.h5",
    }


SIZES = {
    "memory_gb": 0.0,  # what is in no memory at full scale is in none here
    "datasets.vggface2.split": {"train": 0.7, "validation": 0.3},  # 2 % of a few people are nobody
    "faces.size": 32,
    "recognizers.vgg.options.size": 32,
    "recognizers.vgg.options.width": 1 / 16,
    "recognizers.resnet.options.size": 64,
    "recognizers.resnet.options.width": 1 / 16,
    "decoder.size": 28,
    "decoder.options.width": 1 / 16,
    "train_decoder.epochs": 2,
    "experiments.competitors.decoders.nbnet.training.perceptual_epochs": 1,
    "transforms.faces": 40,
    "transforms.held_out": 15,
    "evaluate.max_faces": 20,
    "bootstrap": 100,
    "reconstruct.faces": 3,
    "occlusions.max_faces": 8,
    "attacks.max_people": 4,
    "attacks.pairs": 4,
    "attacks.cw_l2.pairs": 2,
    "attacks.cw_l2.iterations": 3,
    "attacks.matching_pairs": 6,
    "attacks.epsilons": [4],
    "aggregation.draws": 4,
    "aggregation.decoded_draws": 2,
    "disentangling.steps": 10,
    "disentangling.training_faces": 60,
    "disentangling.max_faces": 8,
    "disentangling.cosine_faces": 4,
}


def change(path: Path, changes: dict) -> None:
    yaml = YAML()
    values = yaml.load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(values, file)


class Run:
    """A checkout with the profile applied, its miniature, and every stage run."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch):
        self.folder = folder
        for name in COPIED:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        home = folder.parent / "home"
        trunk = home / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"  # LPIPS is null: this is another file
        trunk.parent.mkdir(parents=True)
        trunk.write_bytes(b"")
        patch.setenv("TORCH_HOME", str(home))
        patch.setenv("DVC_SITE_CACHE_DIR", str(home / "dvc"))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setattr(examples, "LOADERS", 1)  # four processes for each pass over sixty faces are three too many
        patch.chdir(folder)

        patch.setattr(sys, "argv", ["dfd", "profile", "paper", "--apply"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
            sys.exit(0)
        assert not ended.value.code
        data = folder.parent / "published"
        named = write_data(data)
        change(folder / "params.yaml", {key: str(data / name) for key, name in named.items()} | SIZES)
        subprocess.run(["git", "init", "--quiet"], check=True)  # DVC expects a repository
        with Repo(str(folder)) as repo:
            self.stages = list(reversed(list(topological_sort(repo.index.graph))))  # its edges lead to what is read
        for stage in self.stages:
            name, *arguments = stage.cmd.removeprefix("python -m stages.").split()
            missing = [str(dep) for dep in stage.deps if not dep.exists]
            assert not missing, f"{stage.cmd}: {missing}"
            importlib.import_module(f"stages.{name}").main(*arguments)
            assert all(out.exists for out in stage.outs), stage.cmd

    def json(self, name: str) -> dict:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))  # the stages, which import the library from beside them
        yield Run(tmp_path_factory.mktemp("paper") / "checkout", patch)


def test_only_paths_and_sizes_differ_from_the_profile(paper):
    full, _ = patched(ROOT / "profiles/paper.yaml", ROOT / "params.yaml")
    values = YAML(typ="safe", pure=True).load(full)
    params = load_params(paper.folder / "params.yaml")
    assert params.faces.geometry == values["faces"]["geometry"] == "box"
    assert params.decoder.architecture == "inverted-vgg" and params.import_decoder == {}
    assert (params.decoder.options["normalise"], params.decoder.options["dropout"]) == ("none", 0.5)
    assert (params.loss.features, params.loss.perceptual_share) == ("raw", 1.0)
    assert params.loss.weights() == dict.fromkeys(EQ_2, 1.0) | {"chroma": 0.0, "identity": 0.0}
    training = params.train_decoder.model_dump() | {"epochs": values["train_decoder"]["epochs"]}
    assert training == values["train_decoder"] == {
        "epochs": 10, "patience": 3, "batch_size": 64, "learning_rate": 1e-3, "weight_decay": 0.0, "schedule": "constant",
        "averaging": 0.0, "clip": 0.0, "noise": 0.0, "processes": "auto",
    }  # fmt: skip
    layers = {name: (r.options["layer"], r.options["tap"]) for name, r in params.recognizers.items()}
    assert layers == {"vgg": ("fc7", "conv4_3"), "resnet": ("avg_pool", "conv4_3_3x3")}
    assert set(params.variants) == set(VARIANTS)


def test_the_profile_expands_to_every_stage_once(paper):
    commands = [stage.cmd for stage in paper.stages]
    assert len(commands) == len(set(commands))
    counts = Counter(stage.cmd.split()[2].removeprefix("stages.") for stage in paper.stages)
    expected = {
        "fetch": 3, "preprocess": 3, "import_recognizer": 2, "embed": 6, "fit_closed_form": 2, "train_decoder": 4,
        "fit_transforms": 2, "evaluate": 4, "verify": 2, "reconstruct": 1, "report": 1, "docs": 1,
        "occlude": 1, "attack": 2, "cluster": 1, "aggregate": 1, "disentangle": 2,
    }  # fmt: skip
    assert expected.items() <= counts.items() and "train_recognizer" not in counts


def test_every_photo_of_every_format_is_read_and_cropped_to_its_box(paper):
    photos = {"vggface2": 26 * 3, "lfw": 3 * TESTED["lfw"] + 1, "celeba-hq": 2 * TESTED["celeba-hq"]}
    for name, count in photos.items():
        faces = FaceStore(paper.folder / f"data/faces/{name}.h5")
        assert faces.attributes["geometry"] == "box" and faces.size == 32
        metrics = paper.json(f"metrics/preprocess/{name}.json")
        assert metrics["photos"] == count and metrics["faces"] >= 0.8 * count
        half, zero, x, *_, y = np.array(faces.details([0])["window"].iloc[0])
        box = faces.details([0])["box"].iloc[0]
        assert zero == 0 and half == pytest.approx(max(box[2] - box[0], box[3] - box[1]) / 2)
        assert (x, y) == pytest.approx(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    index = pd.read_parquet(paper.folder / "data/faces/vggface2.parquet")
    assert index["key"][0] == "n000002/0001_01.jpg" and set(index["split"]) == {"train", "validation"}
    assert set(pd.read_parquet(paper.folder / "data/faces/celeba-hq.parquet")["identity"]) == {
        str(700 + n) for n in range(TESTED["celeba-hq"])
    }
    lfw = pd.read_parquet(paper.folder / "data/faces/lfw.parquet").set_index("key")
    assert lfw["reason"]["Nobody/Nobody_0001.jpg"] == "no-face"


def test_the_files_with_and_without_top_are_imported(paper):
    for name, head in (("vgg", True), ("resnet", False)):
        config, state = read_module(paper.folder / f"data/recognizers/{name}.safetensors")
        assert ("head.weight" in state) == head and config["options"]["width"] == 1 / 16


def test_both_decoders_are_fitted_in_closed_form(paper):
    for name in RECOGNIZERS:
        found = {path.name for path in (paper.folder / "data/closed_form" / name).iterdir()}
        assert found == {"linear.safetensors", "quadratic.safetensors"}


def test_the_decoders_are_the_papers(paper):
    for variant in VARIANTS:
        config, state = read_module(paper.folder / f"data/decoders/{variant}.safetensors")
        assert config["perceptual_gain"] == 1
        assert config["architecture"] == "inverted-vgg" and config["options"]["hidden"] == 4096
        assert config["dimension"] == {"vgg": 256, "resnet": 128}[variant.split("-")[0]]
        assert all(torch.isfinite(tensor).all() for tensor in state.values())
        metrics = paper.json(f"metrics/train_decoder/{variant}.json")
        assert metrics["epochs"] == 2
        assert set(metrics["validation"]) == {"total", *EQ_2}
        assert metrics["validation"]["total"] == pytest.approx(
            sum(metrics["validation"][term] for term in EQ_2), rel=1e-4
        )


def test_a_decoder_learns_in_two_processes(paper, tmp_path, monkeypatch):
    """Other dropout, the same course: what it has learned after two epochs is hardly another loss."""
    another(paper, tmp_path, {"train_decoder.processes": 2}, monkeypatch)
    in_two(lambda: importlib.import_module("stages.train_decoder").main("resnet-vgg"), tmp_path)
    alone, together = (
        paper.json("metrics/train_decoder/resnet-vgg.json"),
        json.loads(Path("metrics/train_decoder/resnet-vgg.json").read_text(encoding="utf-8")),
    )
    assert together["validation"]["total"] == pytest.approx(alone["validation"]["total"], rel=0.2)
    assert {name: together[name] for name in ("epochs", "n_faces", "parameters")} == {
        name: alone[name] for name in ("epochs", "n_faces", "parameters")
    }
    config, state = read_module("data/decoders/resnet-vgg.safetensors")
    assert config["people"] and all(torch.isfinite(tensor).all() for tensor in state.values())


def test_both_data_sets_are_evaluated_with_every_variant(paper):
    for variant in VARIANTS:
        metrics = paper.json(f"metrics/evaluate/{variant}.json")
        assert set(metrics) == set(TESTED)  # nobody of vggface2 is for tests
        for dataset, values in metrics.items():
            assert values["leaked_identities"] == 0 and values["n_faces"] <= 20
            assert 5 < values["psnr"]["mean"] < 40 and values["psnr"]["ci95_low"] <= values["psnr"]["mean"]
            # Two epochs of sixty faces lead nowhere, but not astray either.
            assert min(values["psnr"]["mean"], values["psnr"]["linear"]) > values["psnr"]["mean_face"] - 2, dataset
            assert set(values["cosine"]) == set(RECOGNIZERS)


def test_verification_has_table_2_and_view_2(paper):
    index = pd.read_parquet(paper.folder / "data/faces/lfw.parquet")
    pairs, found = read_pairs(paper.folder.parent / "published/pairs.txt"), set(index["key"][index["row"].notna()])
    lost = pairs["genuine"][
        [not {first, second} <= found for first, second in zip(pairs["first"], pairs["second"], strict=True)]
    ]
    assert not lost.all()  # the one without a face is in an impostor pair
    for name in RECOGNIZERS:
        metrics = paper.json(f"metrics/verify/{name}.json")
        for condition in ("rotated", "translated", "scaled"):
            assert {"without", "with", "difference"} <= set(metrics[condition])
        maps = paper.json(f"metrics/fit_transforms/{name}.json")
        assert len(maps) == 17 and all(fit["n"] == 40 for fit in maps.values())
        view2 = metrics["view2"]
        assert (view2["n_pairs"], view2["n_folds"]) == (4 * FOLDS, FOLDS) and view2["leaked_identities"] == 0
        # Photos of one person differ in light alone: even networks with random weights tell who it is.
        assert view2["accuracy"]["mean"] > 0.7 and metrics["original"]["without"]["auc"]["value"] > 0.9
        assert view2["failures"] == {"pairs": len(lost), "genuine": int(lost.sum()), "impostor": int((~lost).sum())}


def test_the_analyses_say_what_they_leave_out_and_go_on(paper):
    for name in ("vgg", "resnet"):
        occluded = paper.json(f"metrics/occlude/{name}.json")
        assert occluded["vggface2"] is None and "no test faces" in occluded["vggface2_note"]
        assert all(0 < occluded[dataset]["n_faces"] <= 8 for dataset in TESTED)
        assert paper.json(f"metrics/cluster/{name}.json")["templates"]["within_person_share"]["value"] < 1
        assert (
            "aggregate_note" in (found := paper.json(f"metrics/aggregate/{name}.json")) or "1" in found["verification"]
        )
        attacked = paper.json(f"metrics/attack/{name}.json")
        assert "attack_note" in attacked or attacked["targeted"]["tfgsm"]["n_pairs"] == 4
        assert (paper.folder / f"plots/attack/{name}").is_dir()


def test_the_pictures_are_drawn(paper):
    names = {path.stem for path in (paper.folder / "plots").rglob("*.png")}
    assert names >= {"roc", "losses", "psnr", "variants"} | {
        f"{family}-{dataset}" for family in ("rotate", "translate", "scale") for dataset in TESTED
    }
    assert (paper.folder / "plots/report.html").is_file()


def another(paper: Run, folder: Path, changes: dict, patch: pytest.MonkeyPatch) -> Path:
    """A folder with the same raw data and what was made of them, but other params, to run single stages in."""
    shutil.copy(paper.folder / "params.yaml", folder)
    change(folder / "params.yaml", changes)
    for part in ("raw", "faces", "templates", "recognizers", "transforms"):
        shutil.copytree(paper.folder / "data" / part, folder / "data" / part, copy_function=os.link)
    patch.chdir(folder)
    return folder


def test_people_of_some_folds_are_kept_for_testing(paper, tmp_path, monkeypatch):
    changes = {"datasets.lfw.split": {"train": 1.0}, "datasets.lfw.test_folds": [1]}
    folder = another(paper, tmp_path, changes, monkeypatch)
    importlib.import_module("stages.preprocess").main("lfw")
    index = pd.read_parquet(folder / "data/faces/lfw.parquet")
    tested = set(index["identity"][index["split"] == "test"])
    assert tested == {"Name_A", "Name_B", "Name_C", "Nobody"}
    assert set(index["split"][~index["identity"].isin(tested)]) == {"train"}


@pytest.fixture
def verified(paper, tmp_path, monkeypatch):
    """Verify LFW once more, with other params; gives the metrics."""

    def verified(changes: dict) -> dict:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        another(paper, folder, changes, monkeypatch)
        importlib.import_module("stages.verify").main("vgg")
        return json.loads((folder / "metrics/verify/vgg.json").read_text(encoding="utf-8"))

    return verified


def test_of_a_person_only_so_many_photos_are_compared_with_all(paper, verified):
    full, metrics = paper.json("metrics/verify/vgg.json"), verified({"verify.photos": 2})
    counts = pd.Series(FaceStore(paper.folder / "data/faces/lfw.h5").faces["identity"]).value_counts()
    rates = metrics["original"]["without"]["tar_at_far_0.01"]
    assert rates["n_genuine"] == (counts >= 2).sum() < full["original"]["without"]["tar_at_far_0.01"]["n_genuine"]
    kept = counts.clip(upper=2).sum()
    assert rates["n_impostor"] == kept * (kept - 1) // 2 - rates["n_genuine"]
    assert metrics["n_faces"] - metrics["faces_beyond_limit"] == kept and full["faces_beyond_limit"] == 0
    assert metrics["view2"] == full["view2"] and metrics["view2_perturbed"] == full["view2_perturbed"]


def test_view_2_leaves_out_people_whom_the_recognizer_has_seen(paper, verified, monkeypatch):
    seen = {"recognizer vgg": Seen("vggface2", frozenset({"Name_A", "Name_M"}))}
    monkeypatch.setattr(Project, "learned", lambda *_, maps=None: {} if maps else seen)
    pairs = read_pairs(paper.folder.parent / "published/pairs.txt")
    shown = pairs["first"].str.contains("Name_[AM]/") | pairs["second"].str.contains("Name_[AM]/")
    metrics = verified({})["view2"]
    assert (metrics["n_pairs"], metrics["pairs_left_out"]) == (
        len(pairs) - shown.sum(),
        shown.sum(),
    ) and shown.sum() > 3
    assert metrics["leaked_identities"] == 0
    metrics = verified({"roles.allow_leakage": True})["view2"]
    assert (metrics["n_pairs"], metrics["leaked_identities"]) == (len(pairs), 2)


def test_view_2_is_left_out_where_no_pair_has_templates(paper, verified):
    text = (paper.folder.parent / "published/pairs.txt").read_text(encoding="utf-8")
    (paper.folder.parent / "published/others.txt").write_text(text.replace("Name_", "Other_"))
    metrics = verified({"datasets.lfw.pairs": str(paper.folder.parent / "published/others.txt")})
    for part in ("view2", "view2_perturbed"):
        assert metrics[part]["accuracy"] is None and "0 pairs in 0 folds" in metrics[part]["view2_note"]
    assert metrics["original"] == paper.json("metrics/verify/vgg.json")["original"]


def test_its_numbers_can_be_gathered(paper, tmp_path, monkeypatch):
    for name in ("metrics", "plots"):
        shutil.copytree(paper.folder / name, tmp_path / name)
    shutil.copy(paper.folder / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    interval = {"ci95_low": 0.5, "ci95_high": 2.25}
    apart = {"mean": 1.25, **interval, "minus_pixel": {"mean": 0.75, **interval}}
    rows = {
        "full": {"psnr": apart, "ssim": apart},
        "pixel": {"psnr": {"mean": 0.5, **interval}, "ssim": {"mean": None}},
    }
    compared = {"n_faces": 1200, "n_identities": 30, "decoders": rows, "n_seeds": 3}
    write_json(tmp_path / f"metrics/ablation/{VARIANTS[0]}.json", {"lfw": compared, "synthetic": None})
    importlib.import_module("stages.findings").main()
    monkeypatch.setattr(sys, "argv", ["dfd", "results", "lfw"])
    with pytest.raises(SystemExit, match="^0$"):
        cli.main()
    found = json.loads((tmp_path / "docs/results/lfw.json").read_text(encoding="utf-8"))
    text = (tmp_path / "docs/results/lfw.md").read_text(encoding="utf-8")
    for name in RECOGNIZERS:
        assert found["verify"][name] == paper.json(f"metrics/verify/{name}.json")
        assert f"| {100 * found['verify'][name]['view2']['accuracy']['mean']:.2f} ±" in text
    for variant in VARIANTS:
        assert found["evaluate"][variant] == paper.json(f"metrics/evaluate/{variant}.json")["lfw"]
        assert f"{found['evaluate'][variant]['psnr']['mean']:.2f}" in text
    assert found["ablation"] == {VARIANTS[0]: compared} and found["competitors"] == {}
    assert (
        "| full | 1.25 [0.50, 2.25] | pixel: 0.75 [0.50, 2.25] |" in text
        and "| pixel | 0.50 [0.50, 2.25] |  | – |" in text
    )
    assert "1,200 faces of 30 people" in text and "Means over 3 trainings" in text
    claims = json.loads((tmp_path / "metrics/findings.json").read_text(encoding="utf-8"))["claims"]
    assert found["findings"]["claims"] == {key: claim for key, claim in claims.items() if claim["effect"] is not None}
    assert 0 < sum(found["findings"]["counts"].values()) == len(found["findings"]["claims"]) < len(claims)
    assert claims["template-size-hardly-matters"]["claim"] not in text and claims["maps-help-rotation"]["claim"] in text
    assert str(paper.folder) not in text + json.dumps(found) and str(paper.folder.parent / "published") not in text
