"""Windows against independent least squares, sampling against SciPy and NumPy, views against exact pixel moves."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial import procrustes

from dfd.faces.geometry import ALIGNED, aligned_window, box_window, crop, inside, to_window, views

BOX = np.array([10.0, 20.0, 50.0, 80.0])
TEMPLATE = ALIGNED * 2 - 1  # eyes and mouth corners in window coordinates
IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def similarity(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def mapped(points: np.ndarray, window: np.ndarray) -> np.ndarray:
    return points @ window[:, :2].T + window[:, 2]


def five_landmarks(four: np.ndarray) -> np.ndarray:
    """With a nose tip, in MTCNN's order; the nose must not matter."""
    return np.insert(four, 2, [1e4, -1e4], axis=0)


def noise_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def sampled(photo: np.ndarray, window: np.ndarray, side: int, context: float, mode: str = "nearest") -> np.ndarray:
    """What `crop` should give, point by point: pixel (i, j) looks at ((j + ½)·2/side − 1, (i + ½)·2/side − 1)·context."""
    axis = ((np.arange(side) + 0.5) * 2 / side - 1) * context
    points = mapped(np.stack(np.meshgrid(axis, axis), -1), window)
    channels = [
        map_coordinates(photo[..., c].astype(float), [points[..., 1], points[..., 0]], order=1, mode=mode)
        for c in range(3)
    ]
    return np.stack(channels, -1)


# Windows


@pytest.mark.parametrize(
    "degrees, scale, shift", [(0, 40, (60, 50)), (30, 12.5, (-3, 900)), (-170, 300, (0, 0)), (90, 1, (5, 5))]
)
def test_of_a_moved_template_the_window_is_that_motion(degrees, scale, shift):
    motion = similarity(degrees, scale, shift)
    np.testing.assert_allclose(aligned_window(BOX, five_landmarks(mapped(TEMPLATE, motion))), motion, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_of_any_landmarks_the_window_is_the_least_squares_similarity(seed):
    random = np.random.default_rng(seed)
    target = mapped(TEMPLATE, similarity(random.uniform(-180, 180), 40, (60, 50))) + random.normal(0, 5, (4, 2))
    # x' = a·x − b·y + t, y' = b·x + a·y + u, as one overdetermined linear system
    rows = [row for x, y in TEMPLATE for row in ([x, -y, 1, 0], [y, x, 0, 1])]
    (a, b, t, u), *_ = np.linalg.lstsq(np.array(rows), target.ravel(), rcond=None)
    window = aligned_window(BOX, five_landmarks(target))
    np.testing.assert_allclose(window, [[a, -b, t], [b, a, u]], atol=1e-9)

    # SciPy's Procrustes allows the same motions (and reflections, which no face needs): the same residual.
    _, _, disparity = procrustes(target, TEMPLATE)
    residual = ((mapped(TEMPLATE, window) - target) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()
    assert residual == pytest.approx(disparity)


def test_the_box_window_is_the_square_around_the_box():
    corners = mapped(np.array([[-1.0, -1], [1, 1], [0, 0]]), box_window(BOX, np.zeros((5, 2))))
    np.testing.assert_allclose(corners, [[0, 20], [60, 80], [30, 50]])  # 40 × 60 pixels: the longer side counts


def test_to_window_undoes_a_window():
    motion, points = similarity(33, 21, (7, -5)), np.random.default_rng(0).normal(size=(3, 4, 2))
    np.testing.assert_allclose(to_window(mapped(points, motion), motion), points, atol=1e-12)


# Crops

WINDOWS = {
    "upright": similarity(0, 20, (40, 30)),
    "turned": similarity(25, 21.7, (38.3, 31.9)),
    "upside down": similarity(180, 18, (40, 30)),
    "off the photo": similarity(-40, 20, (2, 55)),
    "enlarged": similarity(10, 4, (40, 30)),
}


@pytest.mark.parametrize("context", [1.0, 2.0])
@pytest.mark.parametrize("window", WINDOWS)
def test_crop_samples_the_photo(window, context):
    photo = noise_photo(60, 80)
    expected = sampled(photo, WINDOWS[window], round(24 * context), context)
    pixels = crop(photo, WINDOWS[window], 24, context, "edge")
    assert pixels.dtype == np.uint8 and pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() < 0.52  # rounded, and float32 coordinates


def test_an_upright_window_of_whole_pixels_copies_them():
    photo = noise_photo(60, 80)
    window = np.array([[8.0, 0, 40 - 0.5], [0, 8, 30 - 0.5]])  # pixels 32 … 47 and 22 … 37 exactly
    np.testing.assert_array_equal(crop(photo, window, 16, 1.0, "edge"), photo[22:38, 32:48])
    np.testing.assert_array_equal(crop(photo, window, 16, 2.0, "edge"), photo[14:46, 24:56])


@pytest.mark.parametrize("fill, mode", [("edge", "edge"), ("reflect", "symmetric"), ("black", "constant")])
def test_outside_the_photo_fills(fill, mode):
    photo = noise_photo(30, 30)
    window = np.array([[10.0, 0, 3.5], [0, 10, 3.5]])  # pixels −6 … 13
    padded = np.pad(photo, ((6, 0), (6, 0), (0, 0)), mode=mode)
    np.testing.assert_array_equal(crop(photo, window, 20, 1.0, fill), padded[:20, :20])


@pytest.mark.parametrize("height, width", [(300, 400), (301, 403)])
def test_a_large_photo_is_averaged_down_first(height, width):
    photo, window = noise_photo(height, width), similarity(20, 75, (200, 150))  # 150 pixels shown as 30: 5 to 1
    whole = photo[: height // 5 * 5, : width // 5 * 5].astype(float)
    averaged = whole.reshape(height // 5, 5, width // 5, 5, 3).mean((1, 3))
    smaller = np.column_stack([window[:, :2], window[:, 2] + 0.5]) / 5 - [[0, 0, 0.5]]
    expected = sampled(averaged, smaller, 60, 2.0)
    assert np.abs(crop(photo, window, 30, 2.0, "edge") - expected).max() < 0.52


def test_averaging_neither_shifts_nor_aliases():
    y, x = np.mgrid[0:400, 0:600]
    ramp = np.stack([x / 600, y / 400, (x + y) / 1000], -1) * 255
    window = similarity(0, 120, (300, 200))
    photo = ramp.round().astype(np.uint8)
    assert np.abs(crop(photo, window, 30, 1.0, "edge") - sampled(ramp, window, 30, 1.0)).max() < 1
    stripes = np.repeat((x % 2 * 255).astype(np.uint8)[..., None], 3, -1)
    assert np.abs(crop(stripes, window, 30, 1.0, "edge") - 127.5).max() < 1


# The share of the view inside the photo


@pytest.mark.parametrize(
    "window, share",
    [
        (similarity(0, 20, (39.5, 29.5)), 1),
        (similarity(0, 20, (-0.5, 29.5)), 1 / 2),
        (similarity(0, 20, (-0.5, -0.5)), 1 / 4),
        (similarity(0, 20, (79.5, 59.5)), 1 / 4),
        (similarity(0, 20, (-100, 30)), 0),
        (similarity(0, 80, (39.5, 29.5)), 80 * 60 / 160**2),
        (similarity(45, 50, (-0.5, -0.5)), 1 / 4),
    ],
)
def test_inside(window, share):
    assert inside(window, (80, 60)) == pytest.approx(share, abs=0.01)


# Views of a context crop


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))  # faces of 32 pixels, context 2


def rotation(degrees: float) -> np.ndarray:
    return similarity(degrees, 1, (0, 0))


def plain(crops: torch.Tensor) -> torch.Tensor:
    return crops[:, :, 16:48, 16:48]


MOVES = {
    "plain": (IDENTITY, plain),
    "counter-clockwise quarter": (rotation(90), lambda x: torch.rot90(plain(x), 1, (2, 3))),
    "clockwise quarter": (rotation(-90), lambda x: torch.rot90(plain(x), -1, (2, 3))),
    "half turn": (rotation(180), lambda x: plain(x).flip(2, 3)),
    "mirror": (np.array([[-1.0, 0, 0], [0, 1, 0]]), lambda x: plain(x).flip(3)),
    "looking right": (np.array([[1.0, 0, 0.25], [0, 1, 0]]), lambda x: x[:, :, 16:48, 20:52]),
    "looking down": (np.array([[1.0, 0, 0], [0, 1, 0.5]]), lambda x: x[:, :, 24:56, 16:48]),
}


@pytest.mark.parametrize("move", MOVES)
def test_exact_views(crops, move):
    matrix, expected = MOVES[move]
    torch.testing.assert_close(views(crops, matrix, 32, 32, 2.0), expected(crops), atol=2e-5, rtol=0)


@pytest.mark.parametrize("matrix", [rotation(30), similarity(-100, 0.7, (0.1, -0.2)), IDENTITY])
def test_any_view_is_one_sampling_of_the_crop(crops, matrix):
    view = views(crops, matrix, 48, 32, 2.0)
    # In pixels of the crop a window unit is 16, about its centre at 31.5.
    window = np.column_stack([matrix[:, :2] * 16, matrix[:, 2] * 16 + 31.5])
    expected = sampled(crops[0].permute(1, 2, 0).numpy(), window, 48, 1.0)
    np.testing.assert_allclose(view[0].permute(1, 2, 0), expected, atol=1e-4)
    torch.testing.assert_close(view[1:], views(crops[1:], matrix, 48, 32, 2.0))


def test_the_whole_crop_is_the_view_at_half_the_scale(crops):
    matrix = np.array([[2.0, 0, 0], [0, 2, 0]])
    torch.testing.assert_close(views(crops, matrix, 64, 32, 2.0), crops, atol=2e-5, rtol=0)


@pytest.mark.parametrize("matrix", [IDENTITY, np.array([[2.0, 0, 0], [0, 2, 0]]), rotation(45)])
def test_a_smaller_view_does_not_alias(matrix):
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 1.0
    view = views(checks.expand(1, 3, 64, 64), matrix, 8, 32, 2.0)[0, 0]
    assert (view[1:-1, 1:-1] - 0.5).abs().max() < 0.15


def test_a_smaller_view_keeps_its_place():
    """Of a smooth crop, any size shows the same function at its own pixel centres."""
    axis = (torch.arange(64) + 0.5) / 64
    ramp = torch.stack([axis.expand(64, 64), axis[:, None].expand(64, 64), axis.expand(64, 64) / 2])[None]
    for size in (8, 13, 32, 50):
        expected = 0.25 + (torch.arange(size) + 0.5) / size / 2
        view = views(ramp, IDENTITY, size, 32, 2.0)[0]
        torch.testing.assert_close(view[0, size // 2, 1:-1], expected[1:-1], atol=1e-3, rtol=0)
        torch.testing.assert_close(view[1, 1:-1, size // 2], expected[1:-1], atol=1e-3, rtol=0)


def test_views_pass_gradients(crops):
    leaf = crops.clone().requires_grad_()
    views(leaf, rotation(30), 16, 32, 2.0).sum().backward()
    assert leaf.grad[:, :, 28:36, 28:36].abs().min() > 0
