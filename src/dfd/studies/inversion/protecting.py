"""What a protection costs and what it helps: the recognition that is left beside the faces that are left.

Faces are judged by the recognizer as it is, without the protection (`type_1`, `type_2`): a face that is given away opens every
system that the person is enrolled in. Beside that, by the protected system itself (`protected_type_1`, `protected_type_2`).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from dfd.core.left_out import LeftOut
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import axes, restored
from dfd.decoder.registry import decode
from dfd.measures.acceptance import Attempts, attempts
from dfd.measures.estimates import People
from dfd.measures.verification import Pairs, cosine_pairs
from dfd.recognizers.base import Recognizer
from dfd.studies.inversion.attack_rate import NO_OTHERS, Point, no_rate, operating_points, share
from dfd.studies.inversion.fine_tuning import Tuning, fine_tuned
from dfd.studies.inversion.protections import NONE, PROTECTIONS, Protect, Protection, halves, pooled, undoing
from dfd.templates.embedding import embed_images

# Who does not know of the protection; who maps protected templates back; and whose decoder then learns on from them.
ATTACKERS = ("unaware", "aware", "tuned")
NOT_NATIVE = LeftOut("its templates are none of the recognizer's: its decoder does not take them")
NOTHING_TO_UNDO = LeftOut("there is nothing to undo")
NO_SYSTEM = LeftOut("the system's model is not at hand")


class System(NamedTuple):
    """A recognizer, templates (N, D) of photos, their identities (N,), and which of them (K,) are attacked; its operating
    point without any protection; and templates to learn from, of training and of validation faces. photos (N, ·): where
    another recognizer judges than the one whose the templates are, its own of the photos; the point is then the judge's.
    tuning: how a decoder learns on from protected training templates, or why none does."""

    recognizer: Recognizer
    templates: torch.Tensor
    identities: np.ndarray
    attacked: np.ndarray
    point: Point
    training: torch.Tensor
    validation: torch.Tensor
    tuning: Tuning | LeftOut
    photos: torch.Tensor | None = None


class Outcome(NamedTuple):
    """tar: whether each genuine pair (P,) is accepted, None without a threshold; whose: their identities (P,). point: of the
    protected system. seen: by attacker the attempts on the recognizer as it is, and on the protected one, if that judges."""

    tar: np.ndarray | None
    whose: np.ndarray
    point: Point
    seen: Mapping[str, tuple[Attempts, Attempts | None]]


def protections(
    decoder: Decoder, system: System, tried: Mapping[str, Protection | LeftOut], fmr: float, samples: int, seed: int
) -> dict:
    """By protection: `tar` of the protected system at `fmr`, and by attacker (ATTACKERS) what `_rates` gives of faces decoded
    from the protected templates: without knowing of a protection as `dfd decode` does it, with undoing it, and by a decoder
    that learned on from templates so undone (of `none`, from templates as they are: what learning on does by itself).
    All but `none` have `minus_none`, paired, where the attempts are the same. Null, with a note, for one that is left out."""
    chosen = {NONE: PROTECTIONS[NONE]} | {name: one for name, one in tried.items() if isinstance(one, Protection)}
    outcomes = {name: outcome(decoder, system, protection, fmr, seed) for name, protection in chosen.items()}
    metrics: dict = {}
    for name, why in tried.items():
        if isinstance(why, LeftOut):
            metrics |= why.metrics(name)
    for name, result in outcomes.items():
        plain = None if name == NONE or chosen[name].pools else outcomes[NONE]
        metrics[name] = {"tar": _tar(result, plain, samples, seed), "system": result.point.metrics}
        for attacker in ATTACKERS:
            if attacker not in result.seen:
                untrained = system.tuning if isinstance(system.tuning, LeftOut) else NOTHING_TO_UNDO
                why = {"unaware": NOT_NATIVE, "aware": NOTHING_TO_UNDO, "tuned": untrained}[attacker]
                kinds = ("type_1", "type_2", "protected_type_1", "protected_type_2")
                metrics[name][attacker] = dict.fromkeys(kinds, no_rate(why))
                continue
            by_none = None if plain is None else plain.seen["unaware"][0]
            metrics[name][attacker] = _rates(system, result, attacker, by_none, samples, seed)
    return metrics


def outcome(decoder: Decoder, system: System, protection: Protection, fmr: float, seed: int) -> Outcome:
    """What the system and each attacker reach under one protection."""
    photos = np.arange(len(system.templates))
    groups = halves(system.identities) if protection.pools else photos
    protect = protection.fit(system.training, seed)
    protected = protect(pooled(system.templates, groups) if protection.pools else system.templates)
    probes = protect(system.templates) if protection.pools else protected
    pairs = _apart(cosine_pairs(protected.numpy(), probes.numpy(), system.identities), groups)
    point = operating_points(pairs, [fmr])[fmr]
    genuine = pairs.scores[pairs.genuine]
    tar = None if point.threshold is None or not len(genuine) else genuine >= point.threshold
    given, taught = {}, None if protection.pools else system.training
    if protection.native:
        given["unaware"] = decoder, restored(decoder, protected)
    if protection.fit is not PROTECTIONS[NONE].fit:
        undo, taught = _undone(decoder, system, protection, protect, seed)
        given["aware"] = decoder, undo(protected)
    if taught is not None and isinstance(system.tuning, Tuning):
        last = given["aware" if "aware" in given else "unaware"][1]
        given["tuned"] = fine_tuned(decoder, taught, system.training, system.tuning, seed), last
    seen = {}
    for attacker, (theirs, templates) in given.items():
        embedded = embed_images(system.recognizer, decode(theirs, templates[system.attacked]))
        whose = (system.identities, system.attacked, groups)
        photos = system.templates if system.photos is None else system.photos
        plain = attempts(embedded.numpy(), photos.numpy(), *whose)
        by_system = (
            None if system.photos is not None else attempts(protect(embedded).numpy(), protected.numpy(), *whose)
        )
        seen[attacker] = plain, by_system
    return Outcome(tar, pairs.first[pairs.genuine], point, seen)


def _undone(
    decoder: Decoder, system: System, protection: Protection, protect: Protect, seed: int
) -> tuple[Protect, torch.Tensor]:
    """The attacker's map, and what it makes of protected training templates; of a secret key they have another, their own."""
    theirs = protection.fit(system.training, seed + 1) if protection.secret else protect
    exact = system.training, system.validation
    protected = tuple(theirs(part) for part in exact)
    undo = undoing(protected, exact, axes(decoder))
    return undo, undo(protected[0])


def _apart(pairs: Pairs, groups: np.ndarray) -> Pairs:
    """The pairs, which are all i < j in row order, of photos of two groups (N,)."""
    first, second = np.triu_indices(len(groups), 1)
    kept = groups[first] != groups[second]
    return pairs if kept.all() else Pairs(*(part[kept] for part in pairs))


def _tar(result: Outcome, plain: Outcome | None, samples: int, seed: int) -> dict:
    if result.tar is None:
        return no_rate(result.point.left_out or NO_OTHERS, note="tar")
    metrics = share(result.tar, result.whose, samples, seed)
    if plain is not None and plain.tar is not None:
        people = People(result.whose, samples, seed)
        metrics["minus_none"] = people.difference(result.tar.astype(float), plain.tar.astype(float)).metrics()
    return metrics


def _rates(system: System, result: Outcome, attacker: str, by_none: Attempts | None, samples: int, seed: int) -> dict:
    """`type_1`, `type_2`, `protected_type_1` and `protected_type_2`, see above, with intervals over identities."""
    metrics = {}
    for prefix, tried, point in zip(
        ("", "protected_"), result.seen[attacker], (system.point, result.point), strict=True
    ):
        if tried is None:
            metrics |= {prefix + kind: no_rate(NO_SYSTEM) for kind in ("type_1", "type_2")}
            continue
        whose = {"type_1": system.identities[system.attacked]}
        whose["type_2"] = whose["type_1"][tried.attack]
        scores = {"type_1": tried.same, "type_2": tried.other}
        for kind, score in scores.items():
            if point.threshold is None or not len(score):
                metrics[prefix + kind] = no_rate(point.left_out or NO_OTHERS)
                continue
            flags = score >= point.threshold
            metrics[prefix + kind] = share(flags, whose[kind], samples, seed)
            if by_none is not None and not prefix:
                before = (by_none.same if kind == "type_1" else by_none.other) >= point.threshold
                difference = People(whose[kind], samples, seed).difference(flags.astype(float), before.astype(float))
                metrics[kind]["minus_none"] = difference.metrics()
    return metrics


def trade_off(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    """What `protections` measured, for `plane_figure`: columns label (the protection), series (the attacker), x (TAR) and y
    (type II, of the recognizer as it is), each with its interval's ends (_low, _high); what is null is left out."""
    rows = []
    for name, measures in metrics.items():
        for attacker in ATTACKERS if isinstance(measures, Mapping) else ():
            pair = measures["tar"], measures[attacker]["type_2"]
            if None not in (pair[0]["value"], pair[1]["value"]):
                numbers = [part[end] for part in pair for end in ("value", "ci95_low", "ci95_high")]
                rows.append((name, attacker, *numbers))
    columns = ["label", "series", "x", "x_low", "x_high", "y", "y_low", "y_high"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], float))
