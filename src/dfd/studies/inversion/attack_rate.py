"""The success attack rate (SAR) of reconstructions, at thresholds of the system that is attacked.

SAR = accepted / all attempts, whether or not there was anything to solve: type I against the very photo that the template
was made from, type II against other photos of the person (Mai et al., TPAMI 2019). The threshold is the lowest at which the
system, unattacked, has no more than the stated FMR (false match rate, of all impostor comparisons). Who has no second
photo counts in type I alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfd.core.left_out import LeftOut
from dfd.measures.acceptance import Attempts
from dfd.measures.estimates import People
from dfd.measures.verification import ABOVE_ALL, Pairs

CURVE = 60  # points of a curve, evenly spaced in log FMR
NO_OTHERS = LeftOut("no person has two photos: there is nothing of type II")


class Point(NamedTuple):
    """An operating point: its threshold, None where there is none, and the system there, as metrics, which say why."""

    threshold: float | None
    metrics: dict

    @property
    def left_out(self) -> LeftOut | None:
        """Why there is no threshold."""
        return LeftOut.among(self.metrics, "threshold")


class Attacked(NamedTuple):
    """Attempts on one recognizer, the identities (K,) of the reconstructions, and the recognizer's points by FMR."""

    attempts: Attempts
    identities: np.ndarray
    points: Mapping[float, Point]


def key(fmr: float) -> str:
    """How metrics call an operating point."""
    return f"fmr_{fmr:g}"


def operating_points(pairs: Pairs, fmrs: Sequence[float]) -> dict[float, Point]:
    """By FMR the lowest of the pairs' scores that accepts no more than that share of the impostor pairs.

    Its metrics: threshold, the `fmr` reached and `fnmr` (1 − TAR) with their counts. An FMR that is less than one impostor
    pair in all has no threshold: null, with a `threshold_note`. `fnmr` is null, with a note, without genuine pairs.
    """
    impostor, genuine = (np.sort(pairs.scores[part]) for part in (~pairs.genuine, pairs.genuine))
    thresholds = np.unique(pairs.scores)
    n_accepted = len(impostor) - np.searchsorted(impostor, thresholds)  # falling
    points = {}
    for fmr in fmrs:
        allowed = int(fmr * len(impostor) + 1e-9)
        metrics = {"threshold": None, "fmr": None, "fnmr": None, "n_impostor": len(impostor), "n_genuine": len(genuine)}
        step = int(np.searchsorted(-n_accepted, -allowed))
        if allowed < 1:
            too_few = LeftOut(f"{len(impostor)} impostor pairs are too few for a FMR of {fmr:g}")
            points[fmr] = Point(None, metrics | too_few.metrics("threshold"))
            continue
        if step == len(thresholds):
            points[fmr] = Point(None, metrics | ABOVE_ALL.metrics("threshold"))
            continue
        threshold, false = thresholds[step], int(n_accepted[step])
        rejected = int(np.searchsorted(genuine, threshold))
        metrics |= {"threshold": float(threshold), "fmr": false / len(impostor), "accepted_impostor": false}
        metrics["rejected_genuine"] = rejected
        if len(genuine):
            metrics["fnmr"] = rejected / len(genuine)
        else:
            metrics |= LeftOut("no person has two photos: there are no genuine pairs").metrics("fnmr")
        points[fmr] = Point(float(threshold), metrics)
    return points


def attack_rates(attacked: Attacked, samples: int, seed: int) -> dict:
    """By FMR `type_1` and `type_2`: SAR as `value` with its interval over identities, `accepted` of `n` attempts; and
    `type_2_minus_type_1`, paired: each attempt of type II beside its reconstruction's of type I. Null, with a note, where
    there is no threshold or nobody has another photo."""
    return {key(fmr): _rates(attacked, point, samples, seed) for fmr, point in attacked.points.items()}


def _rates(attacked: Attacked, point: Point, samples: int, seed: int) -> dict:
    if point.threshold is None:
        return dict.fromkeys(("type_1", "type_2", "type_2_minus_type_1"), no_rate(point.left_out))
    same, other, attack = attacked.attempts
    same, other = same >= point.threshold, other >= point.threshold
    rates = {"type_1": share(same, attacked.identities, samples, seed)}
    if not len(other):
        return rates | dict.fromkeys(("type_2", "type_2_minus_type_1"), no_rate(NO_OTHERS))
    whose = attacked.identities[attack]
    difference = People(whose, samples, seed).difference(other.astype(float), same[attack].astype(float))
    return rates | {
        "type_2": share(other, whose, samples, seed),
        "type_2_minus_type_1": difference.metrics(),
    }


def share(flags: np.ndarray, identities: np.ndarray, samples: int, seed: int) -> dict:
    """How many of the attempts (A,) of these identities (A,) are accepted, as metrics."""
    rate = People(identities, samples, seed).share(flags).metrics("value")
    return rate | {"accepted": int(flags.sum()), "n": len(flags)}


def no_rate(left_out: LeftOut, note: str = "sar") -> dict:
    """The metrics of a rate that cannot be had."""
    return left_out.metrics("value", "ci95_low", "ci95_high", "accepted", "n", note=note)


def rate_curve(pairs: Pairs, attempts: Attempts) -> pd.DataFrame:
    """A row per FMR that the impostor pairs can tell, 1/n to 1: columns fmr, threshold, fnmr, type_1, type_2.

    What cannot be had (fnmr and type II where nobody has two photos) is NaN.
    """
    impostor, genuine = (np.sort(pairs.scores[part]) for part in (~pairs.genuine, pairs.genuine))
    if not len(impostor):
        return pd.DataFrame(columns=["fmr", "threshold", "fnmr", "type_1", "type_2"], dtype=float)
    counts = np.unique(np.geomspace(1, len(impostor), CURVE).round().astype(int))
    thresholds = impostor[len(impostor) - counts]

    def reaching(scores: np.ndarray) -> np.ndarray:
        if not len(scores):
            return np.full(len(thresholds), np.nan)
        return (scores[:, None] >= thresholds).mean(0)

    def below(scores: np.ndarray) -> np.ndarray:
        return np.searchsorted(scores, thresholds) / len(scores) if len(scores) else np.full(len(thresholds), np.nan)

    return pd.DataFrame(
        {
            "fmr": 1 - below(impostor),
            "threshold": thresholds,
            "fnmr": below(genuine),
            "type_1": reaching(attempts.same),
            "type_2": reaching(attempts.other),
        }
    ).drop_duplicates("threshold")
