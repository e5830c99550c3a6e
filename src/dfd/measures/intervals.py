"""95 % intervals by resampling identities: photos of one person are alike, so they are no independent observations.

Where a measure is of several trainings that differ in their seed alone, these are resampled beside the identities.
"""

from collections.abc import Callable

import numpy as np

# For too few identities: an interval of width 0 would claim certainty.
NO_INTERVAL = {"ci95_low": None, "ci95_high": None, "ci95_note": "too few identities to resample"}


def bootstrap_weights(n_identities: int, samples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each identity is drawn in each bootstrap replicate, int (samples, n_identities); rows sum to n_identities.

    Drawing n of n identities with replacement (Efron, 1979) is one multinomial draw of their counts.
    """
    return generator.multinomial(n_identities, np.full(n_identities, 1 / n_identities), size=samples)


def percentiles(replicates: np.ndarray) -> dict[str, float]:
    """`ci95_low` and `ci95_high`: the 2.5th and 97.5th percentile of the replicates (samples,)."""
    low, high = np.percentile(replicates, [2.5, 97.5])
    return {"ci95_low": float(low), "ci95_high": float(high)}


def mean_interval(
    values: np.ndarray, identities: np.ndarray, samples: int = 1000, *, generator: np.random.Generator
) -> dict:
    """The mean of values (N,) and its interval over identities (N,), of any type: `mean`, `ci95_low`, `ci95_high`.

    values: or (S, N), of S trainings of the same network: their mean, and an interval that holds what one training
    differs from the next by. Each replicate draws S − 1 of them with replacement, for all identities alike: S of so few
    would spread too little, by (S − 1)/S (Rao & Wu, 1988).

    Each drawn identity brings all its values (cluster bootstrap; Field & Welsh, 2007), whose mean is then taken. With
    one identity there is no interval: both ends are None, and `ci95_note` says so.
    Raises ValueError for no values, for NaN or infinity, and for lengths that differ.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim not in (1, 2) or values.shape[-1] != len(identities) or not values.size:
        shapes = f"values {values.shape} and identities ({len(identities)},)"
        raise ValueError(f"{shapes} must be alike, (N,) or (S, N), and not empty")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite")
    trainings = np.atleast_2d(values)
    _, codes = np.unique(np.asarray(identities), return_inverse=True)
    counts = np.bincount(codes)
    mean = {"mean": float(trainings.mean(1).mean())}
    if len(counts) < 2:
        return mean | NO_INTERVAL
    weights = bootstrap_weights(len(counts), samples, generator)
    replicates = np.stack([(weights @ np.bincount(codes, weights=row)) / (weights @ counts) for row in trainings], 1)
    return mean | percentiles((replicates * _training_shares(len(trainings), samples, generator)).sum(1))


def _training_shares(trainings: int, samples: int, generator: np.random.Generator) -> np.ndarray:
    """The share of each training in each replicate, (samples, trainings); rows sum to 1."""
    if trainings == 1:
        return np.ones((samples, 1))
    return generator.multinomial(trainings - 1, np.full(trainings, 1 / trainings), size=samples) / (trainings - 1)


def paired_interval(
    a: np.ndarray, b: np.ndarray, identities: np.ndarray, samples: int = 1000, *, generator: np.random.Generator
) -> dict:
    """`mean_interval` of a − b, for two measures (N,) of the same faces in the same order, or two (S, N), of trainings by
    the same seeds in the same order."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a {a.shape} and b {b.shape} must measure the same faces")
    return mean_interval(a - b, identities, samples, generator=generator)


def within_between(
    within: np.ndarray,
    between: np.ndarray,
    ratio: Callable[[np.ndarray, np.ndarray], np.ndarray],
    samples: int = 1000,
    *,
    generator: np.random.Generator,
) -> tuple[dict, dict, dict]:
    """A measure of pairs within a person and of pairs of two people, and a `ratio` of both means.

    within: (P,), one number per person. between: (P, P), symmetric, one per pair of people; its diagonal is not read.
    Returns (mean of within, mean of between, ratio of these), as `mean` or `value` with `ci95_low` and `ci95_high`.
    Each replicate weighs the people once for all three, and a pair by the product of both (vertex bootstrap: Snijders
    & Borgatti, 1999). Between is None, with a note, where there is only one person, and the ratio also where people do
    not differ. Raises ValueError for no person.
    """
    people = len(within)
    if not people or between.shape != (people, people):
        raise ValueError(f"within {within.shape} and between {between.shape} must be (P,) and (P, P), and not empty")
    if people < 2:
        nothing = {"ci95_low": None, "ci95_high": None, "between_note": "there is only one person"}
        return {"mean": float(within[0])} | NO_INTERVAL, {"mean": None} | nothing, {"value": None} | nothing
    between = np.where(np.eye(people, dtype=bool), 0, between)
    drawn = np.vstack([np.ones(people), bootstrap_weights(people, samples, generator)])
    pairs = (drawn.sum(1)) ** 2 - (drawn**2).sum(1)
    drawn, pairs = drawn[pairs > 0], pairs[pairs > 0]  # a replicate of one person has no pairs
    inside, across = drawn @ within / drawn.sum(1), ((drawn @ between) * drawn).sum(1) / pairs
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = ratio(inside, across)
    intervals = [NO_INTERVAL] * 3 if people < 3 else [percentiles(reps[1:]) for reps in (inside, across, quotient)]
    names, values = ("mean", "mean", "value"), (inside[0], across[0], quotient[0])
    found = [{n: float(v)} | interval for n, v, interval in zip(names, values, intervals, strict=True)]
    if not np.isfinite(quotient).all():
        nothing = {"value": None, "ci95_low": None, "ci95_high": None}
        found[2] = nothing | {"ratio_note": "people do not differ: there is nothing to be a share of"}
    return tuple(found)
