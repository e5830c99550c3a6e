"""The whole pipeline under DVC, on a copy of this checkout with few faces and tiny networks."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from recorder import compared
from ruamel.yaml import YAML
from training import VGG_TRAINING

from dfd.learning.losses import TERMS
from dfd.templates.storage import FORMATS

ROOT = Path(__file__).parents[2]
NOT_HERE: set[tuple[str, str]] = set()  # (stage, param or dep) that only other params than these make a stage read
EQ_2 = [term for term in TERMS if term not in ("chroma", "identity")]
COPIED = (
    "dvc.yaml",
    "params.yaml",
    "README.md",
    "docs",
    "stages",
    "src",
    ".dvc/config",
    ".dvc/plots",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
    "data/.gitignore",
)

# Few people of ORL are enough here, and every photo is detected and embedded several times.
FEW_PEOPLE = """

DATASETS["orl"] = lambda settings, seed: (photo for photo in orl_photos() if photo[0] < "s14")
"""
PEOPLE, PHOTOS = 5, 50  # s1, s10 … s13

CHANGES = {
    "datasets.synthetic.faces": 100,
    "datasets.synthetic.split": {"train": 0.6, "validation": 0.2, "test": 0.2},
    "faces.size": 48,
    "recognizers.vgg.options.size": 32,
    "recognizers.vgg.options.width": 0.05,
    "import_recognizer": {"resnet": {"weights": "dlib-face-recognition"}},
    "train_recognizer": {"vgg": VGG_TRAINING | {"epochs": 1}},
    "variants": {"vgg-resnet": {"template": "vgg", "perceptual": "resnet"}},  # starting a process takes longest here
    "import_decoder": {},  # released files are of the recognizers as published, not of these
    "experiments.competitors.variants": ["vgg-resnet"],
    "experiments.adapters.decoder": "vgg-resnet",
    "decoder.size": 28,
    "decoder.options": {"hidden": 64, "rank": 16, "channels": 16, "axes": 3},
    "loss.local": True,
    "train_decoder.epochs": 2,
    "transforms.faces": 12,
    "transforms.held_out": 6,
    "transforms.rotate": 90,
    "transforms.scale": [0.5],
    "evaluate.max_faces": 15,
    "evaluate.storage_faces": 5,
    "bootstrap": 100,
    "verify.rotate": 90,
    "verify.scale": 0.5,
    "reconstruct.faces": 2,
    "occlusions.max_faces": 10,
    "occlusions.shown": 2,
    "aggregation.draws": 4,
    "aggregation.decoded_draws": 2,
    "attacks.pairs": 4,
    "attacks.cw_l2.pairs": 2,
    "attacks.cw_l2.iterations": 3,
    "attacks.matching_pairs": 8,
    "attacks.epsilons": [4],
    "disentangling.steps": 10,
    "disentangling.max_faces": 15,
    "disentangling.cosine_faces": 4,
    "disentangling.shown": 1,
}
VARIANTS, RECOGNIZERS, DATASETS = ("vgg-resnet",), ("vgg", "resnet"), ("synthetic", "orl")
CONDITIONS = ("original", "rotated", "translated", "scaled")


class Project:
    """A checkout of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        home = folder.parent / "home"
        # LPIPS is null here: what lies at its network's place is another file, and nothing is downloaded.
        trunk = home / "torch" / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
        trunk.parent.mkdir(parents=True)
        trunk.write_bytes(b"")
        self.records = folder.parent / "records"
        self.records.mkdir()
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))
        } | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "TORCH_HOME": str(home / "torch"),
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            "DVC_NO_ANALYTICS": "1",
            "PYTHONPATH": str(Path(__file__).parents[1] / "helpers" / "recorded"),
            "RECORDS": str(self.records),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, check=False, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )

    def succeed(self, *command: str) -> str:
        ended = self.run(*command)
        assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
        return ended.stdout + ended.stderr

    def commit(self, message: str) -> None:
        self.succeed("git", "add", "--all")
        self.succeed("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", message)

    def json(self, name: str) -> dict:
        def refuse(word):
            raise AssertionError(f"{name} holds {word}")

        return json.loads((self.folder / name).read_text(encoding="utf-8"), parse_constant=refuse)

    def change(self, changes: dict) -> None:
        yaml, path = YAML(), self.folder / "params.yaml"
        values = yaml.load(path.read_text(encoding="utf-8"))
        for key, value in changes.items():
            *parents, last = key.split(".")
            section = values
            for parent in parents:
                section = section[parent]
            assert last in section, key
            section[last] = value
        with open(path, "w", encoding="utf-8") as file:
            yaml.dump(values, file)

    def files(self, *folders: str) -> dict[str, bytes]:
        paths = (path for folder in folders for path in (self.folder / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}


def stages_run(output: str) -> Counter:
    """How often each stage ran, by DVC's own lines, without its instance (`@…`)."""
    return Counter(re.findall(r"Running stage '([\w]+)", output))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project after its first `dvc repro`, with that committed."""
    project = Project(tmp_path_factory.mktemp("end-to-end") / "checkout")
    for name in COPIED:
        source, target = ROOT / name, project.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    with open(project.folder / "src/dfd/photos/datasets.py", "a", encoding="utf-8") as file:
        file.write(FEW_PEOPLE)
    project.change(CHANGES)
    project.succeed("git", "init", "--quiet")
    project.commit("small params")
    project.output = project.succeed("dvc", "repro")
    project.commit("first run")
    return project


def numbers(values: dict, where: str = ""):
    """Every (dotted key, value) of nested metrics; nothing else may be in them."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{where}{key}.")
        else:
            assert value is None or isinstance(value, int | float | str), f"{where}{key}"
            yield f"{where}{key}", value


def get(values: dict, keys: str):
    """The number at a dotted key; keys may hold dots, as `tar_at_far_0.001` does."""
    return dict(numbers(values))[keys]


def test_every_stage_ran_once_per_instance(project):
    assert stages_run(project.output) == {
        "fetch": 2, "preprocess": 2, "import_recognizer": 1, "train_recognizer": 1, "embed": 4, "fit_closed_form": 2,
        "train_decoder": 1, "fit_transforms": 2, "evaluate": 1, "verify": 2, "reconstruct": 1,
        "occlude": 1, "cluster": 1, "aggregate": 1, "attack": 2, "disentangle": 2, "invert": 1, "report": 1, "docs": 1,
    }  # fmt: skip
    assert project.output.count("done in") == 29
    assert "Traceback" not in project.output and "Logging error" not in project.output


def test_stages_read_what_dvc_yaml_declares(project):
    """Recorded while they ran: every param and every file, of the project and of what earlier stages wrote."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in project.records.glob("*.json")]
    assert len(records) == 29
    faults, unread = compared(records, [project.folder / "dvc.yaml"])
    assert not faults
    assert not unread - NOT_HERE


def test_every_photo_is_accounted_for(project):
    photos = {"synthetic": CHANGES["datasets.synthetic.faces"], "orl": PHOTOS}  # 50: this copy's own library ran
    for dataset in DATASETS:
        metrics = project.json(f"metrics/preprocess/{dataset}.json")
        rejected = metrics["rejected"]
        assert metrics["photos"] == photos[dataset] == metrics["faces"] + rejected["total"]
        assert rejected["total"] == sum(count for reason, count in rejected.items() if reason != "total")
        index = pd.read_parquet(project.folder / f"data/faces/{dataset}.parquet")
        assert len(index) == photos[dataset] and index["key"].is_unique
        assert (index["row"].notna() == index["reason"].isna()).all()


def test_the_metrics_that_are_promised_are_there(project):
    for variant in VARIANTS:
        metrics = project.json(f"metrics/evaluate/{variant}.json")
        for dataset in DATASETS:
            measures = ["psnr", "ssim", "lpips", "face.psnr", "face.ssim", *(f"cosine.{name}" for name in RECOGNIZERS)]
            for measure in measures:
                for key in ("mean", "ci95_low", "ci95_high", "mean_face", "linear", "quadratic"):
                    value = get(metrics, f"{dataset}.{measure}.{key}")
                    assert value is None if measure == "lpips" else isinstance(value, float), (dataset, measure, key)
                low, high = (get(metrics, f"{dataset}.{measure}.ci95_{end}") for end in ("low", "high"))
                assert measure == "lpips" or low <= get(metrics, f"{dataset}.{measure}.mean") <= high
            assert 5 < metrics[dataset]["psnr"]["mean"] < 40
            assert "alexnet" in metrics[dataset]["lpips"]["lpips_note"]
            index = pd.read_parquet(project.folder / f"data/faces/{dataset}.parquet")
            test = int((index["row"].notna() & (index["split"] == "test")).sum())
            assert metrics[dataset]["n_faces"] == min(test, CHANGES["evaluate.max_faces"])
            assert 1 < metrics[dataset]["n_identities"] <= metrics[dataset]["n_faces"]
            assert set(metrics[dataset]["storage"]) == set(FORMATS) and metrics[dataset]["noise"]["top_octave"] > 0
        for attack in (metrics["orl"]["acceptance"], metrics["orl"]["transfer"]["resnet"]):
            assert 0 <= attack["type_1"]["value"] <= 1 and attack["unattacked"]["far"] <= 0.001
        assert metrics["synthetic"]["acceptance"]["type_1"]["value"] is None  # one face a person

        metrics = project.json(f"metrics/train_decoder/{variant}.json")
        assert metrics["epochs"] == 2 and metrics["best_epoch"] in (1, 2) and metrics["parameters"] > 0
        assert set(metrics["validation"]) == {"total", *EQ_2}

    for recognizer in RECOGNIZERS:
        metrics = project.json(f"metrics/verify/{recognizer}.json")
        assert metrics["n_identities"] == PEOPLE
        for condition in CONDITIONS:
            for mapped in ("without", "with") if condition != "original" else ("without",):
                for rate in ("tar_at_far_0.001", "tar_at_far_0.01", "eer"):
                    for key in ("value", "ci95_low", "ci95_high"):
                        assert 0 <= get(metrics, f"{condition}.{mapped}.{rate}.{key}") <= 1
                assert 0 <= get(metrics, f"{condition}.{mapped}.auc.value") <= 1
            if condition != "original":
                assert get(metrics, f"{condition}.difference.tar_at_far_0.001.difference") is not None
        maps = project.json(f"metrics/fit_transforms/{recognizer}.json")
        assert set(maps) == {"rotate-90", "rotate+90", "rotate+180", "scale-0.5"} | {
            f"translate-{direction}" for direction in ("left", "right", "up", "down")
        }
        assert all(fit["n"] == 12 and fit["held_out_r2"] <= 1 for fit in maps.values())
    # dlib's network knows these people: what stands in the metrics was measured, not made up
    assert get(project.json("metrics/verify/resnet.json"), "original.without.tar_at_far_0.01.value") > 0.9

    for recognizer in RECOGNIZERS:
        metrics = project.json(f"metrics/occlude/{recognizer}.json")
        for dataset in DATASETS:
            for region in ("eyes", "mouth"):
                assert -1 <= get(metrics, f"{dataset}.{region}.cosine.mean") < 1
                for variant in (name for name in VARIANTS if name.startswith(recognizer)):
                    change = metrics[dataset][region]["decoded"][variant]["change_inside"]
                    assert 0 <= change["mean"] <= 1 and 0.02 < change["area"] < 0.3
        metrics = project.json(f"metrics/cluster/{recognizer}.json")
        assert 0 < get(metrics, "templates.within_person_share.value") < 1 and metrics["n_people_clustered"] == PEOPLE
        metrics = project.json(f"metrics/aggregate/{recognizer}.json")
        assert list(metrics["verification"]) == ["1", "2", "3", "5", "8"] and "10, 20, 50" in metrics["counts_note"]

    metrics = project.json("metrics/import_recognizer/resnet.json")
    assert metrics["dimension"] == 128 and metrics["parameters"] > 5e6
    assert metrics["gives_gradients"] is True and metrics["embeds_images"] is True and "left_out_note" not in metrics
    metrics = project.json("metrics/train_recognizer/vgg.json")
    assert metrics["dimension"] == round(4096 * 0.05) and "eer" in metrics["verification"]["orl"]


def test_metrics_are_nested_numbers_and_every_null_has_a_note(project):
    names = [name for name in project.files("metrics") if name.endswith(".json")]
    assert len(names) == 2 + 1 + 4 + 1 + 1 + 1 + 2 + 2 + 1 + 5 * len(RECOGNIZERS)
    for name in names:
        values = dict(numbers(project.json(name)))
        assert values
        for key, value in values.items():
            if value is None:
                section = key.rpartition(".")[0]
                assert any(k.rpartition(".")[0] == section and k.endswith("_note") for k in values), f"{name}: {key}"


def test_tables_and_pictures(project):
    roc = pd.read_csv(project.folder / "plots/roc.csv")
    assert list(roc) == ["recognizer", "condition", "map", "far", "tar", "threshold"]
    assert set(roc["recognizer"]) == set(RECOGNIZERS) and set(roc["condition"]) == set(CONDITIONS)
    assert roc["far"].between(0, 1, inclusive="right").all() and roc["tar"].between(0, 1).all()
    assert roc["threshold"].abs().max() <= 1.001  # a cosine: no infinite ones
    for variant in VARIANTS:
        history = pd.read_csv(project.folder / f"plots/train_decoder/{variant}.csv")
        assert list(history) == ["epoch", "split", "total", *EQ_2] and len(history) == 4
        assert history.notna().all().all()
    pictures = [project.folder / name for name in project.files("plots") if name.endswith(".png")]
    names = {path.stem for path in pictures}
    grids = {f"{family}-{dataset}" for family in ("rotate", "translate", "scale") for dataset in DATASETS}
    analyses = {
        *DATASETS,
        "person-1",
        "verification",
        "decoded",
    }  # occluded or modified; clusters, aggregates; two curves
    analyses |= {"grid", "targeted", "epsilon"}  # attacks
    analyses |= {"sources", "spread", "judges", "curves", "protections"}  # what a template gives away
    assert names == {"roc", "losses", "psnr", "variants"} | grids | analyses
    for path in pictures:
        with Image.open(path) as image:
            image.load()
            assert min(image.size) > 100 and len(image.convert("RGB").getcolors(1 << 24)) > 20
    html = (project.folder / "plots/report.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img alt="([^"]+)"[^>]* src="data:image/', html)
    named = {path.relative_to(project.folder / "plots").with_suffix("").as_posix() for path in pictures}
    named -= {name for name in named if name.startswith("invert/") and "/orl/" not in name}  # of strangers' faces alone
    assert {name.replace(" · ", "/") for name in shown} == named and len(shown) == len(named)
    assert all(variant in html for variant in VARIANTS)


def test_the_docs_hold_this_runs_tables(project):
    text = (project.folder / "docs/results.md").read_text(encoding="utf-8")
    for variant in VARIANTS:
        psnr = project.json(f"metrics/evaluate/{variant}.json")["orl"]["psnr"]["mean"]
        assert f"| {variant} | {psnr:.2f} [" in text
    tar = project.json("metrics/verify/resnet.json")["original"]["without"]["tar_at_far_0.001"]["value"]
    rows = (project.folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert any(row.startswith("| TAR (%) of the recognizer | 99.3 |") and f"| {100 * tar:.1f} [" in row for row in rows)


def test_nothing_is_left_behind(project):
    left = [str(path) for path in project.folder.rglob("*") if ".partial" in path.name]
    assert not left and not list((project.folder / ".checkpoints").glob("*"))
    assert project.succeed("git", "status", "--porcelain") == ""
    tracked = project.succeed("git", "ls-files").splitlines()
    assert "dvc.lock" in tracked and "plots/roc.csv" in tracked and "metrics/verify/vgg.json" in tracked
    assert not [name for name in tracked if name.startswith("data/") and not name.endswith(".gitignore")]


def test_running_again_changes_nothing(project):
    output = project.succeed("dvc", "repro")
    assert not stages_run(output) and "up to date" in output
    assert project.succeed("git", "status", "--porcelain") == ""
    output = project.succeed("dvc", "repro", "--dry", "--allow-missing")
    assert not stages_run(output)


# mistake -> the params, and how the line begins that tells it: DVC's own, where it misses the file, or the stage's
BAD = {
    "a variant of no recognizer": (
        {"variants.vgg-resnet.template": "unknown"},
        r"ERROR: failed to reproduce 'train_decoder@vgg-resnet': .*unknown",
    ),
    "a size that the decoder cannot make": (
        {"decoder.size": 57},
        r"error: decoder.size: no 57 px: ",
    ),
}


@pytest.mark.parametrize("mistake", BAD)
def test_bad_params_end_with_one_line_and_no_half_written_out(project, mistake):
    changes, line = BAD[mistake]
    before = project.files("data", "metrics", "plots")
    project.change(changes)
    try:
        ended = project.run("dvc", "repro", "--single-item", "train_decoder@vgg-resnet")
        assert ended.returncode != 0 and "Traceback" not in ended.stdout + ended.stderr
        assert len([text for text in ended.stderr.splitlines() if re.match(line, text)]) == 1, ended.stderr
        after = project.files("data", "metrics", "plots")
        assert after.items() <= before.items()  # DVC removes the outs of a stage that it runs
        assert not list((project.folder / ".checkpoints").glob("*"))
    finally:
        project.succeed("git", "checkout", "--", ".")
        project.succeed("dvc", "checkout")
    assert project.files("data", "metrics", "plots") == before


def test_an_experiment_without_local_terms_retrains_the_decoders_and_nothing_before(project):
    output = project.succeed("dvc", "exp", "run", "-S", "loss.local=false", "train_decoder")
    assert stages_run(output) == {"train_decoder": 1}
    history = pd.read_csv(project.folder / "plots/train_decoder/vgg-resnet.csv")
    assert list(history) == ["epoch", "split", "total", "pixel", "gradient", "perceptual"]
    # What would follow is asked for, not run: it would take longer than everything else here. `docs` hangs on metrics
    # alone, which have not changed yet.
    assert stages_run(project.succeed("dvc", "repro", "--dry")) == {
        "evaluate": 1, "reconstruct": 1, "occlude": 1, "cluster": 1, "aggregate": 1, "attack": 2, "disentangle": 2,
        "invert": 1, "report": 1,
    }  # fmt: skip

    params = json.loads(project.succeed("dvc", "params", "diff", "--json"))["params.yaml"]
    assert {name: (change["old"], change["new"]) for name, change in params.items()} == {"loss.local": (True, False)}
    metrics = json.loads(project.succeed("dvc", "metrics", "diff", "--json"))
    assert set(metrics) == {"metrics/train_decoder/vgg-resnet.json"}
    project.succeed("dvc", "plots", "diff", "HEAD")
