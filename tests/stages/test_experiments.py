"""The experiments' stages on a few faces, with tiny networks, run one after the other in one folder."""

import importlib
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from recorder import Recorder, compared
from ruamel.yaml import YAML
from small_project import INVERTED_VGG, LOSSES, ROOT, change, fit_maps, lay_out, read, stage

from dfd.core.artefacts import read_module
from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
from dfd.decoder.registry import build_decoder, save_decoder
from dfd.faces.store import FaceStore
from dfd.findings.rule import verdict
from dfd.findings.tables import SUMMARY
from dfd.measures.estimates import Estimate
from dfd.recognizers.vgg import VGG16
from dfd.rendering.grids import image_grid
from dfd.studies.equivariance import figures as equivariance
from dfd.studies.reconstruction import variants as reconstruction
from dfd.templates.store import TemplateStore

COMMANDS = (
    *("train_ablation full", "train_ablation pixel", "ablation"),
    *("train_recognizer_loss softmax", "train_recognizer_loss arcface", "recognizer_loss"),
    *("train_template_layer fc7", "train_template_layer conv5-avg", "template_layer"),
    *(f"train_competitor {name} vgg-resnet" for name in ("inverted-vgg", "nbnet", "residual-deconvolution")),
    *("competitors vgg-resnet", "backbones", "adapters", "map_gains", "rivals", "transfer", "findings", "paper"),
)
# (stage, param or dep) that only other params than these make a stage read
NOT_HERE = {("adapters", "import_decoder")}  # whose decoder may be an imported one


def verify() -> None:
    fit_maps()
    for name in ("vgg", "resnet"):
        stage("verify", name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, synthetic_store, orl_store) -> tuple[Path, list[dict]]:
    """The small project after every stage of the experiments, and what each has read."""
    folder, records = tmp_path_factory.mktemp("finished"), []
    with pytest.MonkeyPatch.context() as patch:
        lay_out(folder, patch, {"synthetic": synthetic_store, "orl": orl_store})
        theirs = shutil.ignore_patterns(*{command.split()[0] for command in COMMANDS}, "findings.json")
        for written in ("metrics", "plots"):  # by the root's pipeline, of which these stages read
            shutil.copytree(ROOT / written, folder / written, ignore=theirs)
        verify()
        stage("fit_closed_form", "vgg")
        for command in COMMANDS:
            name, *arguments = command.split()
            importlib.import_module(f"stages.{name}")
            with Recorder(folder) as recorder:
                stage(name, *arguments)
            records.append(recorder.record(f"stages.{command}"))
    return folder, records


@pytest.fixture
def results(finished, monkeypatch) -> None:
    """What the experiments wrote, in the current folder."""
    monkeypatch.chdir(finished[0])


def test_the_experiments_read_what_they_declare(finished):
    """Recorded while they ran: every param and every file, of the project and of what earlier stages wrote."""
    _, records = finished
    pipeline = ROOT / "experiments/dvc.yaml"
    faults, unread = compared(records, [pipeline])
    assert not faults
    assert not unread - NOT_HERE
    written = YAML(typ="safe").load(pipeline.read_text(encoding="utf-8"))["stages"]
    assert {record["command"].split()[0].removeprefix("stages.") for record in records} == set(written)


def test_what_is_read_and_not_declared_and_the_reverse_are_found(finished, tmp_path):
    text = (ROOT / "experiments/dvc.yaml").read_text(encoding="utf-8")
    head, ablation = text.split("cmd: python -m stages.ablation", 1)
    ablation = ablation.replace("- bootstrap", "- memory_gb", 1).replace("- data/templates", "- data/transforms", 1)
    (tmp_path / "dvc.yaml").write_text(f"{head}cmd: python -m stages.ablation{ablation}", encoding="utf-8")
    faults, unread = compared(finished[1], [tmp_path / "dvc.yaml"])
    assert "ablation (stages.ablation) reads bootstrap: not among its params" in faults
    assert any(fault.startswith("ablation (stages.ablation) reads data/templates/orl/vgg.h5") for fault in faults)
    assert unread - NOT_HERE == {("ablation", "memory_gb"), ("ablation", "data/transforms")}


def drawn(folder: str, *names: str) -> None:
    for name in names:
        with Image.open(f"plots/{folder}/{name}.png") as image:
            assert min(image.size) > 100 and len(image.convert("RGB").getcolors(1 << 24)) > 20
    assert {"dataset", "decoder", "measure", "mean", "minus"} <= set(pd.read_csv(f"plots/{folder}/measures.csv"))


def trained(folder: str) -> None:
    assert "decoder" in pd.read_csv(f"plots/{folder}/training.csv")


def test_the_ablation(results):
    metrics = read("ablation/vgg-resnet")
    assert set(metrics) == {"synthetic", "orl"} and set(metrics["orl"]["decoders"]) == set(LOSSES)
    assert (
        metrics["orl"]["n_identities"] == 4
        and metrics["orl"]["leaked_identities"] == 0
        and metrics["orl"]["n_seeds"] == 1
    )
    full, pixel = (metrics["orl"]["decoders"][loss] for loss in LOSSES)
    assert set(full) == {"psnr", "ssim", "lpips", "cosine-vgg", "cosine-resnet"}
    assert full["lpips"]["mean"] is None and "alexnet" in full["lpips"]["lpips_note"]
    assert pixel["psnr"]["minus_full"]["mean"] == pytest.approx(pixel["psnr"]["mean"] - full["psnr"]["mean"], abs=1e-4)
    drawn("ablation", "faces", "psnr", "ssim", "psnr-minus-full")
    trained("ablation")
    assert not list(Path(".checkpoints").glob("*"))


def test_the_ablation_by_several_seeds(project):
    """A row is the mean over its trainings, and a difference that of the same seeds."""
    change(lambda values: values["experiments"]["ablation"].update(seeds=[0, 3, 1]))
    for loss in LOSSES:
        stage("train_ablation", loss)
    stage("ablation")
    found = read("ablation/vgg-resnet")["orl"]
    assert found["n_seeds"] == 3
    folder = Path("data/experiments/ablation/pixel")
    assert {path.name for path in folder.iterdir()} == {
        "decoder-0.safetensors",
        "decoder-1.safetensors",
        "decoder-3.safetensors",
        "history.csv",
    }
    history = pd.read_csv(folder / "history.csv")
    assert history["seed"].tolist() == [0, 0, 3, 3, 1, 1] and len(set(history["total"])) == 6
    assert set(pd.read_csv("plots/ablation/training.csv")["seed"]) == {0, 1, 3}
    assert not list(Path(".checkpoints").glob("*"))
    for name in ("inverted-vgg", "nbnet", "residual-deconvolution"):
        LeftOut("not trained here").write(f"data/experiments/competitors/{name}-vgg-resnet")
    stage("fit_closed_form", "vgg")
    stage("rivals")
    assert set(read("rivals/vgg-resnet")["orl"]["left_out"]) == {"inverted-vgg", "nbnet", "residual-deconvolution"}
    ensemble = read("rivals/vgg-resnet")["orl"]["loss-pixel"]["ensemble"]
    assert ensemble["n_trainings"] == 3 and 0 < ensemble["grey_levels"]["mean"] < ensemble["misses"]["mean"]
    assert Path("plots/rivals/vgg-resnet/loss-pixel.png").is_file()

    singles = {}
    for seed in (0, 1, 3):
        change(lambda values, seed=seed: values["experiments"]["ablation"].update(seeds=[seed]))
        stage("ablation")
        singles[seed] = read("ablation/vgg-resnet")["orl"]["decoders"]
    for loss in LOSSES:
        psnr = found["decoders"][loss]["psnr"]
        assert psnr["mean"] == pytest.approx(
            sum(single[loss]["psnr"]["mean"] for single in singles.values()) / 3, abs=1e-4
        )
    difference = found["decoders"]["pixel"]["psnr"]["minus_full"]
    assert difference["mean"] == pytest.approx(
        sum(s["pixel"]["psnr"]["minus_full"]["mean"] for s in singles.values()) / 3, abs=1e-4
    )
    assert len({single["full"]["psnr"]["mean"] for single in singles.values()}) == 3


def test_a_seed_is_added_to_that_of_all(project):
    change(lambda values: values["experiments"]["ablation"].update(seeds=[1]))
    stage("train_ablation", "pixel")
    weights = Path("data/experiments/ablation/pixel/decoder-1.safetensors").read_bytes()
    change(lambda values: values["experiments"]["ablation"].update(seeds=[0]) or values.update(seed=1))
    stage("train_ablation", "pixel")
    assert Path("data/experiments/ablation/pixel/decoder-0.safetensors").read_bytes() == weights


def test_features_that_teach_alone_teach_from_every_face(project, monkeypatch):
    values = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8"))
    values["experiments"]["ablation"]["losses"]["perceptual"] = {"terms": ["perceptual"], "local": False}
    with open("params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(values, file)
    shares = {}
    module = importlib.import_module("stages.train_ablation")
    learn = module.learn
    for loss in ("full", "perceptual"):
        monkeypatch.setattr(
            module, "learn", lambda *a, loss=loss: shares.update({loss: a[3].perceptual_share}) or learn(*a)
        )
        stage("train_ablation", loss)
    assert shares == {"full": values["loss"]["perceptual_share"], "perceptual": 1.0} and shares["full"] < 1


def test_a_phi_without_gradients_leaves_its_rows_out(project, monkeypatch):
    monkeypatch.setattr(VGG16, "gives_gradients", False)
    for loss in LOSSES:
        stage("train_ablation", loss)
    stage("ablation")
    metrics = read("ablation/vgg-resnet")
    assert (
        list(metrics["left_out"]) == ["full"]
        and "resnet gives no gradients" in metrics["left_out"]["full"]["left_out_note"]
    )
    found = metrics["orl"]["decoders"]
    assert list(found) == ["pixel"] and found["pixel"]["psnr"]["minus_full"]["mean"] is None
    stage("train_competitor", "nbnet", "vgg-resnet")
    stage("train_competitor", "residual-deconvolution", "vgg-resnet")
    stage("train_competitor", "inverted-vgg", "vgg-resnet")
    stage("competitors", "vgg-resnet")
    assert not [
        name
        for name in pd.read_csv("data/experiments/competitors/inverted-vgg-vgg-resnet/history.csv")
        if "percept" in name
    ]
    assert "resnet gives no gradients" in read("competitors/vgg-resnet")["perceptual_note"]
    history = pd.read_csv("data/experiments/competitors/nbnet-vgg-resnet/history.csv")
    assert set(history["phase"]) == {"pixel"} and history["epoch"].max() == 2


def test_the_losses_of_recognizers(results):
    metrics = read("recognizer_loss/orl")
    assert metrics["orl"]["learned_from"] == {"n_faces": 10, "n_identities": 2}
    assert (metrics["orl"]["n_faces"], metrics["orl"]["n_identities"]) == (10, 2)
    assert set(metrics["orl"]["verification"]) == set(metrics["orl"]["decoders"]) == {"softmax", "arcface"}
    assert metrics["orl"]["verification"]["arcface"]["minus_softmax"]["auc"]["difference"] is not None
    assert "verification" not in metrics["synthetic"] and "no person" in metrics["synthetic"]["verification_note"]
    drawn("recognizer_loss", "faces", "psnr")
    trained("recognizer_loss")
    weights = [
        Path(f"data/experiments/recognizer_loss/{name}/recognizer.safetensors").read_bytes()
        for name in ("softmax", "arcface")
    ]
    assert weights[0] != weights[1]


def test_people_whom_the_recognizers_learned_from_are_refused_elsewhere(project):
    values = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8"))
    values["datasets"]["copy"] = {"source": "folder", "path": "photos", "split": {"test": 1.0}}
    with open("params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(values, file)
    shutil.copytree("data/templates/orl", "data/templates/copy")
    for suffix in (".h5", ".parquet"):
        shutil.copy(f"data/faces/orl{suffix}", f"data/faces/copy{suffix}")
    stage("train_recognizer_loss", "softmax")
    LeftOut("not trained").write("data/experiments/recognizer_loss/arcface")
    with pytest.raises(DfdError, match=r"copy\.h5: 2 of 4 identities .* by recognizers compared \(orl\)"):
        stage("recognizer_loss")


def test_people_with_one_photo_each_leave_the_losses_of_recognizers_out(project):
    values = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8"))
    values["experiments"]["recognizer_loss"]["dataset"] = "synthetic"
    with open("params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(values, file)
    for objective in ("softmax", "arcface"):
        stage("train_recognizer_loss", objective)
        assert "synthetic has too few" in LeftOut.read(f"data/experiments/recognizer_loss/{objective}").reason
    stage("recognizer_loss")
    metrics = read("recognizer_loss/synthetic")
    assert metrics["orl"] is None and metrics["orl_note"] == "left out: there is no decoder"
    assert set(metrics["left_out"]) == {"softmax", "arcface"}
    assert Path("plots/recognizer_loss/measures.csv").is_file()


def test_the_layers_of_templates(results):
    metrics = read("template_layer/vgg")
    assert metrics["orl"]["dimensions"] == {"fc7": round(4096 * 0.05), "conv5-avg": round(512 * 0.05)}
    assert metrics["orl"]["decoders"]["conv5-avg"]["psnr"]["minus_fc7"]["mean"] is not None
    drawn("template_layer", "faces", "psnr", "psnr-minus-fc7")
    trained("template_layer")


def test_layers_of_templates_alone_are_left_out(project, monkeypatch):
    monkeypatch.setattr(VGG16, "embeds_images", False)
    for layer in ("fc7", "conv5-avg"):
        stage("train_template_layer", layer)
    stage("template_layer")
    assert set(read("template_layer/vgg")["left_out"]) == {"fc7", "conv5-avg"}


def test_the_competitors(results):
    metrics = read("competitors/vgg-resnet")
    assert set(metrics["orl"]["decoders"]) == {"ours", "inverted-vgg", "nbnet", "nbnet-pixel", "residual-deconvolution"}
    assert metrics["orl"]["decoders"]["inverted-vgg"]["psnr"]["minus_ours"]["mean"] is not None
    acceptance = metrics["acceptance"]
    assert acceptance["unattacked"]["far"] <= 0.1 and set(acceptance["decoders"]) == set(metrics["orl"]["decoders"])
    for kinds in acceptance["decoders"].values():
        assert kinds["type_1"]["n"] == 20 and kinds["type_2"]["n"] == 20 * 4
    history = pd.read_csv("data/experiments/competitors/nbnet-vgg-resnet/history.csv")
    assert history["phase"].tolist() == ["pixel"] * 2 + ["perceptual"] * 2
    drawn("competitors/vgg-resnet", "faces", "psnr", "acceptance")
    trained("competitors/vgg-resnet")
    assert not list(Path(".checkpoints").glob("*"))


def test_each_loss_and_competitor_is_an_attack_beside_the_variants_own(results):
    metrics = read("rivals/vgg-resnet")["orl"]
    competitors = {"inverted-vgg", "nbnet", "nbnet-pixel", "residual-deconvolution"}
    assert set(metrics) == {*(f"loss-{loss}" for loss in LOSSES), *competitors, "leaked_identities"}
    rival = metrics["nbnet"]
    assert {name: rates["self_judged"] for name, rates in rival["transfer"].items()} == {"vgg": True, "resnet": False}
    assert rival["transfer"]["resnet"]["fmr_0.01"]["type_1"]["n"] == 20 and "ensemble" not in rival
    assert (
        set(rival["sources"]) == {"decoder"}
        and rival["sources"]["decoder"]["psnr"]["minus_decoder"]["mean"] is not None
    )
    page = Path("plots/paper.html").read_text(encoding="utf-8")
    assert "nbnet (vgg-resnet)" in page and "loss-pixel (vgg-resnet)" in page


def test_the_papers_decoder_learns_as_ours_do(project):
    """From the variant's own losses, the identity among them, for train_decoder's epochs."""
    own = {"identity": 1.0, "gradient": 0.0, "local": False}
    change(lambda values: values["variants"]["vgg-resnet"].update(identity="resnet", loss=own))
    change(lambda values: values["train_decoder"].update(epochs=3, averaging=0.5))
    stage("train_competitor", "inverted-vgg", "vgg-resnet")
    history = pd.read_csv("data/experiments/competitors/inverted-vgg-vgg-resnet/history.csv")
    assert (
        set(history) == {"epoch", "split", "total", "pixel", "perceptual", "identity"} and history["epoch"].max() == 3
    )
    stage("train_decoder", "vgg-resnet")
    ours = pd.read_csv("plots/train_decoder/vgg-resnet.csv")
    assert list(ours) == list(history) and len(ours) == len(history)
    config, _ = read_module("data/experiments/competitors/inverted-vgg-vgg-resnet/decoder.safetensors")
    assert config["architecture"] == "inverted-vgg" and config["options"] == {"size": 14} | INVERTED_VGG
    assert not list(Path(".checkpoints").glob("*"))


def test_a_variants_own_training_is_that_of_its_competitors_too(project):
    """Of all variants two epochs are asked, of this one three."""
    change(lambda values: values["variants"]["vgg-resnet"].update(training={"epochs": 3, "patience": 3}))
    stage("train_decoder", "vgg-resnet")
    stage("train_competitor", "residual-deconvolution", "vgg-resnet")
    assert read("train_decoder/vgg-resnet")["epochs"] == 3
    history = pd.read_csv("data/experiments/competitors/residual-deconvolution-vgg-resnet/history.csv")
    assert history["epoch"].max() == 3


def test_reconstructions_by_decoders_trained_here_and_imported_ones_of_other_sizes(project, monkeypatch):
    """Strangers first: ORL, of which no decoder learns."""
    imported = {"larger": {"weights": "x", "template": "resnet"}}
    change(lambda values: values.update(import_decoder=imported))
    fit_maps()
    for name in ("vgg", "resnet"):
        stage("fit_closed_form", name)
    dimension = TemplateStore("data/templates/orl/resnet.h5", FaceStore("data/faces/orl.h5")).dimension
    config = {"architecture": "linear", "dimension": dimension, "options": {"size": 28}}
    config |= {"dataset": "elsewhere", "people": []}
    save_decoder("data/decoders/larger.safetensors", build_decoder("linear", dimension, {"size": 28}), config)
    grids: dict = {}
    for module in (equivariance, reconstruction):
        draw = lambda path, *a, **k: grids.update({Path(path).stem: (a, k)}) or image_grid(path, *a, **k)
        monkeypatch.setattr(module, "image_grid", draw)
    stage("reconstruct")
    (rows, columns, _), named = grids["variants"]
    variants = ["vgg-vgg", "vgg-resnet", "resnet-vgg", "resnet-resnet"]
    assert [label for label, _ in rows] == ["original", "larger", *variants, "linear (resnet)", "linear (vgg)"]
    assert columns == ["orl"] * 2 + ["synthetic"] * 2 and named["groups"] == [0, 2]
    sizes = {label: {image.shape[-1] for image in images} for label, images in rows}
    assert sizes["original"] == sizes["larger"] == {28} and sizes["vgg-vgg"] == sizes["linear (vgg)"] == {14}
    with Image.open("plots/reconstruct/variants.png") as image:
        assert min(image.size) > 400
    assert {"rotate-orl", "scale-synthetic"} <= set(grids)


def test_the_backbones(results):
    metrics = read("backbones/variants")
    decoders = metrics["orl"]["decoders"]
    assert (
        list(decoders) == ["vgg-vgg", "vgg-resnet", "resnet-vgg", "resnet-resnet"] and metrics["orl"]["n_faces"] == 20
    )
    for name, one_apart in {
        "vgg-vgg": ("vgg-resnet", "resnet-vgg"),
        "resnet-vgg": ("vgg-vgg", "resnet-resnet"),
    }.items():
        psnr = decoders[name]["psnr"]
        assert {key for key in psnr if key.startswith("minus_")} == {f"minus_{other}" for other in one_apart}
        other = decoders[one_apart[0]]["psnr"]["mean"]
        assert psnr[f"minus_{one_apart[0]}"]["mean"] == pytest.approx(psnr["mean"] - other, abs=1e-4)
    drawn("backbones", "faces", "psnr", "ssim")


def test_the_gains_of_maps(results):
    metrics = read("map_gains/orl")
    assert (metrics["n_faces"], metrics["n_identities"]) == (20, 4)
    for condition in ("rotated", "translated", "scaled"):
        gain = metrics[condition]["vgg"]["minus_resnet"]["tar_at_far_0.01"]
        assert gain["ci95_low"] <= gain["difference"] <= gain["ci95_high"]


def test_one_recognizer_that_embeds_has_no_gain_to_compare(project, monkeypatch):
    monkeypatch.setattr(VGG16, "embeds_images", False)
    verify()
    stage("map_gains")
    notes = read("map_gains/orl")
    assert set(notes) == {"maps_note", "vgg_note", "resnet_note"} and "no two recognizers" in notes["maps_note"]


def test_a_data_set_without_test_faces_verifies_nobody(project, monkeypatch):
    rows = FaceStore.rows
    monkeypatch.setattr(FaceStore, "rows", lambda store, split: rows(store, split)[: 0 if split == "test" else None])
    fit_maps()
    for name in ("vgg", "resnet"):
        stage("verify", name)
    stage("map_gains")
    assert set(read("map_gains/orl")) == {"maps_note"} and "no test faces" in read("map_gains/orl")["maps_note"]
    metrics = read("verify/vgg")
    assert metrics["rotated"] is None and metrics["original"] is None and metrics["n_faces"] == 0
    assert metrics["rotated_note"] == "orl has no test faces" and "too few" in metrics["original_note"]


def test_the_findings(project):
    stage("backbones")
    stage("findings")
    found = read("findings")
    claims = found["claims"]
    assert sum(found["counts"].values()) == len(claims) > 40
    better = claims["vgg-decodes-better-psnr"]
    assert better["dataset"] == "orl"
    assert better["verdict"] == verdict(
        Estimate(better["effect"], better["ci95_low"], better["ci95_high"]), 0, math.inf
    )
    difference = read("backbones/variants")["orl"]["decoders"][f"vgg-{better['part'].removeprefix('φ = ')}"]["psnr"]
    assert better["effect"] in [value["mean"] for key, value in difference.items() if key.startswith("minus_resnet")]
    assert (
        claims["vgg-decodes-better-lpips"]["effect"] is None
        and "alexnet" in claims["vgg-decodes-better-lpips"]["effect_note"]
    )
    assert "no ablation" in claims["local-terms-help-psnr"]["effect_note"]
    assert {"better-than-nbnet", "better-than-residual-deconvolution"} <= set(claims)
    assert "better-than-inverted-vgg" not in claims  # of itself the paper claims no such thing
    table = pd.read_csv("plots/findings/findings.csv")
    assert table.loc[table["part"] == SUMMARY, "key"].drop_duplicates().tolist() == list(claims)
    assert set(table.loc[table["key"] == "vgg-decodes-better-psnr", "part"]) == {SUMMARY, *better["parts"]}
    assert Path("plots/findings/findings.md").read_text(encoding="utf-8").count("\n| ") == len(claims) + 2
    rows = [line for line in Path("docs/findings.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + sum(claim["effect"] is not None or "lpips" not in key for key, claim in claims.items())
    assert any(row.startswith(f"| {better['claim']} | ") and better["verdict"] in row for row in rows)
