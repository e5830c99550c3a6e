"""Fidelity by region: what of a reconstruction is the person's, and what is invented?

Faces of the geometries `portrait` and `aligned` have their landmarks at fixed places, so that one map of regions serves for
all of them; in `box` it is where they lie on average.
"""

from collections.abc import Mapping

import numpy as np
import torch

from dfd.core.left_out import LeftOut
from dfd.faces.geometry import ALIGNED, FRAMES
from dfd.measures.estimates import Estimate, People
from dfd.measures.pixels import psnr_within

LANDMARKS = ALIGNED * 2 - 1  # left eye, right eye, left and right mouth corner, in the window of `aligned`
# In that window: rectangles (left, right, top, bottom), from the pupils past the outer corners of the eyes and the brows,
# from the corners of the mouth past the lips, and between the two; and the face, an ellipse (centre, half axes).
EYES = (*(LANDMARKS[:2, 0] + (-0.22, 0.22)), *(LANDMARKS[:2, 1].mean() + np.array([-0.16, 0.16])))
MOUTH = (*(LANDMARKS[2:, 0] + (-0.12, 0.12)), *(LANDMARKS[2:, 1].mean() + np.array([-0.18, 0.18])))
NOSE = (-0.22, 0.2, EYES[3], MOUTH[2])
FACE = ((-0.013, -0.04), (0.69, 0.85))

NO_AREA = LeftOut("it has no area here, or a picture equals its original in it")
REGIONS = ("eyes", "nose", "mouth", "skin", "rest")


def region_maps(geometry: str, size: int) -> dict[str, torch.Tensor]:
    """By region of REGIONS how much each pixel of a plain view belongs to it, (1, 1, size, size) in [0, 1]; the sum is 1.

    skin: the rest of the face; rest: hair, neck and background. geometry: a key of FRAMES.
    """
    dense = 4 * size  # a pixel is the mean of 4 × 4 points
    axis = (np.arange(dense) + 0.5) / dense * 2 - 1
    view = np.stack(np.meshgrid(axis, axis), axis=-1)
    frame = FRAMES[geometry]
    x, y = np.moveaxis(view @ frame[:, :2].T + frame[:, 2], -1, 0)
    inside = {
        name: (x >= left) & (x < right) & (y >= top) & (y < bottom)
        for name, (left, right, top, bottom) in {"eyes": EYES, "nose": NOSE, "mouth": MOUTH}.items()
    }
    parts = np.any(list(inside.values()), axis=0)
    (centre_x, centre_y), (across, down) = FACE
    face = ((x - centre_x) / across) ** 2 + ((y - centre_y) / down) ** 2 < 1
    inside |= {"skin": face & ~parts, "rest": ~face & ~parts}
    maps = {name: map_.reshape(size, 4, size, 4).mean((1, 3)) for name, map_ in inside.items()}
    return {name: torch.from_numpy(maps[name]).float()[None, None] for name in REGIONS}


def region_fidelity(
    images: torch.Tensor,
    mean_face: torch.Tensor,
    originals: torch.Tensor,
    regions: Mapping[str, torch.Tensor],
    people: People,
) -> dict:
    """By region the PSNR (dB) of images (N, 3, S, S) to originals, as `psnr`, and `psnr_minus_mean_face`, paired: how much
    more is told than that it is a face. mean_face: (3, S, S); regions: see `region_maps`. A region without area, or equal somewhere, is null."""
    fidelity = {}
    for name, weights in regions.items():
        weights = weights.expand(len(images), -1, -1, -1)
        values = psnr_within(images, originals, weights).numpy()
        means = psnr_within(mean_face.expand_as(originals), originals, weights).numpy()
        if not (np.isfinite(values).all() and np.isfinite(means).all()):
            nothing = Estimate(None, left_out=NO_AREA).metrics(note="region")
            fidelity[name] = {"psnr": nothing, "psnr_minus_mean_face": nothing}
            continue
        fidelity[name] = {
            "psnr": people.mean(values).metrics(),
            "psnr_minus_mean_face": people.difference(values, means).metrics(),
            "area": float(weights[0].mean()),
        }
    return fidelity
