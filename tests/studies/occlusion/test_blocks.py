"""Blocks over the eyes and the mouth: what they cover, on drawn landmarks and on real faces, plain, turned, mirrored."""

import numpy as np
import pytest
import torch

from dfd.faces.geometry import ALIGNED, to_window
from dfd.faces.store import MIRROR, PLAIN
from dfd.recognizers.base import Recognizer
from dfd.studies.equivariance.perturbations import perturbations, rotation, scaling
from dfd.studies.occlusion.blocks import OCCLUSIONS, blocks, coverage, embed_occluded, landmarks_in_view, occlude
from dfd.studies.occlusion.settings import REGIONS

COVERED = {"eyes": [0, 1], "mouth": [3, 4]}  # landmarks
VIEWS = {"plain": PLAIN, "mirrored": MIRROR} | {
    name: view
    for name, view in perturbations(30, 0.2, [0.5, 1.5]).items()
    if name in ("rotate+30", "translate-left", "scale-0.5")
}
FRONTAL = np.insert(ALIGNED * 2 - 1, 2, [0, 0.05], axis=0)  # (5, 2), a nose added


def at(points: np.ndarray, images: torch.Tensor) -> torch.Tensor:
    """The pixels at points (N, K, 2) of images (N, 1, S, S), (N, K)."""
    grid = torch.from_numpy(points).float()[:, :, None]
    return torch.nn.functional.grid_sample(images, grid, mode="nearest", align_corners=False)[:, 0, :, 0]


def test_every_region_has_its_landmarks():
    assert set(OCCLUSIONS) == set(COVERED) == set(REGIONS)


@pytest.mark.parametrize("region", OCCLUSIONS)
@pytest.mark.parametrize("name", VIEWS)
def test_a_block_covers_its_landmarks_and_no_others(orl_store, region, name):
    rows = np.arange(len(orl_store))
    landmarks = landmarks_in_view(orl_store, rows, VIEWS[name])
    covered = at(landmarks, coverage(blocks(region, landmarks), 77))  # a face of 64 pixels, in a portrait
    others = [number for number in range(5) if number not in COVERED[region]]
    assert (covered[:, COVERED[region]] == 1).all() and (covered[:, others] == 0).all()


@pytest.mark.parametrize("region", OCCLUSIONS)
@pytest.mark.parametrize("name", VIEWS)
def test_a_block_moves_with_its_face(orl_store, region, name):
    """Blocked and then perturbed is perturbed and then blocked."""
    rows, size = np.arange(4), 64
    plain = coverage(blocks(region, landmarks_in_view(orl_store, rows)), size)
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(1, -1, 2)
    seen = points @ VIEWS[name][:, :2].T + VIEWS[name][:, 2]  # where each pixel of the view looks
    expected = at(np.repeat(seen, 4, 0), plain).reshape(4, 1, size, size)
    found = coverage(blocks(region, landmarks_in_view(orl_store, rows, VIEWS[name])), size)
    assert found.mean() > 0.01 and (found - expected).abs().mean() < 0.2 * found.mean()  # edges: one is sampled


def test_in_a_mirrored_view_left_is_right(orl_store):
    plain, mirrored = (landmarks_in_view(orl_store, [3], view)[0] for view in (PLAIN, MIRROR))
    assert plain[0, 0] < plain[1, 0] and mirrored[0, 0] < mirrored[1, 0] and mirrored[3, 0] < mirrored[4, 0]
    np.testing.assert_allclose(mirrored[0], plain[1] * [-1, 1])
    np.testing.assert_allclose(mirrored[2], plain[2] * [-1, 1])


def test_a_block_follows_the_face_not_the_frame():
    upright = blocks("mouth", FRONTAL[None])[0]
    view = rotation(40)
    turned = blocks("mouth", to_window(FRONTAL, view)[None])[0]
    np.testing.assert_allclose(turned[:, :2], np.linalg.inv(view[:, :2]) @ upright[:, :2], atol=1e-9)
    small = blocks("mouth", to_window(FRONTAL, scaling(0.5))[None])[0]
    np.testing.assert_allclose(small, upright / 2, atol=1e-9)


def test_the_area_of_an_upright_block():
    half = np.array([[0.5, 0, 0.1], [0, 0.25, -0.2]])
    covered = coverage(half[None], 50)
    assert covered.shape == (1, 1, 50, 50) and covered.dtype == torch.float32
    assert covered.mean().item() == pytest.approx(0.5 * 0.25, abs=1e-6)
    assert coverage(half[None], 64).mean().item() == pytest.approx(0.5 * 0.25, abs=1e-6)
    far = half + [[0, 0, 5], [0, 0, 0]]  # outside the picture
    assert coverage(far[None], 50).max() == 0


def test_occluding_sets_the_shade_inside_and_nothing_outside():
    images = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    covered = coverage(np.array([[[0.5, 0, 0], [0, 0.5, 0]]] * 2), 20)
    blocked = occlude(images, covered, 0.25)
    inside = covered.bool().expand_as(images)
    assert (blocked[inside] == 0.25).all() and (blocked[~inside] == images[~inside]).all()


class Means(Recognizer):
    """A recognizer whose template is the mean colour."""

    def __init__(self):
        super().__init__(32, "colour", "colour", (0.0, 0.0, 0.0), 1 / 255, window="box")

    def _layers(self, x):
        yield "colour", x.mean((2, 3))


def test_templates_of_occluded_faces(orl_store):
    rows = np.arange(11)  # more than a CPU's batch
    covered = coverage(blocks("eyes", landmarks_in_view(orl_store, rows)), 32)
    expected = (orl_store.views(rows, 32) * (1 - covered) + covered).mean((2, 3))
    torch.testing.assert_close(embed_occluded(Means(), orl_store, rows, "eyes", shade=1.0), expected)
