"""What a template leaves open: how far faces lie from what a decoder makes of their templates, pixel by pixel.

A decoder draws one face; others have the same template. The spread is the standard deviation of the residual, learned on
faces that were not trained on, one map for all templates of a decoder.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import torch

from dfd.measures.estimates import People
from dfd.measures.pixels import GREY_LEVELS, to_8bit
from dfd.rendering.grids import image_grid

WITHIN = 2.0  # spreads: 95 % of what is normally distributed


def residual_spread(images: torch.Tensor, originals: torch.Tensor) -> torch.Tensor:
    """The root mean square of originals − images, both (M, 3, S, S) in [0, 1], over faces: (3, S, S)."""
    return (to_8bit(originals) - to_8bit(images)).square().mean(0).sqrt()


def covered(images: torch.Tensor, originals: torch.Tensor, spread: torch.Tensor) -> np.ndarray:
    """The share of each face's numbers that lie within WITHIN spreads (3, S, S) of its reconstruction, (N,) in [0, 1]."""
    return ((to_8bit(originals) - to_8bit(images)).abs() <= WITHIN * spread).float().mean((1, 2, 3)).numpy()


def spread_metrics(
    images: torch.Tensor,
    originals: torch.Tensor,
    spread: torch.Tensor,
    regions: Mapping[str, torch.Tensor],
    people: People,
) -> dict:
    """The spread (3, S, S) in grey levels, `grey_levels` of the whole and by region (see `region_maps`); and `covered` of
    other faces, `within_two`: near 0.95 where these are like those that it was learned on."""
    variance = spread.square().mean(0)
    by_region = {
        name: float(((variance * map_).sum() / map_.sum()).sqrt() * GREY_LEVELS)
        for name, map_ in regions.items()
        if map_.sum() > 0
    }
    return {
        "grey_levels": float(variance.mean().sqrt() * GREY_LEVELS),
        "by_region": by_region,
        "within_two": people.mean(covered(images, originals, spread)).metrics(),
    }


def heat(spread: torch.Tensor, most: float) -> torch.Tensor:
    """A map (3, S, S) as a picture (3, S, S): black where nothing is open, yellow at `most`, of the colours' mean."""
    shade = (spread.square().mean(0).sqrt() / most).clamp(0, 1).numpy()
    return torch.from_numpy(matplotlib.colormaps["inferno"](shade)[..., :3]).permute(2, 0, 1).float()


def spread_grid(
    path: str | Path, originals: torch.Tensor, images: torch.Tensor, spread: torch.Tensor, title: str
) -> None:
    """Draw faces (C, 3, S, S), their reconstructions, where these miss them, and where they were expected to."""
    missed = (to_8bit(originals) - to_8bit(images)).abs()
    most = float(spread.square().mean(0).sqrt().max()) * WITHIN or 1.0
    rows = [
        ("face", originals),
        ("reconstruction", images),
        ("what it misses", torch.stack([heat(part, most) for part in missed])),
        ("the spread", [heat(spread, most)] * len(images)),
    ]
    image_grid(path, rows, None, title)
