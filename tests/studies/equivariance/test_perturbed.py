"""Templates of perturbed faces and their file."""

import numpy as np
import pytest
import torch
from damage import damages

from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
from dfd.studies.equivariance.perturbed import Perturbed, read_perturbed, sides, write_perturbed
from dfd.templates.linear import LinearMap

ROWS = np.array([2, 5, 7])


@pytest.fixture
def perturbed() -> Perturbed:
    return Perturbed(ROWS, {"rotated": torch.randn(3, 4), "scaled": torch.randn(3, 4)})


def test_what_was_written_is_read(tmp_path, orl_store, perturbed):
    write_perturbed(tmp_path / "vgg.h5", orl_store, perturbed)
    found = read_perturbed(tmp_path / "vgg.h5", orl_store)
    assert (
        found.rows.tolist() == ROWS.tolist()
        and found.left_out is None
        and list(found.templates) == list(perturbed.templates)
    )
    assert all(torch.equal(found.templates[name], part) for name, part in perturbed.templates.items())
    assert torch.equal(found.at([5, 7])["scaled"], perturbed.templates["scaled"][1:])


def test_why_there_are_none_is_read(tmp_path, orl_store):
    write_perturbed(tmp_path / "mine.h5", orl_store, Perturbed(ROWS, {}, LeftOut("no network")))
    found = read_perturbed(tmp_path / "mine.h5", orl_store)
    assert found.templates == {} and found.left_out == LeftOut("no network")


def test_what_is_missing_or_of_other_faces_is_refused(tmp_path, orl_store, synthetic_store, perturbed):
    with pytest.raises(DfdError, match=r"vgg\.h5: no templates of perturbed faces .*dvc repro verify"):
        read_perturbed(tmp_path / "vgg.h5", orl_store)
    write_perturbed(tmp_path / "vgg.h5", orl_store, perturbed)
    with pytest.raises(DfdError, match="were not made from"):
        read_perturbed(tmp_path / "vgg.h5", synthetic_store)


def test_the_sides_of_a_comparison(perturbed):
    maps = {
        name: LinearMap(torch.eye(4), torch.full((4,), shift)) for shift, name in enumerate(("rotate+30", "scale-0.5"))
    }
    names = {"rotated": "rotate+30", "scaled": "scale-0.5"}
    found = sides(torch.zeros(3, 4), perturbed.templates, maps, names).among(np.array([True, False, True]))
    assert found.originals.shape == (2, 4)
    assert np.allclose(found.mapped["scaled"], found.perturbed["scaled"] + 1)
    assert np.array_equal(found.mapped["rotated"], perturbed.templates["rotated"][[0, 2]].numpy())


def test_a_damaged_file_is_told_or_read(orl_store, tmp_path):
    path = tmp_path / "vgg.h5"
    write_perturbed(path, orl_store, Perturbed(np.arange(9), {"rotated": torch.ones(9, 8), "scaled": torch.ones(9, 8)}))
    told = 0
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            read_perturbed(path, orl_store)
        except DfdError:
            told += 1
    assert told > 20
