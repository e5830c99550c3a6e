"""Verification on LFW's view 2: what is chosen on nine folds is tested on the tenth (Huang et al., 2007).

A pair is accepted when its score reaches the threshold. A pair with a photo in which no face was found has the score
NaN: it is always rejected, never skipped, and counted.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
from dfd.faces.leakage import identity_of
from dfd.measures.estimates import People
from dfd.measures.verification import Pairs, tar_at_far, unit


def people_in(pairs: pd.DataFrame) -> set[str]:
    """The people in pairs (see `read_pairs`)."""
    return set(_people(pairs))


def _people(pairs: pd.DataFrame) -> pd.Series:
    """Whom the first photos show, then whom the second ones do."""
    return pd.concat([pairs["first"], pairs["second"]]).map(identity_of)


def pairs_without(pairs: pd.DataFrame, people: Collection[str]) -> pd.DataFrame:
    """The pairs that show none of these people."""
    first, second = (pairs[column].map(identity_of).isin(people) for column in ("first", "second"))
    return pairs[~(first | second)].reset_index(drop=True)


def too_few(pairs: pd.DataFrame) -> LeftOut | None:
    """Why the protocol cannot be followed with these pairs; None where two folds or more have pairs of both kinds."""
    whole = pairs.groupby("fold")["genuine"].nunique() == 2
    if len(whole) > 1 and whole.all():
        return None
    reason = f"{len(pairs)} pairs in {len(whole)} folds are too few for view 2"
    return LeftOut(f"left out: {reason} (pairs with people seen in training are not used)")


def usable_pairs(
    pairs: pd.DataFrame, keys: pd.Series, barred: Collection[str], seen: Collection[str]
) -> tuple[dict, pd.DataFrame]:
    """How many pairs show nobody of `barred`, how many are left out, and how many of `seen` are in the former; and these
    pairs, none of them, with a note, where those whose photos have `keys` are too few.
    """
    used = pairs_without(pairs, barred)
    counts = {
        "n_pairs": len(used),
        "pairs_left_out": len(pairs) - len(used),
        "leaked_identities": len(people_in(used).intersection(seen)),
    }
    scored = used["first"].isin(keys) & used["second"].isin(keys)
    if left_out := too_few(used[scored]):
        return counts | left_out.metrics("accuracy", note="view2"), used[:0]
    return counts, used


def pair_scores(
    pairs: pd.DataFrame, keys: Sequence[str], templates: np.ndarray, others: np.ndarray | None = None
) -> np.ndarray:
    """The cosines (P,) of `pairs` (see `read_pairs`), NaN where a photo has no template.

    keys: (N,) of the photos that have one, in the order of `templates` (N, D) and of `others` (N, D), from which a
    pair's second template comes where they are given. A template of length zero has cosine 0 with all others.
    Raises DfdError where no pair has both.
    """
    ours, theirs = (unit(np.asarray(side, np.float64)) for side in (templates, templates if others is None else others))
    rows = pd.Index(keys)
    first, second = rows.get_indexer(pairs["first"]), rows.get_indexer(pairs["second"])
    found = (first >= 0) & (second >= 0)
    if not found.any():
        raise DfdError(f"none of the {len(pairs)} pairs has both its photos in the data set; verify on all of LFW")
    scores = np.full(len(pairs), np.nan)
    scores[found] = (ours[first[found]] * theirs[second[found]]).sum(1).clip(-1, 1)
    return scores


def view2(pairs: pd.DataFrame, scores: np.ndarray, fars: Sequence[float] = (0.001, 0.01)) -> dict:
    """The metrics of view 2, for `pairs` (see `read_pairs`) with their scores (P,):

    `failures`, the pairs without a score; `accuracy`, of each fold at the threshold with the highest accuracy on all
    other folds, as `mean` and `standard_error`; `tar_at_far_<far>`, of all pairs together (see `tar_at_far`), and under
    `folds` the TAR and the FAR of each fold at the threshold that its other folds have for this FAR.
    Raises DfdError for a single fold, ValueError for scores of another number than pairs.
    """
    scores, genuine = np.asarray(scores, np.float64), pairs["genuine"].to_numpy(bool)
    if scores.shape != (len(pairs),):
        raise ValueError(f"scores {scores.shape} must be ({len(pairs)},), one for each pair")
    folds = [(pairs["fold"] == number).to_numpy() for number in pairs["fold"].unique()]
    if len(folds) < 2:
        raise DfdError("one fold of pairs has no other to choose a threshold on: give LFW's pairs.txt")
    failed = np.isnan(scores)
    thresholds = [best_threshold(scores[~fold], genuine[~fold]) for fold in folds]
    metrics = {
        "n_pairs": len(pairs),
        "n_folds": len(folds),
        "failures": {
            "pairs": int(failed.sum()),
            "genuine": int((failed & genuine).sum()),
            "impostor": int((failed & ~genuine).sum()),
        },
        "accuracy": _over_folds(
            [((scores >= t) == genuine)[fold].mean() for fold, t in zip(folds, thresholds, strict=True)]
        ),
    }
    compared = as_pairs(pairs, scores)
    for far in fars:
        thresholds = [_threshold_at(far, Pairs(*(column[~fold] for column in compared))) for fold in folds]
        rates = {
            name: _over_folds([(scores >= t)[fold & kind].mean() for fold, t in zip(folds, thresholds, strict=True)])
            for name, kind in (("tar", genuine), ("far", ~genuine))
        }
        metrics[f"tar_at_far_{far:g}"] = tar_at_far(compared, far) | {"folds": rates}
    return metrics


def people_of(pairs: pd.DataFrame, samples: int, seed: int) -> People:
    """Those in the pairs, by the codes that `as_pairs` gives them: resampled, they weigh pairs."""
    return People(range(len(people_in(pairs))), samples, seed)


def view2_summary(pairs: pd.DataFrame, scores: np.ndarray, people: People) -> dict:
    """`view2`, and of all pairs together EER, AUC and the intervals of these and of each TAR; people: see `people_of`."""
    return _joined(view2(pairs, scores), people.verification(as_pairs(pairs, scores)).metrics())


def view2_paired(pairs: pd.DataFrame, with_scores: np.ndarray, without_scores: np.ndarray, people: People) -> dict:
    """`view2_summary` of the same pairs `with` and `without` something, and the paired `difference` of the rates."""
    sides = {"with": with_scores, "without": without_scores}
    rates = {side: people.verification(as_pairs(pairs, scores)) for side, scores in sides.items()}
    summary = {side: _joined(view2(pairs, scores), rates[side].metrics()) for side, scores in sides.items()}
    return summary | {"difference": (rates["with"] - rates["without"]).metrics()}


def _joined(by_folds: dict, pooled: dict) -> dict:
    return by_folds | {name: by_folds.get(name, {}) | values for name, values in pooled.items()}


def best_threshold(scores: np.ndarray, genuine: np.ndarray) -> float:
    """The threshold with the highest accuracy, the lowest of equals: in the middle of two neighbouring scores, the
    least score (accept all) or infinity (accept none).

    scores: (P,), NaN for pairs that every threshold rejects; genuine: (P,) bool.
    """
    known = ~np.isnan(scores)
    steps = np.unique(scores[known])
    middles = np.maximum(
        (steps[:-1] + steps[1:]) / 2, np.nextafter(steps[:-1], np.inf)
    )  # above the lower, however near
    thresholds = np.concatenate([steps[:1], middles, [np.inf]])
    accepted_genuine = -np.searchsorted(np.sort(scores[known & genuine]), thresholds)  # but for a constant
    rejected_impostors = np.searchsorted(np.sort(scores[known & ~genuine]), thresholds)
    return float(thresholds[np.argmax(accepted_genuine + rejected_impostors)])


def as_pairs(pairs: pd.DataFrame, scores: np.ndarray) -> Pairs:
    """The pairs as `dfd.measures.verification` has them, for cosines (P,); a missing one (NaN) becomes −2."""
    first, second = np.split(pd.factorize(_people(pairs))[0].astype(np.int32), 2)
    return Pairs(np.where(np.isnan(scores), -2.0, scores), pairs["genuine"].to_numpy(bool), first, second)


def _threshold_at(far: float, pairs: Pairs) -> float:
    threshold = tar_at_far(pairs, far)["threshold"]
    return np.inf if threshold is None else threshold


def _over_folds(values: Sequence[float]) -> dict[str, float]:
    """Mean and standard error, s / √folds."""
    return {"mean": float(np.mean(values)), "standard_error": float(np.std(values, ddof=1) / np.sqrt(len(values)))}
