"""From an archive of photos to a face store: decode, detect, choose, align, crop; every photo is accounted for."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

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
from dfd.faces.settings import Faces
from dfd.faces.store import FaceWriter, encode_crop, write_index
from dfd.photos.archives import read_photos
from dfd.photos.decoding import Rejected, decode_photo
from dfd.photos.detection import Detector
from dfd.photos.placing import Given, windows

log = logging.getLogger(__name__)

BATCH = 64  # photos detected at once, and of a shard: a killed run has at most some of these to do again
BATCH_BYTES = 32_000_000  # of a shard's photos as they come, beyond the last one
BATCH_PIXELS = 64_000_000  # of decoded photos held at once, beyond the last one


class Census(NamedTuple):
    """What a photo's identity decides. shares: of people by split, drawn by `seed`; kept_for_test: identities that are of the
    split `test`, whatever their draw; genders: by photo or by identity, of those that are known; traits: by trait and photo
    whether it shows it: the index gets a column for each, null where that is unknown."""

    shares: Mapping[str, float]
    seed: int
    kept_for_test: Collection[str] = ()
    genders: Mapping[str, str] = {}
    traits: Mapping[str, Mapping[str, bool]] = {}


def split_of(identity: str, shares: Mapping[str, float], seed: int) -> str:
    """The split of an identity, drawn by its own hash: adding people moves nobody. `shares` sum to 1."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{identity}".encode()).digest()[:8]) / 2**64
    edge = 0.0
    for split, share in shares.items():
        edge += share
        if draw < edge:
            return split
    return split  # draw lies in the rounding error below 1


def preprocess(archive: str | Path, store: str | Path, *how, **further) -> pd.DataFrame:
    """Write `store` (.h5) and its index (.parquet) from the photos in `archive`, and return the index.

    how, further: as of `find_faces`, which also raises DfdError if no photo holds a face.
    """
    with (
        replacing(Path(store).with_suffix(".parquet")) as listed,
        replacing(store) as stored,
    ):  # both are moved, or neither
        with h5py.File(stored, "w") as file:
            index = find_faces(read_photos(archive), str(archive), file, *how, **further)
        write_index(listed, index, stored)
    return index


def find_faces(
    photos: Iterable[tuple[str, bytes]],
    name: str,
    file: h5py.File,
    detector: Detector,
    settings: Faces,
    census: Census,
    given: Given | None = None,
    sharing: Sharing = NOT_SHARED,
) -> pd.DataFrame:
    """Write the faces of photos, (key, bytes) as `read_photos` gives them, into an open face store; return its index.

    name: of the photos as a whole, for messages. The identity of a photo is its folder's name (a photo at the top is its own
    identity). given: where the faces are, else they are detected. Neither `sharing` nor a kill shows in what is written.
    Raises DfdError if no photo holds a face.
    """
    rows: list[dict] = []
    attributes = {
        "size": settings.size,
        "context": settings.context,
        "geometry": settings.geometry,
        "fill": settings.fill,
        "detector": "mtcnn",
        "detector_sha256": detector.weights_sha256(),
    }
    if given:
        how = f"crops, {given.window}" if given.window else "listed"
        attributes |= {"detector": f"none: {how}", "detector_sha256": ""}
    listed = given and [given.window, {key: place.tolist() for key, place in given.places.items()}]
    looks = [attributes["detector_sha256"], detector.sides, detector.min_face, detector.device.type]
    decides = [settings.model_dump(), listed, looks]

    def stamp(shard: list[dict]) -> str:
        photos = [(row["key"], row["sha256"]) for row in shard]
        return hashlib.sha256(json.dumps([decides, photos]).encode()).hexdigest()

    photos = tqdm(photos, desc=f"faces of {name}", unit=" photos", disable=None)
    work = partial(_cropped, detector=detector, settings=settings, given=given)
    writer = FaceWriter(file)
    for shard, done in in_shards(work, _shards(_described(photos, census)), sharing, stamp):
        crops = iter(np.split(done["crops"], done["ends"][:-1]))
        for row, facts in zip(shard, json.loads(done["facts"].tobytes()), strict=True):
            del row["data"]
            rows.append(row | facts | ({"row": writer.append(next(crops).tobytes())} if "window" in facts else {}))
    writer.close(attributes)
    columns = COLUMNS | dict.fromkeys(census.traits, "boolean")
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


def _cropped(rows: list[dict], detector: Detector, settings: Faces, given: Given | None) -> Shard:
    """What is seen in the photos of rows. facts: JSON, a dictionary for each photo that goes into its row of the index;
    crops: the encoded crops, one after the other, of those with a `window`; ends: where each ends."""
    facts: list[dict] = []
    crops: list[bytes] = []
    for batch in _batches(rows, settings):
        good = [(row, image) for row, image in batch if image is not None]
        placed = windows(*zip(*good, strict=True), detector, settings, given) if good else []
        for (row, image), window in zip(good, placed, strict=True):
            if window is None:
                continue
            row["window"] = window.ravel().tolist()
            row["inside"] = inside(window, image.size)
            crops.append(encode_crop(crop(np.asarray(image), window, settings.size, settings.context, settings.fill)))
        facts += [row for row, _ in batch]
    return {
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        "crops": np.frombuffer(b"".join(crops), np.uint8),
        "ends": np.cumsum([len(encoded) for encoded in crops], dtype=np.int64),
    }


def find_window(photo: Image.Image, detector: Detector, settings: Faces) -> np.ndarray:
    """The window (2, 3) of the face in an upright RGB photo, chosen as `preprocess` does. Raises Rejected: `no-face`."""
    row: dict = {}
    (window,) = windows([row], [photo], detector, settings)
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


def _described(photos: Iterable[tuple[str, bytes]], census: Census) -> Iterator[dict]:
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
            "split": "test" if identity in census.kept_for_test else split_of(identity, census.shares, census.seed),
            "sha256": hashlib.sha256(data).hexdigest(),
            "gender": census.genders.get(name, census.genders.get(identity)),
            **{trait: shows.get(name) for trait, shows in census.traits.items()},
            "data": data,
        }


def _batches(rows: Iterable[dict], settings: Faces) -> Iterator[list[tuple[dict, Image.Image | None]]]:
    """Decoded photos, each with what is known of it; None, and in it the reason, for a photo that cannot be one."""
    batch, pixels = [], 0
    for row in rows:
        facts: dict = {"key": row["key"]}
        try:
            image = decode_photo(row["data"], settings.max_megapixels, settings.min_side, settings.background)
            pixels += image.width * image.height
        except Rejected as rejected:
            facts["reason"] = rejected.reason
            image = None
        batch.append((facts, image))
        if pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
