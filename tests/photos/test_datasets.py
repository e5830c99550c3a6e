"""The data sets by name."""

import io
from itertools import islice
from types import SimpleNamespace

import pytest
from PIL import Image

from dfd.core.errors import DfdError
from dfd.photos.datasets import fetch, orl_photos
from dfd.photos.synthetic import synthetic_photos


def test_orl_is_40_people_with_10_photos_in_numeric_order():
    photos = list(orl_photos())
    assert [name for name, _ in photos] == [
        f"s{person}/{photo}.pgm" for person in range(1, 41) for photo in range(1, 11)
    ]
    assert len({data for _, data in photos}) >= 399
    image = Image.open(io.BytesIO(photos[0][1]))
    assert image.size == (92, 112) and image.mode == "L"


def test_fetch_follows_the_settings():
    few = list(fetch(SimpleNamespace(source="synthetic", faces=3), seed=5))
    assert few == list(synthetic_photos(3, seed=5))
    assert next(iter(fetch(SimpleNamespace(source="orl"), seed=0))) == next(islice(orl_photos(), 1))


def test_an_unknown_source_is_named():
    with pytest.raises(DfdError, match="webface.*synthetic"):
        list(fetch(SimpleNamespace(source="webface"), seed=0))
