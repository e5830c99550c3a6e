"""What no template may be is refused, with whose it is."""

import numpy as np
import pytest
import torch

from dfd.core import vectors
from dfd.core.errors import DfdError
from dfd.core.vectors import refuse_degenerate

GOOD = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
KEYS = list("abcdefg")


def changed(row: int, value: float) -> np.ndarray:
    templates = GOOD.copy()
    templates[row] = value
    return templates


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("block", [2, 100])
def test_only_what_is_degenerate_is_refused(kind, block, monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", block)
    refuse_degenerate(kind(GOOD), KEYS, "x", distinct=True)
    for value in (np.nan, np.inf, -np.inf, 0.0, 1e6):
        with pytest.raises(DfdError, match=r"^x: .*1 .* first that of e \(row 4, counted from 0\)$"):
            refuse_degenerate(kind(changed(4, value)), KEYS, "x")
    with pytest.raises(DfdError, match=r"first that of row 4"):
        refuse_degenerate(kind(changed(4, 0.0)), None, "x")


def test_templates_that_are_all_the_same_are_refused_where_they_are_to_differ():
    same = np.repeat(GOOD[:1], 7, axis=0)
    refuse_degenerate(same, KEYS, "x")
    refuse_degenerate(same[:1], KEYS, "x", distinct=True)
    with pytest.raises(DfdError, match="all of its 7 templates are the same"):
        refuse_degenerate(same, KEYS, "x", distinct=True)


def test_single_numbers_and_no_templates_are_let_pass():
    refuse_degenerate(np.zeros((3, 1)), None, "x")
    refuse_degenerate(np.zeros((0, 4)), [], "x", distinct=True)
