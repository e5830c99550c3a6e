"""Rows read from a file as they are asked for: the same as those of a tensor, whatever is asked."""

import pickle

import h5py
import numpy as np
import pytest
import torch

from dfd.core import rows as module
from dfd.core.artefacts import state_sha256
from dfd.core.rows import PickedRows, StoredRows

TABLE = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
ASKED = {
    "all": slice(None),
    "a part": slice(-7, 38, 2),
    "none": [],
    "a mask": (TABLE[:, 0] > 0).numpy(),
    "rising, with gaps": [0, 1, 2, 15, 39],
    "any order, some twice": torch.tensor([30, 2, 2, 39, 0, 30]),
}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 4)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["template"], file["mirrored"] = TABLE.numpy(), -TABLE.numpy()
    return StoredRows(tmp_path / "x.h5", "template")


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_for_is_read(stored, asked):
    found = stored[ASKED[asked]]
    expected = TABLE.numpy()[ASKED[asked]] if len(found) else np.empty((0, 3), np.float32)
    np.testing.assert_array_equal(found, expected)
    assert stored.shape == (40, 3) and len(stored) == 40 and found.dtype == torch.float32


def test_parts_are_those_of_a_tensor(stored):
    for mine, theirs in zip(stored.split(16), TABLE.split(16), strict=True):
        assert torch.equal(mine, theirs)
    assert state_sha256({"x": stored}) == state_sha256({"x": TABLE})


def test_another_process_opens_the_file_for_itself(stored):
    stored[[1]]
    assert torch.equal(pickle.loads(pickle.dumps(stored))[:], TABLE)


@pytest.mark.parametrize("in_file", [True, False])
def test_picked_rows_of_several_tables_follow_each_other(stored, in_file):
    tables = [stored, StoredRows(stored.path, "mirrored")] if in_file else [TABLE, -TABLE]
    numbers = np.array([7, 2, 2, 31, 12])
    picked, expected = PickedRows(tables, numbers), torch.cat([TABLE[numbers], -TABLE[numbers]])
    assert picked.shape == (10, 3) and torch.equal(picked[:], expected) and torch.equal(picked.in_memory(), expected)
    assert torch.equal(picked[[9, 0, 5, 4]], expected[[9, 0, 5, 4]]) and picked[[]].shape == (0, 3)
    assert all(torch.equal(*pair) for pair in zip(picked.split(4), expected.split(4), strict=True))
