"""What an entry of a data set may say, by its source."""

import pytest
from pydantic import ValidationError

from dfd.faces.geometry import WINDOWS
from dfd.photos.datasets import DATASETS
from dfd.photos.settings import CROPS, NEEDED, OPTIONAL, Dataset

FOLDER = {"source": "folder", "path": "a.zip", "split": {"test": 1.0}}


def test_every_source_and_every_window_is_known():
    assert set(OPTIONAL) == set(DATASETS) and set(NEEDED) <= set(DATASETS) and set(CROPS) == set(WINDOWS)


def test_of_several_faces_the_entry_then_the_source_then_faces_decides():
    lfw = {"source": "lfw", "split": {"test": 1.0}}
    assert Dataset(**lfw).selected("largest") == "central"
    assert Dataset(**lfw, select="largest").selected("central") == "largest"
    assert Dataset(**FOLDER).selected("largest") == "largest" and Dataset(**FOLDER).selected("central") == "central"


@pytest.mark.parametrize(
    "entry, told",
    [
        ({"source": "orl", "path": "/x"}, "`path` is of no use to source orl"),
        ({"source": "synthetic", "faces": 3, "identities": "x"}, "`identities` is of no use"),
        ({"source": "lfw", "faces": 3}, "`faces` is of no use"),
        ({"source": "celeba", "path": "x", "identities": "x", "mapping": "x"}, "`mapping` is of no use"),
        (FOLDER | {"detect": False}, "`detect: false` and `window`.*go together"),
        (FOLDER | {"window": "arcface"}, "`detect: false` and `window`.*go together"),
        (FOLDER | {"detect": False, "window": "oval"}, "dlib"),
        (FOLDER | {"detect": False, "window": "box", "landmarks": "l.csv"}, "keep one"),
        (FOLDER | {"landmarks": "l.csv", "select": "central"}, "`select` is among detected faces"),
    ],
)
def test_what_an_entry_cannot_say(entry, told):
    with pytest.raises(ValidationError, match=told):
        Dataset(**{"split": {"test": 1.0}} | entry)


def test_crops_and_tables_are_accepted():
    assert Dataset(**FOLDER, detect=False, window="arcface").window == "arcface"
    assert Dataset(**FOLDER, landmarks="l.csv", pairs="p.csv", test_folds=[2]).detect
