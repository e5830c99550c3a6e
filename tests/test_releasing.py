"""Released files: made from what was trained, used in a fresh clone, imported; and refused where they do not belong."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import load_file
from training import train_vgg

from dfd import cli, releasing
from dfd.core.artefacts import read_config, read_module, save_state
from dfd.core.errors import DfdError
from dfd.decoder.provenance import provenance
from dfd.decoder.registry import build_decoder, decode, load_decoder, save_decoder
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.photos.archives import write_photos
from dfd.photos.datasets import orl_photos
from dfd.photos.synthetic import synthetic_photos
from dfd.recognizers.registry import (
    build_recognizer,
    import_recognizer,
    load_recognizer,
    save_recognizer,
    weights_sha256,
)
from dfd.templates.embedding import embed_views
from dfd.templates.files import write_templates_file
from dfd.templates.store import TemplateStore, write_templates
from dfd.workspace import Workspace

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
OPTIONS = {"size": 28, "hidden": 8, "rank": 4, "channels": 4, "axes": 3}
VGG = {"size": 32, "width": 0.05, "normalise": True}
RELEASED = "released/resnet-identity.safetensors"


def write_params(folder: Path, change=lambda params: None) -> None:
    params = YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["device"] = "cpu"
    params["recognizers"]["vgg"]["options"] = dict(VGG)
    train_vgg(params)
    change(params)
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(params, file)


def run(monkeypatch, capsys, folder: Path, *arguments) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `dfd` in a folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["dfd", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
        sys.exit(0)
    return stopped.value.code or 0, *capsys.readouterr()


@pytest.fixture
def dfd(monkeypatch, capsys):
    return lambda folder, *arguments: run(monkeypatch, capsys, folder, *arguments)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, to_store) -> SimpleNamespace:
    """A project that trained `resnet-resnet`, on dlib's templates of generated faces, and the recognizer `vgg`."""
    folder = tmp_path_factory.mktemp("trained")
    write_params(folder)
    params = load_params(folder / "params.yaml")
    write_photos(folder / "data/raw/synthetic.tar", synthetic_photos(24, seed=0))
    to_store(folder / "data/raw/synthetic.tar", folder / "data/faces/synthetic.h5", geometry="portrait")
    faces = FaceStore(folder / "data/faces/synthetic.h5")
    dlib = import_recognizer("dlib-resnet", params.recognizers["resnet"].options, "dlib-face-recognition").place(
        "portrait"
    )
    source = {"recognizer": "resnet", "layer": dlib.layer, "weights_sha256": weights_sha256(dlib)}
    template = embed_views(dlib, faces, np.arange(len(faces)))
    write_templates(folder / "t.h5", faces, template.numpy(), None, source)
    templates = TemplateStore(folder / "t.h5", faces)
    torch.manual_seed(0)
    decoder = build_decoder("residual", 128, OPTIONS)
    training = template[templates.rows("train")]
    decoder.set_statistics(training, torch.full((3, 28, 28), 0.5))
    for module in (decoder.to_rgb, decoder.skip[-1]):
        torch.nn.init.normal_(module.weight, std=0.05)  # both start at zero
    header = provenance(decoder, faces, templates, training, len(training))
    header |= {"architecture": "residual", "dimension": 128, "options": OPTIONS, "loss": params.loss.model_dump()}
    save_decoder(folder / "data/decoders/resnet-resnet.safetensors", decoder, header)
    vgg = build_recognizer("vgg16", VGG)
    save_recognizer(folder / "data/recognizers/vgg.safetensors", vgg, "vgg16", VGG)
    figures = {"mean": 15.2, "ci95_low": 15.0, "ci95_high": 15.4, "linear": 14.9}
    accepted = {"type_1": {"value": 0.995, "ci95_low": 0.99, "ci95_high": 1.0}}
    metrics = {
        "evaluate/resnet-resnet": {
            "orl": {"n_faces": 400, "psnr": figures, "ssim": figures, "acceptance": accepted},
            "lfw": None,
        },
        "train_decoder/resnet-resnet": {"epochs": 7, "best_epoch": 6},
        "train_recognizer/vgg": {"n_faces": 20, "verification": {"orl": {"eer": {"value": 0.125}}}},
    }
    for name, values in metrics.items():
        (folder / f"metrics/{name}.json").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"metrics/{name}.json").write_text(json.dumps(values))
    return SimpleNamespace(folder=folder, decoder=decoder.eval(), dlib=dlib, training=training, header=header)


@pytest.fixture(scope="module")
def released(trained) -> Path:
    """The released file of its decoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained.folder)
        cli.release(Path(RELEASED), "resnet-resnet", None)
    return trained.folder / RELEASED


@pytest.fixture
def clone(tmp_path, released) -> Path:
    """A fresh clone: params, the released file of one of two decoders, and nothing that a pipeline wrote."""
    folder = tmp_path / "clone"
    folder.mkdir()
    write_params(folder)
    shutil.copytree(released.parent, folder / "released")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "anna.pgm").write_bytes(next(orl_photos())[1])
    Image.new("RGB", (120, 120), "grey").save(folder / "wall.png")
    return folder


# Releasing


def test_a_released_decoder_is_the_trained_one_as_float16(trained, released):
    config, state = read_config(released), load_file(released)
    assert config["released"] is True and trained.header.items() <= config.items()
    assert state["dense.2.weight"].dtype == torch.float16 and state["whitening.matrix"].dtype == torch.float32
    loaded = load_decoder(released, CPU)
    assert all(p.dtype == torch.float32 for p in loaded.parameters()) and "state_sha256" not in loaded.config
    torch.testing.assert_close(
        decode(loaded, trained.training), decode(trained.decoder, trained.training), atol=2e-3, rtol=0
    )


def test_the_card_says_what_the_file_is(trained, released):
    card = released.with_suffix(".md").read_text(encoding="utf-8")
    people = len(trained.header["people"])
    test = len(FaceStore(trained.folder / "data/faces/synthetic.h5").rows("test"))
    for text in (
        "# resnet-identity", "28 px", "templates of `resnet`", trained.header["weights_sha256"], "geometry portrait",
        f"{len(trained.training)} training faces of {people} people", f"never seen: {test} faces of {test} people",
        "gradient 1,", "perceptual 0.1,", "pixel 1,", "7 epochs, the weights of epoch 6",
        "| orl | 400 | 15.20 [15.00, 15.40] | 14.90 |",
        "99.5 [99.0, 100.0] | – |", "## Intended use", "must not be used to identify people", "## Licence", "SHA-256",
    ):  # fmt: skip
        assert text in card, text
    assert "perceptual_share" not in card and "lfw" not in card


def test_lfws_licence_and_folds_are_named(trained, tmp_path):
    settings = {"source": "lfw", "test_folds": [8, 9, 10]}
    source = trained.folder / "data/decoders/resnet-resnet.safetensors"
    releasing.release_decoder(
        source, tmp_path / "d.safetensors", settings, trained.folder / "data/faces/synthetic.h5", tmp_path
    )
    card = (tmp_path / "d.md").read_text(encoding="utf-8")
    assert "Labeled Faces in the Wild" in card and "research only" in card and "folds 8, 9, 10" in card
    assert "No figures were measured" in card and "epoch" not in card


def test_what_cannot_be_released_is_one_line_and_leaves_nothing(trained, dfd, tmp_path, monkeypatch):
    out = tmp_path / "x.safetensors"
    save_decoder(trained.folder / "data/decoders/vgg-vgg.safetensors", trained.decoder, {
        "architecture": "residual", "dimension": 128, "options": OPTIONS,
    })  # fmt: skip
    for arguments, message in (
        (("vgg-vgg", "--out", out), "does not say whom its training saw"),
        (("nobody", "--out", out), "variants has no nobody"),
        (("vgg-resnet", "--out", out), "no such weights file"),
        (("--recognizer", "resnet", "--out", out), "train_recognizer has no resnet"),
        (("--out", out), "either a variant or a --recognizer"),
        (("resnet-resnet", "--out", tmp_path / "x.bin"), "named .safetensors"),
    ):
        code, _, err = dfd(trained.folder, "release", *arguments)
        assert code == 1 and err.startswith("error: ") and err.count("\n") == 1 and message in err
    monkeypatch.setattr(releasing, "LARGEST", 10_000)
    code, _, err = dfd(trained.folder, "release", "resnet-resnet", "--out", out)
    assert code == 1 and "MiB as float16, and a released file has" in err and list(tmp_path.iterdir()) == []


def test_a_released_recognizer_is_imported_like_published_weights(trained, dfd, tmp_path):
    out = tmp_path / "vgg.safetensors"
    assert dfd(trained.folder, "release", "--recognizer", "vgg", "--out", out)[0] == 0
    card, config = out.with_suffix(".md").read_text(encoding="utf-8"), read_config(out)
    assert "| orl | – | 12.5 |" in card and "objective distil of `resnet`" in card and "`synthetic`" in card
    module = import_recognizer("vgg16", VGG, str(out))
    assert weights_sha256(module) == config["weights_sha256"]
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = load_recognizer(trained.folder / "data/recognizers/vgg.safetensors", CPU, "portrait")
    assert torch.cosine_similarity(module.embed(images), before.embed(images)).min() > 0.999
    assert import_recognizer("vgg16", VGG | {"tap": "conv2_2", "dropout": 0.2}, str(out)).tap == "conv2_2"
    with pytest.raises(
        DfdError, match=r"vgg\.safetensors: made with other options: width is 0.05 in it, 0.1 in params"
    ):
        import_recognizer("vgg16", VGG | {"width": 0.1}, str(out))
    with pytest.raises(DfdError, match=r"vgg\.safetensors: a file of the architecture vgg16, not of resnet50"):
        import_recognizer("resnet50", {}, str(out))


# A fresh clone


def test_a_photo_is_reconstructed_without_any_training(clone, photos, dfd, tmp_path):
    code, out, err = dfd(clone, "reconstruct", photos, "--out", tmp_path / "faces")
    assert code == 0 and "wrote 1 images" in out and err.strip() == f"{photos.name}/wall.png: left out (no-face)"
    with Image.open(tmp_path / "faces" / f"{photos.name}_anna.pgm.png") as image:
        assert image.width > 2 * 112  # the face and one reconstruction: the other file is not there
    assert not (clone / "data").exists()
    code, _, err = dfd(clone, "reconstruct", photos / "wall.png", "--out", tmp_path / "none")
    assert (
        code == 1
        and err.count("\n") == 1
        and "wall.png: no face in 1 photos" in err
        and not (tmp_path / "none").exists()
    )
    code, _, err = dfd(clone, "reconstruct", photos, "--variant", "resnet-fidelity", "--out", tmp_path / "none")
    assert code == 1 and "released/resnet-fidelity.safetensors: no such" in err
    shutil.rmtree(clone / "released")
    for command in (("reconstruct", photos), ("decode", tmp_path / "t.npy")):
        np.save(tmp_path / "t.npy", np.eye(1, 128))
        code, _, err = dfd(clone, *command, "--out", tmp_path / "none")
        assert code == 1 and err.count("\n") == 1 and "no decoder is here" in err


def test_encodings_are_decoded_by_the_first_decoder_that_fits(clone, trained, dfd, tmp_path):
    np.save(tmp_path / "encodings.npy", trained.training[:3].double().numpy())
    code, out, err = dfd(clone, "decode", tmp_path / "encodings.npy", "--out", tmp_path / "faces")
    assert code == 0 and "wrote 3 faces" in out and out.strip().endswith("decoded by resnet-identity") and err == ""
    expected = (decode(load_decoder(clone / RELEASED, CPU), trained.training[:3]) * 255).round().byte()
    pixels = np.asarray(Image.open(tmp_path / "faces/1.png"))
    np.testing.assert_array_equal(pixels, expected[1].permute(1, 2, 0).numpy())
    np.save(tmp_path / "wide.npy", np.eye(2, 7))
    code, _, err = dfd(clone, "decode", tmp_path / "wide.npy", "--out", tmp_path / "none")
    assert code == 1 and "(2, 7)" in err and "resnet-identity (128)" in err


def test_doubtful_templates_are_a_warning_and_anothers_an_error(clone, trained, dfd, tmp_path):
    templates = trained.training.numpy().copy()
    np.save(tmp_path / "t.npy", 10 * templates)
    code, _, err = dfd(clone, "decode", tmp_path / "t.npy", "--out", tmp_path / "faces")
    assert (
        code == 0 and err.startswith("warning: ") and err.count("\n") == 1 and "t.npy: they look scaled by about" in err
    )
    np.save(tmp_path / "half.npy", templates.astype(np.float16))
    assert "rounded to float16" in dfd(clone, "decode", tmp_path / "half.npy", "--out", tmp_path / "faces")[2]
    keys = [str(row) for row in range(len(templates))]
    write_templates_file(tmp_path / "t.npz", keys, templates, {"recognizer": "other", "weights_sha256": "0" * 64})
    code, _, err = dfd(clone, "decode", tmp_path / "t.npz", "--out", tmp_path / "none")
    assert code == 1 and err.count("\n") == 1 and "templates of other with the weights 000000000000…" in err
    templates[2, 5] = np.nan
    np.save(tmp_path / "nan.npy", templates)
    code, _, err = dfd(clone, "decode", tmp_path / "nan.npy", "--out", tmp_path / "none")
    assert code == 1 and "first that of row 2" in err and not (tmp_path / "none").exists()


def test_own_templates_go_through_the_file_without_a_warning(clone, photos, dfd, tmp_path):
    assert dfd(clone, "embed", photos / "anna.pgm", "--recognizer", "resnet", "--out", tmp_path / "t.parquet")[0] == 0
    code, _, err = dfd(clone, "decode", tmp_path / "t.parquet", "--out", tmp_path / "faces")
    assert code == 0 and err == "" and (tmp_path / "faces/anna.pgm.png").is_file()


def test_what_the_params_have_changed_since_is_refused(clone, trained, photos, dfd, tmp_path):
    def changed(change) -> str:
        write_params(clone, change)
        code, _, err = dfd(clone, "reconstruct", photos / "anna.pgm", "--out", tmp_path / "none")
        assert code == 1 and err.count("\n") == 1 and not (tmp_path / "none").exists()
        return err

    text = changed(lambda params: params["faces"].update(geometry="aligned"))
    assert "learned faces of the geometry portrait, and faces.geometry is aligned" in text
    text = changed(lambda params: params["recognizers"]["resnet"]["options"].update(window="arcface"))
    assert "learned from templates of resnet with the weights" in text

    (clone / "data/recognizers").mkdir(parents=True)
    save_recognizer(clone / "data/recognizers/resnet.safetensors", trained.dlib, "dlib-resnet", {"layer": "template"})
    text = changed(lambda params: params["recognizers"]["resnet"]["options"].update(window="arcface"))
    assert "made with other options: window is not set in it, arcface in params" in text and "dvc repro" in text


def test_a_python_user_has_the_same_door(clone, trained, monkeypatch):
    monkeypatch.chdir(clone)
    project = Workspace()
    recognizer, decoder = project.pair("resnet-identity")
    assert recognizer is project.recognizer("resnet") and decoder(trained.training[:2]).shape == (2, 3, 28, 28)
    with pytest.raises(DfdError, match="decoders has no x; there are"):
        project.decoder("x")


# Damaged files


def test_a_damaged_or_newer_file_is_one_line(released, tmp_path):
    path, whole = tmp_path / "d.safetensors", released.read_bytes()

    def error(content=None, **changes) -> str:
        if content is None:
            config, state = read_module(released)
            save_state(path, state, config | changes)
        else:
            path.write_bytes(content)
        with pytest.raises(DfdError) as caught:
            load_decoder(path, CPU)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
        return str(caught.value)

    assert "not a weights file" in error(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[-1000] ^= 0x40
    assert "damaged" in error(bytes(flipped))
    assert "its format is 2, and this version reads up to 1; update" in error(format=2)
    assert "no architecture is called dreamer" in error(architecture="dreamer")
    assert "not a decoder's file, or damaged" in error(dimension=64)
    assert "options of residual" in error(options=None)
    config, state = read_module(released)
    save_state(path, state, {name: value for name, value in config.items() if name != "options"})
    with pytest.raises(DfdError, match="not a decoder's file"):
        load_decoder(path, CPU)


# The stage


@pytest.fixture
def stage(clone, trained, monkeypatch):
    """A function that runs import_decoder in the clone, where dlib's recognizer was imported."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from stages import import_decoder

    path = clone / "data/recognizers/resnet.safetensors"
    save_recognizer(path, trained.dlib, "dlib-resnet", load_params(clone / "params.yaml").recognizers["resnet"].options)
    monkeypatch.chdir(clone)
    return import_decoder.main


def test_an_imported_decoder_is_a_variant_of_the_project(stage, clone, trained, released):
    stage("resnet-identity")
    decoder = load_decoder(clone / "data/decoders/resnet-identity.safetensors", CPU)
    expected = load_decoder(released, CPU)
    assert torch.equal(decode(decoder, trained.training), decode(expected, trained.training))
    assert decoder.config == expected.config | {"variant": "resnet-identity"}
    metrics = json.loads((clone / "metrics/import_decoder/resnet-identity.json").read_text(encoding="utf-8"))
    assert (metrics["dimension"], metrics["size"], metrics["n_faces"]) == (128, 28, len(trained.training))
    assert metrics["n_people"] == len(trained.header["people"]) and metrics["parameters"] > 1000


def test_an_imported_decoder_of_other_templates_or_faces_is_refused(stage, clone, trained):
    for change, message in (
        (lambda params: params["faces"].update(geometry="aligned"), "geometry portrait, and faces.geometry is aligned"),
        (
            lambda params: params["import_decoder"]["resnet-identity"].update(template="vgg"),
            "learned from templates of resnet",
        ),
    ):
        shutil.copy(trained.folder / "data/recognizers/vgg.safetensors", clone / "data/recognizers/vgg.safetensors")
        write_params(clone, change)
        with pytest.raises(DfdError, match=message) as error:
            stage("resnet-identity")
        assert str(error.value).startswith(RELEASED) and "\n" not in str(error.value)
    assert not (clone / "data/decoders").exists() and not (clone / "metrics").exists()
