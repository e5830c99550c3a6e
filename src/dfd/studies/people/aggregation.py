"""One template of several photos of a person (paper, section 4.4.2), and random draws of those photos."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F


def aggregate(templates: torch.Tensor) -> torch.Tensor:
    """The template of a set of photos: (..., n, D) becomes (..., D).

    The mean of the templates at unit length, so that every photo has the same say, whatever its template's length: the
    usual aggregate where templates are compared by cosine (Whitelam et al., IJB-B, 2017; Deng et al., ArcFace, 2019).
    That mean is scaled by the templates' mean length, since decoders have learned from templates that are not
    normalised; cosines do not change by it. As with any mean, templates that differ leave a shorter one. One template
    is its own aggregate, up to rounding.
    """
    return F.normalize(templates, dim=-1).mean(-2) * templates.norm(dim=-1).mean(-1, keepdim=True)


class Draw(NamedTuple):
    """Photos of P people, as positions, no photo twice: `probes` (P, M); `gallery` (P, n), in random order.

    The first k of the gallery are a gallery of k photos, so that larger ones contain the smaller ones.
    """

    probes: np.ndarray
    gallery: np.ndarray


def draw_photos(
    people: Sequence[np.ndarray], probes: int, gallery: int, draws: int, generator: np.random.Generator
) -> list[Draw]:
    """Draw `probes` and `gallery` photos of each person, `draws` times, without replacement within a draw.

    people: for each person the positions of its photos. Each draw has a generator of its own, spawned from the one
    given: more draws leave the first ones as they were. Raises ValueError where a person has too few photos.
    """
    if any(len(photos) < probes + gallery for photos in people):
        raise ValueError(f"a person has fewer than {probes} + {gallery} photos")
    drawn = []
    for own in generator.spawn(draws):
        chosen = np.stack([own.choice(photos, probes + gallery, replace=False) for photos in people])
        drawn.append(Draw(chosen[:, :probes], chosen[:, probes:]))
    return drawn
