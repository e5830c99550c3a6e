"""`dfd adapt` and `dfd decode --adapter`: another system's templates of ORL's photos, a tiny recognizer and decoder."""

import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from dfd import cli
from dfd.decoder.registry import build_decoder, decode, load_decoder, save_decoder
from dfd.photos.datasets import orl_photos
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.templates.adapters import load_adapter
from dfd.templates.files import write_templates_file
from dfd.templates.lookup import match, people_of

ROOT = Path(__file__).parents[1]
VGG = {"size": 32, "width": 0.05, "normalise": True, "layer": "conv5-avg"}
OPTIONS = {"size": 14, "hidden": 8, "rank": 4, "channels": 8, "axes": 3}
NAME = "resnet-identity"
CPU = torch.device("cpu")
OTHER = 11  # numbers in the other system's templates


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with params.yaml, the recognizer `resnet` and a decoder of its templates, as the pipeline leaves."""
    folder = tmp_path_factory.mktemp("project")
    params = YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["device"] = "cpu"
    params["recognizers"]["resnet"] = {"architecture": "vgg16", "options": VGG}
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(params, file)
    torch.manual_seed(0)
    recognizer = build_recognizer("vgg16", VGG)
    save_recognizer(folder / cli.RECOGNIZER.format("resnet"), recognizer, "vgg16", VGG)
    decoder = build_decoder("residual", recognizer.dimension, OPTIONS)
    decoder.set_statistics(torch.rand(60, recognizer.dimension), torch.rand(3, 14, 14))
    torch.nn.init.normal_(decoder.skip[-1].weight)
    config = {"architecture": "residual", "dimension": recognizer.dimension, "options": OPTIONS}
    save_decoder(folder / cli.DECODER.format(NAME), decoder, config)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder of ORL's first three people, eight photos each."""
    folder = tmp_path_factory.mktemp("photos")
    for name, content in islice(orl_photos(), 30):
        if int(Path(name).stem) <= 8:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def keys(photos) -> list[str]:
    return sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.pgm"))


def theirs(path: Path, keys: list[str], seed: int = 0) -> np.ndarray:
    """A file of another system's templates: random numbers, of the length 30."""
    templates = np.random.default_rng(seed).normal(size=(len(keys), OTHER)).astype(np.float32)
    templates *= 30 / np.linalg.norm(templates, axis=1, keepdims=True)
    write_templates_file(path, keys, templates)
    return templates


def test_it_explains_itself(dfd):
    code, out, _ = dfd("adapt", "--help")
    assert code == 0 and "Example: dfd adapt" in " ".join(out.split())


@pytest.mark.parametrize("suffix", ["npz", "h5", "parquet"])
def test_fitted_then_decoded(dfd, project, photos, keys, tmp_path, suffix):
    file, adapter = tmp_path / f"theirs.{suffix}", tmp_path / "mine.safetensors"
    templates = theirs(file, [*keys, "nobody/1.pgm", "nobody/2.pgm"])
    code, out, err = dfd("adapt", photos, file, "--decoder", NAME, "--out", adapter)
    assert code == 0 and "24 pairs of 3 people" in out and "cosine" in out
    assert "left out 2 of no face among the photos: nobody/1.pgm, nobody/2.pgm" in err
    map_ = load_adapter(adapter, CPU)
    assert (map_.config["n_pairs"], map_.config["n_people"]) == (24, 3)
    assert map_.config["from"] == {"name": "theirs", "dimension": OTHER}
    assert map_.config["to"]["decoder"] == NAME and map_.config["to"]["recognizer"] == "resnet"

    code, out, _ = dfd("decode", file, "--adapter", adapter, "--out", tmp_path / "faces")
    assert code == 0 and "26 faces" in out
    decoder = load_decoder(project / cli.DECODER.format(NAME), CPU)
    expected = (decode(decoder, map_(torch.from_numpy(templates))) * 255).round().byte()
    with Image.open(tmp_path / "faces/s1_1.pgm.png") as image:
        found = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    again = dfd("decode", file, "--variant", NAME, "--adapter", adapter, "--out", tmp_path / "again")
    assert again[0] == 0 and len(list((tmp_path / "again").iterdir())) == 26
    assert (found.int() - expected[keys.index("s1/1.pgm")].int()).abs().max() <= 1


def test_what_embed_wrote_is_matched(dfd, photos, tmp_path):
    """The recognizer's own templates are another system's too: the adapter finds the identity's directions."""
    assert dfd("embed", photos, "--recognizer", "resnet", "--out", tmp_path / "own.npz")[0] == 0
    code, out, err = dfd("adapt", photos, tmp_path / "own.npz", "--decoder", NAME, "--out", tmp_path / "a.safetensors")
    assert code == 0 and "24 pairs of 3 people" in out and not err
    source = load_adapter(tmp_path / "a.safetensors", CPU).config["from"]
    assert source["name"] == "resnet" and source["weights_sha256"]  # as the file says, whatever it is called


def test_photos_in_an_archive_and_by_glob(dfd, photos, keys, tmp_path):
    theirs(tmp_path / "theirs.npz", keys)
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos)
    code, out, _ = dfd(
        "adapt", archive, tmp_path / "theirs.npz", "--decoder", NAME, "--out", tmp_path / "a.safetensors"
    )
    assert code == 0 and "24 pairs of 3 people" in out
    again = tmp_path / "b.safetensors"
    code, out, _ = dfd("adapt", f"{photos}/s*", tmp_path / "theirs.npz", "--decoder", NAME, "--out", again)
    assert code == 0 and "24 pairs of 3 people" in out
    assert again.read_bytes() == (tmp_path / "a.safetensors").read_bytes()


MISTAKES = {  # arguments of adapt, or all of them; what the line says
    "too few": (("{photos}", "{tmp}/few.npz"), "19 pairs of templates are too few"),
    "one person": (("{tmp}/one", "{tmp}/one.npz"), "24 pairs are of one person"),
    "no key of a photo": (("{photos}", "{tmp}/others.npz"), "none of 24 keys is a photo's"),
    "no keys": (("{photos}", "{tmp}/keyless.npz"), "holds no `key`"),
    "NaN": (("{photos}", "{tmp}/nan.h5"), "finite"),
    "constant": (("{photos}", "{tmp}/constant.npz"), "24 of its templates hold nothing but one number"),
    "zero": (("{photos}", "{tmp}/zero.npz"), "1 of its templates hold nothing but one number"),
    "no file": (("{photos}", "{tmp}/none.npz"), "cannot be read"),
    "an unknown decoder": (("{photos}", "{tmp}/few.npz", "--decoder", "x"), "no x"),
    "another file type": (("{photos}", "{tmp}/few.npz", "--out", "a.npz"), "a.npz: adapters are kept in .safetensors"),
    "another dimension": (("decode", "{tmp}/wide.npy", "--adapter", "{tmp}/good.safetensors"), f"decodes (N, {OTHER})"),
    "no adapter": (("decode", "{tmp}/wide.npy", "--adapter", "{tmp}/none.safetensors"), "no such adapter"),
    "a decoder as adapter": (("decode", "{tmp}/wide.npy", "--adapter", "{decoder}"), "not an adapter"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(dfd, project, photos, keys, tmp_path, mistake):
    templates = theirs(tmp_path / "all.npz", keys)
    write_templates_file(tmp_path / "few.npz", keys[:19], templates[:19])
    write_templates_file(tmp_path / "others.npz", [f"x{key.replace('/', '-')}" for key in keys], templates)
    write_templates_file(tmp_path / "constant.npz", keys, np.ones_like(templates))
    zero, nan = templates.copy(), templates.copy()
    zero[3], nan[3] = 0, np.nan
    write_templates_file(tmp_path / "zero.npz", keys, zero)
    write_templates_file(tmp_path / "nan.h5", keys, nan)
    np.savez(tmp_path / "keyless.npz", template=templates)
    np.save(tmp_path / "wide.npy", np.eye(2, 7))
    (tmp_path / "one/anna").mkdir(parents=True)
    for key in keys:
        shutil.copy(photos / key, tmp_path / "one/anna" / key.replace("/", "-"))
    write_templates_file(tmp_path / "one.npz", [f"anna/{key.replace('/', '-')}" for key in keys], templates)
    if mistake == "another dimension":
        assert (
            dfd("adapt", photos, tmp_path / "all.npz", "--decoder", NAME, "--out", tmp_path / "good.safetensors")[0]
            == 0
        )
    given, message = MISTAKES[mistake]
    arguments = [argument.format(photos=photos, tmp=tmp_path, decoder=cli.DECODER.format(NAME)) for argument in given]
    if arguments[0] != "decode":
        arguments = ["adapt", *arguments, *(() if "--decoder" in arguments else ("--decoder", NAME))]
    arguments += [] if "--out" in arguments else ["--out", "a.safetensors" if arguments[0] == "adapt" else "faces"]
    before = sorted(project.rglob("*"))
    code, _, err = dfd(*arguments)
    lines = [line for line in err.splitlines() if "left out" not in line]
    assert code == 1 and len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], err
    assert sorted(project.rglob("*")) == before


PHOTOS = ["p/anna/1.jpg", "p/anna/2.jpg", "p/ben/1.jpg", "p/ben/x.jpg"]


@pytest.mark.parametrize(
    "key, place",
    [
        ("p/anna/2.jpg", 1),  # the whole key
        ("anna/1.jpg", 0),  # folder and file
        ("elsewhere/ben/1.jpg", 2),
        ("x.jpg", 3),  # one photo's file name
        ("x", 3),  # without its suffix
        ("1.jpg", -1),  # two photos' file name
        ("carl/1.jpg", -1),
        ("carl/x.jpg", 3),
    ],
)
def test_keys_find_their_photos(key, place):
    assert match([key], PHOTOS).tolist() == [place]


def test_a_name_that_two_keys_share_is_nobodys():
    assert match(["a/x.jpg", "b/x.jpg"], PHOTOS).tolist() == [-1, -1]
    assert match(["anna/1.jpg", "q/p/anna/1.jpg"], PHOTOS).tolist() == [-1, -1]
    assert match(["p/anna/1.jpg", "anna/1.jpg"], PHOTOS).tolist() == [0, -1]


def test_a_folder_is_a_person_but_not_the_only_one():
    assert people_of(["p/anna/1.jpg", "p/anna/2.jpg", "p/ben/1.jpg"]).tolist() == ["p/anna", "p/anna", "p/ben"]
    assert people_of(["p/1.jpg", "p/2.jpg"]).tolist() == ["p/1.jpg", "p/2.jpg"]
    assert people_of(["1.jpg", "2.jpg"]).tolist() == ["1.jpg", "2.jpg"]
    assert people_of(["p/anna/1.jpg", "p/anna/2.jpg"]).tolist() == ["p/anna", "p/anna"]
