"""The figure on blocked faces (paper, Fig. 11), drawn as the other grids."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dfd.rendering.grids import image_grid


def occlusion_grid(
    path: str | Path, images: Mapping[str, Mapping[str, torch.Tensor]], picks: np.ndarray, title: str
) -> None:
    """Draw a row for the input and for each variant; for each face of `picks`, positions, its states side by side.

    images: by row and state (`original`, then by region), (N, 3, S, S).
    """
    rows = [
        (name, [image for face in zip(*(part[picks] for part in states.values()), strict=True) for image in face])
        for name, states in images.items()
    ]
    states = next(iter(images.values()))
    columns = [state if state == "original" else f"{state} blocked" for state in states]
    groups = list(range(0, len(rows[0][1]), len(columns)))
    image_grid(path, rows, columns * len(picks), title, groups=groups)
