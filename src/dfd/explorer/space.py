"""A set of templates to walk about in: their map, who is near, and what decoders make of any point between them."""

import importlib.util
import io
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from sklearn.decomposition import PCA

from dfd.core.errors import DfdError
from dfd.decoder.base import Decoder
from dfd.decoder.registry import decode

AXES = 8  # principal axes that have a slider
NEAREST = 6  # people
EQUAL = 1e-3  # relative: norms that differ by less were made equal


class Recipe(NamedTuple):
    """A point in template space: Σ weight · template over rows, plus amounts (standard deviations) along principal axes."""

    weights: dict[int, float]
    axes: list[float]


class Space:
    """Templates (N, D), finite; keys and people (N,) in words; decoders: by name, with the templates (N, D) as it is to
    decode them; photo: the encoded picture of a row, None where it has none.
    """

    def __init__(
        self,
        name: str,
        templates: torch.Tensor,
        keys: Sequence[str],
        people: Sequence[str],
        decoders: Mapping[str, tuple[Decoder, torch.Tensor]],
        photo: Callable[[int], bytes | None] | None = None,
    ):
        self.name, self.templates, self.keys, self.decoders = name, templates, list(keys), decoders
        self.people, self._photo = np.array(people, dtype=str), photo
        _, self._codes = np.unique(self.people, return_inverse=True)
        self._unit = torch.nn.functional.normalize(templates, dim=1)
        norms = templates.norm(dim=1)
        self._norm = float(norms.mean()) if norms.max() - norms.min() <= EQUAL * norms.mean() else None
        self._lock = threading.Lock()  # HDF5 files and decoders are for one request at a time

    @cached_property
    def _pca(self) -> PCA | None:
        count = min(AXES, len(self.templates) - 1, self.templates.shape[1])
        return PCA(count, random_state=0).fit(self.templates.numpy()) if count else None

    @property
    def layouts(self) -> list[str]:
        """The names of the maps that can be drawn: `umap` where the package umap-learn is installed."""
        umap = importlib.util.find_spec("umap") is not None and len(self.keys) > NEAREST
        return ["pca", "umap"] if umap else ["pca"]

    def layout(self, name: str) -> np.ndarray:
        """Where each template lies on a map, (N, 2). Raises DfdError for an unknown map."""
        if name not in self.layouts:
            raise DfdError(f"there is no map {name}; there are {', '.join(self.layouts)}")
        with self._lock:
            if name == "umap":
                return self._umap
            places = np.zeros((len(self.templates), 2))
            if self._pca is not None:
                projected = self._pca.transform(self.templates.numpy())[:, :2]
                places[:, : projected.shape[1]] = projected
            return places

    @cached_property
    def _umap(self) -> np.ndarray:
        from umap import UMAP  # an import of seconds, for those who ask for it

        return np.asarray(UMAP(random_state=0).fit_transform(self.templates.numpy()))

    def about(self) -> dict:
        """What the page shows before anything is chosen."""
        return {
            "name": self.name,
            "dimension": self.templates.shape[1],
            "keys": self.keys,
            "people": self.people.tolist(),
            "layouts": self.layouts,
            "axes": [] if self._pca is None else self._pca.explained_variance_ratio_.round(4).tolist(),
            "decoders": list(self.decoders),
            "photos": self._photo is not None,
        }

    def photo(self, row: int) -> bytes | None:
        """The encoded picture of a row, where there is one."""
        if self._photo is None or not 0 <= row < len(self.keys):
            return None
        with self._lock:
            return self._photo(row)

    def look(self, recipe: Recipe) -> dict:
        """What lies at a point: `faces`, by decoder, encoded as PNG, and `nearest`, the people whose template is most
        alike by cosine, each with the row of that photo; of a single row itself is left out. Raises DfdError for rows that
        are not there."""
        if not recipe.weights or any(not 0 <= row < len(self.keys) for row in recipe.weights):
            raise DfdError(f"a point needs rows between 0 and {len(self.keys) - 1}")
        if not np.isfinite([*recipe.weights.values(), *recipe.axes]).all() or len(recipe.axes) > AXES:
            raise DfdError(f"weights and up to {AXES} axes must be finite numbers")
        with self._lock:
            faces = {
                name: png(decode(decoder, self._point(vectors, recipe))[0])
                for name, (decoder, vectors) in self.decoders.items()
            }
            return {"faces": faces, "nearest": self._nearest(self._point(self.templates, recipe), recipe)}

    def _point(self, vectors: torch.Tensor, recipe: Recipe) -> torch.Tensor:
        """The template (1, D) of a recipe, at the templates' own norm where they all have one."""
        weights = torch.tensor(list(recipe.weights.values()), dtype=vectors.dtype)
        point = weights @ vectors[list(recipe.weights)]
        if self._pca is not None and any(recipe.axes):
            amounts = np.zeros(len(self._pca.components_))
            amounts[: len(recipe.axes)] = recipe.axes[: len(amounts)]
            step = (amounts * self._pca.explained_variance_**0.5) @ self._pca.components_
            point = point + torch.from_numpy(step).to(point.dtype)
        if self._norm is not None:
            point = point * (self._norm / point.norm().clamp_min(1e-12))
        return point[None]

    def _nearest(self, point: torch.Tensor, recipe: Recipe) -> list[dict]:
        cosines = (self._unit @ torch.nn.functional.normalize(point, dim=1)[0]).numpy()
        if len(recipe.weights) == 1 and not any(recipe.axes):
            cosines[list(recipe.weights)] = -np.inf
        rows = np.argsort(-cosines, kind="stable")
        _, first = np.unique(self._codes[rows], return_index=True)
        best = [int(row) for row in rows[np.sort(first)[:NEAREST]] if np.isfinite(cosines[row])]
        return [{"row": row, "cosine": round(float(cosines[row]), 4)} for row in best]


def png(image: torch.Tensor) -> bytes:
    """An image (3, H, W) in [0, 1] as PNG."""
    buffer = io.BytesIO()
    pixels = image.mul(255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
