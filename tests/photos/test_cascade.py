"""The cascade: facenet-pytorch's own boxes, and crops pooled exactly as PyTorch pools them."""

import io

import facenet_pytorch
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dfd.photos import cascade
from dfd.photos.archives import read_photos
from dfd.photos.cascade import Means, find_faces


@pytest.fixture(scope="module")
def mtcnn():
    return facenet_pytorch.MTCNN(keep_all=True)


@pytest.fixture(scope="module")
def photos(orl_photos) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)).convert("RGB") for _, data in read_photos(orl_photos)]


def crowd(photos: list[Image.Image]) -> np.ndarray:
    """Two photos of six faces each, of three sizes, some at the edge; and one of nobody."""
    sheets = [Image.new("RGB", (400, 300), "grey") for _ in range(3)]
    for number, photo in enumerate(photos[:12]):
        place = number % 6
        side = 92 + 30 * (place % 3)
        sheets[number // 6].paste(photo.resize((side, side * 112 // 92)), (130 * (place % 3) - 8, 150 * (place // 3)))
    return np.stack([np.asarray(sheet) for sheet in sheets])


@pytest.mark.parametrize("smallest", [20, 40, 90])
def test_the_boxes_are_facenets(mtcnn, photos, smallest):
    mtcnn.min_face_size = smallest
    singles = np.stack([np.asarray(photo.resize((160, 195))) for photo in photos])
    for batch in (singles, crowd(photos)):
        boxes, probabilities, landmarks = mtcnn.detect(batch, landmarks=True)
        found = find_faces(mtcnn, torch.from_numpy(batch))
        assert sum(len(ours) for ours, _ in found) >= (19 if batch is singles else 6)
        for (ours, points), *theirs in zip(found, boxes, probabilities, landmarks, strict=True):
            if theirs[0] is None:
                assert ours.shape == (0, 5) and points.shape == (0, 5, 2)
                continue
            order = np.argsort((ours[:, 2] - ours[:, 0]) * (ours[:, 3] - ours[:, 1])).flip(0)
            expected, scores, places = (part.astype(np.float32) for part in theirs)
            np.testing.assert_allclose(ours[order, :4], expected, atol=1e-3)
            np.testing.assert_allclose(ours[order, 4], scores, atol=1e-5)
            np.testing.assert_allclose(points[order], places, atol=1e-3)


@pytest.mark.parametrize("packed", [0, 1024])
@pytest.mark.parametrize("at_once", [1, 3000, 1 << 16])
def test_crops_are_pooled_to_the_last_bit(monkeypatch, packed, at_once):
    monkeypatch.setattr(cascade, "PACKED", packed)
    monkeypatch.setattr(cascade, "AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (3, 90, 70, 3), dtype=torch.uint8, generator=generator)
    boxes = torch.tensor([[0, 0, 70, 90], [3, 4, 4, 5], [10, 20, 34, 44], [69, 0, 70, 90], [5, 30, 60, 71]])
    photo = torch.tensor([2, 0, 1, 2, 0])
    images = torch.cat(list(Means(photos).inputs(photo, boxes, (24, 20))))
    for image, which, (left, top, right, bottom) in zip(images, photo, boxes.tolist(), strict=True):
        part = photos[which, top:bottom, left:right].permute(2, 0, 1)[None].float()
        expected = (F.interpolate(part, (24, 20), mode="area")[0] - 127.5) * 0.0078125
        assert torch.equal(image, expected)


def test_sums_of_a_large_white_photo_do_not_overflow():
    white = torch.full((1, 1030, 1100, 3), 255, dtype=torch.uint8)
    for photos in (white, white[:, : cascade.PACKED]):  # by single colours, and packed
        everything = torch.tensor([[0, 0, 1100, photos.shape[1]]])
        (image,) = Means(photos).inputs(torch.tensor([0]), everything, (12, 12))
        assert torch.equal(image, torch.full_like(image, 127.5 * 0.0078125))
