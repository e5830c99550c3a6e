"""The face store: encoded context crops in HDF5, and an index with one row per photo found in Parquet."""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from PIL import Image

from dfd.core.errors import DfdError
from dfd.core.hdf5 import read_attributes, write_attributes
from dfd.faces.geometry import shrunk, views

PLAIN = np.array([[1.0, 0, 0], [0, 1.0, 0]])
MIRROR = np.array([[-1.0, 0, 0], [0, 1.0, 0]])
SPLITS = ("train", "validation", "test")
# What the index says of a photo that few stages ask for: most of a kilobyte, of each of what may be millions.
DETAILS = {"box", "landmarks", "window", "sha256"}


def encode_crop(crop: np.ndarray) -> bytes:
    """A uint8 (S, S, 3) crop as JPEG, quality 95, without chroma subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, format="JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


class FaceWriter:
    """Appends encoded crops to an HDF5 file: flat bytes, and N + 1 int64 offsets."""

    def __init__(self, file: h5py.File):
        self.file = file
        self.offsets = [0]
        self.data = file.create_dataset("crops", (0,), np.uint8, maxshape=(None,), chunks=(1 << 20,))

    def append(self, encoded: bytes) -> int:
        """Store one crop and return its row."""
        start, end = self.offsets[-1], self.offsets[-1] + len(encoded)
        self.data.resize((end,))
        self.data[start:end] = np.frombuffer(encoded, np.uint8)
        self.offsets.append(end)
        return len(self.offsets) - 2

    def close(self, attributes: dict) -> None:
        self.file.create_dataset("offsets", data=np.array(self.offsets, np.int64))
        write_attributes(self.file, attributes)


class FaceStore:
    """A data set's faces, read lazily; every image that leaves is RGB float32 in [0, 1], (N, 3, H, W).

    path: the .h5 file, its index beside it as .parquet. opened: both, of a store that has no files: path is its name, and
    it lasts while the file is open. faces: the index' rows of faces, in the order of the store, without DETAILS. Raises
    DfdError where either is missing or no face store.
    """

    def __init__(self, path: str | Path, opened: tuple[h5py.File, pd.DataFrame] | None = None):
        self.path = Path(path)
        self.name = self.path.stem
        self._file, self._process = opened[0] if opened else None, os.getpid()  # that opened it
        try:
            if opened:
                self.index = index = opened[1]
            else:
                names = pq.read_schema(self.path.with_suffix(".parquet")).names
                columns = [name for name in names if name not in DETAILS]
                index = pd.read_parquet(self.path.with_suffix(".parquet"), columns=columns)
            with contextlib.nullcontext(opened[0]) if opened else h5py.File(self.path) as file:
                self.attributes = read_attributes(file)
                self.size = int(self.attributes["size"])
                self.context = float(self.attributes["context"])
                self.geometry = str(self.attributes["geometry"])
                self.offsets = file["offsets"][:]
            self.faces = index[index["row"].notna()].sort_values("row").reset_index(drop=True)
        except Exception as error:  # whatever Parquet and HDF5 make of a damaged file
            raise self._unreadable(error) from error
        # Only one of the two may have been copied, or pulled. Older indexes do not say whose they are.
        digest = _digest(self.offsets, self.attributes)
        if index.attrs.get("store", digest) != digest:
            raise DfdError(
                f"{self.path}: its index {self.name}.parquet is of another; run `dvc repro -f preprocess@{self.name}`"
            )

    def __len__(self) -> int:
        return len(self.faces)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_file": None}

    def _unreadable(self, error: Exception) -> DfdError:
        return DfdError(f"{self.path}: not a face store ({error}); run `dvc repro preprocess@{self.name}`")

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row for each photo found, with all that is known of it."""
        try:
            return pd.read_parquet(self.path.with_suffix(".parquet"))
        except Exception as error:  # its other columns were not looked at when it was opened
            raise self._unreadable(error) from error

    def details(self, rows: Sequence[int]) -> pd.DataFrame:
        """What the index says of `rows`, DETAILS too, in their order."""
        return self.index.set_index("row").loc[rows]

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the keys, the crops' sizes and the attributes: what a template store must match."""
        return _digest(self.offsets, self.attributes, "\n".join(self.faces["key"]))

    def rows(self, split: str) -> np.ndarray:
        """The rows of a split (`train`, `validation`, `test`)."""
        if split not in SPLITS:
            raise DfdError(f"{split} is no split; use one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.faces["split"] == split)

    def identities(self, rows: Sequence[int]) -> np.ndarray:
        """The identity of each row, as strings (N,)."""
        return self.faces["identity"].to_numpy(str)[rows]

    def crops(self, rows: Sequence[int]) -> torch.Tensor:
        """The context crops of `rows`, (N, 3, S, S) in [0, 1]."""
        return self._decoded(rows).float() / 255

    def encoded(self, rows: Sequence[int]) -> list[bytes]:
        """The context crops of `rows` as they are stored, JPEG."""
        if self._file is None or self._process != os.getpid():  # a loader worker, forked or spawned, opens its own
            self._file, self._process = h5py.File(self.path), os.getpid()
        data = self._file["crops"]
        return [data[self.offsets[row] : self.offsets[row + 1]].tobytes() for row in rows]

    def _decoded(self, rows: Sequence[int]) -> torch.Tensor:
        decoded = [np.asarray(Image.open(io.BytesIO(crop))) for crop in self.encoded(rows)]
        return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2)

    def views(self, rows: Sequence[int], size: int | tuple[int, int], matrix: np.ndarray = PLAIN) -> torch.Tensor:
        """Views of `rows` at `size` pixels, (N, 3, height, width); `size` and `matrix` as in `dfd.faces.geometry.views`."""
        size = (size, size) if isinstance(size, int) else size
        margin, odd = divmod(round(self.size * self.context) - self.size, 2)
        if matrix is PLAIN and max(size) <= self.size and not odd:  # the crop's own pixels: nothing to sample
            centre = self._decoded(rows)[:, :, margin : margin + self.size, margin : margin + self.size].float() / 255
            return centre if min(size) == self.size else shrunk(centre, size)
        return self.views_of(self.crops(rows), size, matrix)

    def views_of(self, crops: torch.Tensor, size: int | tuple[int, int], matrix: np.ndarray = PLAIN) -> torch.Tensor:
        """The same, of context crops that are already decoded."""
        return views(crops, matrix, size, self.size, self.context)


def write_index(path: str | Path, index: pd.DataFrame, store: str | Path | None = None) -> None:
    """Write the index of a face store that is there already, by default the one beside it, and in its attributes whose it is."""
    with h5py.File(store or Path(path).with_suffix(".h5")) as file:
        index.attrs["store"] = _digest(file["offsets"][:], read_attributes(file))
    index.to_parquet(path, index=False)


def _digest(offsets: np.ndarray, attributes: Mapping, keys: str = "") -> str:
    """Of the crops' sizes and the attributes of a face store; of the faces' keys too where they are given."""
    digest = hashlib.sha256(keys.encode())
    digest.update(offsets.tobytes())
    digest.update(json.dumps({name: str(value) for name, value in sorted(attributes.items())}).encode())
    return digest.hexdigest()
