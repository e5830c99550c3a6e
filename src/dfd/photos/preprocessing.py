"""From an archive of photos to a face store: decode, detect, choose, align, crop; every photo is accounted for."""

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError
from dfd.faces.geometry import crop, inside
from dfd.faces.leakage import identity_of
from dfd.faces.store import FaceWriter, encode_crop, write_index
from dfd.photos.archives import read_photos
from dfd.photos.decoding import Rejected, decode_photo
from dfd.photos.detection import Detector
from dfd.photos.placing import windows

log = logging.getLogger(__name__)

BATCH = 64  # photos detected at once
BATCH_PIXELS = 64_000_000  # of decoded photos held at once, beyond the last one


def split_of(identity: str, shares: Mapping[str, float], seed: int) -> str:
    """The split of an identity, drawn by its own hash: adding people moves nobody. `shares` sum to 1."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{identity}".encode()).digest()[:8]) / 2**64
    edge = 0.0
    for split, share in shares.items():
        edge += share
        if draw < edge:
            return split
    return split  # draw lies in the rounding error below 1


def preprocess(
    archive: str | Path,
    store: str | Path,
    *,
    detector: Detector,
    shares: Mapping[str, float],
    seed: int,
    geometry: str,
    size: int,
    context: float,
    fill: str,
    select: str,
    min_probability: float,
    max_megapixels: float,
    min_side: int,
    background: str = "white",
    genders: Mapping[str, str] | None = None,
    kept_for_test: Collection[str] = (),
    window: str | None = None,
    places: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Write `store` (.h5) and its index (.parquet) from the photos in `archive`, and return the index.

    size: pixels of the plain view's side; context: the stored crop's side in windows. The identity of a photo is its
    folder's name (a photo at the top is its own identity); genders: by photo or by identity, of those that are known;
    kept_for_test: identities of the split `test`, whatever their draw; window, places: see `placing.windows`.
    Raises DfdError if no photo holds a face.
    """
    rows: list[dict] = []
    attributes = {
        "size": size,
        "context": context,
        "geometry": geometry,
        "fill": fill,
        "detector": "mtcnn",
        "detector_sha256": detector.weights_sha256(),
    }
    if window or places:
        attributes |= {"detector": f"none: {f'crops, {window}' if window else 'listed'}", "detector_sha256": ""}
    placing = {"geometry": geometry, "select": select, "min_probability": min_probability}
    placing |= {"window": window, "places": places}
    with replacing(store) as temporary:
        with h5py.File(temporary, "w") as file:
            writer = FaceWriter(file)
            for batch in _batches(
                _described(archive, shares, seed, genders or {}, kept_for_test), max_megapixels, min_side, background
            ):
                good = [(row, image) for row, image in batch if image is not None]
                placed = windows(*zip(*good), detector, **placing) if good else []
                for (row, image), face in zip(good, placed, strict=True):
                    if face is None:
                        continue
                    row["window"] = face.ravel().tolist()
                    row["inside"] = inside(face, image.size)
                    row["row"] = writer.append(encode_crop(crop(np.asarray(image), face, size, context, fill)))
                rows += [row for row, _ in batch]
            writer.close(attributes)
        index = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
        if index["row"].notna().sum() == 0:
            raise DfdError(f"{archive}: no face in {len(index)} photos ({_reasons(index) or 'it is empty'})")
    write_index(Path(store).with_suffix(".parquet"), index)
    tight = sum(row.get("tight", False) for row in rows)
    if tight > len(rows) / 2:
        log.info("%d of %d photos look like crops of faces: see `detect: false` in docs/extending.md", tight, len(rows))
    return index


COLUMNS = {
    "key": "string",
    "identity": "string",
    "split": "string",
    "row": "Int64",
    "reason": "string",
    "box": "object",
    "landmarks": "object",
    "window": "object",
    "probability": "Float32",
    "n_faces": "Int64",
    "inside": "Float64",
    "sha256": "string",
    "gender": "string",  # male, female, null
}


def find_window(
    photo: Image.Image, detector: Detector, *, geometry: str, select: str, min_probability: float
) -> np.ndarray:
    """The window (2, 3) of the face in an upright RGB photo, chosen as `preprocess` does. Raises Rejected: `no-face`."""
    row: dict = {}
    (window,) = windows([row], [photo], detector, geometry=geometry, select=select, min_probability=min_probability)
    if window is None:
        raise Rejected(row["reason"])
    return window


def summary(index: pd.DataFrame) -> dict:
    """The metrics of an index: photos = faces + rejected.total, rejects by reason, identities and faces by split."""
    faces = index[index["row"].notna()]
    genders = {name: int(count) for name, count in faces["gender"].value_counts().sort_index().items()}
    return {
        "photos": len(index),
        "faces": len(faces),
        "rejected": {"total": len(index) - len(faces)} | _reasons(index),
        "several_faces": int((faces["n_faces"] > 1).sum()),
        "identities": int(faces["identity"].nunique()),
        "split": {name: int(count) for name, count in faces["split"].value_counts().sort_index().items()},
        "inside": {"mean": float(faces["inside"].mean()), "min": float(faces["inside"].min())},
    } | ({"gender": genders} if genders else {})


def _reasons(index: pd.DataFrame) -> dict[str, int]:
    return {reason: int(count) for reason, count in index["reason"].value_counts().sort_index().items()}


def _described(
    archive: str | Path,
    shares: Mapping[str, float],
    seed: int,
    genders: Mapping[str, str],
    kept_for_test: Collection[str],
) -> Iterator[dict]:
    """One row per photo, `data` being its bytes. A name that comes twice gets `#2`, so that every key is unique."""
    copies: Counter[str] = Counter()
    keys: set[str] = set()
    for name, data in tqdm(read_photos(archive), desc=f"faces of {archive}", unit=" photos", disable=None):
        key = name
        while key in keys:
            copies[name] += 1
            key = f"{name}#{copies[name] + 1}"
        keys.add(key)
        identity = identity_of(name)
        yield {
            "key": key,
            "identity": identity,
            "split": "test" if identity in kept_for_test else split_of(identity, shares, seed),
            "sha256": hashlib.sha256(data).hexdigest(),
            "gender": genders.get(name, genders.get(identity)),
            "data": data,
        }


def _batches(
    rows: Iterator[dict], max_megapixels: float, min_side: int, background: str
) -> Iterator[list[tuple[dict, Image.Image | None]]]:
    """Rows with their decoded photos; None, and the reason in the row, for a photo that cannot be one."""
    batch, pixels = [], 0
    for row in rows:
        try:
            image = decode_photo(row.pop("data"), max_megapixels, min_side, background)
            pixels += image.width * image.height
        except Rejected as rejected:
            row["reason"] = rejected.reason
            image = None
        batch.append((row, image))
        if len(batch) == BATCH or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
