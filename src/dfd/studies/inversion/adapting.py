"""How many leaked pairs of templates open a system to a decoder that never saw it: attacks through adapters."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from dfd.core.artefacts import write_table
from dfd.core.left_out import LeftOut
from dfd.decoder.adapted import adapted
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import axes
from dfd.decoder.registry import decode
from dfd.measures.acceptance import KINDS, attack_summary, no_attack, unattacked
from dfd.measures.estimates import People
from dfd.recognizers.base import Recognizer
from dfd.rendering.curves import count_figure, left_out_figure
from dfd.templates.adapters import fit_adapter
from dfd.templates.embedding import embed_images
from dfd.templates.store import Templates

COLUMNS = ["series", "measure", "count", "value", "low", "high"]
NOTHING_TO_DRAW = LeftOut("no number of pairs that the data set has, or no threshold")
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


def leaked_pairs(source: Templates, target: Templates, seed: int) -> Pairs:
    """The training faces of which both have a template, in an order drawn by `seed`."""
    both = np.intersect1d(source.rows("train"), target.rows("train"))
    order = np.random.default_rng(seed).permutation(both)
    mirrored = None if target.mirrored is None else target.mirrored[order]
    return Pairs(source.template[order], target.template[order], mirrored, source.faces.identities(order))


def opened_system(recognizer: Recognizer, store: Templates, rows: np.ndarray, attacked: People, far: float) -> System:
    """A recognizer whose threshold the photos `rows` (M,) of a store set, at `far`; the first of them are attacked, those
    of `attacked`."""
    before = unattacked(store.template[rows].numpy(), store.faces.identities(rows), far)
    return System(recognizer, store.template[rows[: len(attacked.identities)]], attacked, before)


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


def adapter_metrics(
    decoder: Decoder, pairs: Pairs, counts: Sequence[int], system: System, native: System, seed: int
) -> dict:
    """`attacks_by_pairs` on a system; beside it `own`, what the decoder reaches without an adapter on the recognizer that it
    learned, `native`, of the same photos; and the system before, `unattacked`."""
    return attacks_by_pairs(decoder, pairs, counts, system, native.templates, seed) | {
        "own": attack(decoder, native.templates, native),
        "unattacked": system.before,
        "n_faces": len(system.templates),
        "n_identities": len(system.people),
    }


def draw_pairs(path: str, metrics: Mapping | LeftOut, counts: Sequence[int], title: str, accepted: str) -> None:
    """Write what `attacks_by_pairs` measured as <path>.csv and <path>.png. accepted: how to call the share that is drawn."""
    table = metrics.table(COLUMNS) if isinstance(metrics, LeftOut) else pairs_table(metrics, counts)
    write_table(f"{path}.csv", table)
    if len(table):
        count_figure(f"{path}.png", table, title, {"accepted": accepted}, "leaked pairs of templates")
    else:
        left_out_figure(f"{path}.png", metrics if isinstance(metrics, LeftOut) else NOTHING_TO_DRAW)


def pairs_table(metrics: Mapping[str, Mapping], counts: Sequence[int]) -> pd.DataFrame:
    """What `attacks_by_pairs` measured, for `count_figure`: a row per type and count that is not null."""
    names = dict(zip(KINDS, ("type I: the same photo", "type II: another photo"), strict=True))
    rows = [
        (names[kind], "accepted", count, share["value"], share["ci95_low"], share["ci95_high"])
        for kind in KINDS
        for count in counts
        if (share := metrics[str(count)][kind])["value"] is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
