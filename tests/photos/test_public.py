"""Public data sets in small: the published layouts, their lists, and what may be wrong with them."""

import io
import logging
import os
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from dfd.core.errors import DfdError
from dfd.photos import public
from dfd.photos.datasets import DATASETS, GENDERS, fetch, genders, traits


def as_folder(path: Path, names) -> Path:
    for name in names:
        file = path / os.fsdecode(name.encode())  # its bytes are UTF-8 in every locale
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return path


def as_zip(path: Path, names) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name.encode())
    return path


def as_tgz(path: Path, names) -> Path:
    path = path.with_suffix(".tgz")
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name.encode())
            archive.addfile(member, io.BytesIO(name.encode()))
    return path


CONTAINERS = pytest.mark.parametrize("write", [as_folder, as_zip, as_tgz])


def settings(source: str, **values) -> SimpleNamespace:
    return SimpleNamespace(
        **{"source": source, "path": None, "identities": None, "attributes": None, "mapping": None} | values
    )


def names(source: str, path, **values) -> list[str]:
    """The photos' names; each photo's bytes are still its name in the container."""
    photos = list(fetch(settings(source, path=str(path), **values), seed=0))
    assert all(data.decode().endswith(name.split("/")[-1]) for name, data in photos)
    return [name for name, _ in photos]


def text(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


# folder


@CONTAINERS
def test_folder_takes_any_tree(tmp_path, write):
    tree = ["anna/1.jpg", "anna/2.png", "more/ben/x.jpg", "more/clara/deep.jpg", "top.jpg"]
    assert sorted(names("folder", write(tmp_path / "photos", tree))) == tree


@CONTAINERS
def test_folder_takes_flat_photos(tmp_path, write):
    assert names("folder", write(tmp_path / "photos", ["1.jpg", "2.jpg"])) == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize("write", [as_zip, as_tgz])
def test_a_folder_around_a_flat_archive_is_no_identity(tmp_path, write):
    assert names("folder", write(tmp_path / "a", ["photos/all/1.jpg", "photos/all/2.jpg"])) == ["1.jpg", "2.jpg"]
    assert names("folder", write(tmp_path / "b", ["p/a/1.jpg", "p/b/2.jpg"])) == ["p/a/1.jpg", "p/b/2.jpg"]


def test_one_person_in_a_folder_stays_one_person(tmp_path):
    assert names("folder", as_folder(tmp_path / "p", ["anna/1.jpg", "anna/2.jpg"])) == ["anna/1.jpg", "anna/2.jpg"]


def test_of_an_archive_with_people_only_the_first_is_read_twice(tmp_path, monkeypatch):
    path, read = as_tgz(tmp_path / "a", ["a/1.jpg", "a/2.jpg", "b/1.jpg", "c/1.jpg", "d/1.jpg"]), []
    monkeypatch.setattr(
        public, "read_photos", lambda file: (read.append(n) or (n, n) for n in ("a/1", "a/2", "b/1", "c/1"))
    )
    assert not public._in_one_folder(path) and read == ["a/1", "a/2", "b/1"]


# lfw

LFW = ["Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg", "José_Ñ/José_Ñ_0001.jpg"]


@CONTAINERS
@pytest.mark.parametrize("prefix", ["", "lfw/", "data/lfw-deepfunneled/"])
def test_lfws_keys_are_the_same_whatever_the_prefix(tmp_path, write, prefix, caplog):
    caplog.set_level(logging.INFO)
    path = write(
        tmp_path / "lfw", [prefix + name for name in LFW] + [prefix + "README.txt", prefix + "Ann_Lee/cover.jpg"]
    )
    assert names("lfw", path) == LFW
    assert "left out 2 files" in caplog.text


def test_lfw_without_a_path_is_the_funneled_archive(tmp_path, monkeypatch):
    asked = {}

    def download(name, url, sha256):
        asked[name] = (url, sha256)
        return as_tgz(tmp_path / "lfw", ["lfw_funneled/" + name for name in LFW])

    monkeypatch.setattr(public, "download", download)
    assert [name for name, _ in fetch(settings("lfw"), seed=0)] == LFW
    url, sha256 = asked["lfw-funneled.tgz"]
    assert url.startswith("https://") and len(sha256) == 64


@pytest.mark.parametrize(
    "image", ["Ann_Lee_0002", "Ann_Lee_0002.jpg", "Ann_Lee/Ann_Lee_0002.jpg", "lfw/Ann_Lee/Ann_Lee_0002.jpg"]
)
def test_lfws_genders_are_by_photo(tmp_path, image):
    table = text(tmp_path / "g.csv", "image,gender", f"{image},female", "José_Ñ_0001,Male", "No_Body_0001,")
    expected = {"Ann_Lee/Ann_Lee_0002.jpg": "female", "José_Ñ/José_Ñ_0001.jpg": "male"}
    assert genders(settings("lfw", attributes=table)) == expected


# vggface2


@CONTAINERS
@pytest.mark.parametrize("prefix", ["", "train/", "VGG-Face2/data/test/"])
def test_vggface2_is_one_folder_a_person(tmp_path, write, prefix):
    photos = ["n000001/0001_01.jpg", "n000001/0002_01.jpg", "n000009/0001_02.jpg"]
    path = write(tmp_path / "v", [prefix + name for name in photos] + [prefix + "identity_meta.csv"])
    assert names("vggface2", path) == photos


def test_vggface2s_genders_are_by_identity(tmp_path):
    lines = [
        "Class_ID, Name, Sample_Num, Flag, Gender",
        'n000001, "14th_Dalai_Lama", 424, 0, m',
        'n000002, "A, Fine", 315, 1, f',
    ]
    table = text(tmp_path / "identity_meta.csv", *lines)
    assert genders(settings("vggface2", attributes=table)) == {"n000001": "male", "n000002": "female"}


# celeba


@CONTAINERS
@pytest.mark.parametrize("source, kind", [("celeba", "jpg"), ("celeba-hq", "png")])
@pytest.mark.parametrize("prefix", ["", "img_align_celeba/"])
def test_celebas_identities_are_its_lists(tmp_path, write, source, kind, prefix, caplog):
    caplog.set_level(logging.INFO)
    photos = [f"00000{n}.{kind}" for n in range(1, 6)]
    path = write(tmp_path / "c", [prefix + name for name in photos] + [prefix + "notes.txt"])
    people = text(
        tmp_path / "people.txt", *(f"{name} {2880 + n % 2}" for n, name in enumerate(photos[:3])), f"9.{kind} 7"
    )
    found = names(source, path, identities=people)
    folders = ["2880", "2881", "2880", "unlisted-000004", "unlisted-000005"]
    assert found == [f"{folder}/{name}" for folder, name in zip(folders, photos, strict=True)]
    assert "lacks 2 of 5 photos" in caplog.text


HQ = ["CelebAMask-HQ/CelebA-HQ-img/0.jpg", "CelebAMask-HQ/CelebA-HQ-img/1.jpg", "CelebAMask-HQ/CelebA-HQ-img/2.jpg"]
HQ_MORE = ["CelebAMask-HQ/CelebAMask-HQ-mask-anno/0/00000_hair.png", "CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt"]


@pytest.fixture
def hq(tmp_path) -> dict[str, str]:
    """The lists of CelebAMask-HQ and of CelebA: its photo 1 is of nobody whom CelebA's lists."""
    return {
        "mapping": text(tmp_path / "m.txt", "idx    orig_idx    orig_file", "0  119613  119614.jpg", "1 7 000008.jpg", "2 8 000009.jpg"),
        "identities": text(tmp_path / "people.txt", "119614.jpg 2880", "000009.jpg 17", "000001.jpg 3"),
    }  # fmt: skip


def test_celebamask_hq_is_read_as_published(tmp_path, hq, caplog):
    caplog.set_level(logging.INFO)
    path = as_zip(tmp_path / "hq", HQ + HQ_MORE)
    assert names("celeba-hq", path, **hq) == ["2880/0.jpg", "unlisted-1/1.jpg", "17/2.jpg"]
    assert "left out 2 files" in caplog.text and "lacks 1 of 3 photos" in caplog.text
    table = text(tmp_path / "a.txt", "3", "Male Young", "0.jpg  -1  1", "1.jpg  1 1", "2.jpg 1 -1")
    found = genders(settings("celeba-hq", attributes=table, **hq))
    assert found == {"2880/0.jpg": "female", "unlisted-1/1.jpg": "male", "17/2.jpg": "male"}


def test_the_wrong_one_of_celebas_lists_is_told(tmp_path, hq):
    path = as_zip(tmp_path / "hq", HQ)
    with pytest.raises(DfdError, match=r"m\.txt: says which photo is which; give it as `mapping`"):
        names("celeba-hq", path, identities=hq["mapping"])
    with pytest.raises(DfdError, match=r"people\.txt: line 1 is not a number and CelebA's photo"):
        names("celeba-hq", path, identities=hq["identities"], mapping=hq["identities"])
    others = text(tmp_path / "others.txt", "000777.jpg 1")
    with pytest.raises(DfdError, match=r"others\.txt: names none of the photos in .*m\.txt"):
        names("celeba-hq", path, identities=others, mapping=hq["mapping"])


ATTRIBUTES = {
    "as published": [
        "3",
        "5_o_Clock_Shadow Male Young ",
        "000001.jpg -1  1  1",
        "000002.jpg -1 -1  1",
        "000004.jpg -1  1 -1",
    ],
    "without a count": ["5_o_Clock_Shadow Male Young", "000001.jpg -1 1 1", "000002.jpg -1 -1 1", "000004.jpg -1 1 -1"],
    "as a table": [
        "image_id,5_o_Clock_Shadow,Male,Young",
        "000001.jpg,-1,1,1",
        "000002.jpg,-1,-1,1",
        "000004.jpg,-1,1,-1",
    ],
}


@pytest.mark.parametrize("layout", ATTRIBUTES)
def test_celebas_genders_are_the_attribute_male(tmp_path, layout):
    people = text(tmp_path / "people.txt", "000001.jpg 2880", "000002.jpg 17")
    found = genders(settings("celeba", identities=people, attributes=text(tmp_path / "a.txt", *ATTRIBUTES[layout])))
    assert found == {"2880/000001.jpg": "male", "17/000002.jpg": "female", "unlisted-000004/000004.jpg": "male"}


def test_celebas_glasses_and_smiles_are_listed_by_photo(tmp_path, hq):
    people = text(tmp_path / "two.txt", "000001.jpg 2880", "000002.jpg 17")
    table = text(
        tmp_path / "a.txt", "2", "Eyeglasses Male Smiling Young ", "000001.jpg -1  1  1 1", "000002.jpg 1 1 -1 1"
    )
    given = settings("celeba", identities=people, attributes=table)
    assert traits(given) == {
        "glasses": {"2880/000001.jpg": False, "17/000002.jpg": True},
        "smile": {"2880/000001.jpg": True, "17/000002.jpg": False},
    }
    assert genders(given) == {"2880/000001.jpg": "male", "17/000002.jpg": "male"}
    table = text(tmp_path / "hq.txt", "1", "Male Smiling", "0.jpg  -1  1")
    assert traits(settings("celeba-hq", attributes=table, **hq)) == {"smile": {"2880/0.jpg": True}}
    table = text(tmp_path / "wrong.txt", "1", "Male Smiling", "000001.jpg  -1  0")
    with pytest.raises(DfdError, match=r"wrong\.txt: line 3: Smiling is 1 or -1, not 0"):
        traits(settings("celeba", identities=people, attributes=table))
    assert traits(settings("celeba", identities=people)) == {} == traits(settings("lfw", attributes=table))


# What may be wrong


def test_genders_are_optional_and_not_for_every_source(tmp_path):
    for source in DATASETS:
        assert genders(settings(source)) == {}
    assert set(DATASETS) - set(GENDERS) == {"synthetic", "orl"}
    with pytest.raises(DfdError, match="orl has no genders.*attributes"):
        genders(settings("orl", attributes="x.csv"))
    table = text(tmp_path / "g.csv", "image,gender", "anna/1.jpg,f", "ben,m")
    assert genders(settings("folder", attributes=table)) == {"anna/1.jpg": "female", "ben": "male"}


@pytest.mark.parametrize("source", ["folder", "lfw", "vggface2", "celeba"])
def test_a_path_that_no_file_can_have_is_missing(source, tmp_path):
    people = text(tmp_path / "people.txt", "000001.jpg 2880")
    with pytest.raises(DfdError, match="no such file or folder"):
        names(source, "x" * 300, identities=people)


@pytest.mark.parametrize("source", ["folder", "lfw", "vggface2", "celeba"])
def test_a_missing_path_is_named_with_its_param(tmp_path, source):
    people = text(tmp_path / "people.txt", "000001.jpg 2880")
    with pytest.raises(DfdError, match=r"nowhere\.zip: .*`path`"):
        names(source, tmp_path / "nowhere.zip", identities=people)


@pytest.mark.parametrize(
    "source, files, told",
    [
        ("lfw", ["Ann_Lee/1.jpg", "Ann_Lee_0001.jpg"], "none of its 2 files.*Name_Name_0001.jpg.*folder"),
        ("vggface2", ["n1/1.jpg"], "none of its 1 files.*n000001"),
        ("celeba", ["a.txt"], "none of its 1 files.*000001.jpg"),
        ("folder", [], "none of its 0 files"),
    ],
)
def test_another_layout_is_told(tmp_path, source, files, told):
    people = text(tmp_path / "people.txt", "000001.jpg 2880")
    with pytest.raises(DfdError, match=told):
        names(source, as_zip(tmp_path / "photos", files), identities=people)


def test_an_identity_file_of_other_photos_is_told(tmp_path):
    people = text(tmp_path / "people.txt", "000007.jpg 2880")
    with pytest.raises(DfdError, match=r"people\.txt: names none of the 2 photos"):
        names("celeba", as_zip(tmp_path / "c", ["1.jpg", "2.jpg"]), identities=people)


@pytest.mark.parametrize("line", ["000001.jpg", "2880 000001.jpg", "000001.jpg 2880 1", "image_id,identity"])
def test_a_line_that_is_no_identity_is_told(tmp_path, line):
    people = text(tmp_path / "people.txt", "000002.jpg 1", line)
    with pytest.raises(DfdError, match=r"people\.txt: line 2 is not"):
        names("celeba", as_zip(tmp_path / "c", ["000001.jpg"]), identities=people)


@pytest.mark.parametrize(
    "source, lines, told",
    [
        ("lfw", ["photo,sex", "Ann_Lee_0001,f"], "image and gender"),
        ("lfw", [], "image and gender"),
        ("lfw", ["image,gender", "Ann_Lee_0001,x"], "line 2.*not x"),
        ("vggface2", ["image,gender", "n000001,f"], "Class_ID and Gender"),
        ("celeba", ["1", "Young", "000001.jpg 1"], "Male"),
        ("celeba", ["000001.jpg 1 1"], "Male"),
        ("celeba", [], "Male"),
        ("celeba", ["1", "Male Young", "000001.jpg 1"], "line 3 has too few"),
        ("celeba", ["1", "Male Young", "000001.jpg 3 1"], "line 3.*not 3"),
    ],
)
def test_another_file_of_genders_is_told(tmp_path, source, lines, told):
    people = text(tmp_path / "people.txt", "000001.jpg 2880")
    table = text(tmp_path / "genders.txt", *lines)
    with pytest.raises(DfdError, match=rf"genders\.txt: .*{told}") as error:
        genders(settings(source, identities=people, attributes=table))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_list_that_cannot_be_read_is_told(tmp_path, content):
    if content:
        (tmp_path / "people.txt").write_bytes(content)
    with pytest.raises(DfdError, match=r"people\.txt: cannot be read as text"):
        names("celeba", as_zip(tmp_path / "c", ["1.jpg"]), identities=str(tmp_path / "people.txt"))
