"""Table 2: original templates against those of perturbed faces, without and with the maps that undo the perturbation.

Everywhere: originals (N, D); perturbed and mapped: {condition: (N, D)}, of the same faces; any number of conditions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dfd.measures.estimates import People
from dfd.measures.verification import FARS, cosine_pairs, roc_table
from dfd.studies.equivariance.view2 import pair_scores, view2_paired, view2_summary

Templates = Mapping[str, np.ndarray]


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
        metrics[name] = {side: found.metrics() for side, found in rates.items()}
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
