"""What a template leaves open: how far faces lie from what a decoder makes of their templates, pixel by pixel.

A decoder draws one face; others have the same template. The spread is the standard deviation of the residual, learned on
faces that were not trained on, one map for all templates of a decoder. Where a decoder was trained from several seeds (the
rows of the ablation), what its trainings differ by is another, a map for each template: what training leaves to chance, and
less than what templates leave open, as all of them miss the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch

from dfd.core.left_out import LeftOut
from dfd.measures.estimates import People
from dfd.measures.pixels import GREY_LEVELS, to_8bit
from dfd.rendering.grids import image_grid

ALIKE = LeftOut("a face's trainings, or what is missed of it, are the same everywhere")
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


class Ensemble(NamedTuple):
    """Trainings of one decoder: what the first makes of K templates, images (K, 3, S, S), what they all differ by, spread
    (K, 3, S, S) in [0, 1], and this as metrics."""

    images: torch.Tensor
    spread: torch.Tensor
    metrics: dict


def ensemble(
    trainings: Sequence[torch.Tensor], originals: torch.Tensor, regions: Mapping[str, torch.Tensor], people: People
) -> Ensemble:
    """The standard deviation over trainings, two or more, of their images (K, 3, S, S) of the same templates.

    Its metrics, in grey levels: `grey_levels` of the whole and `by_region`, root mean squares over pixels and means over
    faces, beside `misses`, how far the first lies from the originals (K, 3, S, S); and `correlation`, over a face's
    pixels, of the spread and of what the first misses: whether it tells where not to trust a picture.
    """
    images = torch.stack([to_8bit(part) for part in trainings])
    spread, missed = images.std(0), (to_8bit(originals) - images[0]).abs()

    def length(part: torch.Tensor, map_: torch.Tensor | float) -> dict:
        squares = (part.square() * map_).sum((1, 2, 3)) / (3 * torch.as_tensor(map_).expand_as(part[:1, :1]).sum())
        return people.mean((squares.sqrt() * GREY_LEVELS).numpy()).metrics()

    told = [
        torch.corrcoef(torch.stack([a.mean(0).flatten(), b.mean(0).flatten()]))[0, 1]
        for a, b in zip(spread, missed, strict=True)
    ]
    return Ensemble(
        trainings[0],
        spread,
        {
            "n_trainings": len(trainings),
            "grey_levels": length(spread, 1.0),
            "by_region": {name: length(spread, map_) for name, map_ in regions.items() if map_.sum() > 0},
            "misses": length(missed, 1.0),
            "correlation": people.mean(torch.stack(told).numpy(), ALIKE).metrics(note="correlation"),
        },
    )


def heat(spread: torch.Tensor, most: float) -> torch.Tensor:
    """A map (3, S, S) as a picture (3, S, S): black where nothing is open, yellow at `most`, of the colours' mean."""
    shade = (spread.square().mean(0).sqrt() / most).clamp(0, 1).numpy()
    return torch.from_numpy(matplotlib.colormaps["inferno"](shade)[..., :3]).permute(2, 0, 1).float()


def spread_grid(
    path: str | Path,
    originals: torch.Tensor,
    images: torch.Tensor,
    spread: torch.Tensor,
    title: str,
    label: str = "the spread",
) -> None:
    """Draw faces (C, 3, S, S), their reconstructions, where these miss them, and where they were expected to: a spread
    (3, S, S) of all, or (C, 3, S, S), under a label."""
    missed = (to_8bit(originals) - to_8bit(images)).abs()
    most = float(spread.square().mean(-3).sqrt().max()) * WITHIN or 1.0
    rows = [
        ("face", originals),
        ("reconstruction", images),
        ("what it misses", torch.stack([heat(part, most) for part in missed])),
        (label, torch.stack([heat(part, most) for part in spread.expand_as(images)])),
    ]
    image_grid(path, rows, None, title)
