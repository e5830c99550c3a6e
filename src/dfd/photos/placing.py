"""Where the face in a photo is: where the detector finds it, where a table says, or all of it, in a crop of a face."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from dfd.core.errors import DfdError
from dfd.faces.geometry import GEOMETRIES, crop_window, given_window, usual_landmarks
from dfd.faces.settings import Faces
from dfd.photos.detection import SELECTIONS, Detections, Detector

TIGHT = 0.9  # of a photo's longer side: a detected box that fills more makes the photo look like a crop of a face
NUMBERS = {4: "left, top, right, bottom", 10: "x and y of left eye, right eye, nose, left and right mouth corner"}


class Given(NamedTuple):
    """Where the faces are, so that nothing is detected. window: what photos show that are crops of faces, one of
    `faces.geometry.WINDOWS`; places: else, of a table, by photo (see `read_landmarks`)."""

    window: str | None = None
    places: Mapping[str, np.ndarray] = {}


def read_landmarks(path: str | Path) -> dict[str, np.ndarray]:
    """{photo's key, with or without its suffix: landmarks (5, 2) or box (4,)}, in pixels of the photo, of a CSV file.

    Format: a line of names, then a line per photo of its key and its ten or four numbers (see NUMBERS), like VGGFace2's
    loose_landmark. Raises DfdError naming the line that is none, and for a file without any.
    """
    places = {}
    try:
        with open(Path(path).expanduser(), encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, skipinitialspace=True)
            for number, fields in enumerate(lines, 1):
                if number > 1 and any(fields):
                    places[fields[0]] = _place(f"{path}: line {number}", fields[1:])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DfdError(
            f"{path}: cannot be read as a CSV file ({error}); correct the `landmarks` of its data set"
        ) from error
    if not places:
        raise DfdError(
            f"{path}: names no photo; give a line of names, then lines of a key and {' or '.join(NUMBERS.values())}"
        )
    return places


def given_places(window: str | None, landmarks: str | None) -> Given | None:
    """What a data set's entry says of where its faces are; None where they are to be detected. Raises DfdError as
    `read_landmarks`."""
    if landmarks:
        return Given(places=read_landmarks(landmarks))
    return Given(window) if window else None


def _place(where: str, fields: Sequence[str]) -> np.ndarray:
    try:
        place = np.array([float(field) for field in fields])
    except ValueError:
        place = np.empty(0)
    landmarks = place.reshape(5, 2) if len(place) == 10 else None
    if len(place) not in NUMBERS or not np.isfinite(place).all():
        raise DfdError(f"{where} is not a key and {' or '.join(NUMBERS.values())}, in pixels")
    if (
        landmarks is None
        and not (place[:2] < place[2:]).all()
        or landmarks is not None
        and np.ptp(landmarks, 0).min() <= 0
    ):
        raise DfdError(f"{where}: its numbers enclose no face; they are {NUMBERS[len(place)]}")
    return place if landmarks is None else landmarks


def listed(key: str, places: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """A photo's place, by its key or that without its suffix; None where the table lacks it."""
    return places.get(key, places.get(str(PurePosixPath(key).with_suffix(""))))


def windows(
    rows: Sequence[dict],
    photos: Sequence[Image.Image],
    detector: Detector,
    settings: Faces,
    given: Given | None = None,
) -> list[np.ndarray | None]:
    """The window (2, 3) of the face in each photo, and what is known of it in its row; None, with a reason, where there is none.

    given: where faces are that nobody need detect.
    """
    geometry = settings.geometry
    if given and given.window:
        return [
            _noted(row, crop_window(given.window, photo.size, geometry), geometry) for row, photo in zip(rows, photos)
        ]
    if given:
        return [_listed_window(row, given.places, geometry) for row in rows]
    placed = []
    for row, photo, faces in zip(rows, photos, detector.detect(list(photos)), strict=True):
        chosen = _choose(row, faces.at_least(settings.min_probability), photo, settings.select)
        placed.append(None if chosen is None else GEOMETRIES[geometry](*chosen))
    return placed


def _listed_window(row: dict, places: Mapping[str, np.ndarray], geometry: str) -> np.ndarray | None:
    place = listed(row["key"], places)
    if place is None:
        row["reason"] = "not-in-landmarks"
        return None
    if len(place) == 4:
        row["box"] = place.tolist()
        return _noted(row, given_window(place, geometry), geometry)
    row["landmarks"] = place.ravel().tolist()
    return given_window(place, geometry)


def _noted(row: dict, window: np.ndarray, geometry: str) -> np.ndarray:
    """The window; its row gets the landmarks that such faces have on average: whoever covers eyes has to know where they are."""
    row["landmarks"] = usual_landmarks(window, geometry).ravel().tolist()
    return window


def _choose(row: dict, faces: Detections, image: Image.Image, select: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The chosen face's box and landmarks, noted in `row`; None, with a reason, where there is no face."""
    row["n_faces"] = len(faces.boxes)
    if len(faces.boxes) == 0:
        row["reason"] = "no-face"
        return None
    best = SELECTIONS[select](faces, image.size)
    box, landmarks = faces.boxes[best], faces.landmarks[best]
    row["box"], row["landmarks"] = box.tolist(), landmarks.ravel().tolist()
    row["probability"] = float(faces.probabilities[best])
    row["tight"] = bool(max(box[2:] - box[:2]) > TIGHT * max(image.size))
    return box, landmarks
