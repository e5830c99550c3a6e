"""A number with its 95 % interval, and the people that it is about."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dfd.measures.intervals import mean_interval


class Estimate(NamedTuple):
    """A value of n observations of so many people, and its interval; `note` where that is missing."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    people: int = 0
    paired: bool = False
    note: str | None = None

    def metrics(self, name: str = "mean") -> dict:
        """As metrics hold it."""
        found = {name: self.value, "ci95_low": self.low, "ci95_high": self.high}
        return found | ({"ci95_note": self.note} if self.note else {})


class People:
    """The identities (N,) of observations, and their resampling, the same for whatever is measured of them."""

    def __init__(self, identities: Sequence[str] | np.ndarray, samples: int, seed: int):
        self.identities, self.samples, self.seed = np.asarray(identities), samples, seed

    @cached_property
    def count(self) -> int:
        return len(np.unique(self.identities))

    def mean(self, values: np.ndarray) -> Estimate:
        """The mean of values (N,)."""
        generator = np.random.default_rng(self.seed)
        found = mean_interval(values, self.identities, self.samples, generator=generator)
        ends = found["ci95_low"], found["ci95_high"]
        return Estimate(found["mean"], *ends, len(values), self.count, note=found.get("ci95_note"))

    def difference(self, a: np.ndarray, b: np.ndarray) -> Estimate:
        """The mean of a − b, both (N,)."""
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        found = self.mean(a - b)._replace(paired=True)
        if np.ptp(a - b) == 0:
            note = "every comparison differs alike: no width to resample"
            return found._replace(low=None, high=None, note=note)
        return found

    def share(self, flags: np.ndarray) -> Estimate:
        """The share of flags (N,) that are set. Where all are alike resampling sees no width: the interval is then the exact
        one of a binomial with a trial per identity (Clopper & Pearson, 1934)."""
        found = self.mean(np.asarray(flags, dtype=float))
        if found.value in (0.0, 1.0):
            width = 1 - 0.025 ** (1 / self.count)
            low, high = found.value * (1 - width), found.value + (1 - found.value) * width
            return found._replace(low=low, high=high, note=None)
        return found
