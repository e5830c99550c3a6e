"""From an archive of photos to a face store: decode, detect, choose, align, crop; every photo is accounted for."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError
from dfd.core.shards import NOT_SHARED, Shard, Sharing, in_shards
from dfd.faces.geometry import crop, inside
from dfd.faces.leakage import identity_of
from dfd.faces.store import FaceWriter, encode_crop, write_index
from dfd.photos.archives import read_photos
from dfd.photos.decoding import Rejected, decode_photo
from dfd.photos.detection import Detector
from dfd.photos.placing import windows

log = logging.getLogger(__name__)

BATCH = 64  # photos detected at once, and of a shard: a killed run has at most some of these to do again
BATCH_BYTES = 32_000_000  # of a shard's photos as they come, beyond the last one
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


def preprocess(archive: str | Path, store: str | Path, **settings) -> pd.DataFrame:
    """Write `store` (.h5) and its index (.parquet) from the photos in `archive`, and return the index.

    settings: as of `find_faces`, which also raises DfdError if no photo holds a face.
    """
    with replacing(store) as temporary, h5py.File(temporary, "w") as file:
        index = find_faces(read_photos(archive), str(archive), file, **settings)
    write_index(Path(store).with_suffix(".parquet"), index)
    return index


def find_faces(
    photos: Iterable[tuple[str, bytes]],
    name: str,
    file: h5py.File,
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
    traits: Mapping[str, Mapping[str, bool]] | None = None,
    kept_for_test: Collection[str] = (),
    window: str | None = None,
    places: Mapping[str, np.ndarray] | None = None,
    sharing: Sharing = NOT_SHARED,
) -> pd.DataFrame:
    """Write the faces of photos, (key, bytes) as `read_photos` gives them, into an open face store; return its index.

    name: of the photos as a whole, for messages. size: pixels of the plain view's side; context: the stored crop's side in
    windows. The identity of a photo is its folder's name (a photo at the top is its own identity); genders: by photo or by
    identity, of those that are known; traits: by trait and photo whether it shows it: the index gets a column for each, null
    where that is unknown; kept_for_test: identities of the split `test`, whatever their draw; window, places:
    see `placing.windows`. Neither `sharing` nor a kill shows in what is written.
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
    settings = {
        "geometry": geometry,
        "size": size,
        "context": context,
        "fill": fill,
        "select": select,
        "min_probability": min_probability,
        "max_megapixels": max_megapixels,
        "min_side": min_side,
        "background": background,
        "window": window,
    }
    listed = places and {key: place.tolist() for key, place in places.items()}
    decides = [settings, listed, attributes["detector_sha256"], detector.sides, detector.min_face, detector.device.type]

    def stamp(shard: list[dict]) -> str:
        photos = [(row["key"], row["sha256"]) for row in shard]
        return hashlib.sha256(json.dumps([decides, photos]).encode()).hexdigest()

    photos = tqdm(photos, desc=f"faces of {name}", unit=" photos", disable=None)
    traits = traits or {}
    described = _described(photos, shares, seed, genders or {}, traits, kept_for_test)
    work = partial(_cropped, detector=detector, places=places, **settings)
    writer = FaceWriter(file)
    for shard, done in in_shards(work, _shards(described), sharing, stamp):
        crops = iter(np.split(done["crops"], done["ends"][:-1]))
        for row, seen in zip(shard, json.loads(done["seen"].tobytes()), strict=True):
            del row["data"]
            rows.append(row | seen | ({"row": writer.append(next(crops).tobytes())} if "window" in seen else {}))
    writer.close(attributes)
    columns = COLUMNS | dict.fromkeys(traits, "boolean")
    index = pd.DataFrame(rows, columns=list(columns)).astype(columns)
    if index["row"].notna().sum() == 0:
        raise DfdError(f"{name}: no face in {len(index)} photos ({_reasons(index) or 'it is empty'})")
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


def _shards(rows: Iterator[dict]) -> Iterator[list[dict]]:
    """Rows of photos that are worked on together, whatever the number of processes."""
    shard, size = [], 0
    for row in rows:
        shard.append(row)
        size += len(row["data"])
        if len(shard) == BATCH or size >= BATCH_BYTES:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _cropped(
    rows: list[dict], *, detector: Detector, places: Mapping[str, np.ndarray] | None, size: int, context: float, fill: str,
    max_megapixels: float, min_side: int, background: str, **placing,
) -> Shard:  # fmt: skip
    """What is seen in the photos of rows. seen: JSON, a dictionary for each photo that goes into its row of the index;
    crops: the encoded crops, one after the other, of those with a `window`; ends: where each ends."""
    seen: list[dict] = []
    crops: list[bytes] = []
    for batch in _batches(rows, max_megapixels, min_side, background):
        good = [(found, image) for found, image in batch if image is not None]
        placed = windows(*zip(*good, strict=True), detector, places=places, **placing) if good else []
        for (found, image), window in zip(good, placed, strict=True):
            if window is None:
                continue
            found["window"] = window.ravel().tolist()
            found["inside"] = inside(window, image.size)
            crops.append(encode_crop(crop(np.asarray(image), window, size, context, fill)))
        seen += [found for found, _ in batch]
    return {
        "seen": np.frombuffer(json.dumps(seen).encode(), np.uint8),
        "crops": np.frombuffer(b"".join(crops), np.uint8),
        "ends": np.cumsum([len(encoded) for encoded in crops], dtype=np.int64),
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
    photos: Iterable[tuple[str, bytes]],
    shares: Mapping[str, float],
    seed: int,
    genders: Mapping[str, str],
    traits: Mapping[str, Mapping[str, bool]],
    kept_for_test: Collection[str],
) -> Iterator[dict]:
    """One row per photo, `data` being its bytes. A name that comes twice gets `#2`, so that every key is unique."""
    copies: Counter[str] = Counter()
    keys: set[str] = set()
    for name, data in photos:
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
            **{trait: shown.get(name) for trait, shown in traits.items()},
            "data": data,
        }


def _batches(
    rows: Iterable[dict], max_megapixels: float, min_side: int, background: str
) -> Iterator[list[tuple[dict, Image.Image | None]]]:
    """Decoded photos, each with an empty dictionary; None, and in it the reason, for a photo that cannot be one."""
    batch, pixels = [], 0
    for row in rows:
        found: dict = {"key": row["key"]}
        try:
            image = decode_photo(row["data"], max_megapixels, min_side, background)
            pixels += image.width * image.height
        except Rejected as rejected:
            found["reason"] = rejected.reason
            image = None
        batch.append((found, image))
        if pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
