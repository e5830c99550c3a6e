"""Table 2: original templates against those of perturbed faces, without and with the maps that undo the perturbation.

Everywhere: originals (N, D); perturbed and mapped: {condition: (N, D)}, of the same faces; any number of conditions.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from dfd.core.left_out import LeftOut
from dfd.measures.acceptance import has_pairs
from dfd.measures.estimates import People, Verification
from dfd.measures.side_by_side import NOBODY
from dfd.measures.verification import FARS, cosine_pairs, roc_table
from dfd.studies.equivariance.perturbed import Sides
from dfd.studies.equivariance.view2 import (
    pair_scores,
    people_of,
    usable_pairs,
    view2_paired,
    view2_summary,
)
from dfd.templates.people import first_photos
from dfd.templates.store import Templates as Store

Templates = Mapping[str, np.ndarray]
CURVES = ["condition", "map", "far", "tar", "threshold"]


def photos_compared(
    sides: Sides, identities: np.ndarray, photos: int, samples: int, seed: int
) -> tuple[dict, pd.DataFrame]:
    """`all_pairs` of the first `photos` of each person in identities (N,), the faces of the sides; `faces_beyond_limit`
    counts the others. Null, with a note, where there are no pairs of both kinds.
    """
    people = len(np.unique(identities))
    if not 1 < people < len(identities):
        few = f"{len(identities)} faces of {people} people: too few for both a person's pair and a pair of two people"
        metrics = {}
        for condition in ("original", *sides.perturbed):
            metrics |= LeftOut(few).metrics(condition)
        return metrics, pd.DataFrame(columns=CURVES)
    kept = first_photos(identities, photos)
    metrics, curves = all_pairs(*sides.among(kept), People(identities[kept], samples, seed))
    return {"faces_beyond_limit": len(identities) - len(kept)} | metrics, curves


def view2_of_photos(
    pairs: pd.DataFrame, store: Store, barred: Collection[str], seen: Collection[str], samples: int, seed: int
) -> dict:
    """`view2_summary` of the pairs (see `read_pairs`) of all photos in a store of templates, with the counts of
    `usable_pairs`; barred: whose pairs are left out; seen: in the recognizer's training."""
    keys = store.faces.faces["key"][store.known]
    metrics, used = usable_pairs(pairs, keys, barred, seen)
    if len(used):
        scores = pair_scores(used, keys, store.template[store.known].numpy())
        metrics |= view2_summary(used, scores, people_of(used, samples, seed))
    return metrics


def view2_of_sides(
    pairs: pd.DataFrame, store: Store, rows: np.ndarray, sides: Sides, seen: Collection[str], samples: int, seed: int
) -> dict:
    """`listed_pairs` of the pairs of people at `rows`, whose faces the sides are of; everybody else's are left out."""
    keys = store.faces.faces["key"].iloc[rows]
    others = set(store.faces.faces["identity"]) - set(store.faces.identities(rows))
    metrics, used = usable_pairs(pairs, keys, others, seen)
    if len(used):
        metrics |= listed_pairs(used, keys, *sides, people_of(used, samples, seed))
    return metrics


def all_pairs(
    originals: np.ndarray, perturbed: Templates, mapped: Templates, people: People
) -> tuple[dict, pd.DataFrame]:
    """Over all pairs of faces: `original`, and by condition `without`, `with` and `difference`; and the ROC curves.

    The curves have the columns of `roc_table`, condition and map (`without`, `with`).
    """
    fars = (0.0001, *FARS)
    scores = cosine_pairs(originals, originals, people.identities)
    metrics = {"original": {"without": people.verification(scores, fars).metrics()}}
    curves = [roc_table(scores, points=200).assign(condition="original", map="without")]
    for name, without in perturbed.items():
        sides = {"with": mapped[name], "without": without}
        sides = {side: cosine_pairs(originals, others, people.identities) for side, others in sides.items()}
        rates = {side: people.verification(pairs, fars) for side, pairs in sides.items()}
        metrics[name] = {side: rate.metrics() for side, rate in rates.items()}
        metrics[name]["difference"] = (rates["with"] - rates["without"]).metrics()
        curves += [roc_table(sides[side], points=200).assign(condition=name, map=side) for side in ("without", "with")]
    return metrics, pd.concat(curves)


def listed_pairs(
    pairs: pd.DataFrame,
    keys: Sequence[str],
    originals: np.ndarray,
    perturbed: Templates,
    mapped: Templates,
    people: People,
) -> dict:
    """The same over the pairs of a list (see `read_pairs`), whose second photos are perturbed.

    keys: (N,), the photos'. people: see `people_of`.
    """

    def scores(others: np.ndarray) -> np.ndarray:
        return pair_scores(pairs, keys, originals, others)

    metrics = {"original": {"without": view2_summary(pairs, scores(originals), people)}}
    for name, without in perturbed.items():
        sides = scores(mapped[name]), scores(without)
        metrics[name] = view2_paired(pairs, *sides, people)
    return metrics


def gains_by_recognizer(compared: Mapping[str, Sides], people: People) -> dict:
    """By condition and recognizer but the first, `minus_<first>`: how much more its map gains than that of the first.

    compared: by recognizer, of the same faces. What a map gains is the verification with it minus that without, and one
    gain minus another is paired like each of them.
    """
    if not has_pairs(people.identities):
        return NOBODY.metrics(note="maps")

    def gain(sides: Sides, condition: str) -> Verification:
        views = sides.mapped[condition], sides.perturbed[condition]
        with_, without = (cosine_pairs(sides.originals, view, people.identities) for view in views)
        return people.verification(with_) - people.verification(without)

    first, *others = compared
    metrics: dict = {}
    for condition in compared[first].perturbed:
        reference = gain(compared[first], condition)
        metrics[condition] = {
            name: {f"minus_{first}": (gain(compared[name], condition) - reference).metrics()} for name in others
        }
    return metrics
