"""The figures on perturbed faces (paper, Figs. 8 to 10): reconstructed without and with the map that undoes it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dfd.decoder.base import Decoder
from dfd.decoder.registry import decode
from dfd.faces.store import FaceStore
from dfd.recognizers.base import Recognizer
from dfd.rendering.grids import image_grid
from dfd.templates.embedding import embed_views
from dfd.templates.linear import LinearMap

FAMILIES = {"rotate": "rotated", "translate": "translated", "scale": "scaled"}


def perturbed_grid(
    path: str | Path,
    family: str,
    faces: FaceStore,
    row: int,
    views: Mapping[str, np.ndarray],
    recognizers: Mapping[str, tuple[Recognizer, Mapping[str, LinearMap]]],
    decoders: Mapping[str, tuple[str, Decoder]],
    size: int,
) -> None:
    """Draw one face under every perturbation of a family of FAMILIES, and below what decoders make of its templates.

    views: (2, 3) by perturbation. recognizers: with their maps by perturbation. decoders: by variant, with the recognizer
    whose templates they decode. size: pixels of the faces.
    """
    names = [name for name in views if name.startswith(family)]
    rows = [("input", torch.cat([faces.views([row], size, views[name]) for name in names]))]
    plain, mapped = {}, {}
    for key, (recognizer, maps) in recognizers.items():
        templates = {name: embed_views(recognizer, faces, [row], views[name]) for name in names}
        plain[key] = torch.cat(list(templates.values()))
        mapped[key] = torch.cat([maps[name](part) for name, part in templates.items()])
    for variant, (key, decoder) in decoders.items():
        rows += [(f"{variant} without map", decode(decoder, plain[key]))]
        rows += [(f"{variant} with map", decode(decoder, mapped[key]))]
    title = f"A face of {faces.name}, {FAMILIES[family]}, and its reconstructions without and with the map"
    image_grid(path, rows, names, title, cell=96)
