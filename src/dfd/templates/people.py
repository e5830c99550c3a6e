"""Who has how many photos, which of them every recognizer has a template of, and a choice among them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from dfd.core.left_out import LeftOut
from dfd.templates.store import Templates


def photos_of_people(identities: np.ndarray, at_least: int = 1) -> dict[str, np.ndarray]:
    """The positions of each person's photos in identities (N,), for people with `at_least` so many.

    Whoever has most comes first, of equals who comes first in `identities`.
    """
    names, first, codes, counts = np.unique(identities, return_index=True, return_inverse=True, return_counts=True)
    photos = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    return {str(names[i]): photos[i] for i in np.lexsort([first, -counts]) if counts[i] >= at_least}


def first_photos(identities: np.ndarray, most: int) -> np.ndarray:
    """The positions, rising, of the first `most` photos of each person in identities (N,).

    A person's pairs grow with the square of the photos: those of a few with hundreds would be nearly all genuine pairs.
    """
    kept = [photos[:most] for photos in photos_of_people(identities).values()]
    return np.sort(np.concatenate([np.empty(0, int), *kept]))


def shared_rows(rows: Sequence[int], templates: Mapping[str, torch.Tensor]) -> tuple[np.ndarray, dict[str, LeftOut]]:
    """The rows of which all recognizers have a template, and by recognizer why it takes no part.

    templates: by recognizer, of a whole data set (N, D), NaN where it has none. One that has none of all these rows
    takes no part, and is no reason to leave the rows out.
    """
    rows, left_out = np.asarray(rows, dtype=int), {}
    known = {name: template[rows].isfinite().all(1).numpy() for name, template in templates.items()}
    for name, has in known.items():
        if len(rows) and not has.any():
            left_out[name] = LeftOut(f"left out: no templates of the {len(rows)} test faces")
    taking_part = [has for name, has in known.items() if name not in left_out]
    return rows[np.all(taking_part, axis=0)] if taking_part else rows[:0], left_out


class SharedTemplates:
    """Templates by several recognizers of the faces of which all have one.

    stores: by recognizer, of one face store. left_out: {recognizer: why it takes no part}, of those without a template of
    any test face; templates: of the others, (N, D) of the whole data set.
    """

    def __init__(self, stores: Mapping[str, Templates]):
        self.faces = next(iter(stores.values())).faces
        every = {name: store.template for name, store in stores.items()}
        _, self.left_out = shared_rows(self.faces.rows("test"), every)
        self.templates = {name: template for name, template in every.items() if name not in self.left_out}

    def rows(self, split: str) -> np.ndarray:
        """The rows of a split, as `FaceStore.rows`, of which all that take part have a template."""
        return shared_rows(self.faces.rows(split), self.templates)[0]


def spread(items: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the items, evenly spread over them, in their order."""
    if len(items) <= count:
        return items
    return items[np.linspace(0, len(items) - 1, count).round().astype(int)]
