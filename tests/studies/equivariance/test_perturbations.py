"""Perturbed views: where a bright spot goes, and real faces against torchvision's own transforms."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as TF

from dfd.faces.geometry import views
from dfd.faces.store import PLAIN
from dfd.studies.equivariance.perturbations import perturbations, rotation, scaling, translation

SIZE, CONTEXT = 60, 2.0  # of the plain view; its context crop has 120 pixels
NAMED = perturbations(30, 0.2, [0.5, 1.5])


def spot(right: float, down: float) -> torch.Tensor:
    """A context crop, dark but for a soft spot at (right, down) pixels from its centre."""
    axis = torch.arange(SIZE * CONTEXT) - (SIZE * CONTEXT - 1) / 2
    squared = (axis[None, :] - right) ** 2 + (axis[:, None] - down) ** 2
    return torch.exp(-squared / 18).expand(1, 3, -1, -1)


def seen(crop: torch.Tensor, matrix: np.ndarray) -> tuple[float, float]:
    """Where the spot is in the view: pixels right of and below its centre."""
    view = views(crop, matrix, SIZE, SIZE, CONTEXT)[0, 0]
    axis = torch.arange(SIZE) - (SIZE - 1) / 2
    return float((view.sum(0) * axis).sum() / view.sum()), float((view.sum(1) * axis).sum() / view.sum())


def test_the_names():
    turns = [f"rotate{angle:+d}" for angle in range(-150, 181, 30) if angle]
    shifts = [f"translate-{direction}" for direction in ("left", "right", "up", "down")]
    assert list(NAMED) == turns + shifts + ["scale-0.5", "scale-1.5"]
    assert "rotate-150" in NAMED and "rotate+180" in NAMED and not {"rotate-180", "rotate+0"} & set(NAMED)
    assert len(turns) == 11


@pytest.mark.parametrize(
    "step, angles",
    [(90, [-90, 90, 180]), (180, [180]), (120, [-120, 120]), (45, range(-135, 181, 45)), (7, range(-175, 181, 7))],
)
def test_other_steps(step, angles):
    names = [name for name in perturbations(step, 0.2, []) if name.startswith("rotate")]
    assert names == [f"rotate{angle:+d}" for angle in angles if angle]


def test_the_plain_view_leaves_the_spot_where_it_is():
    assert seen(spot(10, -7), PLAIN) == pytest.approx((10, -7), abs=0.01)
    for same in (rotation(0), rotation(360), scaling(1), translation("left", 0)):
        np.testing.assert_allclose(same, PLAIN, atol=1e-12)


@pytest.mark.parametrize(
    "direction, moved", [("left", (-12, 0)), ("right", (12, 0)), ("up", (0, -12)), ("down", (0, 12))]
)
def test_a_face_moves_by_a_fifth_of_the_window(direction, moved):
    assert seen(spot(5, 3), NAMED[f"translate-{direction}"]) == pytest.approx((5 + moved[0], 3 + moved[1]), abs=0.05)


@pytest.mark.parametrize("angle", [angle for angle in range(-150, 181, 30) if angle])
def test_a_face_turns_counter_clockwise(angle):
    """Counter-clockwise as the picture is seen: what was on the right goes up."""
    radians = np.deg2rad(angle)
    expected = 15 * np.cos(radians), -15 * np.sin(radians)  # down is positive
    assert seen(spot(15, 0), NAMED[f"rotate{angle:+d}"]) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_face_grows_from_the_centre(factor):
    assert seen(spot(8, -6), NAMED[f"scale-{factor}"]) == pytest.approx((8 * factor, -6 * factor), abs=0.05)
    small, large = spot(0, 0), views(spot(0, 0), NAMED[f"scale-{factor}"], SIZE, SIZE, CONTEXT)
    assert large.sum() / small.sum() == pytest.approx(factor**2, rel=0.02)


@pytest.fixture(scope="module")
def face(orl_store):
    """(store, row) of a real face."""
    return orl_store, [0]


def plain_of(crop: torch.Tensor, size: int) -> torch.Tensor:
    return TF.center_crop(crop, [size, size])


@pytest.mark.parametrize("angle", [30, -30, 90, 150, 180])
def test_a_real_face_turns_as_torchvision_turns_it(face, angle):
    store, row = face
    crop = store.crops(row)
    turned = TF.rotate(crop, angle, interpolation=TF.InterpolationMode.BILINEAR)  # counter-clockwise, it says
    view = store.views(row, store.size, NAMED.get(f"rotate{angle:+d}"))
    assert (view - plain_of(turned, store.size)).abs().mean() < 0.004
    assert (view - plain_of(TF.rotate(crop, -angle), store.size)).abs().mean() > 0.04 or angle == 180


@pytest.mark.parametrize("direction, shift", [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))])
def test_a_real_face_moves_as_a_crop_of_its_context(face, direction, shift):
    store, row = face
    crop = store.crops(row)
    margin, pixels = (crop.shape[-1] - store.size) // 2, 0.25 * store.size  # 28 of 112: whole pixels
    left, top = (round(margin - pixels * step) for step in shift)
    view = store.views(row, store.size, translation(direction, 0.25))
    expected = crop[:, :, top : top + store.size, left : left + store.size]
    torch.testing.assert_close(view, expected, atol=1e-3, rtol=0)


def test_a_real_face_halves(face):
    store, row = face
    view = store.views(row, store.size, NAMED["scale-0.5"])
    halved = TF.resize(store.crops(row), [store.size, store.size], antialias=True)  # the context is two windows wide
    assert (view - halved).abs().mean() < 0.004
    half = store.size // 2
    plain = TF.resize(store.views(row, store.size), [half, half], antialias=True)
    assert (plain_of(view, half) - plain).abs().mean() < 0.01


def test_a_perturbed_view_shows_real_pixels_not_a_border(face):
    """Within the context the outermost pixels vary as a photo's do, where repeated border pixels would not."""
    store, row = face
    crop = torch.rand(store.crops(row).shape, generator=torch.Generator().manual_seed(0))
    for name in ("translate-left", "translate-down", "rotate+30", "scale-0.5"):
        view = store.views_of(crop, store.size, NAMED[name])
        for edge in (view[..., :2, :], view[..., -2:, :], view[..., :2].mT, view[..., -2:].mT):
            assert edge.diff(dim=2).abs().mean() > 0.05 and edge.diff(dim=3).abs().mean() > 0.05
