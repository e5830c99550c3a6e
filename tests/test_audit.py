"""`dfd audit`: a page and numbers from photos and templates, by the released decoder and dlib's recognizer."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from dfd.photos.datasets import orl_photos
from dfd.studies.inversion.audit import two_models
from dfd.templates.files import read_keyed_templates_file, write_templates_file

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The project as it is cloned: nothing trained, the released files there."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "released").symlink_to(ROOT / "released")
    return folder


def written(folder: Path, people: int, photos: int) -> Path:
    for name, content in orl_photos():
        person, number = name.split("/")
        if int(person[1:]) <= people and int(Path(number).stem) <= photos:
            (folder / person).mkdir(parents=True, exist_ok=True)
            (folder / person / number).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("photos"), 12, 4)


@pytest.fixture
def templates(dfd, photos, tmp_path) -> Path:
    assert dfd("embed", photos, "--recognizer", "resnet", "--out", tmp_path / "own.parquet")[0] == 0
    return tmp_path / "own.parquet"


class Addresses(HTMLParser):
    """All that a page would fetch, and how deep its tags are still open."""

    def __init__(self, text: str):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_systems_own_model_judges_where_it_is_known(dfd, photos, templates, tmp_path):
    code, out, _ = dfd("audit", photos, templates, "--out", tmp_path / "a.html")
    assert code == 0 and "a.json" in out
    metrics = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert metrics["people"] == {
        **{"n_people": 12, "n_photos": 48, "n_fitted_people": 6, "n_fitted_photos": 24},
        **{"n_tried_people": 6, "n_decoded_photos": 24},
    }
    assert {name: found["is_the_system"] for name, found in metrics["judges"].items()} == {"resnet": True, "vgg": False}
    rates = metrics["judges"]["resnet"]["fmr_0.01"]
    assert rates["type_1"]["value"] > 0.9 and rates["type_1"]["n"] == 24 and rates["type_2"]["n"] == 72
    assert "too few" in metrics["judges"]["resnet"]["fmr_0.0001"]["type_1"]["sar_note"]
    assert "fewer than 20" in metrics["conclusions"]["people_note"] and "system_note" not in metrics["conclusions"]
    assert metrics["protections"]["by"]["biohash-secret"]["aware"]["type_1"]["value"] < 0.5
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    page = Addresses(text)
    assert len(page.found) == 40 and all(address.startswith("data:image/png;base64,") for address in page.found)
    assert page.open == [] and "ISO/IEC 24745" in text and "30136" in text
    code, _, _ = dfd("audit", photos, templates, "--out", tmp_path / "b.html", "--no-faces")
    assert code == 0 and Addresses((tmp_path / "b.html").read_text(encoding="utf-8")).found == []
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_an_unknown_system_is_judged_by_others_alone(dfd, photos, templates, tmp_path):
    _, keys, vectors, *_ = read_keyed_templates_file(templates)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(128, 128)))[0].astype(np.float32)
    write_templates_file(
        tmp_path / "theirs.npz", [*keys, "nobody/1.pgm"], np.vstack([vectors @ rotation, rotation[:1]])
    )
    assert dfd("audit", photos, tmp_path / "theirs.npz", "--out", tmp_path / "a.html")[0] == 0
    metrics = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert not any(found["is_the_system"] for found in metrics["judges"].values()) and metrics["n_left_out"] == 1
    assert "cannot be told" in metrics["conclusions"]["system_note"]
    assert metrics["system"]["fmr_0.01"]["fnmr"] < 0.3 and metrics["people"]["adapter_cosine"] > 0
    assert metrics["protections"]["by"]["none"]["unaware"]["protected_type_1"]["value"] is None
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "its model is not at hand" in text and "nobody/1.pgm: a template of no face" in text


@pytest.mark.parametrize("of_whom", ["some people", "some photos"])
def test_templates_oftwo_models_in_one_file_are_noted(of_whom):
    """As dlib's are, about a mean, and another's about another."""
    generator, people = torch.Generator().manual_seed(0), np.repeat(np.arange(20), 4).astype(str)
    own, other = (torch.nn.functional.normalize(torch.randn(1, 32, generator=generator)) for _ in range(2))
    noise = 0.1 * torch.randn(80, 32, generator=generator)
    assert two_models(own + noise, people) == {}
    theirs = (people.astype(int) < 6) if of_whom == "some people" else np.arange(80) % 3 == 0
    mixed = torch.where(torch.from_numpy(theirs)[:, None], other, own) + noise
    assert "two groups" in two_models(mixed, people)["templates_note"]
    assert two_models(mixed, np.array(["a"] * 80)) == {}  # one person's photos


def test_one_photo_a_person_says_nothing_of_type_2(dfd, tmp_path):
    photos = written(tmp_path / "photos", 40, 1)
    assert dfd("embed", photos, "--recognizer", "resnet", "--out", tmp_path / "own.npz")[0] == 0
    assert dfd("audit", photos, tmp_path / "own.npz", "--out", tmp_path / "a.html")[0] == 0
    metrics = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    rates = metrics["judges"]["resnet"]["fmr_0.01"]
    assert rates["type_1"]["value"] is not None and rates["type_2"]["value"] is None
    assert "second photo" in metrics["conclusions"]["photos_note"] and metrics["people"]["n_tried_people"] == 20


@pytest.mark.parametrize(
    "mistake, message",
    [
        ("another page", "is a file .html"),
        ("other keys", "none of 48 keys is a photo's"),
        ("NaN", "finite"),
        ("few", "30 photos of 8 people, half of whom teach the attacker: 16 pairs of templates are too few"),
        ("unknown decoder", "has no prayer"),
    ],
)
def test_a_mistake_is_one_line(dfd, project, photos, templates, tmp_path, mistake, message):
    _, keys, vectors, *_ = read_keyed_templates_file(templates)
    file, options = tmp_path / "theirs.npz", ["--out", tmp_path / "a.html"]
    if mistake == "another page":
        options = ["--out", tmp_path / "a.pdf"]
    if mistake == "unknown decoder":
        options += ["--decoder", "prayer"]
    if mistake == "NaN":
        vectors[3] = np.nan
    if mistake == "few":
        keys, vectors = keys[:30], vectors[:30]
    if mistake == "other keys":
        keys = [re.sub("[/.]", "-", f"x{key}") for key in keys]
    write_templates_file(file, keys, vectors)
    code, _, err = dfd("audit", photos, file, *options)
    lines = [line for line in err.splitlines() if "left out" not in line]
    assert code == 1 and len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], err
    assert not list(tmp_path.glob("a.*"))
