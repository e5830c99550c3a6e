"""How many leaked pairs of templates open a system to a decoder that never saw it: attacks through adapters."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.decoder.adapted import adapted
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import axes
from dfd.decoder.registry import decode
from dfd.measures.acceptance import KINDS, attack_summary, no_attack
from dfd.measures.estimates import People
from dfd.recognizers.base import Recognizer
from dfd.templates.adapters import fit_adapter
from dfd.templates.embedding import embed_images

OF_A_FIT = ("cosine", "cosine_whitened", "strength", "n_people")


class System(NamedTuple):
    """A recognizer under attack; templates (N, D) of the photos that are attacked and whom these show; and how it did
    before, see `unattacked`."""

    recognizer: Recognizer
    templates: torch.Tensor
    people: People
    before: Mapping


class Pairs(NamedTuple):
    """Templates of the same M photos: of the system, source (M, D); of the decoder's recognizer, target (M, K), and of
    the mirrored photos (M, K) where there are such; and whom they show, people (M,). In the order of leaking."""

    source: torch.Tensor
    target: torch.Tensor
    mirrored: torch.Tensor | None
    people: np.ndarray

    def first(self, count: int) -> "Pairs":
        return Pairs(*(None if part is None else part[:count] for part in self))


def attack(decoder: Decoder, templates: torch.Tensor, system: System) -> dict:
    """How often the system accepts what is decoded from templates (N, ·) of its photos, as `attack_summary` has it."""
    seen = embed_images(system.recognizer, decode(decoder, templates)).numpy()
    photos = system.templates.numpy(), system.people
    return attack_summary({"decoder": seen}, *photos, system.before, {"decoder": []})["decoder"]


def attacks_by_pairs(
    decoder: Decoder, pairs: Pairs, counts: Sequence[int], system: System, truth: torch.Tensor, seed: int
) -> dict:
    """By number of pairs what an adapter fitted on the first so many of them reaches: `type_1` and `type_2` as `attack`
    has them, strength (λ) and n_people of the fit, and for the attacked photos the cosine of mapped templates and
    `truth` (N, K), those of the decoder's recognizer, also as the decoder sees them (cosine_whitened). Null where there
    are fewer pairs.
    """
    metrics, space = {}, axes(decoder)
    for count in counts:
        if count > len(pairs.source):
            fewer = f"the data set has {len(pairs.source)} pairs"
            nothing = LeftOut(f"left out: {fewer}").metrics(*OF_A_FIT, note="pairs")
            metrics[str(count)] = no_attack(LeftOut(fewer)) | nothing
            continue
        part = pairs.first(count)
        adapter = fit_adapter(part.source, part.target, part.people, space, part.mirrored, seed)
        adapter.config |= {"from": {"name": "system"}, "to": {}}
        both = adapted(decoder, adapter.to(decoder.device))
        mapped = adapter(system.templates.to(decoder.device)).cpu()
        whitened = None if space is None else float(F.cosine_similarity(space(mapped), space(truth)).mean())
        metrics[str(count)] = attack(both, system.templates, system) | {
            "cosine": float(F.cosine_similarity(mapped, truth).mean()),
            "cosine_whitened": whitened,
            "strength": adapter.config["strength"],
            "n_people": adapter.config["n_people"],
        }
    return metrics


def pairs_table(metrics: Mapping[str, Mapping], counts: Sequence[int]) -> pd.DataFrame:
    """What `attacks_by_pairs` measured, for `count_figure`: a row per type and count that is not null."""
    names = dict(zip(KINDS, ("type I: the same photo", "type II: another photo"), strict=True))
    rows = [
        (names[kind], "accepted", count, share["value"], share["ci95_low"], share["ci95_high"])
        for kind in KINDS
        for count in counts
        if (share := metrics[str(count)][kind])["value"] is not None
    ]
    return pd.DataFrame(rows, columns=["series", "measure", "count", "value", "low", "high"])
