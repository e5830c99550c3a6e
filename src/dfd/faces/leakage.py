"""Evaluation is on people who were not seen in training; whoever wants it otherwise has to say so."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from dfd.core.errors import DfdError
from dfd.faces.store import FaceStore

TRAINING = ("train", "validation")  # the splits that a training sees: one teaches, the other chooses


def identity_of(key: str) -> str:
    """Whom the photo with this key shows: its folder's name; a photo in none is its own."""
    return PurePosixPath(key).parent.name or PurePosixPath(key).stem


def trained_on(recognizer: str, settings: Mapping) -> dict[str, str]:
    """{role: data set} of what a recognizer learned from: its own data set, and those of its teachers.

    settings: `train_recognizer` of params.yaml. Empty for imported weights, of whose training nothing is known.
    """
    roles: dict[str, str] = {}
    while recognizer in settings and f"recognizer {recognizer}" not in roles:
        roles[f"recognizer {recognizer}"] = settings[recognizer].dataset
        if settings[recognizer].objective != "distil":
            break
        recognizer = settings[recognizer].teacher
    return roles


class Seen(NamedTuple):
    """The identities that a training saw, by name or by `person_hash`, and the data set that they are of."""

    dataset: str
    people: frozenset[str]


def person_hash(name: str) -> str:
    """How a released file names a person whom its training saw: the first 8 hexadecimal digits of the name's SHA-256."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def learned_from(recognizers: Iterable[str], settings: Mapping, path: str, **roles: str) -> dict[str, Seen]:
    """By role whom something learned from: in the data sets of `roles`, and in those of the recognizers.

    settings: as above. path: of a face store, with {} for the name of its data set.
    """
    for recognizer in recognizers:
        roles |= trained_on(recognizer, settings)
    return {role: people_seen(FaceStore(path.format(dataset))) for role, dataset in roles.items()}


def people_seen(store: FaceStore, rows: Sequence[int] | None = None) -> Seen:
    """Whom a training on these rows of a data set saw; without them, on its splits for training."""
    if rows is None:
        rows = np.concatenate([store.rows(split) for split in TRAINING])
    return Seen(store.name, frozenset(store.identities(rows)))


def all_seen(learned: Mapping[str, Seen]) -> set[str]:
    """The identities that any of several trainings saw, as `learned_from` gives them by role."""
    return set().union(*(seen.people for seen in learned.values()))


def refuse_leakage(trained: Mapping[str, Seen], faces: FaceStore, rows: Sequence[int], allow: bool) -> int:
    """How many of the identities in `rows` of `faces` were seen in training; `trained` says by role whom it saw.

    Two identities are one person where their names are equal, be it in one data set or in two: CelebA's 2880 is found
    again in CelebA-HQ, a person who has another name elsewhere is not. Raises DfdError for any such unless `allow`.
    """
    evaluated = set(faces.identities(rows))
    either = {name: {name, person_hash(name)} for name in evaluated}
    seen = {
        role: {name for name in evaluated if not people_seen.people.isdisjoint(either[name])}
        for role, people_seen in trained.items()
    }
    leaked = set().union(*seen.values())
    if leaked and not allow:
        few = ", ".join(sorted(leaked)[:3]) + (", …" if len(leaked) > 3 else "")
        roles = ", ".join(f"{role} ({trained[role].dataset})" for role, people in seen.items() if people)
        raise DfdError(
            f"{faces.path}: {len(leaked)} of {len(evaluated)} identities to be evaluated were seen in training ({few}), "
            f"by {roles}; give both data sets the same `split`, or set roles.allow_leakage: true"
        )
    return len(leaked)
