"""The face store: what goes in comes out, and what is no store is named."""

import io
import pickle
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dfd.core.errors import DfdError
from dfd.faces.geometry import views
from dfd.faces.store import MIRROR, PLAIN, FaceStore, FaceWriter, encode_crop, write_index

ATTRIBUTES = {"size": 16, "context": 2.0, "geometry": "aligned"}


def smooth(seed: int, side: int = 32) -> np.ndarray:
    """A smooth random picture, which JPEG keeps."""
    small = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)
    return (large[0].permute(1, 2, 0) * 255).round().byte().numpy()


def write(path, crops: list[np.ndarray], splits: list[str], attributes: dict = ATTRIBUTES) -> FaceStore:
    """A store of crops; a reject stands between every two faces of its index."""
    with h5py.File(path, "w") as file:
        writer = FaceWriter(file)
        rows = [writer.append(encode_crop(crop)) for crop in crops]
        writer.close(attributes)
    index = pd.DataFrame(
        {
            "key": [name for row in rows for name in (f"p{row // 2}/{row}.jpg", f"p{row // 2}/bad{row}.jpg")],
            "identity": [f"p{row // 2}" for row in rows for _ in range(2)],
            "split": [split for split in splits for _ in range(2)],
            "row": pd.array([value for row in rows for value in (row, None)], "Int64"),
        }
    )
    write_index(path.with_suffix(".parquet"), index)
    return FaceStore(path)


@pytest.fixture
def store(tmp_path) -> FaceStore:
    return write(
        tmp_path / "faces.h5", [smooth(seed) for seed in range(6)], ["train", "train", "test", "test", "train", "train"]
    )


def test_crops_decode_close_to_what_was_encoded(store):
    crops = store.crops([4, 0, 4])
    assert crops.dtype == torch.float32 and crops.shape == (3, 3, 32, 32)
    for crop, seed in zip(crops, (4, 0, 4), strict=True):
        assert np.abs(crop.permute(1, 2, 0).numpy() * 255 - smooth(seed)).max() < 8


def test_colour_keeps_its_resolution():
    """One red column in green: chroma subsampling would smear it into its neighbours."""
    crop = np.zeros((16, 16, 3), np.uint8)
    crop[..., 1] = 120
    crop[:, 7] = [200, 0, 0]
    decoded = np.asarray(Image.open(io.BytesIO(encode_crop(crop))), float)
    assert np.abs(decoded - crop).max() < 40


def test_rows_and_identities(store):
    assert len(store) == 6 and len(store.index) == 12
    assert store.rows("train").tolist() == [0, 1, 4, 5] and store.rows("test").tolist() == [2, 3]
    assert store.rows("validation").tolist() == []
    assert store.identities([0, 3, 5]).tolist() == ["p0", "p1", "p2"]
    with pytest.raises(DfdError, match="valid"):
        store.rows("valid")


def test_the_index_may_be_in_any_order(store, tmp_path):
    shutil.copy(store.path, tmp_path / "shuffled.h5")
    write_index(tmp_path / "shuffled.parquet", store.index.sample(frac=1, random_state=0))
    shuffled = FaceStore(tmp_path / "shuffled.h5")
    assert shuffled.faces["key"].tolist() == store.faces["key"].tolist()
    assert shuffled.fingerprint == store.fingerprint


def test_views_are_views_of_the_crops(store):
    torch.testing.assert_close(store.views([1, 2], 16), store.crops([1, 2])[:, :, 8:24, 8:24], atol=1e-5, rtol=0)
    torch.testing.assert_close(store.views([1], 16, MIRROR), store.views([1], 16).flip(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(store.views([1], 11), views(store.crops([1]), np.eye(2, 3), 11, 16, 2.0))


@pytest.mark.parametrize("size", [(16, 16), (16, 12), (9, 16), (20, 16), (7, 30)])
def test_views_may_be_of_any_height_and_width(store, size):
    for matrix in (PLAIN, MIRROR):
        found = store.views([1, 2], size, matrix)
        assert found.shape == (2, 3, *size)
        torch.testing.assert_close(found, views(store.crops([1, 2]), matrix, size, 16, 2.0), atol=1e-5, rtol=0)
    assert torch.equal(store.views([1, 2], (16, 16)), store.views([1, 2], 16))


def test_the_fingerprint_follows_the_content(store, tmp_path):
    crops, splits = [smooth(seed) for seed in range(6)], store.faces["split"].to_list()
    assert write(tmp_path / "same.h5", crops, splits).fingerprint == store.fingerprint
    others = [
        write(tmp_path / "crop.h5", [*crops[:5], smooth(9)], splits),
        write(tmp_path / "fewer.h5", crops[:5], splits[:5]),
        write(tmp_path / "attribute.h5", crops, splits, ATTRIBUTES | {"geometry": "box"}),
        write(tmp_path / "size.h5", crops, splits, ATTRIBUTES | {"size": 20}),
    ]
    assert len({other.fingerprint for other in others} | {store.fingerprint}) == 5


def test_pickling_leaves_the_open_file_behind(store):
    before = store.crops([0])
    copy = pickle.loads(pickle.dumps(store))
    torch.testing.assert_close(copy.crops([0]), before)
    assert copy._file is not store._file


def test_a_forked_loader_worker_opens_its_own_file(store, monkeypatch):
    before, file = store.crops([0]), store._file
    monkeypatch.setattr("os.getpid", lambda: -1)
    torch.testing.assert_close(store.crops([0]), before)
    assert store._file is not file


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
@pytest.mark.parametrize("content", [None, b"", b"something else altogether" * 10])
def test_a_missing_or_foreign_file_is_named(store, suffix, content):
    path = store.path.with_suffix(suffix)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DfdError, match=r"faces\.h5.*dvc repro"):
        FaceStore(store.path)


def test_stores_of_something_else_are_named(store):
    with h5py.File(store.path, "w") as file:
        file["template"] = np.zeros((3, 4))
    with pytest.raises(DfdError, match="not a face store"):
        FaceStore(store.path)


def test_an_index_of_something_else_is_named(store):
    write_index(store.path.with_suffix(".parquet"), pd.DataFrame({"a": [1]}))
    with pytest.raises(DfdError, match="not a face store"):
        FaceStore(store.path)


def test_an_index_of_another_run_is_named(store):
    """Who copies one of the two files has one from before; both have as many faces."""
    before = store.path.with_suffix(".parquet").read_bytes()
    with h5py.File(store.path, "a") as file:
        file.attrs["fill"] = "black"
    with pytest.raises(DfdError, match=r"faces\.parquet is of another; run `dvc repro -f preprocess@faces`"):
        FaceStore(store.path)
    write_index(store.path.with_suffix(".parquet"), store.index)
    assert len(FaceStore(store.path)) == len(store)
    store.path.with_suffix(".parquet").write_bytes(before)
    with pytest.raises(DfdError, match="is of another"):
        FaceStore(store.path)


def test_of_real_faces(orl_store):
    assert len(orl_store) == 20 and orl_store.size == 112
    assert orl_store.rows("test").tolist() == list(range(20))
    assert orl_store.identities([0, 19]).tolist() == ["s1", "s4"]
    faces = orl_store.views([0, 7], 112)
    assert faces.shape == (2, 3, 112, 112) and 0 <= faces.min() < faces.max() <= 1
    assert (faces[:, 0] - faces[:, 1]).abs().max() < 0.02  # grey photos
