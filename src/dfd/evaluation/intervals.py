"""95 % intervals by resampling identities: photos of one person are alike, so they are no independent observations."""

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

    Each drawn identity brings all its values (cluster bootstrap; Field & Welsh, 2007), whose mean is then taken. With
    one identity there is no interval: both ends are None, and `ci95_note` says so.
    Raises ValueError for no values, for NaN or infinity, and for lengths that differ.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(identities) or not len(values):
        raise ValueError(f"values {values.shape} and identities ({len(identities)},) must be alike, (N,) and not empty")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {len(values)} values are NaN or infinite")
    _, codes = np.unique(np.asarray(identities), return_inverse=True)
    counts, sums = np.bincount(codes), np.bincount(codes, weights=values)
    mean = {"mean": float(values.mean())}
    if len(counts) < 2:
        return mean | NO_INTERVAL
    weights = bootstrap_weights(len(counts), samples, generator)
    return mean | percentiles((weights @ sums) / (weights @ counts))


def paired_interval(
    a: np.ndarray, b: np.ndarray, identities: np.ndarray, samples: int = 1000, *, generator: np.random.Generator
) -> dict:
    """`mean_interval` of a − b, for two measures (N,) and (N,) of the same faces in the same order."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a {a.shape} and b {b.shape} must measure the same faces")
    return mean_interval(a - b, identities, samples, generator=generator)
