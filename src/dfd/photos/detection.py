"""Face detection: MTCNN (Zhang et al., 2016) of facenet-pytorch, in batches."""

from typing import NamedTuple

import facenet_pytorch
import numpy as np
import torch
from PIL import Image

from dfd.core.artefacts import file_sha256
from dfd.core.packages import package_file
from dfd.photos.cascade import find_faces

MAX_SIDE = 2048  # pixels: a strip of a photo is not enlarged beyond this


class Detections(NamedTuple):
    """The faces of one photo, in the photo's own pixels; float32.

    boxes: (F, 4) left, top, right, bottom. probabilities: (F,) in [0, 1].
    landmarks: (F, 5, 2) as x, y of left eye, right eye, nose, left and right mouth corner, as the viewer sees them.
    """

    boxes: np.ndarray
    probabilities: np.ndarray
    landmarks: np.ndarray

    def at_least(self, probability: float) -> "Detections":
        keep = self.probabilities >= probability
        return Detections(self.boxes[keep], self.probabilities[keep], self.landmarks[keep])


class Detector:
    """MTCNN that looks at every photo at the same scale: its shorter side resized into `sides` = (least, most) pixels.

    min_face: the smallest face looked for, as a share of the photo's shorter side.
    """

    def __init__(self, sides: tuple[int, int], min_face: float, device: torch.device):
        if device.type == "mps":  # which lacks operations that MTCNN is made of
            device = torch.device("cpu")
        self.sides = sides
        self.min_face = min_face
        self.device = device
        # Channels last: faster on a CPU (benchmarks/speed.py), where max-pooling is much of its time otherwise.
        self.network = facenet_pytorch.MTCNN(keep_all=True, device=device).to(memory_format=torch.channels_last)

    def __reduce__(self) -> tuple:
        return Detector, (self.sides, self.min_face, self.device)

    @staticmethod
    def weights_sha256() -> str:
        """One digest for the three networks' weights."""
        names = [f"facenet_pytorch/data/{net}net.pt" for net in "pro"]
        return "+".join(file_sha256(package_file("facenet-pytorch", name))[:16] for name in names)

    def detect(self, photos: list[Image.Image]) -> list[Detections]:
        """The faces of each RGB photo, largest first. Photos of one size are detected in one batch."""
        detections: list[Detections | None] = [None] * len(photos)
        sizes = [self._working_size(photo) for photo in photos]
        for size in dict.fromkeys(sizes):
            members = [index for index, other in enumerate(sizes) if other == size]
            batch = np.stack([np.asarray(photos[i].resize(size, Image.Resampling.BILINEAR)) for i in members])
            # Just below 1: MTCNN fails where rounding makes the smallest face larger than the photo.
            self.network.min_face_size = min(self.min_face, 0.9999) * min(size)
            pixels = torch.from_numpy(batch).to(self.network.device)
            for index, faces in zip(members, find_faces(self.network, pixels), strict=True):
                detections[index] = _detections(*faces, scale=np.divide(photos[index].size, size))
        return detections

    def _working_size(self, photo: Image.Image) -> tuple[int, int]:
        shorter = min(photo.size)
        scale = min(np.clip(shorter, *self.sides) / shorter, max(MAX_SIDE, self.sides[1]) / max(photo.size))
        return tuple(max(24, round(side * scale)) for side in photo.size)


def _detections(boxes: torch.Tensor, landmarks: torch.Tensor, scale: np.ndarray) -> Detections:
    boxes, landmarks = boxes.numpy(), landmarks.numpy()
    order = np.argsort((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))[::-1]
    return Detections(
        (boxes[order, :4] * np.tile(scale, 2)).astype(np.float32),
        boxes[order, 4],
        (landmarks[order] * scale).astype(np.float32),
    )


def largest(faces: Detections, size: tuple[int, int]) -> int:
    """The index of the face with the largest box."""
    return int(np.argmax(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)))


def central(faces: Detections, size: tuple[int, int]) -> int:
    """The index of the face whose box centre lies nearest the photo's centre; `size` is its (width, height)."""
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    return int(np.argmin(np.linalg.norm(centres - np.divide(size, 2), axis=1)))


SELECTIONS = {"largest": largest, "central": central}
