"""A recognizer whose colours are the wrong way round is told, by a toy that knows people by one colour alone."""

import io

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dfd.faces.store import FaceStore, FaceWriter
from dfd.recognizers.base import Recognizer
from dfd.templates.colours import prefers_other_order
from dfd.templates.embedding import embed_faces

SIDE = 8


class FirstChannel(Recognizer):
    """Its template is the first channel that it is shown."""

    def __init__(self, bgr: bool):
        super().__init__(SIDE, "template", "template", 127.5, 1 / 127.5, "box", bgr=bgr)

    def _layers(self, x):
        yield "template", x[:, 0].flatten(1)


@pytest.fixture(scope="module")
def stores():
    """A function: number of people, whether photos have colours → a store of two photos of each. Red is the person's, with
    little noise; green and blue are noise alone."""
    files = []

    def make(people: int, colours: bool = True) -> FaceStore:
        rng = np.random.default_rng(0)
        file = h5py.File(io.BytesIO(), "w")
        writer = FaceWriter(file)
        for person in rng.uniform(0, 255, (people, SIDE, SIDE)):
            for _ in range(2):
                pixels = rng.uniform(0, 255, (SIDE, SIDE, 3))
                pixels[..., 0] = 0.7 * person + 0.3 * pixels[..., 0]
                pixels = pixels if colours else pixels[..., :1].repeat(3, 2)
                encoded = io.BytesIO()
                Image.fromarray(pixels.astype(np.uint8)).save(encoded, "PNG")
                writer.append(encoded.getvalue())
        writer.close({"size": SIDE, "context": 1.0, "geometry": "portrait", "fill": "edge"})
        rows = range(2 * people)
        index = {"key": [f"{row // 2}/{row}" for row in rows], "identity": [str(row // 2) for row in rows]}
        files.append(file)
        return FaceStore("toy", (file, pd.DataFrame(index | {"row": list(rows), "split": "test"})))

    yield make
    for file in files:
        file.close()


@pytest.mark.parametrize("bgr", [False, True])
def test_the_wrong_order_is_told(stores, bgr):
    recognizer = FirstChannel(bgr)
    faces = stores(30)
    templates, _ = embed_faces(recognizer, faces)
    assert prefers_other_order(recognizer, faces, templates) == bgr
    assert torch.equal(recognizer.channels, FirstChannel(bgr).channels)


def test_nothing_is_told_of_few_people_or_grey_photos(stores):
    recognizer = FirstChannel(bgr=True)
    for faces in (stores(19), stores(30, colours=False)):
        assert not prefers_other_order(recognizer, faces, embed_faces(recognizer, faces)[0])
