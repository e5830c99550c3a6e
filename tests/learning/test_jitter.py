"""What a recognizer is shown of reconstructions while a decoder learns: its own window, but never twice the same."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.core.devices import autocast
from dfd.faces.geometry import views
from dfd.learning import jitter
from dfd.learning.jitter import jittered
from dfd.recognizers.base import Recognizer
from dfd.recognizers.registry import build_recognizer

CPU = torch.device("cpu")
SIDE = 56


class Shown(Recognizer):
    """A recognizer of which only size and window matter."""

    def __init__(self, size=32, window="box", geometry: str | None = None):
        super().__init__(size, "all", "all", (0.0, 0.0, 0.0), 1 / 255, window=window)
        if geometry:
            self.place(geometry)

    def _layers(self, x):
        yield "all", x


RECOGNIZERS = {
    "of no geometry": Shown(),
    "dlib's": Shown(48, "dlib", "portrait"),
    "ArcFace's": Shown(40, "arcface", "portrait"),
    "higher than wide": Shown((56, 48), "arcface", "portrait"),
    "of boxes": Shown(24, "box", "box"),
}


def faces(n: int = 3, side: int = SIDE, seed: int = 0) -> torch.Tensor:
    """Smooth pictures (n, 3, side, side)."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False).clamp(0, 1)


@pytest.fixture
def still(monkeypatch):
    """A function: no jitter, but images shrunk to this share of the recognizer's input."""
    for constant in ("TURN", "SCALE", "SHIFT", "GREY", "NOISE"):
        monkeypatch.setattr(jitter, constant, 0.0)

    def shrunk_to(share: float) -> None:
        monkeypatch.setattr(jitter, "COARSEST", share)
        monkeypatch.setattr(jitter, "FINEST", share)

    return shrunk_to


@pytest.mark.parametrize("side", [28, SIDE, 112])
@pytest.mark.parametrize("recognizer", RECOGNIZERS.values(), ids=RECOGNIZERS)
def test_shape_range_and_a_gradient_for_every_image(recognizer, side, monkeypatch):
    monkeypatch.setattr(jitter, "NOISE", 0.0)
    images = faces(5, side).requires_grad_()
    windows = jittered(images, recognizer)
    assert windows.shape == (5, 3, *recognizer.size) and windows.dtype == torch.float32
    assert windows.min() >= -1e-6 and windows.max() <= 1 + 1e-6  # interpolation rounds
    windows.sum().backward()
    assert torch.isfinite(images.grad).all()
    assert ((images.grad != 0).float().mean((1, 2, 3)) > 0.3).all()  # of every image, all that lies in its window


@pytest.mark.parametrize("share", [0.5, 0.25])
@pytest.mark.parametrize("recognizer", RECOGNIZERS.values(), ids=RECOGNIZERS)
def test_without_jitter_it_is_the_recognizers_own_window_at_that_coarseness(still, recognizer, share):
    """A coarse pixel being the mean over its area, here of 20 × 20 samples."""
    still(share)
    seen = np.eye(2, 3) if recognizer.seen is None else recognizer.seen

    def window(matrix: np.ndarray) -> torch.Tensor:
        fine = tuple(20 * round(share * side) for side in recognizer.size)
        return F.interpolate(
            F.avg_pool2d(views(faces(), matrix, fine, SIDE, 1.0), 20), recognizer.size, mode="bilinear"
        )

    assert (jittered(faces(), recognizer) - window(seen)).abs().max() < 0.01
    assert (jittered(faces(), recognizer) - window(seen + np.array([[0, 0, 0.1], [0, 0, 0]]))).abs().max() > 0.03


def test_of_the_same_size_without_jitter_it_is_the_image(still):
    still(1.0)
    images = faces(side=32)
    torch.testing.assert_close(jittered(images, Shown(32)), images, atol=1e-5, rtol=0)


def test_what_is_finer_than_the_coarse_pixels_is_averaged_not_picked(still):
    """Of stripes a pixel wide only grey is left."""
    still(0.25)
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)
    windows = jittered(stripes, Shown(64))
    assert (windows - 0.5).abs().max() < 1e-4


def test_a_seed_decides(monkeypatch):
    windows = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        windows.append(jittered(faces(), RECOGNIZERS["dlib's"]))
    assert torch.equal(windows[0], windows[1]) and not torch.equal(windows[0], windows[2])


def test_half_of_the_images_are_grey(monkeypatch):
    monkeypatch.setattr(jitter, "NOISE", 0.0)
    torch.manual_seed(0)
    images = faces(1, 16).expand(2000, -1, -1, -1)
    windows = jittered(images, Shown(16))
    spread = (windows - windows.mean(1, keepdim=True)).abs().amax((1, 2, 3))
    grey = spread < 1e-6
    assert abs(float(grey.float().mean()) - 0.5) < 3 * 0.5 / math.sqrt(2000)
    assert spread[~grey].min() > 0.05


def test_grey_is_the_mean_of_the_colours(still, monkeypatch):
    still(1.0)
    monkeypatch.setattr(jitter, "GREY", 1.0)
    images = faces(side=32)
    torch.testing.assert_close(
        jittered(images, Shown(32)), images.mean(1, keepdim=True).expand_as(images), atol=1e-5, rtol=0
    )


def test_noise_has_its_deviation(still, monkeypatch):
    still(1.0)
    monkeypatch.setattr(jitter, "NOISE", 0.02)
    torch.manual_seed(0)
    noise = jittered(torch.full((20, 3, 32, 32), 0.5), Shown(32)) - 0.5
    assert float(noise.std()) == pytest.approx(0.02, rel=0.05) and abs(float(noise.mean())) < 1e-3
    assert noise.flatten(1).T.corrcoef()[0, 1:].isfinite().all() and not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize(
    "recognizer", [Shown(8, "dlib", "portrait"), Shown((14, 12), "arcface", "portrait")], ids=["square", "higher"]
)
def test_turns_scales_and_shifts_are_within_their_limits_and_reach_them(recognizer, monkeypatch):
    """Of each image its own, uniform: read off the affine maps. What is turned in the picture is not sheared."""
    maps, affine_grid = [], F.affine_grid
    monkeypatch.setattr(
        jitter.F, "affine_grid", lambda theta, *rest, **named: maps.append(theta) or affine_grid(theta, *rest, **named)
    )
    torch.manual_seed(0)
    n, seen = 3000, recognizer.seen
    jittered(faces(1, 8).expand(n, -1, -1, -1), recognizer)
    theta = maps[0].double().numpy()
    own = theta[:, :, :2] @ np.linalg.inv(seen[:, :2])  # of the window as it lies in the picture
    shift = (theta[:, :, 2] - seen[:, 2]) @ np.linalg.inv(seen[:, :2]).T  # in the window's own half sides
    scale = np.sqrt(np.linalg.det(own))
    turn = np.arctan2(own[:, 1, 0], own[:, 0, 0])
    rotation = np.stack([np.stack([np.cos(turn), -np.sin(turn)], 1), np.stack([np.sin(turn), np.cos(turn)], 1)], 1)
    np.testing.assert_allclose(own, scale[:, None, None] * rotation, atol=1e-5)  # no shear, no mirroring
    limits = {"turn": (turn, 0.1), "scale": (scale - 1, 0.08), "x": (shift[:, 0], 0.06), "y": (shift[:, 1], 0.06)}
    for name, (values, most) in limits.items():
        assert np.abs(values).max() <= most * (1 + 1e-4), name
        assert values.min() < -0.98 * most and values.max() > 0.98 * most, name
        assert values.std() == pytest.approx(most / math.sqrt(3), rel=0.05), name
    drawn = np.corrcoef([values for values, _ in limits.values()]) - np.eye(4)
    assert np.abs(drawn).max() < 0.08


def test_the_coarseness_is_drawn_anew(monkeypatch):
    sizes, pool = set(), F.avg_pool2d
    monkeypatch.setattr(jitter.F, "avg_pool2d", lambda x, k: sizes.add(pool(x, k).shape[-1]) or pool(x, k))
    for seed in range(60):
        torch.manual_seed(seed)
        jittered(faces(1), Shown(100))
    assert 25 <= min(sizes) < 31 and 84 < max(sizes) <= 90 and len(sizes) > 15


def test_it_is_exact_where_all_else_is_rounded():
    torch.manual_seed(0)
    expected = jittered(faces(), RECOGNIZERS["dlib's"])
    torch.manual_seed(0)
    with autocast(CPU, "bfloat16"):
        windows = jittered(faces(), RECOGNIZERS["dlib's"])
    assert torch.equal(windows, expected)


def test_a_recognizer_can_be_shown_them():
    torch.manual_seed(1)
    options = {"size": 32, "width": 0.05, "tap": "conv2_2", "normalise": True}
    recognizer = build_recognizer("vgg16", options).requires_grad_(False)
    images = faces().requires_grad_()
    recognizer.embed(jittered(images, recognizer)).square().sum().backward()
    assert torch.isfinite(images.grad).all() and (images.grad.abs().amax((1, 2, 3)) > 0).all()
