"""The command line: own photos and templates through a tiny pipeline's decoder and recognizer."""

import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from dfd import cli
from dfd.core.sources import NOTES, note, states
from dfd.decoder.provenance import admit
from dfd.decoder.registry import build_decoder, decode, load_decoder, save_decoder
from dfd.explorer.opening import open_space
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.photos.archives import write_photos
from dfd.photos.datasets import orl_photos
from dfd.photos.detection import Detector
from dfd.recognizers.registry import build_recognizer, load_recognizer, save_recognizer, weights_sha256
from dfd.templates.embedding import embed_faces
from dfd.templates.files import read_templates_file
from dfd.workspace import Workspace

ROOT = Path(__file__).parents[1]
SIZE = 28
VGG = {"size": 32, "width": 0.05, "normalise": True}
CPU = torch.device("cpu")
ZOE = os.fsdecode("zoë k.pgm".encode())  # that file's name where the system's encoding is another, ASCII, too


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with params.yaml, a recognizer and a decoder, as the pipeline leaves them."""
    folder = tmp_path_factory.mktemp("project")
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["device"] = "cpu"
    params["recognizers"]["vgg"]["options"] = VGG
    params["decoder"] = {"architecture": "linear", "size": SIZE, "options": {}}
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        yaml.dump(params, file)
    torch.manual_seed(0)
    vgg = build_recognizer("vgg16", VGG)
    save_recognizer(folder / cli.RECOGNIZER.format("vgg"), vgg, "vgg16", VGG)
    options = {"size": SIZE}
    decoder = build_decoder("linear", vgg.dimension, options)
    config = {"architecture": "linear", "dimension": vgg.dimension, "options": options}
    save_decoder(folder / cli.DECODER.format("vgg-resnet"), decoder, config)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder: anna/1.pgm, anna/2.pgm, a name with a blank, and a photo without a face."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "anna").mkdir()
    for name, (_, content) in zip(("anna/1.pgm", "anna/2.pgm", ZOE), orl_photos(), strict=False):
        (folder / name).write_bytes(content)
    Image.new("RGB", (120, 120), "grey").save(folder / "wall.png")
    return folder


def image(path: Path | io.BytesIO) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)


def test_every_command_explains_itself(dfd):
    for command in ("reconstruct", "embed", "decode", "explore", "release"):
        code, out, _ = dfd(command, "--help")
        assert code == 0 and f"Example: dfd {command}" in " ".join(out.split())


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_embed_gives_the_pipelines_templates(dfd, project, photos, to_store, tmp_path, suffix):
    file = tmp_path / f"templates.{suffix}"
    code, out, err = dfd("embed", photos, "--recognizer", "vgg", "--out", file)
    assert code == 0 and "3 templates" in out
    assert err.strip() == f"{photos.name}/wall.png: left out (no-face)"
    with np.load(file) if suffix == "npz" else h5py.File(file) as content:
        keys = [key.decode() if isinstance(key, bytes) else key for key in content["key"][:]]
        templates = content["template"][:]
    assert keys == [f"{photos.name}/{name}" for name in ("anna/1.pgm", "anna/2.pgm", "zoë k.pgm")]

    write_photos(tmp_path / "a.tar", [(key, (photos.parent / os.fsdecode(key.encode())).read_bytes()) for key in keys])
    settings = load_params(project / "params.yaml").faces
    detector = Detector(tuple(settings.detection_sides), 0.3, CPU)
    to_store(tmp_path / "a.tar", tmp_path / "a.h5", size=112, detector=detector, geometry=settings.geometry)
    module = load_recognizer(project / cli.RECOGNIZER.format("vgg"), CPU, settings.geometry)
    expected, _ = embed_faces(module, FaceStore(tmp_path / "a.h5"))
    np.testing.assert_allclose(templates, expected, atol=1e-3)
    read = read_templates_file(file)
    assert (read.recognizer, read.weights_sha256) == ("vgg", weights_sha256(module))


def test_embed_writes_a_table_with_images(dfd, project, photos, tmp_path):
    """The columns, types and metadata by which viewers of data sets know pictures and vectors."""
    file = tmp_path / "x.parquet"
    code, out, _ = dfd("embed", photos, "--recognizer", "vgg", "--out", file, "--images")
    assert code == 0 and "3 templates" in out
    schema = pq.read_schema(file)
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert dict(zip(schema.names, schema.types, strict=True)) == {
        "key": pa.string(), "identity": pa.string(), "split": pa.string(),
        "template": pa.list_(pa.float32()), "face": picture, "reconstruction": picture,
    }  # fmt: skip
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {name: {"_type": "Image"} for name in ("face", "reconstruction")}
    rows = pq.read_table(file).to_pylist()
    folder = photos.name
    assert [(row["key"], row["identity"], row["split"]) for row in rows] == [
        (f"{folder}/anna/1.pgm", f"{folder}/anna", "test"), (f"{folder}/anna/2.pgm", f"{folder}/anna", "test"), (f"{folder}/zoë k.pgm", folder, "test"),
    ]  # fmt: skip
    assert schema.metadata[b"decoder"] == b"vgg-resnet"
    decoder = load_decoder(project / cli.DECODER.format("vgg-resnet"), CPU)
    expected = (decode(decoder, torch.tensor([row["template"] for row in rows])) * 255).round().byte()
    for row, wanted in zip(rows, expected, strict=True):
        face = Image.open(io.BytesIO(row["face"]["bytes"]))
        assert face.format == "PNG" and face.size == (112, 112) and row["face"]["path"].startswith(row["key"])
        assert (image(io.BytesIO(row["reconstruction"]["bytes"])).int() - wanted.int()).abs().max() <= 1
    read = read_templates_file(file)  # it is a file of templates still
    assert read.template.tolist() == [row["template"] for row in rows] and read.recognizer == "vgg"
    code, out, _ = dfd("decode", file, "--variant", "vgg-resnet", "--out", tmp_path / "faces")
    assert code == 0 and "3 faces" in out
    space, _ = open_space(Workspace(), file)
    assert space.photo(1) == rows[1]["face"]["bytes"] and space.people.tolist() == [row["identity"] for row in rows]


def test_a_table_without_a_decoder_has_no_reconstructions(dfd, project, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(Workspace, "decoder_of", lambda *_: None)
    code, _, err = dfd("embed", photos, "--recognizer", "vgg", "--out", tmp_path / "x.parquet", "--images")
    assert code == 0 and "no decoder of vgg is here" in err
    table = pq.read_table(tmp_path / "x.parquet")
    assert table["reconstruction"].null_count == 3 and table["face"].null_count == 0


def test_decode_gives_the_decoders_images(dfd, project, tmp_path):
    decoder = load_decoder(project / cli.DECODER.format("vgg-resnet"), CPU)
    vectors = torch.randn(3, decoder.dimension, generator=torch.Generator().manual_seed(0))
    expected = (decode(decoder, vectors) * 255).round().byte()
    np.save(tmp_path / "plain.npy", vectors.double().numpy())
    np.save(tmp_path / "one.npy", vectors[1].numpy())
    np.savez(tmp_path / "keyed.npz", template=vectors.numpy(), key=np.array(["../../x", "a/b", "a b"]))
    for file, names, images in (
        ("plain.npy", ["0", "1", "2"], expected), ("one.npy", ["0"], expected[1:2]), ("keyed.npz", ["_.._x", "a_b", "a_b#2"], expected),
    ):  # fmt: skip
        out = tmp_path / Path(file).stem
        code, said, _ = dfd("decode", tmp_path / file, "--variant", "vgg-resnet", "--out", out)
        assert code == 0 and f"{len(images)} faces" in said
        assert sorted(path.name for path in out.iterdir()) == sorted(f"{name}.png" for name in names)
        for name, wanted in zip(names, images, strict=True):
            assert torch.equal(image(out / f"{name}.png"), wanted)


def test_decode_writes_sheets_and_means(dfd, project, tmp_path, monkeypatch):
    """Sheets of few faces here: as many of them as it takes, in the file's order, the last one with empty cells."""
    decoder = load_decoder(project / cli.DECODER.format("vgg-resnet"), CPU)
    vectors = torch.randn(7, decoder.dimension, generator=torch.Generator().manual_seed(0))
    np.savez(tmp_path / "v.npz", emb=vectors.numpy(), key=[f"person {i}" for i in range(7)])
    monkeypatch.setattr(cli, "SHEET", (2, 2))
    given = ("decode", tmp_path / "v.npz", "--template", "emb", "--variant", "vgg-resnet")
    code, said, _ = dfd(*given, "--sheet", "--out", tmp_path / "s")
    assert code == 0 and "7 faces" in said
    sheets = [image(path) for path in sorted((tmp_path / "s").iterdir())]
    assert len(sheets) == 2 and sheets[0].shape == sheets[1].shape

    assert dfd(*given, "--mean", "--out", tmp_path / "m")[0] == 0
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["mean.png"]
    expected = (decode(decoder, vectors.mean(0, keepdim=True))[0] * 255).round().byte()
    assert (image(tmp_path / "m/mean.png").int() - expected.int()).abs().max() <= 1

    monkeypatch.setattr(cli, "MANY", 6)
    code, _, err = dfd(*given, "--out", tmp_path / "all")
    assert code == 0 and "7 images; --sheet writes" in err and len(list((tmp_path / "all").iterdir())) == 7


def test_photos_are_in_no_file_while_they_are_looked_at(dfd, photos, tmp_path, monkeypatch):
    """So that a killed dfd leaves none behind."""
    folder, seen = tmp_path / "temporary", []
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name in ("find_faces", "embed_views"):
        own = getattr(cli, name)
        monkeypatch.setattr(cli, name, lambda *a, own=own, **k: (own(*a, **k), seen.append(list(folder.iterdir())))[0])
    assert dfd("embed", photos, "--recognizer", "vgg", "--out", tmp_path / "t.npz")[0] == 0
    assert seen == [[], []]


def test_templates_of_faces_of_another_geometry_are_told(dfd, project, photos, tmp_path):
    assert dfd("embed", photos, "--recognizer", "vgg", "--out", tmp_path / "t.npz")[0] == 0
    file = read_templates_file(tmp_path / "t.npz")
    assert file.geometry == "portrait"
    decoder = load_decoder(project / cli.DECODER.format("vgg-resnet"), CPU)
    decoder.config |= {"weights_sha256": file.weights_sha256, "recognizer": "vgg", "geometry": "portrait"}
    assert admit(decoder, file, "x")[1] == []
    assert (
        "of the geometry aligned; x learned from portrait"
        in admit(decoder, file._replace(geometry="aligned"), "x")[1][0]
    )


def test_embed_then_decode_is_reconstruct(dfd, photos, tmp_path):
    pattern = f"{photos}/anna/*.pgm"
    assert dfd("reconstruct", pattern, "--variant", "vgg-resnet", "--out", tmp_path / "both")[0] == 0
    assert dfd("embed", pattern, "--recognizer", "vgg", "--out", tmp_path / "t.h5")[0] == 0
    assert dfd("decode", tmp_path / "t.h5", "--variant", "vgg-resnet", "--out", tmp_path / "alone")[0] == 0
    for name in ("1.pgm.png", "2.pgm.png"):
        alone = Image.fromarray(image(tmp_path / "alone" / name).permute(1, 2, 0).numpy()).resize(
            (112, 112), Image.Resampling.BICUBIC
        )
        both = np.asarray(Image.open(tmp_path / "both" / name))
        side = np.asarray(alone)
        places = [x for x in range(both.shape[1] - 111) if np.array_equal(both[-124:-12, x : x + 112], side)]
        assert len(places) == 1 and places[0] > 112  # right of the face itself


def test_no_photo_that_was_named_is_passed_over(dfd, photos, tmp_path, monkeypatch):
    folder = tmp_path / ".hidden folder"
    folder.mkdir()
    (folder / ".1.pgm").write_bytes((photos / "anna/1.pgm").read_bytes())
    (folder / "2.pgm").write_bytes((photos / "anna/2.pgm").read_bytes())
    assert dfd("embed", folder / ".1.pgm", folder, "--recognizer", "vgg", "--out", tmp_path / "t.npz")[0] == 0
    with np.load(tmp_path / "t.npz") as content:
        assert content["key"].tolist() == ["1.pgm", "hidden folder/2.pgm"]


def test_a_folder_named_by_a_path_without_a_name(dfd, photos, tmp_path):
    assert dfd("embed", f"{photos}/anna/../anna/.", "--recognizer", "vgg", "--out", tmp_path / "t.npz")[0] == 0
    with np.load(tmp_path / "t.npz") as content:
        assert content["key"].tolist() == ["anna/1.pgm", "anna/2.pgm"]


def keys_of(dfd, file: Path, *photos) -> list[str]:
    code, _, err = dfd("embed", *photos, "--recognizer", "vgg", "--out", file)
    assert code == 0, err
    with np.load(file) as content:
        return content["key"].tolist()


def test_photos_of_one_name_are_told_apart_by_their_folders(dfd, photos, tmp_path):
    for name, source in (("x/faces/1.pgm", "1"), ("y/faces/1.pgm", "2"), ("y/2.pgm", "2")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((photos / f"anna/{source}.pgm").read_bytes())
    several = [tmp_path / "y/faces/1.pgm", tmp_path / "x/faces/1.pgm", tmp_path / "y/2.pgm", tmp_path / "y/../y/2.pgm"]
    assert keys_of(dfd, tmp_path / "a.npz", *several) == ["y/faces/1.pgm", "x/faces/1.pgm", "2.pgm"]
    folders = [tmp_path / "x/faces", tmp_path / "y/faces"]
    assert keys_of(dfd, tmp_path / "b.npz", *folders) == ["x/faces/1.pgm", "y/faces/1.pgm"]


def test_a_link_keeps_its_own_name(dfd, photos, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/8cef2f58").write_bytes((photos / "anna/1.pgm").read_bytes())
    (tmp_path / "anna.pgm").symlink_to("cache/8cef2f58")  # as DVC links its cache
    assert keys_of(dfd, tmp_path / "t.npz", tmp_path / "anna.pgm") == ["anna.pgm"]


def test_long_names_are_shortened_and_stay_apart(dfd, photos, tmp_path):
    folder = tmp_path / ("f" * 200)
    folder.mkdir()
    for end in ("a", "b"):
        (folder / os.fsdecode(("é" * 122 + end + ".pgm").encode())).write_bytes((photos / "anna/1.pgm").read_bytes())
    assert dfd("reconstruct", folder, "--variant", "vgg-resnet", "--out", tmp_path / "out")[0] == 0
    written = [path.name for path in (tmp_path / "out").iterdir()]
    assert len(written) == 2 and all(name.startswith("f" * 200) and name.endswith(".png") for name in written)
    assert max(len(os.fsencode(name)) for name in written) <= 255 - len("..partial")


def test_a_zip_after_a_photo_leaves_it_a_photo(dfd, photos, tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.write(photos / "anna/2.pgm", "Stranger/stranger.pgm")
    (tmp_path / "anna.pgm").write_bytes((photos / "anna/1.pgm").read_bytes() + data.getvalue())
    assert keys_of(dfd, tmp_path / "t.npz", tmp_path / "anna.pgm") == ["anna.pgm"]


def test_changed_files_outside_the_project_are_told(dfd, project, tmp_path):
    code, out, _ = dfd("status")
    assert code == 0 and "no file outside" in out
    weights = tmp_path / "w.h5"
    weights.write_bytes(b"x")
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text.replace("released/vgg.safetensors", str(weights)), encoding="utf-8")
    note("import_recognizer", "vgg", states("import_recognizer", {"weights": str(weights)}))
    weights.write_bytes(b"xy")
    code, out, _ = dfd("status")
    assert code == 1 and out.strip() == (
        f"{weights} has changed since import_recognizer@vgg read it; "
        "run `dvc repro -sf import_recognizer@vgg`, then `dvc repro`"
    )
    (project / "params.yaml").write_text(text, encoding="utf-8")
    (project / NOTES / "import_recognizer/vgg.json").unlink()


MISTAKES = {
    "a name that no photo can have": (("embed", "x" * 300, "--recognizer", "vgg", "--out", "t.h5"), ": no such photo"),
    "no such photo": (("embed", "nobody.jpg", "--recognizer", "vgg", "--out", "t.h5"), "nobody.jpg: no such photo"),
    "no face at all": (
        ("embed", "{photos}/wall.png", "--recognizer", "vgg", "--out", "t.h5"),
        "wall.png: no face in 1",
    ),
    "no face in it": (
        ("reconstruct", "{photos}/wall.png", "--variant", "vgg-resnet", "--out", "o"),
        "wall.png: no face in 1",
    ),
    "an unknown recognizer": (("embed", "{photos}", "--recognizer", "arcface", "--out", "t.h5"), "no arcface"),
    "another file type": (
        ("embed", "{photos}", "--recognizer", "vgg", "--out", "t.csv"),
        "t.csv: templates are kept in",
    ),
    "an unknown variant": (("decode", "{tmp}/wide.npy", "--variant", "x", "--out", "o"), "no x"),
    "another dimension": (("decode", "{tmp}/wide.npy", "--variant", "vgg-resnet", "--out", "o"), "(2, 7)"),
    "images in another file": (
        ("embed", "{photos}", "--recognizer", "vgg", "--out", "t.npz", "--images"),
        "t.npz: images go into a .parquet",
    ),
    "a decoder for no images": (
        ("embed", "{photos}", "--recognizer", "vgg", "--out", "t.npz", "--variant", "vgg-resnet"),
        "--images",
    ),
    "no template file": (
        ("decode", "{tmp}/none.npz", "--variant", "vgg-resnet", "--out", "o"),
        "none.npz: cannot be read",
    ),
    "pickled objects": (
        ("decode", "{tmp}/objects.npy", "--variant", "vgg-resnet", "--out", "o"),
        "objects.npy: cannot be read",
    ),
    "an archive of other arrays": (
        ("decode", "{tmp}/other.npz", "--variant", "vgg-resnet", "--out", "o"),
        "holds no array `template`",
    ),
    "not a number": (("decode", "{tmp}/nan.npy", "--variant", "vgg-resnet", "--out", "o"), "finite"),
    "nothing trained": (("reconstruct", "{photos}", "--variant", "resnet-vgg", "--out", "o"), "dvc repro"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(dfd, project, photos, tmp_path, mistake):
    dimension = load_decoder(project / cli.DECODER.format("vgg-resnet"), CPU).dimension
    np.save(tmp_path / "wide.npy", np.eye(2, 7))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.save(tmp_path / "nan.npy", np.full((1, dimension), np.nan))
    arguments, message = MISTAKES[mistake]
    before = sorted(project.rglob("*"))
    code, _, err = dfd(*(argument.format(photos=photos, tmp=tmp_path) for argument in arguments))
    lines = [line for line in err.splitlines() if "left out" not in line]
    assert code == 1 and len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert sorted(project.rglob("*")) == before


def test_a_full_folder_of_params_is_needed(dfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = dfd("decode", "t.npy", "--variant", "vgg-resnet", "--out", "o")
    assert code == 1 and "params.yaml" in err


def test_a_profile_is_shown_then_applied(dfd, project):
    before = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "profiles").mkdir()
    (project / "profiles/small.yaml").write_text("closed_form: {axes: 30}\n")
    code, out, _ = dfd("profile", "small")
    assert (
        code == 0
        and "closed_form.axes: 35 -> 30" in out
        and (project / "params.yaml").read_text(encoding="utf-8") == before
    )
    assert dfd("profile", "small", "--apply")[0] == 0
    assert YAML(typ="safe").load(project / "params.yaml")["closed_form"]["axes"] == 30
    (project / "params.yaml").write_text(before, encoding="utf-8")
    code, _, err = dfd("profile", "large")
    assert code == 1 and "there are: small" in err


def test_a_name_that_the_outputs_encoding_lacks_ends_no_command(dfd, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))  # Windows, into a file
    monkeypatch.setattr(cli, "cache_folder", lambda: "łódź")
    assert dfd("weights", "list")[0] == 0
    sys.stdout.flush()
    assert b"cache: \\u0142\xf3d" in sys.stdout.buffer.getvalue()


def test_weights_are_listed_and_verified(dfd, tmp_path, monkeypatch):
    monkeypatch.setenv("DFD_HOME", str(tmp_path))
    code, out, _ = dfd("weights", "list")
    assert code == 0 and all(name in out for name in cli.MANIFEST) and str(tmp_path) in out
    name, entry = "w", cli.MANIFEST["mobilefacenet"]._replace(url="https://x/w.h5", size=100, sha256=None)
    monkeypatch.setitem(cli.MANIFEST, name, entry)
    (tmp_path / entry.file).write_bytes(b"\x89HDF\r\n\x1a\n".ljust(100))  # put there by hand
    assert dfd("weights", "verify")[0] == 0 and "in the cache" in dfd("weights", "list")[1]
    (tmp_path / entry.file).write_bytes(b"<html>".ljust(100))
    code, _, err = dfd("weights", "verify", name)
    assert code == 1 and "w.h5: no .h5 file" in err
    assert "no weights are called x" in dfd("weights", "fetch", "x")[2]
