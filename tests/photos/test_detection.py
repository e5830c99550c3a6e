"""Detection in batches: the same faces as one by one, and none where there is none."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dfd.photos.archives import read_photos
from dfd.photos.detection import Detections, Detector, central, largest


@pytest.fixture(scope="module")
def photos(orl_photos) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)).convert("RGB") for _, data in list(read_photos(orl_photos))[:3]]


def test_a_batch_of_mixed_sizes_finds_what_single_photos_do(detector, photos):
    blank = Image.new("RGB", photos[0].size, "grey")
    mixed = [photos[0], photos[1].resize((460, 560)), blank, photos[2]]
    for together, photo in zip(detector.detect(mixed), mixed, strict=True):
        (alone,) = detector.detect([photo])
        assert len(together.boxes) == (photo is not blank)
        for part, other in zip(together, alone, strict=True):
            assert part.dtype == np.float32
            np.testing.assert_allclose(part, other, atol=0.05)


def test_places_are_in_the_photos_own_pixels(detector, photos):
    small, large = detector.detect([photos[0], photos[0].resize((368, 448))])
    np.testing.assert_allclose(small.boxes * 4, large.boxes, atol=12)
    np.testing.assert_allclose(small.landmarks * 4, large.landmarks, atol=8)
    left_eye, right_eye, nose, left_mouth, right_mouth = small.landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert ((small.landmarks >= 0) & (small.landmarks <= (92, 112))).all()


def test_on_an_apple_machine_it_runs_on_the_cpu():
    assert Detector((96, 640), 0.3, torch.device("mps")).network.device == torch.device("cpu")


def test_nothing_to_detect(detector):
    assert detector.detect([]) == []
    (none,) = detector.detect([Image.new("RGB", (16, 3000))])  # a strip: its shorter side cannot be enlarged as far
    assert none.boxes.shape == (0, 4) and none.probabilities.shape == (0,) and none.landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize("side", [47, 173, 188])  # 12 / side · side < 12 in floating point
def test_the_smallest_face_may_be_the_whole_photo(side):
    detector = Detector((side, side), 1.0, torch.device("cpu"))
    assert len(detector.detect([Image.new("RGB", (side, side))])[0].boxes) == 0


FACES = Detections(
    boxes=np.array([[0, 0, 40, 40], [45, 45, 60, 60], [0, 90, 100, 99]], np.float32),
    probabilities=np.array([0.99, 0.8, 0.9], np.float32),
    landmarks=np.zeros((3, 5, 2), np.float32),
)


def test_choosing_among_faces():
    assert largest(FACES, (100, 100)) == 0
    assert central(FACES, (100, 100)) == 1
    assert central(FACES, (20, 20)) == 0
    assert FACES.at_least(0.9).probabilities.tolist() == pytest.approx([0.99, 0.9])
    assert FACES.at_least(0.9).boxes.tolist() == FACES.boxes[[0, 2]].tolist()
