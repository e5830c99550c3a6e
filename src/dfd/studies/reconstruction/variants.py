"""The figure on all decoders (paper, Fig. 3): whom it shows, and what each makes of their templates."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dfd.decoder.base import Decoder
from dfd.decoder.registry import decode
from dfd.rendering.grids import image_grid, spread
from dfd.templates.store import Templates


def faces_to_draw(stores: Mapping[str, Templates], count: int) -> np.ndarray:
    """The rows of the first test face of each of `count` identities, spread over all of them: of faces that have all templates.

    stores: by recognizer. Where none has, or a recognizer has no templates of the data set at all, that is no reason to
    leave a face out.
    """
    faces = next(iter(stores.values())).faces
    rows = faces.rows("test")
    for store in stores.values():
        if len(known := np.intersect1d(rows, store.rows("test"))):
            rows = known
    return rows[spread(faces.identities(rows), count)]


def variants_grid(
    path: str | Path,
    rows: Mapping[str, np.ndarray],
    stores: Mapping[str, Mapping[str, Templates]],
    decoders: Mapping[str, tuple[str, Decoder]],
    size: int,
) -> None:
    """Draw faces above what each decoder makes of their templates, a grey cell where there is no template.

    rows: by data set, of the faces. stores: by data set and recognizer. decoders: by the label of their row, with the
    recognizer whose templates they decode. size: pixels of the originals.
    """

    def templates(name: str) -> torch.Tensor:
        return torch.cat([stores[dataset][name].template[picks] for dataset, picks in rows.items()])

    faces = {dataset: next(iter(opened.values())).faces for dataset, opened in stores.items()}
    images = [("original", torch.cat([faces[dataset].views(picks, size) for dataset, picks in rows.items()]))]
    images += [(label, _decoded(decoder, templates(name))) for label, (name, decoder) in decoders.items()]
    columns = [dataset for dataset, picks in rows.items() for _ in picks]
    starts = np.cumsum([0] + [len(picks) for picks in rows.values()])[:-1].tolist()
    image_grid(path, images, columns, "Faces reconstructed from their templates", groups=starts)


def _decoded(decoder: Decoder, templates: torch.Tensor) -> list[torch.Tensor | None]:
    """The reconstructions of templates (N, D), None where there is no template."""
    known = ~templates.isnan().any(1)
    images = iter(decode(decoder, templates[known]) if known.any() else [])
    return [next(images) if has else None for has in known]
