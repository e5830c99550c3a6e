"""From archive to face store: every photo accounted for, the same bytes every time, whole or not at all."""

import hashlib
import io
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from dfd.core.errors import DfdError
from dfd.faces.geometry import ALIGNED, seen_window, to_window
from dfd.faces.store import FaceStore
from dfd.photos import preprocessing
from dfd.photos.archives import read_photos, write_photos
from dfd.photos.datasets import orl_photos as all_orl_photos
from dfd.photos.detection import Detector
from dfd.photos.preprocessing import split_of, summary

ORL = {name: data for name, data in islice(all_orl_photos(), 30)}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def photo(name: str) -> Image.Image:
    return Image.open(io.BytesIO(ORL[name])).convert("RGB")


# name, bytes, expected reason (None: a face)
MESSY = [
    ("s1/1.pgm", ORL["s1/1.pgm"], None),
    ("s1/2.pgm", ORL["s1/2.pgm"], None),
    ("s1/2.pgm", ORL["s1/3.pgm"], None),  # the same name again
    ("s1/2.pgm", ORL["s1/4.pgm"], None),  # and again
    ("s1/2.pgm#2", ORL["s1/5.pgm"], None),  # the name that the second one would get
    ("s2/a.pgm#2", ORL["s2/4.pgm"], None),  # the name that a later one would get
    ("s2/a.pgm", ORL["s2/1.pgm"], None),
    ("s2/a.pgm", ORL["s2/5.pgm"], None),
    ("José Ñandú/a photo.pgm", ORL["s3/1.pgm"], None),
    ("王 芳/照片.pgm", ORL["s3/2.pgm"], None),
    ("top.pgm", ORL["s2/2.pgm"], None),
    ("bad/empty.jpg", b"", "empty"),
    ("bad/text.jpg", b"hello, I am no photo", "not-an-image"),
    ("bad/cut.pgm", ORL["s2/3.pgm"][:5000], "damaged"),
    ("bad/tiny.png", png(Image.new("RGB", (1, 1))), "too-small"),
    ("bad/large.png", png(Image.new("1", (2000, 1001))), "too-large"),
    ("s1/wall.png", png(Image.new("RGB", (120, 120), "grey")), "no-face"),
]


MESSY_SETTINGS = {"max_megapixels": 2, "kept_for_test": {"s1", "top"}, "geometry": "aligned"}


@pytest.fixture(scope="module")
def messy(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "messy.tar"
    write_photos(path, [(name, data) for name, data, _ in MESSY])
    return path


@pytest.fixture(scope="module")
def messy_store(messy, to_store, tmp_path_factory) -> FaceStore:
    path = tmp_path_factory.mktemp("faces") / "messy.h5"
    index = to_store(messy, path, **MESSY_SETTINGS)
    pd.testing.assert_frame_equal(
        index.drop(columns=["box", "landmarks", "window"]),
        pd.read_parquet(path.with_suffix(".parquet")).drop(columns=["box", "landmarks", "window"]),
        check_dtype=False,
    )
    return FaceStore(path)


def test_every_photo_is_a_face_or_a_reject_with_its_reason(messy_store):
    index = messy_store.index
    assert len(index) == len(MESSY)
    for row, (name, data, reason) in zip(index.itertuples(), MESSY, strict=True):
        assert row.key.startswith(name) and row.sha256 == hashlib.sha256(data).hexdigest()
        assert (None if pd.isna(row.reason) else row.reason) == reason, name
        assert pd.isna(row.row) == (reason is not None)
    assert index["row"].dropna().tolist() == list(range(11))


def test_keys_are_unique(messy_store):
    keys = messy_store.index["key"].to_list()
    assert keys[:5] == ["s1/1.pgm", "s1/2.pgm", "s1/2.pgm#2", "s1/2.pgm#3", "s1/2.pgm#2#2"]
    assert keys[5:8] == ["s2/a.pgm#2", "s2/a.pgm", "s2/a.pgm#3"]
    assert len(set(keys)) == len(keys)


def test_identities_are_folders(messy_store):
    expected = ["s1"] * 5 + ["s2"] * 3 + ["José Ñandú", "王 芳", "top"] + ["bad"] * 5 + ["s1"]
    assert messy_store.index["identity"].tolist() == expected
    assert messy_store.index.groupby("identity")["split"].nunique().max() == 1


def test_people_can_be_kept_for_testing(messy_store):
    index, shares = messy_store.index, {"train": 0.5, "validation": 0.25, "test": 0.25}
    drawn = index["identity"].map(lambda identity: split_of(identity, shares, 0))
    kept = index["identity"].isin(MESSY_SETTINGS["kept_for_test"])
    assert (drawn[kept] != "test").any()  # or nothing would be shown
    assert index["split"].tolist() == drawn.where(~kept, "test").tolist()


def test_what_is_known_of_a_face_is_recorded(messy_store):
    faces = messy_store.details(range(len(messy_store)))
    assert (faces["n_faces"] == 1).all() and faces["probability"].between(0.9, 1).all()
    assert faces["inside"].between(0.5, 1).all() and faces["inside"].min() < 1
    for face in faces.itertuples():
        left, top, right, bottom = face.box
        landmarks = np.array(face.landmarks).reshape(5, 2)
        assert ((landmarks > (left, top)) & (landmarks < (right, bottom))).all()
        # The window brings eyes and mouth near their fixed places.
        window = np.array(face.window).reshape(2, 3)
        assert np.abs(to_window(landmarks[[0, 1, 3, 4]], window) - (ALIGNED * 2 - 1)).max() < 0.15
    rejects = messy_store.index[messy_store.index["row"].isna()]
    assert rejects[["box", "landmarks", "window", "probability", "inside"]].isna().all(axis=None)
    assert rejects.loc[rejects["reason"] == "no-face", "n_faces"].tolist() == [0]


def test_summary_adds_up(messy_store):
    numbers = summary(messy_store.index)
    assert numbers["photos"] == 17 and numbers["faces"] == 11 and numbers["identities"] == 5
    reasons = {"empty": 1, "not-an-image": 1, "damaged": 1, "too-small": 1, "too-large": 1, "no-face": 1}
    assert numbers["rejected"] == {"total": 6} | reasons
    assert sum(numbers["split"].values()) == 11 and numbers["several_faces"] == 0


def test_attributes_say_how_it_was_made(messy_store):
    expected = {"size": 64, "context": 2.0, "geometry": "aligned", "fill": "edge", "detector": "mtcnn"}
    assert {name: messy_store.attributes[name] for name in expected} == expected
    assert len(messy_store.attributes["detector_sha256"]) == 3 * 16 + 2


def test_running_twice_gives_the_same_bytes(messy, messy_store, to_store, tmp_path):
    to_store(messy, tmp_path / "messy.h5", **MESSY_SETTINGS)
    for suffix in (".h5", ".parquet"):
        assert (tmp_path / "messy").with_suffix(suffix).read_bytes() == messy_store.path.with_suffix(
            suffix
        ).read_bytes()


def test_the_plain_view_is_the_photo_at_the_window(orl_photos, orl_store):
    axis = (np.arange(112) + 0.5) / 56 - 1
    photos = dict(read_photos(orl_photos))
    for row, face in enumerate(orl_store.details(range(len(orl_store))).itertuples()):
        grey = np.asarray(Image.open(io.BytesIO(photos[face.key])).convert("L"), float)
        window = np.array(face.window).reshape(2, 3)
        points = np.stack(np.meshgrid(axis, axis), -1) @ window[:, :2].T + window[:, 2]
        expected = map_coordinates(grey, [points[..., 1], points[..., 0]], order=1, mode="nearest")
        view = orl_store.views([row], 112)[0].mean(0).numpy() * 255
        assert np.abs(view - expected).mean() < 1.5  # JPEG


@pytest.mark.parametrize("step, call", [("encode_crop", 5), ("write_index", 0)])  # in the faces; between the two files
def test_a_failure_half_way_leaves_what_was_there(orl_photos, to_store, tmp_path, monkeypatch, step, call):
    def fail(*_):
        if next(calls) == call:
            raise RuntimeError("the machine went down")
        return b"x"

    monkeypatch.setattr(preprocessing, step, fail)
    for older in ({}, {"orl.h5": b"older store", "orl.parquet": b"older index"}):
        for name, data in older.items():
            (tmp_path / name).write_bytes(data)
        calls = iter(range(100))
        with pytest.raises(RuntimeError, match="went down"):
            to_store(orl_photos, tmp_path / "orl.h5")
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == older


@pytest.mark.parametrize("photos", [[], [("a/1.png", png(Image.new("RGB", (64, 64)))), ("a/2.png", b"")]])
def test_no_face_at_all_is_an_error_for_the_user(photos, to_store, tmp_path):
    write_photos(tmp_path / "none.tar", photos)
    with pytest.raises(DfdError, match=r"none\.tar.*no face"):
        to_store(tmp_path / "none.tar", tmp_path / "none.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["none.tar"]


def test_a_damaged_archive_leaves_nothing(orl_photos, to_store, tmp_path):
    (tmp_path / "cut.tar").write_bytes(orl_photos.read_bytes()[:50_000])
    with pytest.raises(DfdError, match=r"cut\.tar"):
        to_store(tmp_path / "cut.tar", tmp_path / "faces.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["cut.tar"]


@pytest.mark.parametrize("select, person", [("largest", "large"), ("central", "small")])
def test_of_several_faces_one_is_chosen(select, person, to_store, tmp_path):
    """A large face at the left edge, a small one in the middle."""
    canvas = Image.new("RGB", (500, 320), "grey")
    canvas.paste(photo("s1/1.pgm").resize((184, 224)), (0, 48))
    canvas.paste(photo("s2/1.pgm"), (204, 104))
    write_photos(tmp_path / "two.tar", [("pair/1.png", png(canvas))])
    index = to_store(tmp_path / "two.tar", tmp_path / "two.h5", select=select)
    assert index["n_faces"].tolist() == [2] and summary(index)["several_faces"] == 1
    left, _, right, _ = index["box"][0]
    assert {"large": right < 190, "small": 200 < left and right < 300}[person]
    faces = FaceStore(tmp_path / "two.h5")
    assert len(faces) == 1

    write_photos(tmp_path / "one.tar", [("one/1.png", ORL["s1/1.pgm" if person == "large" else "s2/1.pgm"])])
    to_store(tmp_path / "one.tar", tmp_path / "one.h5")
    alone, chosen = FaceStore(tmp_path / "one.h5").views([0], 32), faces.views([0], 32)
    central = slice(8, 24)  # what lies outside the pasted photo differs
    assert np.corrcoef(alone[..., central, central].ravel(), chosen[..., central, central].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("batch", [1, 7])
def test_batches_do_not_show(orl_photos, orl_store, to_store, tmp_path, monkeypatch, batch):
    few = list(islice(read_photos(orl_photos), 8))
    write_photos(tmp_path / "few.tar", few)
    monkeypatch.setattr(preprocessing, "BATCH", batch)
    index = to_store(tmp_path / "few.tar", tmp_path / "few.h5", shares={"test": 1.0}, size=112)
    assert index["key"].tolist() == orl_store.faces["key"][:8].tolist()
    np.testing.assert_allclose(np.stack(index["box"]), np.stack(orl_store.details(range(8))["box"]), atol=0.05)
    assert (FaceStore(tmp_path / "few.h5").crops([5]) - orl_store.crops([5])).abs().max() < 0.1


def test_geometry_and_context_are_used(orl_photos, to_store, tmp_path):
    write_photos(tmp_path / "few.tar", islice(read_photos(orl_photos), 2))
    index = to_store(tmp_path / "few.tar", tmp_path / "box.h5", geometry="box", size=40, context=1.5)
    for face in index.itertuples():
        left, top, right, bottom = face.box
        half = max(right - left, bottom - top) / 2
        np.testing.assert_allclose(face.window, [half, 0, (left + right) / 2, 0, half, (top + bottom) / 2], rtol=1e-5)
    assert FaceStore(tmp_path / "box.h5").crops([0]).shape == (1, 3, 60, 60)


def test_a_portrait_is_the_aligned_window_widened(orl_photos, orl_store, to_store, tmp_path):
    """1.2 times as wide, its centre 0.19 half-sides of the aligned window higher; the same pixels, then, of the same photo."""
    assert orl_store.attributes["geometry"] == orl_store.geometry == "portrait"
    write_photos(tmp_path / "few.tar", islice(read_photos(orl_photos), 8))
    to_store(tmp_path / "few.tar", tmp_path / "aligned.h5", geometry="aligned", shares={"test": 1.0}, size=112)
    aligned = FaceStore(tmp_path / "aligned.h5")
    for row in range(8):
        ours, theirs = (
            np.array(store.details([row])["window"].iloc[0]).reshape(2, 3) for store in (orl_store, aligned)
        )
        np.testing.assert_allclose(ours[:, :2], 1.2 * theirs[:, :2], rtol=1e-2)
        np.testing.assert_allclose(ours[:, 2], theirs[:, 2] - 0.19 * theirs[:, 1], atol=0.3)
    inner = orl_store.views(range(8), 96, seen_window("dlib", (96, 96), "portrait"))
    plain = aligned.views(range(8), 96)
    assert (inner - plain).abs().mean() < 0.03 < (orl_store.views(range(8), 96) - plain).abs().mean()


def test_genders_are_in_the_index_and_counted_where_they_are_known(messy, messy_store, to_store, tmp_path):
    assert messy_store.index["gender"].isna().all() and "gender" not in summary(messy_store.index)
    genders = {
        "s1": "female",
        "s1/2.pgm": "male",
        "top": "male",
        "nobody": "male",
    }  # a photo's own goes before its person's
    traits = {"smile": {"s1/1.pgm": True, "top": False}}
    settings = {"max_megapixels": 2, "geometry": "aligned", "genders": genders, "traits": traits}
    index = to_store(messy, tmp_path / "messy.h5", **settings)
    assert "smile" not in messy_store.index
    assert index.set_index("key")["smile"].dropna().to_dict() == {"s1/1.pgm": True}
    assert FaceStore(tmp_path / "messy.h5").faces["smile"].sum() == 1
    found = {row.key: row.gender for row in index.itertuples() if not pd.isna(row.gender)}
    assert found == {
        "s1/1.pgm": "female", "s1/2.pgm": "male", "s1/2.pgm#2": "male", "s1/2.pgm#3": "male", "s1/2.pgm#2#2": "female",
        "top.pgm": "male", "s1/wall.png": "female",
    }  # fmt: skip
    assert summary(index)["gender"] == {"female": 2, "male": 4}
    assert (tmp_path / "messy.h5").read_bytes() == messy_store.path.read_bytes()


# Splits

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def test_shares_are_respected():
    counts = Counter(split_of(f"person {number}", SHARES, 0) for number in range(5000))
    for split, share in SHARES.items():
        assert counts[split] / 5000 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 5000))
    assert {split_of(f"p{number}", {"test": 1.0}, 0) for number in range(50)} == {"test"}
    assert {split_of(f"p{number}", {"train": 0.0, "test": 1.0}, 0) for number in range(50)} == {"test"}


def test_an_identity_keeps_its_split_whatever_else_there_is():
    """Known values: a change here moves people of existing data sets between training and test."""
    drawn = [int(hashlib.sha256(f"3:s{number}".encode()).hexdigest()[:16], 16) / 2**64 for number in range(40)]
    expected = ["train" if draw < 0.7 else "validation" if draw < 0.8 else "test" for draw in drawn]
    assert [split_of(f"s{number}", SHARES, 3) for number in range(40)] == expected
    assert [split_of(f"s{number}", SHARES, 4) for number in range(40)] != expected


def test_of_many_identities_none_is_in_two_splits(synthetic_store, orl_store):
    for store in (synthetic_store, orl_store):
        assert store.index.groupby("identity")["split"].nunique().eq(1).all()
    assert all(len(synthetic_store.rows(split)) > 0 for split in ("train", "validation", "test"))


def test_large_photos_are_held_a_few_at_a_time(messy, messy_store, to_store, tmp_path, monkeypatch):
    held, detect = [], Detector.detect
    monkeypatch.setattr(Detector, "detect", lambda self, photos: held.append(len(photos)) or detect(self, photos))
    monkeypatch.setattr(preprocessing, "BATCH_PIXELS", 1)
    index = to_store(messy, tmp_path / "messy.h5", max_megapixels=2)
    assert max(held) == 1
    assert index[["key", "reason"]].equals(messy_store.index[["key", "reason"]])
