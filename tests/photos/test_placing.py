"""Faces that no detector looks for: crops that are faces, and tables of landmarks or boxes; what tells that photos are crops."""

import io
import logging
from itertools import islice

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfd.core.errors import DfdError
from dfd.faces.geometry import aligned_window, crop
from dfd.faces.store import FaceStore
from dfd.photos.archives import read_photos, write_photos
from dfd.photos.detection import Detector
from dfd.photos.placing import read_landmarks


def landmarks_of(store: FaceStore) -> np.ndarray:
    return np.stack(store.faces["landmarks"].to_list()).reshape(-1, 5, 2)


@pytest.fixture
def no_detection(monkeypatch):
    monkeypatch.setattr(Detector, "detect", lambda *_: pytest.fail("detected"))


@pytest.fixture(scope="module")
def crops(orl_photos, orl_store, tmp_path_factory):
    """A tar of the photos' `aligned` windows, dlib's, as 112 × 112 pixels."""
    path, photos = tmp_path_factory.mktemp("raw") / "crops.tar", dict(read_photos(orl_photos))
    written = []
    for key, landmarks in zip(orl_store.faces["key"], landmarks_of(orl_store), strict=True):
        photo = np.asarray(Image.open(io.BytesIO(photos[key])).convert("RGB"))
        data = io.BytesIO()
        Image.fromarray(crop(photo, aligned_window(None, landmarks), 112, 1.0, "edge")).save(data, "PNG")
        written.append((key, data.getvalue()))
    write_photos(path, written)
    return path


def test_a_crop_is_the_window_that_it_is_said_to_be(crops, orl_store, to_store, tmp_path, no_detection):
    index = to_store(crops, tmp_path / "c.h5", geometry="aligned", size=112, shares={"test": 1.0}, window="dlib")
    ours, photos = FaceStore(tmp_path / "c.h5"), dict(read_photos(crops))
    for row, key in enumerate(ours.faces["key"]):
        expected = np.asarray(Image.open(io.BytesIO(photos[key]))).transpose(2, 0, 1) / 255
        assert np.abs(ours.views([row], 112)[0].numpy() - expected).mean() < 0.01  # JPEG
    assert ours.attributes["detector"] == "none: crops, dlib" and index["probability"].isna().all()
    to_store(crops, tmp_path / "p.h5", geometry="portrait", size=112, shares={"test": 1.0}, window="dlib")
    inner = slice(30, 82)  # beyond the crop all is fill
    difference = FaceStore(tmp_path / "p.h5").views(range(20), 112) - orl_store.views(range(20), 112)
    assert difference[..., inner, inner].abs().mean() < 0.02
    # Where eyes and mouth are is known without looking: occlusions need it.
    np.testing.assert_allclose(landmarks_of(ours)[0][[0, 1, 3, 4]], landmarks_of(ours)[1][[0, 1, 3, 4]])
    assert landmarks_of(ours)[0][0] == pytest.approx([35, 35], abs=3)


def test_listed_landmarks_give_what_detected_ones_do(orl_photos, orl_store, to_store, tmp_path, no_detection):
    places = dict(zip(orl_store.faces["key"], landmarks_of(orl_store), strict=True))
    missing = orl_store.faces["key"][3]
    del places[missing]
    places = {key.removesuffix(".pgm"): place for key, place in places.items()}
    index = to_store(orl_photos, tmp_path / "l.h5", size=112, shares={"test": 1.0}, places=places)
    assert index.loc[index["row"].isna(), ["key", "reason"]].to_numpy().tolist() == [[missing, "not-in-landmarks"]]
    listed = FaceStore(tmp_path / "l.h5")
    kept = [row for row in range(20) if row != 3]
    assert (listed.crops(range(19)) - orl_store.crops(kept)).abs().max() < 0.01  # detected ones are float32
    assert index["n_faces"].isna().all()


def test_listed_boxes_are_boxes_and_stand_for_landmarks(orl_photos, orl_store, to_store, tmp_path, no_detection):
    places = {key: np.array(box) for key, box in zip(orl_store.faces["key"], orl_store.faces["box"], strict=True)}
    write_photos(tmp_path / "few.tar", islice(read_photos(orl_photos), 3))
    index = to_store(tmp_path / "few.tar", tmp_path / "b.h5", geometry="box", places=places)
    left, top, right, bottom = index["box"][0]
    half = max(right - left, bottom - top) / 2
    np.testing.assert_allclose(index["window"][0], [half, 0, (left + right) / 2, 0, half, (top + bottom) / 2])
    # A portrait around a box is nearly that around the face's landmarks.
    to_store(tmp_path / "few.tar", tmp_path / "p.h5", size=112, places=places)
    placed, detected = FaceStore(tmp_path / "p.h5"), orl_store.faces
    for ours, theirs in zip(placed.faces["window"], detected["window"]):
        assert np.abs(np.subtract(ours, theirs)).max() < 0.25 * theirs[0]


@pytest.mark.parametrize("archive, told", [("crops", True), ("orl_photos", False)])
def test_photos_that_look_like_crops_are_told(archive, told, to_store, tmp_path, request, caplog):
    caplog.set_level(logging.INFO)
    index = to_store(request.getfixturevalue(archive), tmp_path / "x.h5")
    assert ("of 20 photos look like crops of faces: see `detect: false`" in caplog.text) == told
    assert "tight" not in index and "tight" not in pd.read_parquet(tmp_path / "x.parquet")


TABLE = "key,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5\n"


def test_tables_are_of_points_or_boxes(tmp_path):
    text = TABLE + "a/1.jpg, 1,2,11,2,6,7,2,12,10,12\n\n'b, c'/1,0,0,10,20\n".replace("'b, c'/1", '"b, c/1"')
    (tmp_path / "l.csv").write_text("\ufeff" + text, encoding="utf-8")
    places = read_landmarks(tmp_path / "l.csv")
    assert list(places) == ["a/1.jpg", "b, c/1"] and places["b, c/1"].tolist() == [0, 0, 10, 20]
    assert places["a/1.jpg"].tolist() == [[1, 2], [11, 2], [6, 7], [2, 12], [10, 12]]


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "names no photo"),
        (TABLE, "names no photo"),
        (TABLE + "a/1.jpg,1,2,3\n", "line 2 is not a key and left, top"),
        (TABLE + "a/1.jpg,1,2,3,x\n", "line 2 is not"),
        (TABLE + "a/1.jpg,1,2,3,nan\n", "line 2 is not"),
        (TABLE + "a/1.jpg,0,0,9,9\na/2.jpg,5,5,4,9\n", "line 3.*enclose no face"),
        (TABLE + "a/1.jpg" + ",1" * 10 + "\n", "line 2.*enclose no face"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_line_that_is_no_place_is_told(tmp_path, text, told):
    (tmp_path / "l.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DfdError, match=rf"l\.csv.*{told}"):
        read_landmarks(tmp_path / "l.csv")
