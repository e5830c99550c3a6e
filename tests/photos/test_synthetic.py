"""Generated faces: reproducible, extendable, and faces to a detector."""

import io
from itertools import islice

import pytest
from PIL import Image

from dfd.core.errors import DfdError
from dfd.photos import synthetic
from dfd.photos.synthetic import synthetic_photos


@pytest.fixture(scope="module")
def photos() -> list[tuple[str, bytes]]:
    return list(synthetic_photos(20, seed=0))


def test_shape_names_and_number(photos):
    assert len(photos) == len({name for name, _ in photos}) == len({data for _, data in photos}) == 20
    assert photos[3][0] == "synthetic-000003/0.png"
    for _, data in photos:
        image = Image.open(io.BytesIO(data))
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 64))


def test_the_same_seed_gives_the_same_bytes_another_seed_does_not(photos):
    assert list(synthetic_photos(20, seed=0)) == photos
    assert {data for _, data in synthetic_photos(20, seed=1)}.isdisjoint(data for _, data in photos)


def test_a_smaller_set_begins_a_larger_one(photos, monkeypatch):
    assert list(synthetic_photos(7, seed=0)) == photos[:7]
    monkeypatch.setattr(synthetic, "BATCH", 8)
    small, large = list(synthetic_photos(13, seed=0)), list(islice(synthetic_photos(1000, seed=0), 17))
    assert len(small) == 13 and small == large[:13]  # neither number is a whole batch


def test_a_detector_finds_most_of_them(photos, detector):
    images = [Image.open(io.BytesIO(data)) for _, data in photos]
    found = [faces.at_least(0.9) for faces in detector.detect(images)]
    assert sum(len(faces.boxes) == 1 for faces in found) >= 17


@pytest.mark.parametrize("count", [0, -1])
def test_no_face_at_all_is_refused(count):
    with pytest.raises(DfdError, match="at least one face"):
        next(synthetic_photos(count, seed=0))
