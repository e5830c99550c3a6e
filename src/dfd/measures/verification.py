"""Verification: is a pair of templates one person? ROC, TAR at a FAR, EER, AUC (paper, section 4.2 and table 2).

A pair is accepted when its score reaches the threshold. FAR is the share of impostor pairs accepted, TAR that of
genuine pairs. Every rate is read at one of the ROC's own steps, one per distinct score: nothing is interpolated.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfd.core.left_out import LeftOut

CHUNK = 256  # rows of the cosine matrix held at once
CUMULATED = 1 << 16  # impostor pairs weighed at once
FARS = (0.001, 0.01)
ABOVE_ALL = LeftOut("an impostor pair has the highest score of all: any threshold accepts too many")


class Pairs(NamedTuple):
    """Compared pairs of templates; the identities of a pair are codes 0, 1, …, and equal in genuine pairs only."""

    scores: np.ndarray  # (P,) float32, cosine in [-1, 1]
    genuine: np.ndarray  # (P,) bool
    first: np.ndarray  # (P,) int
    second: np.ndarray  # (P,) int


def cosine_pairs(a: np.ndarray, b: np.ndarray, identities: np.ndarray) -> Pairs:
    """All N(N−1)/2 pairs i < j, in row order, scored with the cosine of template a_i and template b_j.

    a, b: (N, D), two views of the same faces in the same order (the same array, for plain verification).
    identities: (N,), of any type. A template of length zero has cosine 0 with all others.
    Takes 13 bytes a pair. Raises ValueError for shapes that differ and for NaN or infinity.
    """
    a, b, identities = np.asarray(a), np.asarray(b), np.asarray(identities)
    if a.shape != b.shape or a.ndim != 2 or identities.shape != a.shape[:1]:
        raise ValueError(f"a {a.shape}, b {b.shape} and identities {identities.shape} must be (N, D), (N, D) and (N,)")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("templates hold NaN or infinity")
    a, b = unit(a).astype(np.float32), unit(b).astype(np.float32)
    codes = np.unique(identities, return_inverse=True)[1].astype(np.int32)
    count = len(a) * (len(a) - 1) // 2
    pairs = Pairs(*(np.empty(count, kind) for kind in (np.float32, bool, np.int32, np.int32)))
    start = 0
    for row in range(0, len(a), CHUNK):
        rows = np.arange(row, min(row + CHUNK, len(a)))
        later = np.arange(len(a)) > rows[:, None]
        part = slice(start, start + int(later.sum()))
        pairs.scores[part] = np.clip(a[rows] @ b.T, -1, 1)[later]
        pairs.first[part] = np.repeat(codes[rows], later.sum(1))
        pairs.second[part] = np.broadcast_to(codes, later.shape)[later]
        start = part.stop
    np.equal(pairs.first, pairs.second, out=pairs.genuine)
    return pairs


def unit(templates: np.ndarray) -> np.ndarray:
    """Templates (N, D) at length one, in float64; those of length zero stay as they are."""
    norms = np.linalg.norm(templates.astype(np.float64), axis=1, keepdims=True)
    return templates / np.where(norms > 0, norms, 1)


class Steps:
    """The steps of a ROC, one per distinct score, and how many pairs each accepts.

    thresholds: (S,) inf, then the distinct scores, falling. n_false, n_true: (S,) impostor and genuine pairs accepted.
    """

    def __init__(self, pairs: Pairs):
        scores, genuine, first, second = (np.asarray(column) for column in pairs)
        if not np.isfinite(scores).all():
            raise ValueError("scores hold NaN or infinity")
        if not np.array_equal(genuine, first == second):
            raise ValueError("a pair must be genuine exactly where its two identities are equal")
        for name, present in (("genuine", genuine.any()), ("impostor", not genuine.all())):
            if not present:
                raise ValueError(f"no {name} pairs among {len(scores)} pairs: verification needs genuine and impostors")
        # Sorted once, and dropped before what takes as much: of 87 million scores each copy is 0.35 GB.
        rising = np.sort(scores)
        new = np.append(True, rising[1:] != rising[:-1])
        rising = rising[new]
        lower = np.flatnonzero(new).astype(np.int32)
        del new
        reached = np.append(np.int32(len(scores)) - lower, np.int32(0))
        del lower
        places = np.searchsorted(rising, np.sort(scores[genuine]))  # of each genuine pair among the distinct scores
        fewer = np.arange(len(places), -1, -1, dtype=np.int32)
        n_true = np.repeat(fewer, np.diff(places, prepend=-1, append=len(rising)))
        self.thresholds = np.append(rising, rising.dtype.type(np.inf))[::-1]
        reached -= n_true
        self.n_false, self.n_true = reached[::-1], n_true[::-1]
        # For the AUC: how many impostor pairs score above each genuine pair, and how many at least as high.
        step = len(rising) - places[::-1]
        self.above, self.at_least = self.n_false[step - 1], self.n_false[step]

    def unweighted(self) -> tuple[np.ndarray, np.ndarray]:
        """How many the n best impostor pairs (P_impostor + 1,) and genuine pairs (P_genuine + 1,) are, n = 0, 1, …"""
        return tuple(np.arange(n[-1] + 1, dtype=np.int32) for n in (self.n_false, self.n_true))

    def last_step(self, false: np.ndarray, far: float) -> int:
        """The step with the lowest threshold that accepts no more than `far` of the impostor pairs."""
        if not 0 <= far <= 1:
            raise ValueError(f"a FAR of {far} is not in [0, 1]")
        allowed = int(far * int(false[-1]) + 1e-9)  # 0.29 × 100 is 28.999999999999996
        return bisect_right(range(len(self.thresholds)), allowed, key=lambda step: false[self.n_false[step]]) - 1

    def tar(self, false: np.ndarray, true: np.ndarray, far: float) -> float:
        return true[self.n_true[self.last_step(false, far)]] / true[-1]

    def tar_at_far(self, far: float) -> dict:
        """See the function `tar_at_far`."""
        false, true = self.unweighted()
        step = self.last_step(false, far)
        threshold = float(self.thresholds[step])
        result = {
            "value": float(self.tar(false, true, far)),
            "far": float(self.n_false[step] / false[-1]),
            "threshold": threshold if np.isfinite(threshold) else None,
            "n_genuine": int(true[-1]),
            "n_impostor": int(false[-1]),
            "accepted_genuine": int(self.n_true[step]),
            "accepted_impostor": int(self.n_false[step]),
        }
        if result["threshold"] is None:
            result |= ABOVE_ALL.metrics("threshold")
        if false[-1] * far < 1 - 1e-9:
            result["note"] = (
                f"{false[-1]} impostor pairs are too few for a FAR of {far:g}: TAR without a false acceptance"
            )
        return result

    def eer(self, false: np.ndarray, true: np.ndarray) -> float:
        def errors(step: int) -> float:  # FMR + FNMR
            return 1 + false[self.n_false[step]] / false[-1] - true[self.n_true[step]] / true[-1]

        def ahead(step: int) -> int:  # FMR - FNMR, which rises, times both totals: whole numbers tell equality
            rejected = int(true[-1]) - int(true[self.n_true[step]])
            return int(false[self.n_false[step]]) * int(true[-1]) - rejected * int(false[-1])

        step = bisect_left(range(len(self.thresholds)), 0, key=ahead)
        if ahead(step) == 0:
            return errors(step) / 2
        return min(errors(step - 1), errors(step)) / 2

    def auc(self, false: np.ndarray, true: np.ndarray) -> float:
        lost = np.diff(true) @ (false[self.above].astype(np.int64) + false[self.at_least]) / 2
        return 1 - lost / (float(true[-1]) * float(false[-1]))


class Curve(Steps):
    """A ROC, and whose pairs it accepts, so that identities can be weighed anew for each replicate."""

    def __init__(self, pairs: Pairs):
        super().__init__(pairs)
        scores, genuine, first, second = (np.asarray(column) for column in pairs)
        # Codes without gaps: the bootstrap draws among the identities that occur.
        occurs = (np.bincount(first, minlength=second.max() + 1) + np.bincount(second, minlength=first.max() + 1)) > 0
        codes = np.cumsum(occurs, dtype=np.int32) - 1
        self.n_identities = int(occurs.sum())
        true, false = np.flatnonzero(genuine), np.flatnonzero(~genuine)
        true, false = true[np.argsort(-scores[true])], false[np.argsort(-scores[false])]
        self.true_identity = codes[first[true]]
        self.false_first, self.false_second = codes[first[false]], codes[second[false]]

    def accepted(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of the n best impostor pairs (P_impostor + 1,) and genuine pairs (P_genuine + 1,), n = 0, 1, …

        weights: (n_identities,) int32. A genuine pair weighs as much as its identity, an impostor pair the product of
        both: what occurs in a sample of people who are drawn with replacement.
        """
        false = np.zeros(len(self.false_first) + 1, np.int64)
        first, second = np.empty((2, CUMULATED), np.int32)
        for start in range(
            0, len(self.false_first), CUMULATED
        ):  # blocks that stay in the cache: half the time for millions
            part = slice(start, min(start + CUMULATED, len(self.false_first)))
            size = part.stop - start
            np.take(weights, self.false_first[part], out=first[:size], mode="clip")  # without mode, `out` is copied
            np.take(weights, self.false_second[part], out=second[:size], mode="clip")
            sums = false[start + 1 : part.stop + 1]
            np.cumsum(first[:size] * second[:size], out=sums)
            sums += false[start]
        true = np.zeros(len(self.true_identity) + 1, np.int64)
        np.cumsum(weights[self.true_identity], out=true[1:])
        return false, true

    def measures(self, weights: np.ndarray, fars: Sequence[float]) -> list[float]:
        """TAR at each FAR, EER and AUC; NaN where the weights leave no genuine or no impostor pairs."""
        false, true = self.accepted(weights)
        if not false[-1] or not true[-1]:
            return [np.nan] * (len(fars) + 2)
        return [*(self.tar(false, true, far) for far in fars), self.eer(false, true), self.auc(false, true)]


def roc(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(FAR, TAR, threshold), each (S,), both rates rising from 0 to 1: the ROC's steps, one per distinct score.

    The first step has threshold inf and accepts nothing. Raises ValueError without genuine or without impostor pairs,
    as do all functions below.
    """
    steps = Steps(pairs)
    return steps.n_false / steps.n_false[-1], steps.n_true / steps.n_true[-1], steps.thresholds


def roc_table(pairs: Pairs, points: int = 500) -> pd.DataFrame:
    """The ROC's steps for a plot with a logarithmic axis: columns far, tar, threshold; no FAR of 0, no infinity.

    Of more than `points` steps those remain that come next below `points` values of FAR, evenly spaced in log FAR.
    """
    every = Steps(pairs)
    n_false, n_true = every.n_false, every.n_true
    steps = np.arange(np.searchsorted(n_false, 1), len(n_false), dtype=np.int32)
    if len(steps) > points:
        wanted = np.geomspace(n_false[steps[0]] / n_false[-1], 1, points)
        # Rates of the steps looked at alone: those of all would take more memory than all else.
        steps = [bisect_right(n_false, far, key=lambda count: count / n_false[-1]) - 1 for far in wanted]
        steps = np.unique(steps)
    rates = {"far": n_false[steps] / n_false[-1], "tar": n_true[steps] / n_true[-1]}
    return pd.DataFrame(rates | {"threshold": every.thresholds[steps]})


def tar_at_far(pairs: Pairs, far: float) -> dict:
    """The highest TAR whose FAR is not above `far`: `value`, and the `far` reached, `threshold` and the counts.

    threshold: the lowest that keeps that FAR; None, with a `threshold_note`, where that is above every score.
    With fewer than 1/far impostor pairs it is the TAR without any false acceptance, and `note` says so.
    """
    return Steps(pairs).tar_at_far(far)


def eer(pairs: Pairs) -> float:
    """The equal error rate, in [0, 1], where FMR (= FAR) and FNMR (= 1 − TAR) cross: lower is better.

    Where no step has both equal, it is the midpoint of FMR and FNMR at one of the two steps beside the crossing, the
    one with the smaller sum (FVC2000: Maio et al., PAMI 2002).
    """
    steps = Steps(pairs)
    return float(steps.eer(*steps.unweighted()))


def auc(pairs: Pairs) -> float:
    """The area under the ROC, in [0, 1]: how often a genuine pair outscores an impostor pair, a tie counting half."""
    steps = Steps(pairs)
    return float(steps.auc(*steps.unweighted()))
