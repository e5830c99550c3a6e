"""Blocks over parts of the face, placed by its landmarks (paper, section 4.3.2)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dfd.faces.geometry import aligned_window, to_window
from dfd.faces.store import PLAIN, FaceStore
from dfd.recognizers.base import Recognizer
from dfd.templates.embedding import batches, embed_images

LEFT_EYE, RIGHT_EYE, NOSE, LEFT_MOUTH, RIGHT_MOUTH = range(5)  # MTCNN's order; left and right as seen in the picture
MIRRORED = [RIGHT_EYE, LEFT_EYE, NOSE, RIGHT_MOUTH, LEFT_MOUTH]


def landmarks_in_view(faces: FaceStore, rows: Sequence[int], matrix: np.ndarray = PLAIN) -> np.ndarray:
    """The five landmarks of `rows` in a view of theirs, (N, 5, 2), where [-1, 1]² is what the view shows.

    matrix: (2, 3), the view, as in `dfd.faces.geometry.views`. In a mirrored view left and right have changed places.
    """
    index = faces.details(rows)
    windows = np.stack(index["window"].to_list()).reshape(-1, 2, 3)
    landmarks = np.stack(index["landmarks"].to_list()).reshape(-1, 5, 2)
    in_window = np.stack([to_window(points, window) for points, window in zip(landmarks, windows, strict=True)])
    in_view = to_window(in_window, matrix)
    return in_view if np.linalg.det(matrix[:, :2]) > 0 else in_view[:, MIRRORED]


def block(landmarks: np.ndarray, covered: Sequence[int], margins: tuple[float, float]) -> np.ndarray:
    """The block that covers some of a face's landmarks (5, 2), as a matrix (2, 3) from its own [-1, 1]² to theirs.

    It is turned and scaled like the face: upright in the window that aligns the face, and there as large as the covered
    landmarks' bounding box with `margins` added at both sides (across, down), in halves of that window's side.
    """
    frame = aligned_window(np.zeros(4), landmarks)  # which does not look at the box
    inside = to_window(landmarks[list(covered)], frame)
    low, high = inside.min(0) - margins, inside.max(0) + margins
    centre, half = (low + high) / 2, (high - low) / 2
    return np.column_stack([frame[:, :2] * half, frame[:, :2] @ centre + frame[:, 2]])


# region -> its block (2, 3), given a face's landmarks (5, 2). The margins reach from the pupils past the eyes' outer
# corners and the brows, from the corners of the mouth past the lips.
OCCLUSIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "eyes": lambda landmarks: block(landmarks, (LEFT_EYE, RIGHT_EYE), (0.22, 0.16)),
    "mouth": lambda landmarks: block(landmarks, (LEFT_MOUTH, RIGHT_MOUTH), (0.12, 0.18)),
}


def blocks(region: str, landmarks: np.ndarray) -> np.ndarray:
    """The blocks (N, 2, 3) over a region of OCCLUSIONS of faces with landmarks (N, 5, 2)."""
    return np.stack([OCCLUSIONS[region](points) for points in landmarks])


def coverage(matrices: np.ndarray, size: int) -> torch.Tensor:
    """How much of each pixel the blocks (N, 2, 3) cover in views of `size` pixels, (N, 1, size, size) in [0, 1].

    Exact for an upright block; a turned one's edges are as soft, over one pixel. Blocks are wider than a pixel.
    """
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    covered = []
    for matrix in matrices:
        half = np.linalg.norm(matrix[:, :2], axis=0) * size / 2  # pixels
        outwards = np.abs(to_window(points, matrix)) * half
        covered.append(np.clip(half - outwards + 0.5, 0, 1).prod(1).reshape(1, size, size))
    return torch.from_numpy(np.stack(covered)).float()


def occlude(images: torch.Tensor, covered: torch.Tensor, shade: float) -> torch.Tensor:
    """Images (N, 3, S, S) in [0, 1] with a homogeneous block of `shade` (0 black, 1 white) over `coverage`."""
    return images * (1 - covered) + shade * covered


def embed_occluded(
    recognizer: Recognizer, faces: FaceStore, rows: Sequence[int], region: str, shade: float
) -> torch.Tensor:
    """Templates (N, D) of the plain views of `rows` with a block over a region."""
    parts = []
    for batch in batches(rows, recognizer.device):
        covered = coverage(blocks(region, landmarks_in_view(faces, batch)), recognizer.view_size)
        images = occlude(faces.views(batch, recognizer.view_size), covered, shade)
        parts.append(embed_images(recognizer, images))
    return torch.cat(parts)
