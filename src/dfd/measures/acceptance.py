"""Template inversion as an attack: how often a recognizer takes a reconstruction for the person.

As Mai et al. (TPAMI 2019) measure it: type I compares a reconstruction with the very photo that its template was made
from, type II with the person's other photos. The threshold is that at which the system, before any attack, has the
stated FAR. The share accepted is also called the success attack rate (SAR): of all attempts, solved or not.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dfd.measures.intervals import mean_interval, paired_interval
from dfd.measures.verification import cosine_pairs, tar_at_far

KINDS = ("type_1", "type_2")
NO_PAIRS = "no person has two photos, or there is but one person"
NOTHING = dict.fromkeys(("value", "ci95_low", "ci95_high", "accepted", "n"))  # without attempts or a threshold


class Accepted(NamedTuple):
    """Whether each comparison was accepted, 0 or 1, (P,), and whose it was, (P,)."""

    values: np.ndarray
    identities: np.ndarray


def has_pairs(identities: np.ndarray) -> bool:
    """Whether there are pairs of photos of one person and of two people."""
    _, counts = np.unique(identities, return_counts=True)
    return len(counts) > 1 and counts.max() > 1


def unattacked(templates: np.ndarray, identities: np.ndarray, far: float) -> dict:
    """The system before the attack, on all pairs of templates (N, D): TAR at `far` and threshold, see `tar_at_far`.

    Rows with NaN have no template, and no pairs. Both are None, with a `threshold_note`, where `has_pairs` is false.
    """
    known = np.isfinite(templates).all(1)
    if not has_pairs(identities[known]):
        return {"value": None, "threshold": None, "threshold_note": NO_PAIRS}
    return tar_at_far(cosine_pairs(templates[known], templates[known], identities[known]), far)


class Attempts(NamedTuple):
    """What a recognizer makes of K reconstructions: the cosine of each with the template of its own photo, own (K,); with
    those of the other photos of its person, other (A,); and of which of the K each of these is, attack (A,)."""

    own: np.ndarray
    other: np.ndarray
    attack: np.ndarray


def attempts(
    reconstructions: np.ndarray,
    templates: np.ndarray,
    identities: np.ndarray,
    faces: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Attempts:
    """Every attempt of both types: none counts as another photo of its person that is the reconstruction's own.

    reconstructions: templates (K, D) of reconstructed faces; templates (N, D) and identities (N,): of the photos; faces
    (K,): of which photo each is reconstructed, without it of all in order. groups (N,): photos whose templates were made
    into one, where there are such: all of them are the own ones. NaN where a side has no template.
    """
    faces = np.arange(len(templates)) if faces is None else faces
    groups = np.arange(len(templates)) if groups is None else groups
    attacks, photos = _unit(reconstructions), _unit(templates)
    own = np.einsum("nd,nd->n", attacks, photos[faces])
    other, attack = [np.empty(0, np.float32)], [np.empty(0, int)]
    for identity in np.unique(identities[faces]):
        tried, theirs = np.flatnonzero(identities[faces] == identity), np.flatnonzero(identities == identity)
        apart = groups[faces[tried]][:, None] != groups[theirs]
        other.append((attacks[tried] @ photos[theirs].T)[apart])
        attack.append(np.repeat(tried, apart.sum(1)))
    return Attempts(own, np.concatenate(other), np.concatenate(attack))


def accepted(
    reconstructions: np.ndarray, templates: np.ndarray, identities: np.ndarray, threshold: float
) -> dict[str, Accepted]:
    """`type_1`, a comparison per face, and `type_2`, one per face and other photo of its person.

    reconstructions: templates (N, D) of the reconstructed faces; templates: (N, D) of the photos, in the same order. A
    comparison is accepted where the cosine reaches the threshold; without a template, NaN, on either side it is not.
    """
    tried = attempts(reconstructions, templates, identities)
    scores = {"type_1": (tried.own, identities), "type_2": (tried.other, identities[tried.attack])}
    return {kind: Accepted((score >= threshold).astype(float), people) for kind, (score, people) in scores.items()}


def _unit(templates: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(templates.astype(np.float64), axis=1, keepdims=True)
    return (templates / np.where(norms > 0, norms, 1)).astype(np.float32)


def attack_summary(
    attacks: Mapping[str, np.ndarray],
    templates: np.ndarray,
    identities: np.ndarray,
    before: Mapping,
    references: Mapping[str, Sequence[str]],
    samples: int,
    seed: int,
) -> dict:
    """What decoders reach as attacks on one recognizer, by decoder and type: the share accepted, `value`, its 95 %
    interval over identities, `accepted` and `n` comparisons; and for each of the decoder's references
    `minus_<reference>`, paired.

    attacks: by decoder, templates (N, D) of its reconstructions of the photos, in the order of `templates` (N, D).
    before: the system, see `unattacked`, on these photos or more. Without a threshold all is null, with a note.
    """
    if before["threshold"] is None:
        return {name: no_attack(before["threshold_note"], references[name]) for name in attacks}
    found = {name: accepted(attack, templates, identities, before["threshold"]) for name, attack in attacks.items()}
    metrics: dict = {}
    for name, kinds in found.items():
        metrics[name] = {}
        for kind, (values, people) in kinds.items():
            if not len(values):
                metrics[name][kind] = no_attack("no person has two of the photos", references[name])[kind]
                continue
            share = _share(values, people, samples, seed)
            for reference in references[name]:
                share[f"minus_{reference}"] = _difference(values, found[reference][kind].values, people, samples, seed)
            metrics[name][kind] = share
    return metrics


def no_attack(note: str, references: Sequence[str] = ()) -> dict:
    """What `attack_summary` has of a decoder of which nothing can be said: null by type, and why."""
    left_out = {"acceptance_note": f"left out: {note}"}
    differences = {f"minus_{name}": dict.fromkeys(("mean", "ci95_low", "ci95_high")) | left_out for name in references}
    return {kind: NOTHING | left_out | differences for kind in KINDS}


def _share(values: np.ndarray, people: np.ndarray, samples: int, seed: int) -> dict:
    """The interval resamples people (see `mean_interval`). Where all comparisons end alike that sees no width: the
    interval is then the exact one of a binomial with a trial per identity (Clopper & Pearson, 1934), whose open end is
    1 − 0.025^(1/identities) away: a person's photos are alike, and count once.
    """
    share = mean_interval(values, people, samples, generator=np.random.default_rng(seed))
    value = share.pop("mean")
    if value in (0.0, 1.0):
        width = 1 - 0.025 ** (1 / len(np.unique(people)))
        share = {"ci95_low": value * (1 - width), "ci95_high": value + (1 - value) * width}
    return {"value": value, "accepted": int(values.sum()), "n": len(values)} | share


def _difference(values: np.ndarray, others: np.ndarray, people: np.ndarray, samples: int, seed: int) -> dict:
    found = paired_interval(values, others, people, samples, generator=np.random.default_rng(seed))
    if np.ptp(values - others) == 0:
        found |= {
            "ci95_low": None,
            "ci95_high": None,
            "ci95_note": "every comparison differs alike: no width to resample",
        }
    return found
