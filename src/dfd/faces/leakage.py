"""Evaluation is on people who were not seen in training; whoever wants it otherwise has to say so."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dfd.core.errors import DfdError
from dfd.faces.store import FaceStore

TRAINING = ("train", "validation")  # the splits that a training sees: one teaches, the other chooses


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


def learned_from(recognizers: Iterable[str], settings: Mapping, path: str, **roles: str) -> dict[str, FaceStore]:
    """By role the face stores that something learned from: the data sets of `roles`, and those of the recognizers.

    settings: as above. path: of a face store, with {} for the name of its data set.
    """
    for recognizer in recognizers:
        roles |= trained_on(recognizer, settings)
    return {role: FaceStore(path.format(dataset)) for role, dataset in roles.items()}


def people_seen(store: FaceStore) -> set[str]:
    """The identities that a training on this data set saw."""
    return set(store.identities(np.concatenate([store.rows(split) for split in TRAINING])))


def refuse_leakage(trained: Mapping[str, FaceStore], faces: FaceStore, rows: Sequence[int], allow: bool) -> int:
    """How many of the identities in `rows` of `faces` were seen in training; `trained` holds the stores by role.

    Two identities are one person where their names are equal, be it in one data set or in two: CelebA's 2880 is found
    again in CelebA-HQ, a person who has another name elsewhere is not. Raises DfdError for any such unless `allow`.
    """
    evaluated = set(faces.identities(rows))
    seen = {role: evaluated & people_seen(store) for role, store in trained.items()}
    leaked = set().union(*seen.values())
    if leaked and not allow:
        few = ", ".join(sorted(leaked)[:3]) + (", …" if len(leaked) > 3 else "")
        roles = ", ".join(f"{role} ({trained[role].name})" for role, people in seen.items() if people)
        raise DfdError(
            f"{faces.path}: {len(leaked)} of {len(evaluated)} identities to be evaluated were seen in training ({few}), "
            f"by {roles}; give both data sets the same `split`, or set roles.allow_leakage: true"
        )
    return len(leaked)
