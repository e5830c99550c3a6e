"""Template inversion as an attack: how often a recognizer takes a reconstruction for the person.

As Mai et al. (TPAMI 2019) measure it: type I compares a reconstruction with the very photo that its template was made
from, type II with the person's other photos. The threshold is that at which the system, before any attack, has the
stated FAR. The share accepted is also called the success attack rate (SAR): of all attempts, solved or not.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dfd.core.left_out import LeftOut
from dfd.measures.estimates import Estimate, People
from dfd.measures.verification import cosine_pairs, tar_at_far, unit

KINDS = ("type_1", "type_2")
NO_PAIRS = LeftOut("no person has two photos, or there is but one person")
NO_OTHER_PHOTOS = LeftOut("no person has two of the photos")


class Accepted(NamedTuple):
    """Whether each comparison was accepted, 0 or 1, (P,), and which of the faces was compared, (P,)."""

    values: np.ndarray
    faces: np.ndarray


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
        return NO_PAIRS.metrics("value", "threshold", note="threshold")
    return tar_at_far(cosine_pairs(templates[known], templates[known], identities[known]), far)


class Attempts(NamedTuple):
    """What a recognizer makes of K reconstructions: the cosine of each with the template of its own photo, same (K,); with
    those of the other photos of its person, other (A,); and of which of the K each of these is, attack (A,)."""

    same: np.ndarray
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
    attacks, photos = unit(reconstructions).astype(np.float32), unit(templates).astype(np.float32)
    same = np.einsum("nd,nd->n", attacks, photos[faces])
    other, attack = [np.empty(0, np.float32)], [np.empty(0, int)]
    for identity in np.unique(identities[faces]):
        tried, theirs = np.flatnonzero(identities[faces] == identity), np.flatnonzero(identities == identity)
        apart = groups[faces[tried]][:, None] != groups[theirs]
        other.append((attacks[tried] @ photos[theirs].T)[apart])
        attack.append(np.repeat(tried, apart.sum(1)))
    return Attempts(same, np.concatenate(other), np.concatenate(attack))


def accepted(
    reconstructions: np.ndarray, templates: np.ndarray, identities: np.ndarray, threshold: float
) -> dict[str, Accepted]:
    """`type_1`, a comparison per face, and `type_2`, one per face and other photo of its person.

    reconstructions: templates (N, D) of the reconstructed faces; templates: (N, D) of the photos, in the same order. A
    comparison is accepted where the cosine reaches the threshold; without a template, NaN, on either side it is not.
    """
    tried = attempts(reconstructions, templates, identities)
    scores = {"type_1": (tried.same, np.arange(len(tried.same))), "type_2": (tried.other, tried.attack)}
    return {kind: Accepted((score >= threshold).astype(float), faces) for kind, (score, faces) in scores.items()}


def attack_summary(
    attacks: Mapping[str, np.ndarray],
    templates: np.ndarray,
    people: People,
    before: Mapping,
    references: Mapping[str, Sequence[str]],
) -> dict:
    """What decoders reach as attacks on one recognizer, by decoder and type: the share accepted, `value`, with its
    interval, `accepted` and `n` comparisons; and for each of the decoder's references `minus_<reference>`, paired.

    attacks: by decoder, templates (N, D) of its reconstructions of the photos, in the order of `templates` (N, D), of
    `people`. before: the system, see `unattacked`, on these photos or more. Without a threshold all is null, with a note.
    """
    if before["threshold"] is None:
        return {name: no_attack(LeftOut.among(before, "threshold"), references[name]) for name in attacks}
    threshold = before["threshold"]
    trials = {name: accepted(attack, templates, people.identities, threshold) for name, attack in attacks.items()}
    compared = {kind: people.among(faces) for kind, (_, faces) in next(iter(trials.values())).items()} if trials else {}
    metrics: dict = {}
    for name, kinds in trials.items():
        metrics[name] = {}
        for kind, (values, _) in kinds.items():
            if not len(values):
                metrics[name][kind] = no_attack(NO_OTHER_PHOTOS, references[name])[kind]
                continue
            metrics[name][kind] = _metrics(compared[kind].share(values))
            for reference in references[name]:
                difference = _difference(compared[kind], values, trials[reference][kind].values)
                metrics[name][kind][f"minus_{reference}"] = difference.metrics()
    return metrics


def _metrics(share: Estimate) -> dict:
    return share.metrics("value", hits="accepted", n=True, note="acceptance")


def no_attack(left_out: LeftOut, references: Sequence[str] = ()) -> dict:
    """What `attack_summary` has of a decoder of which nothing can be said: null by type, and why."""
    nothing = Estimate(None, left_out=LeftOut(f"left out: {left_out}"))
    differences = {f"minus_{name}": nothing.metrics(note="acceptance") for name in references}
    return {kind: _metrics(nothing) | differences for kind in KINDS}


def _difference(people: People, values: np.ndarray, others: np.ndarray) -> Estimate:
    difference = people.difference(values, others)
    if np.ptp(values - others) == 0:
        alike = LeftOut("every comparison differs alike: no width to resample")
        return difference._replace(low=None, high=None, left_out=alike)
    return difference
