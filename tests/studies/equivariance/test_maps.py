"""Maps that undo a perturbation: recovered where they are known, scikit-learn's where they are not; and their file."""

import re

import h5py
import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from dfd.core.artefacts import file_sha256
from dfd.core.errors import DfdError
from dfd.core.hdf5 import read_attributes
from dfd.core.left_out import LeftOut
from dfd.recognizers.base import Recognizer
from dfd.studies.equivariance.maps import fit_transforms, read_transforms, write_transforms
from dfd.studies.equivariance.perturbations import perturbations, rotation
from dfd.templates import embedding
from dfd.templates.embedding import embed_views

SIDE = 3
VIEWS = perturbations(90, 0.2, [0.5])


class Pixels(Recognizer):
    """A recognizer whose template is the face's nine grey pixels, so that a rotation only swaps its numbers."""

    def __init__(self):
        super().__init__(SIDE, "grey", "grey", (0.0, 0.0, 0.0), 1 / 255, window="box")

    def _layers(self, x):
        yield "grey", x.mean(1)


@pytest.fixture(scope="module")
def split(synthetic_store):
    """(training, held-out) rows; more than nine, so that nothing is left open."""
    rows = np.arange(len(synthetic_store))
    assert len(rows) >= 20
    return rows[:-6], rows[-6:]


@pytest.fixture(scope="module")
def templates(synthetic_store):
    return embed_views(Pixels(), synthetic_store, range(len(synthetic_store)))


@pytest.fixture(scope="module")
def fits(synthetic_store, split, templates):
    return fit_transforms(Pixels(), synthetic_store, templates, *split, VIEWS)


def swapped(quarters: int) -> torch.Tensor:
    """The permutation (9, 9) by which the face's pixels turn counter-clockwise."""
    identity = torch.eye(SIDE**2).view(-1, SIDE, SIDE)
    return torch.rot90(identity, quarters, (1, 2)).flatten(1).T


def test_there_is_a_map_for_every_view(fits, split):
    assert list(fits) == list(VIEWS)
    for fit in fits.values():
        assert fit.n == len(split[0]) and fit.map.weight.shape == (9, 9) and fit.map.bias.shape == (9,)
        assert fit.r2 <= 1 and fit.strength > 0


@pytest.mark.parametrize("angle, quarters", [(90, 1), (-90, 3), (180, 2)])
def test_a_rotation_is_undone(fits, synthetic_store, templates, split, angle, quarters):
    perturbed = embed_views(Pixels(), synthetic_store, split[1], VIEWS[f"rotate{angle:+d}"])
    originals = templates[split[1]]
    torch.testing.assert_close(perturbed, originals @ swapped(quarters).T, atol=1e-5, rtol=0)  # what was done
    fit = fits[f"rotate{angle:+d}"]
    torch.testing.assert_close(fit.map(perturbed), originals, atol=1e-3, rtol=0)
    torch.testing.assert_close(fit.map.weight, swapped(-quarters), atol=0.02, rtol=0)  # from the turned to the original
    assert fit.map.bias.abs().max() < 0.02 and fit.r2 > 0.9999


@pytest.mark.parametrize("name", ["translate-left", "scale-0.5"])
def test_it_is_scikit_learns_ridge_at_the_strength_it_chose(fits, synthetic_store, templates, split, name):
    x, unseen = (embed_views(Pixels(), synthetic_store, rows, VIEWS[name]).double().numpy() for rows in split)
    y, truth = (templates[rows].double().numpy() for rows in split)
    fit = fits[name]
    reference = Ridge(alpha=len(x) * fit.strength * x.var(0).mean(), solver="svd").fit(x, y)
    np.testing.assert_allclose(fit.map(torch.from_numpy(unseen).float()), reference.predict(unseen), atol=1e-3)
    error = ((reference.predict(unseen) - truth) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
    assert fit.r2 == pytest.approx(1 - error, abs=1e-3) and 0.2 < fit.r2 < 0.999


def test_the_held_out_rows_are_not_fitted_on(synthetic_store, templates, split):
    other = templates.clone()
    other[split[1]] = other[split[1]].flip(0)  # other people's
    views = {"rotate+90": VIEWS["rotate+90"]}
    fit = fit_transforms(Pixels(), synthetic_store, other, *split, views)["rotate+90"]
    assert fit.r2 < 0.5
    perturbed = embed_views(Pixels(), synthetic_store, split[0], VIEWS["rotate+90"])
    assert (fit.map(perturbed) - templates[split[0]]).square().mean() < templates[split[0]].var(0).mean()


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_faces_in_parts_are_faces_at_once(fits, synthetic_store, templates, split, batch, monkeypatch):
    monkeypatch.setattr(embedding, "BATCH", {"cpu": batch})
    views = {"translate-up": VIEWS["translate-up"]}
    fit = fit_transforms(Pixels(), synthetic_store, templates, *split, views)["translate-up"]
    expected = fits["translate-up"]
    torch.testing.assert_close(fit.map.weight, expected.map.weight, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(fit.map.bias, expected.map.bias, atol=1e-3, rtol=1e-3)
    assert (fit.n, fit.strength) == (expected.n, expected.strength)


def test_the_file_gives_the_maps_back(fits, tmp_path):
    for name in ("a.h5", "b.h5"):
        write_transforms(tmp_path / name, fits)
    maps = read_transforms(tmp_path / "a.h5")
    assert set(maps) == set(fits)
    for name, fit in fits.items():
        assert torch.equal(maps[name].weight, fit.map.weight) and torch.equal(maps[name].bias, fit.map.bias)
        assert torch.equal(maps[name](torch.eye(9)), fit.map(torch.eye(9)))
    assert file_sha256(tmp_path / "a.h5") == file_sha256(tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        attributes, fit = dict(file["rotate+90"].attrs), fits["rotate+90"]
    assert attributes == {"n": fit.n, "ridge": fit.strength, "held_out_r2": fit.r2}


def test_maps_of_other_perturbations_are_refused(fits, tmp_path):
    """As `verify` would take them where `transforms` in params.yaml changed, and `fit_transforms` was not run again."""
    path = tmp_path / "maps.h5"
    write_transforms(path, fits, views=VIEWS)
    assert set(read_transforms(path, VIEWS)) == set(VIEWS)
    for changed in ({"rotate+45": rotation(45)}, {"rotate+90": rotation(91)}):
        with pytest.raises(
            DfdError, match=rf"maps\.h5: the params' `transforms`.* for {re.escape(next(iter(changed)))}; run"
        ):
            read_transforms(path, VIEWS | changed)
    with pytest.raises(DfdError, match="templates of 9 numbers, and these have 4"):
        read_transforms(path)["rotate+90"](torch.eye(4))


def test_a_file_without_maps_says_why(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_transforms(tmp_path / name, LeftOut("no image can be embedded"))
    assert read_transforms(tmp_path / "a.h5") == {}
    assert file_sha256(tmp_path / "a.h5") == file_sha256(tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert read_attributes(file)["note"] == "no image can be embedded"


def test_a_missing_or_foreign_file_is_named(tmp_path, synthetic_store):
    text, halved = tmp_path / "text.h5", tmp_path / "halved.h5"
    text.write_text("not HDF5")
    with h5py.File(halved, "w") as file:
        file.create_group("rotate+90").create_dataset("weight", data=np.eye(3))
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    for path in (tmp_path / "nowhere.h5", text, halved, tmp_path / "empty.h5", synthetic_store.path):
        with pytest.raises(DfdError) as error:
            read_transforms(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
