"""What a recognizer sees of a face: its window against hand-worked numbers, and the windows that cannot be had."""

import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.faces.geometry import (
    ALIGNED,
    ARCFACE,
    FRAMES,
    GEOMETRIES,
    WINDOWS,
    after,
    face_view,
    inverse,
    pixel_points_window,
    portrait_window,
    seen_window,
    similarity,
    views,
)

SQUARE, TALL = (112, 112), (112, 96)
# ArcFace's window in that of `aligned`, as measured before it was written here.
ARCFACE_IN_ALIGNED = np.array([[1.0745, -0.0058, -0.0216], [0.0058, 1.0745, -0.3145]])
MOTIONS = [
    np.array([[2.0, 0, 3], [0, 4, -5]]),
    np.array([[0.6, -0.8, 1.5], [0.8, 0.6, -2]]),
    np.array([[1.0, 2, 3], [4, 5, 6]]),
]


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# Affine maps


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 4, 9])
def test_a_similarity_is_the_least_squares_in_complex_numbers(seed, count):
    """With points as complex numbers it is w = c·z + d: c = Σ conj(z)·w / Σ |z|² about the means."""
    source, target = random(seed, count, 2), random(seed + 100, count, 2)
    z, w = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    c = (np.conj(z - z.mean()) * (w - w.mean())).sum() / (abs(z - z.mean()) ** 2).sum()
    d = w.mean() - c * z.mean()
    np.testing.assert_allclose(similarity(source, target), [[c.real, -c.imag, d.real], [c.imag, c.real, d.imag]])
    if count == 2:
        np.testing.assert_allclose(moved(source, similarity(source, target)), target)


def test_a_similarity_does_not_mirror():
    found = similarity(ALIGNED, ALIGNED * [-1, 1])
    assert found[0, 0] == found[1, 1] and found[0, 1] == -found[1, 0]


@pytest.mark.parametrize("first", MOTIONS)
@pytest.mark.parametrize("second", MOTIONS)
def test_one_map_after_another_is_both(first, second):
    points = random(0, 6, 2)
    np.testing.assert_allclose(moved(points, after(second, first)), moved(moved(points, first), second))
    square = [np.vstack([matrix, [0, 0, 1]]) for matrix in (second, first)]
    np.testing.assert_allclose(after(second, first), (square[0] @ square[1])[:2])


def test_an_inverse_undoes():
    np.testing.assert_allclose(inverse(MOTIONS[0]), [[0.5, 0, -1.5], [0, 0.25, 1.25]])
    np.testing.assert_allclose(inverse(MOTIONS[1]), [[0.6, 0.8, 0.7], [-0.8, 0.6, 2.4]])
    for matrix in MOTIONS:
        np.testing.assert_allclose(after(inverse(matrix), matrix), np.eye(2, 3), atol=1e-12)
        np.testing.assert_allclose(after(matrix, inverse(matrix)), np.eye(2, 3), atol=1e-12)


# Where windows lie


def test_every_geometry_has_a_frame():
    assert FRAMES.keys() == GEOMETRIES.keys()


def test_dlibs_window_is_the_middle_of_a_portrait_and_the_whole_of_an_aligned_view():
    np.testing.assert_allclose(
        seen_window("dlib", (150, 150), "portrait"), [[1 / 1.2, 0, 0], [0, 1 / 1.2, 0.19 / 1.2]], atol=1e-12
    )
    np.testing.assert_allclose(seen_window("dlib", (150, 150), "aligned"), np.eye(2, 3), atol=1e-12)
    assert np.array_equal(seen_window("dlib", (150, 150), "portrait"), seen_window("dlib", (40, 30), "portrait"))


def test_a_portrait_has_dlibs_landmarks_where_dlibs_window_has_them():
    landmarks = np.insert(moved(ALIGNED * 2 - 1, np.array([[30.0, 4, 80], [-4, 30, 90]])), 2, [0, 0], axis=0)
    portrait = portrait_window(np.zeros(4), landmarks)
    seen = after(portrait, seen_window("dlib", (150, 150), "portrait"))  # from the recognizer's input to the photo
    np.testing.assert_allclose(moved(ALIGNED * 2 - 1, seen), landmarks[[0, 1, 3, 4]], atol=1e-9)


def test_arcfaces_window_is_the_measured_one():
    np.testing.assert_allclose(WINDOWS["arcface"](SQUARE), ARCFACE_IN_ALIGNED, atol=1e-3)
    in_portrait = seen_window("arcface", SQUARE, "portrait")
    np.testing.assert_allclose(after(FRAMES["portrait"], in_portrait), ARCFACE_IN_ALIGNED, atol=1e-3)
    np.testing.assert_allclose(WINDOWS["arcface"]((224, 224)), WINDOWS["arcface"](SQUARE), atol=1e-12)


def test_arcfaces_window_brings_the_eyes_and_mouth_to_its_reference_points():
    """As near as a rotation, a scale and a shift can: on average at their centre, nowhere two pixels of 112 away."""
    window = moved(ALIGNED * 2 - 1, inverse(WINDOWS["arcface"](SQUARE)))
    apart = (window + 1) * 56 - 0.5 - np.array(ARCFACE)[[0, 1, 3, 4]]  # pixels: the first one's centre is 0
    assert np.abs(apart.mean(0)).max() < 0.02 and np.abs(apart).max() < 2


def test_five_points_are_their_window():
    """Written as pixels of an input of the same or of another size; the nose counts for nothing."""
    np.testing.assert_allclose(pixel_points_window(ARCFACE, SQUARE), ARCFACE_IN_ALIGNED, atol=1e-3)
    for points, size in ((ARCFACE, SQUARE), ((np.array(ARCFACE) * 2 + 0.5).tolist(), (224, 224))):
        expected = seen_window("arcface", SQUARE, "portrait")
        np.testing.assert_allclose(seen_window(points, size, "portrait"), expected, atol=1e-12)
    noses = [*ARCFACE[:2], [1.0, 2.0], *ARCFACE[3:]]
    assert np.array_equal(pixel_points_window(noses, SQUARE), pixel_points_window(ARCFACE, SQUARE))
    aligned = np.insert(ALIGNED * 150 - 0.5, 2, [75, 75], axis=0).tolist()
    np.testing.assert_allclose(seen_window(aligned, (150, 150), "aligned"), np.eye(2, 3), atol=1e-9)


def test_of_a_narrower_input_as_much_is_lost_on_either_side():
    square, tall = WINDOWS["arcface"](SQUARE), WINDOWS["arcface"](TALL)
    np.testing.assert_allclose(tall, after(square, np.array([[96 / 112, 0, 0], [0, 1, 0]])), atol=1e-12)
    shifted = [[x - 8, y] for x, y in ARCFACE]
    np.testing.assert_allclose(pixel_points_window(shifted, TALL), tall, atol=1e-12)


def test_of_a_narrower_input_the_pixels_are_those_of_the_square_one_but_eight_columns():
    faces = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    square, tall = (views(faces, seen_window("arcface", size, "portrait"), size, 112, 1.0) for size in (SQUARE, TALL))
    assert tall.shape == (2, 3, 112, 96)
    torch.testing.assert_close(tall, square[..., 8:104], atol=2e-5, rtol=0)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", [SQUARE, TALL, (150, 150), (224, 224)])
def test_a_portrait_holds_every_window(window, size):
    corners = np.array([[-1.0, -1], [1, -1], [-1, 1], [1, 1]])
    # But for a quarter of a pixel of 112, at the upper edge of ArcFace's.
    assert np.abs(moved(corners, seen_window(window, size, "portrait"))).max() < 1 + 2 * 0.25 / 112


def test_a_box_is_seen_as_it_is_and_in_other_geometries_where_boxes_lie():
    assert np.array_equal(seen_window("box", (160, 160), "box"), np.eye(2, 3))
    np.testing.assert_allclose(
        after(FRAMES["portrait"], seen_window("box", (160, 160), "portrait")), FRAMES["box"], atol=1e-12
    )


# Windows that cannot be had

LEAVES = "leaves the plain view of faces.geometry: aligned by"
NO_LANDMARKS = "is placed by landmarks, and faces.geometry: box is not aligned by any; set faces.geometry: portrait"
FIVE = "five points [x, y] in pixels of the input are left eye, right eye, nose, left and right mouth corner"
# mistake -> (window, geometry, message)
MISTAKES = {
    "ArcFace's in dlib's": ("arcface", "aligned", f"its window (arcface) {LEAVES} 20 % of the view's side; set faces.geometry: portrait"),
    "a box in dlib's": ("box", "aligned", f"its window (box) {LEAVES} 8 %"),
    "points that lie close": ([[x / 2, y / 2] for x, y in ARCFACE], "portrait", "its window (its own points) leaves"),
    "dlib's in a box": ("dlib", "box", f"its window (dlib) {NO_LANDMARKS}"),
    "ArcFace's in a box": ("arcface", "box", f"its window (arcface) {NO_LANDMARKS}"),
    "points in a box": (ARCFACE, "box", f"its window (its own points) {NO_LANDMARKS}"),
    "an unknown name": ("archface", "portrait", "no window is called archface; there are dlib, arcface, box, or give five points"),
    "an unknown name in a box": ("archface", "box", "no window is called archface; there are"),
    "four points": (ARCFACE[:4], "portrait", FIVE),
    "points in space": ([[*point, 1.0] for point in ARCFACE], "portrait", FIVE),
    "points of words": ([["left", "eye"]] * 5, "portrait", FIVE),
    "points of different lengths": ([*ARCFACE[:4], [70.0]], "portrait", FIVE),
    "no points": ([], "portrait", FIVE),
    "a number": (1.2, "portrait", FIVE),
    "nothing": (None, "portrait", FIVE),
    "a mapping": ({"left eye": [1, 2]}, "portrait", FIVE),
    "infinite points": ([*ARCFACE[:4], [70.0, float("inf")]], "portrait", FIVE),
    "no numbers": ([*ARCFACE[:4], [70.0, float("nan")]], "portrait", FIVE),
    "one point": ([[50.0, 50.0]] * 5, "portrait", FIVE),
    "points in a row": ([[x, 50.0] for x, _ in ARCFACE], "portrait", FIVE),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_window_that_cannot_be_had_is_one_line(mistake):
    window, geometry, message = MISTAKES[mistake]
    with pytest.raises(DfdError) as raised:
        seen_window(window, SQUARE, geometry)
    assert message in str(raised.value) and "\n" not in str(raised.value)


# Views that are not square


def crops(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))  # faces of 32 pixels, context 2


def test_a_view_has_height_and_width():
    half = np.array([[0.5, 0, 0], [0, 1, 0]])
    torch.testing.assert_close(views(crops(), half, (32, 16), 32, 2.0), crops()[:, :, 16:48, 24:40], atol=2e-5, rtol=0)
    flat = np.array([[1.5, 0, 0.25], [0, 0.5, -0.5]])
    torch.testing.assert_close(views(crops(), flat, (16, 48), 32, 2.0), crops()[:, :, 16:32, 12:60], atol=2e-5, rtol=0)
    assert torch.equal(views(crops(), half, (20, 20), 32, 2.0), views(crops(), half, 20, 32, 2.0))


@pytest.mark.parametrize("size", [(8, 24), (24, 8), (9, 13), (40, 20)])
def test_of_a_smooth_crop_a_view_of_any_shape_shows_the_same_function(size):
    axis = (torch.arange(64) + 0.5) / 64
    ramp = torch.stack([axis.expand(64, 64), axis[:, None].expand(64, 64), axis.expand(64, 64) / 2])[None]
    view = views(ramp, np.eye(2, 3), size, 32, 2.0)[0]
    across, down = (0.25 + (torch.arange(side) + 0.5) / side / 2 for side in size[::-1])
    torch.testing.assert_close(view[0, size[0] // 2, 1:-1], across[1:-1], atol=1e-3, rtol=0)
    torch.testing.assert_close(view[1, 1:-1, size[1] // 2], down[1:-1], atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(8, 32), (32, 8), (8, 6)])
def test_a_view_that_is_smaller_one_way_does_not_alias(size):
    checks = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 1.0).expand(1, 3, 64, 64)
    view = views(checks, np.eye(2, 3), size, 32, 2.0)[0, 0]
    assert (view[1:-1, 1:-1] - 0.5).abs().max() < 0.15


def test_the_face_alone_is_the_aligned_window():
    """Of a portrait (side 1.2, 0.19 half sides higher) that shows its own coordinates, the face shows those of `aligned`."""
    axis = (torch.arange(240) + 0.5) / 120 - 1  # window coordinates of the portrait
    portrait = torch.stack(
        [1.2 * axis.expand(240, 240), (1.2 * axis - 0.19)[:, None].expand(240, 240), torch.zeros(240, 240)]
    )[None]
    face = face_view(portrait, "portrait")[0]
    assert face.shape == (3, 200, 200)
    own = (torch.arange(200) + 0.5) / 100 - 1
    torch.testing.assert_close(face[0, 100], own, atol=1e-5, rtol=0)
    torch.testing.assert_close(face[1, :, 100], own, atol=1e-5, rtol=0)
    torch.testing.assert_close(face_view(portrait, "aligned"), portrait, atol=1e-5, rtol=0)
    assert face_view(portrait, "box") is portrait
