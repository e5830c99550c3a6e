"""Table 2: original templates against those of perturbed faces, without and with the maps that undo the perturbation.

Everywhere: originals (N, D); perturbed and mapped: {condition: (N, D)}, of the same faces; any number of conditions.
Every figure draws its bootstrap samples from a generator of its own, so that it does not hang on those before it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dfd.measures.verification import FARS, cosine_pairs, paired_summary, roc_table, verification_summary
from dfd.studies.equivariance.view2 import pair_scores, view2_paired, view2_summary

Templates = Mapping[str, np.ndarray]


def all_pairs(
    originals: np.ndarray, perturbed: Templates, mapped: Templates, identities: np.ndarray, samples: int, seed: int
) -> tuple[dict, pd.DataFrame]:
    """Over all pairs of faces: `original`, and by condition `without`, `with` and `difference`; and the ROC curves.

    The curves have the columns of `roc_table`, condition and map (`without`, `with`).
    """
    fars = (0.0001, *FARS)
    scores = cosine_pairs(originals, originals, identities)
    metrics = {
        "original": {"without": verification_summary(scores, fars, samples, generator=np.random.default_rng(seed))}
    }
    curves = [roc_table(scores, points=200).assign(condition="original", map="without")]
    for name, without in perturbed.items():
        sides = {"with": mapped[name], "without": without}
        sides = {side: cosine_pairs(originals, others, identities) for side, others in sides.items()}
        metrics[name] = paired_summary(*sides.values(), fars, samples, generator=np.random.default_rng(seed))
        curves += [roc_table(sides[side], points=200).assign(condition=name, map=side) for side in ("without", "with")]
    return metrics, pd.concat(curves)


def listed_pairs(
    pairs: pd.DataFrame,
    keys: Sequence[str],
    originals: np.ndarray,
    perturbed: Templates,
    mapped: Templates,
    samples: int,
    seed: int,
) -> dict:
    """The same over the pairs of a list (see `read_pairs`), whose second photos are perturbed; keys: (N,), the photos'."""

    def scores(others: np.ndarray) -> np.ndarray:
        return pair_scores(pairs, keys, originals, others)

    metrics = {
        "original": {"without": view2_summary(pairs, scores(originals), samples, generator=np.random.default_rng(seed))}
    }
    for name, without in perturbed.items():
        sides = scores(mapped[name]), scores(without)
        metrics[name] = view2_paired(pairs, *sides, samples, generator=np.random.default_rng(seed))
    return metrics
