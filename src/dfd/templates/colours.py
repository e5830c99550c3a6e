"""Is a recognizer shown colours in the order that it learned? The wrong one costs accuracy, and nothing else tells."""

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.rows import Rows
from dfd.faces.store import FaceStore
from dfd.recognizers.base import Recognizer
from dfd.templates.embedding import embed_views
from dfd.templates.people import photos_of_people

PEOPLE = (20, 100)  # with two photos: fewer tell nothing, more are not looked at
SURE = 3.0  # standard errors
GREY = 1 / 255  # mean difference of red and blue, below which photos have no colours


def prefers_other_order(recognizer: Recognizer, faces: FaceStore, templates: torch.Tensor | Rows) -> bool:
    """Whether people are told apart better with red and blue exchanged than by the templates (N, D) of these faces.

    By how much nearer each person's second photo is to the first than another person's is, by the cosine of centred
    templates; False too where the photos are grey, or those of too few people.
    """
    photos = photos_of_people(faces.identities(np.arange(len(faces))), at_least=2)
    pairs = np.array([rows[:2] for rows in list(photos.values())[: PEOPLE[1]]])
    if len(pairs) < PEOPLE[0]:
        return False
    red, _, blue = faces.crops(pairs[:8, 0]).unbind(1)
    if (red - blue).abs().mean() < GREY:
        return False
    own_order = recognizer.channels
    try:
        recognizer.channels = own_order.flip(0)
        exchanged = embed_views(recognizer, faces, pairs.ravel())
    finally:
        recognizer.channels = own_order
    gain = _margins(exchanged) - _margins(templates[pairs.ravel()])
    return bool(gain.mean() > SURE * gain.std() / len(gain) ** 0.5)


def _margins(templates: torch.Tensor) -> torch.Tensor:
    """Of P people's two templates each, (2 P, D): the cosine of both less that of one and the next person's (P,)."""
    first, second = (templates - templates.mean(0)).view(-1, 2, templates.shape[1]).unbind(1)
    return F.cosine_similarity(first, second) - F.cosine_similarity(first, second.roll(1, 0))
