"""A point's decoded face, its neighbours and the map, against the same by hand."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from dfd.core.errors import DfdError
from dfd.decoder.registry import build_decoder, decode
from dfd.explorer.space import AXES, Recipe, Space, png

N, D = 40, 12


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    return build_decoder("linear", D, {"size": 16}).eval()


@pytest.fixture
def templates():
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1)) * torch.linspace(3, 1, D)


@pytest.fixture
def space(templates, decoder):
    people = [f"p{row // 4}" for row in range(N)]
    return Space("some", templates, [f"k{row}" for row in range(N)], people, {"mine": (decoder, templates)})


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_row_and_a_mixture_are_decoded(space, templates, decoder):
    for weights in ({3: 1.0}, {3: 0.25, 7: 0.75}, dict.fromkeys(range(10), 0.1)):
        point = sum(weight * templates[row] for row, weight in weights.items())
        face = space.look(Recipe(weights, []))["faces"]["mine"]
        np.testing.assert_array_equal(pixels(face), pixels(png(decode(decoder, point[None])[0])))


def test_an_axis_is_a_standard_deviation_of_the_templates(space, templates):
    _, singular, axes = torch.linalg.svd(templates - templates.mean(0), full_matrices=False)
    moved = space._point(templates, Recipe({0: 1.0}, [0, 2.0]))[0] - templates[0]
    assert abs(float(moved @ axes[1])) == pytest.approx(2 * float(singular[1]) / (N - 1) ** 0.5, rel=1e-4)
    assert float(moved.norm()) == pytest.approx(abs(float(moved @ axes[1])), rel=1e-4)
    places = space.layout("pca")
    assert places.shape == (N, 2)
    np.testing.assert_allclose(
        np.abs(places[:, 0]), np.abs(((templates - templates.mean(0)) @ axes[0]).numpy()), atol=1e-4
    )


def test_templates_of_one_norm_keep_it(templates, decoder):
    unit = torch.nn.functional.normalize(templates, dim=1) * 7
    space = Space("unit", unit, list("a" * N), list("a" * N), {})
    for recipe in (Recipe({0: 0.5, 1: 0.5}, []), Recipe({0: 1}, [3.0])):
        assert float(space._point(unit, recipe).norm()) == pytest.approx(7, rel=1e-5)


def test_the_nearest_people_are_each_once_and_not_the_photo_itself(space, templates):
    unit = torch.nn.functional.normalize(templates, dim=1)
    cosines = unit @ unit[5]
    cosines[5] = -2
    best = {}
    for row in cosines.argsort(descending=True).tolist():
        best.setdefault(row // 4, row)
    found = space.look(Recipe({5: 1.0}, []))["nearest"]
    assert [near["row"] for near in found] == list(best.values())[:6]
    assert found[0]["cosine"] == pytest.approx(float(cosines[found[0]["row"]]), abs=1e-4)
    assert space.look(Recipe({5: 0.9, 6: 0.1}, []))["nearest"][0]["row"] == 5


def test_one_template_alone_has_a_place_and_no_axes(decoder, templates):
    space = Space("one", templates[:1], ["a"], ["a"], {"mine": (decoder, templates[:1])})
    assert space.about()["axes"] == [] and space.layout("pca").tolist() == [[0, 0]]
    assert space.look(Recipe({0: 1}, []))["nearest"] == []
    assert space.look(Recipe({0: 1}, [1.0]))["faces"] == space.look(Recipe({0: 1}, []))["faces"]


def test_a_map_by_umap_where_it_is_installed(space, monkeypatch):
    assert space.layouts == ["pca"] or "umap" in space.layouts
    places = np.random.default_rng(0).random((N, 2))
    fake = SimpleNamespace(UMAP=lambda **_: SimpleNamespace(fit_transform=lambda _: places), __spec__=object())
    monkeypatch.setitem(sys.modules, "umap", fake)
    assert space.layouts == ["pca", "umap"]
    np.testing.assert_array_equal(space.layout("umap"), places)


@pytest.mark.parametrize(
    "recipe", [Recipe({}, []), Recipe({N: 1.0}, []), Recipe({0: np.nan}, []), Recipe({0: 1}, [0.0] * (AXES + 1))]
)
def test_what_is_no_point_is_refused(space, recipe):
    with pytest.raises(DfdError):
        space.look(recipe)
    with pytest.raises(DfdError, match="no map x"):
        space.layout("x")
