"""The figure on modified templates (paper, Fig. 17), drawn as the other grids."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dfd.rendering.grids import image_grid


def modified_grid(
    path: str | Path,
    images: Mapping[str, Mapping[str, torch.Tensor]],
    male: np.ndarray,
    p_male: Mapping[str, Mapping[str, np.ndarray]],
    cosines: Mapping[str, Mapping[str, np.ndarray | None]],
    title: str,
) -> None:
    """Draw a row for each face and variant, a column for each replacement, with cosine and P(male) below each.

    images, p_male, cosines: by variant and replacement, `original` the first: (N, 3, S, S), (N,), and (N,) or None.
    male: the faces' labels (N,) bool.
    """
    columns = list(next(iter(images.values())))
    rows, captions = [], []
    for face, is_male in enumerate(male):
        for variant, kinds in images.items():
            rows.append(
                (f"{'male' if is_male else 'female'} {face + 1}, {variant}", [kinds[kind][face] for kind in columns])
            )
            numbers = [(cosines[variant][kind], p_male[variant][kind]) for kind in columns]
            captions.append(
                ["  ".join(f"{values[face]:.2f}" for values in pair if values is not None) for pair in numbers]
            )
    image_grid(path, rows, [kind.replace("-", ": ") for kind in columns], title, captions, cell=96, groups=[1, 2, 5])
