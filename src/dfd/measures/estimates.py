"""Numbers with 95 % intervals by resampling people: photos of one person are alike, so they are no independent observations.

Where a measure is of several trainings that differ in their seed alone, these are resampled beside the people.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dfd.core.left_out import LeftOut
from dfd.measures.verification import FARS, Curve, Pairs

TOO_FEW = LeftOut("too few identities to resample")  # for an interval: of width 0 it would claim certainty


class Estimate(NamedTuple):
    """A number with its 95 % interval.

    n, people: of how many values, of how many people. paired: of a difference, whether both sides were measured on the
    same faces and resampled together; None where it is no difference. left_out: why the number or its interval is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    people: int | None = None
    paired: bool | None = None
    left_out: LeftOut | None = None

    def metrics(
        self, name: str = "mean", *, hits: str | None = None, n: bool = False, note: str | None = None
    ) -> dict[str, float | int | str | None]:
        """The number under `name` (`mean`, `value`, `difference`), with `ci95_low` and `ci95_high`.

        n: also `n`, how many values it is of; hits: how to call, for a share, the number of those that are 1. What is
        null has its reason beside it: as `<note>_note` (else `<name>_note`), or `ci95_note` where only the interval is.
        """
        metrics: dict = {name: self.value, "ci95_low": self.low, "ci95_high": self.high}
        if hits is not None:
            metrics[hits] = None if self.n is None else round(self.n * (self.value or 0))
        if n:
            metrics["n"] = self.n
        if self.left_out is not None:
            metrics |= self.left_out.metrics(note=(note or name) if self.value is None else "ci95")
        return metrics


class People:
    """The people whom N faces show, and `samples` resamplings of them, drawn once: by `seed` and their number alone.

    So the interval of a measure does not hang on what was computed before it, and every difference is paired: both its
    sides are of the same people in every resampling. identities: (N,), of any type.
    """

    def __init__(self, identities: Sequence, samples: int, seed: int):
        self.identities, self.samples, self.seed = np.asarray(identities), samples, seed
        self.names, self.codes = np.unique(self.identities, return_inverse=True)
        self.counts = np.bincount(self.codes, minlength=len(self.names))

    def __len__(self) -> int:
        """How many people, not faces."""
        return len(self.names)

    def among(self, positions: np.ndarray | slice) -> "People":
        """The people of some of the faces: positions (M,), of which one may come several times, a mask or a slice."""
        return People(self.identities[positions], self.samples, self.seed)

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, np.random.Generator]:
        generator = np.random.default_rng(self.seed)
        return bootstrap_weights(len(self), self.samples, generator), generator

    @property
    def weights(self) -> np.ndarray:
        """How often each resampling holds each of `names`, int (samples, people); see `bootstrap_weights`."""
        return self._drawn[0]

    @property
    def generator(self) -> np.random.Generator:
        """A generator, always the same, for what is to be resampled beside people: weights are not drawn from it."""
        return deepcopy(self._drawn[1])

    def mean(self, values: np.ndarray, undefined: LeftOut | None = None) -> Estimate:
        """The mean of values (N,), each person drawn bringing all of theirs (cluster bootstrap; Field & Welsh, 2007).

        values: or (S, N), of S trainings of the same network: their mean, and an interval that holds what one training
        differs from the next by. Each resampling draws S − 1 of them with replacement, for all people alike: S of so
        few would spread too little, by (S − 1)/S (Rao & Wu, 1988).

        Of one person there is no interval. undefined: why values may be infinite or NaN, for an estimate that is then None. Raises ValueError where none is given, for no values, and for another number of them than faces.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim not in (1, 2) or values.shape[-1] != len(self.codes) or not values.size:
            shapes = f"values {values.shape} and identities ({len(self.codes)},)"
            raise ValueError(f"{shapes} must be alike, (N,) or (S, N), and not empty")
        size = {"n": len(self.codes), "people": len(self)}
        if not np.isfinite(values).all():
            if undefined is not None:
                return Estimate(None, left_out=undefined)
            raise ValueError(f"{int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite")
        trainings = np.atleast_2d(values)
        value = float(trainings.mean(1).mean())
        if len(self) < 2:
            return Estimate(value, **size, left_out=TOO_FEW)
        total = self.weights @ self.counts
        replicates = np.stack([(self.weights @ np.bincount(self.codes, weights=row)) / total for row in trainings], 1)
        shares = training_shares(len(trainings), self.samples, self.generator)
        return Estimate(value, *percentiles((replicates * shares).sum(1)), **size)

    def difference(self, a: np.ndarray, b: np.ndarray, undefined: LeftOut | None = None) -> Estimate:
        """`mean` of a − b, two measures (N,) of these faces, or two (S, N), of trainings by the same seeds in the same
        order. Raises ValueError for shapes that differ."""
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        if a.shape != b.shape:
            raise ValueError(f"a {a.shape} and b {b.shape} must measure the same faces")
        with np.errstate(invalid="ignore"):  # ∞ − ∞, which `mean` refuses or notes
            return self.mean(a - b, undefined)._replace(paired=True)

    def share(self, flags: np.ndarray) -> Estimate:
        """The share of flags (N,), 0 or 1, that are 1.

        Where all are alike resampling sees no width: the interval is then the exact one of a binomial with a trial per
        person (Clopper & Pearson, 1934), whose open end is 1 − 0.025^(1/people) away: a person's photos count once.
        """
        share = self.mean(flags)
        if share.value not in (0.0, 1.0):
            return share
        width = 1 - 0.025 ** (1 / len(self))
        return share._replace(
            low=share.value * (1 - width), high=share.value + (1 - share.value) * width, left_out=None
        )

    def contrast(
        self, within: np.ndarray, between: np.ndarray, ratio: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> tuple[Estimate, Estimate, Estimate]:
        """A measure of pairs within a person, of pairs of two people, and a `ratio` of both means.

        within: (P,), one number for each of `names`. between: (P, P), symmetric, one for each two; its diagonal is not
        read. Each resampling weighs the people once for all three, and a pair by the product of both (vertex bootstrap:
        Snijders & Borgatti, 1999). Between is None where there is only one person, and the ratio also where people do
        not differ. Raises ValueError for no person.
        """
        people = len(self)
        if not people or within.shape != (people,) or between.shape != (people, people):
            shapes = f"within {within.shape} and between {between.shape}"
            raise ValueError(f"{shapes} must be ({people},) and ({people}, {people}), and not empty")
        if people < 2:
            alone = Estimate(None, people=people, left_out=LeftOut("there is only one person"))
            return Estimate(float(within[0]), people=people, left_out=TOO_FEW), alone, alone
        between = np.where(np.eye(people, dtype=bool), 0, between)
        drawn = np.vstack([np.ones(people), self.weights])
        pairs = (drawn.sum(1)) ** 2 - (drawn**2).sum(1)
        drawn, pairs = drawn[pairs > 0], pairs[pairs > 0]  # a resampling of one person has no pairs
        inside, across = drawn @ within / drawn.sum(1), ((drawn @ between) * drawn).sum(1) / pairs
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = ratio(inside, across)
        estimates = []
        for values in (inside, across, quotient):
            interval = percentiles(values[1:]) if people > 2 else (None, None)
            left_out = None if people > 2 else TOO_FEW
            estimates.append(Estimate(float(values[0]), *interval, people=people, left_out=left_out))
        if not np.isfinite(quotient).all():
            alike = LeftOut("people do not differ: there is nothing to be a share of")
            estimates[2] = Estimate(None, people=people, left_out=alike)
        return tuple(estimates)

    def verification(self, pairs: Pairs, fars: Sequence[float] = FARS) -> "Verification":
        """TAR at each FAR, EER and AUC of pairs whose codes number these people; see `Verification`.

        The people are resampled, not the pairs, which share people: a pair-wise bootstrap would be too narrow (vertex
        bootstrap: Snijders & Borgatti, 1999; subsets bootstrap: Bolle et al., 2004). Raises ValueError for pairs of
        another number of people.
        """
        return verification(pairs, self.weights, fars)


@dataclass(frozen=True)
class Verification:
    """TAR at each FAR, EER and AUC of pairs, or differences of these, under each of the same resamplings.

    One minus another is what is gained: both must hold the same pairs in the same order (else ValueError), resampled
    together, so what makes a person easy or hard cancels out. people: how many are in the pairs. values: (M,), of `names`;
    replicates: (samples, M), NaN where one holds no genuine or no impostor pairs. rates: by name what `tar_at_far` says
    beside the rate; none of a difference.
    """

    pairs: Pairs
    people: int
    names: tuple[str, ...]
    values: np.ndarray
    replicates: np.ndarray
    rates: Mapping[str, Mapping]
    paired: bool | None = None

    def __sub__(self, other: "Verification") -> "Verification":
        if not all(np.array_equal(a, b) for a, b in zip(self.pairs[1:], other.pairs[1:], strict=True)):
            raise ValueError("a paired difference needs the same pairs in the same order")
        both = {"values": self.values - other.values, "replicates": self.replicates - other.replicates}
        return replace(self, **both, rates={}, paired=True)

    @property
    def estimates(self) -> dict[str, Estimate]:
        """`tar_at_far_<far>`, `eer` and `auc`; without intervals where too few people have pairs."""
        replicates = self.replicates[~np.isnan(self.replicates).any(1)]
        size = {"n": len(self.pairs.scores), "people": self.people, "paired": self.paired}
        # Two people, or genuine pairs of one only, give every such replicate the same weights: no width to be seen.
        if self.people < 3 or len(np.unique(self.pairs.first[self.pairs.genuine])) < 2 or not len(replicates):
            intervals = [{"left_out": TOO_FEW}] * len(self.names)
        else:
            intervals = [dict(zip(("low", "high"), percentiles(measure), strict=True)) for measure in replicates.T]
        return {
            name: Estimate(float(value), **interval, **size)
            for name, value, interval in zip(self.names, self.values, intervals, strict=True)
        }

    def metrics(self) -> dict:
        """Each estimate as `value`, of a TAR with what `tar_at_far` says of it, or as `difference`."""
        name = "difference" if self.paired else "value"
        return {key: {**self.rates.get(key, {}), **estimate.metrics(name)} for key, estimate in self.estimates.items()}


def verification(pairs: Pairs, weights: np.ndarray, fars: Sequence[float] = FARS) -> Verification:
    """`Verification` under weights (samples, P), how often each of the P people in the pairs is drawn, by rising code."""
    curve = Curve(pairs)
    if weights.shape[1] != curve.n_identities:
        raise ValueError(f"pairs of {curve.n_identities} people cannot be resampled as those of {weights.shape[1]}")
    names = (*(f"tar_at_far_{far:g}" for far in fars), "eer", "auc")
    return Verification(
        pairs,
        curve.n_identities,
        names,
        values=np.array(curve.measures(np.ones(curve.n_identities, np.int32), fars)),
        replicates=np.array([curve.measures(row, fars) for row in weights.astype(np.int32)]),
        rates={name: curve.tar_at_far(far) for name, far in zip(names, fars, strict=False)},
    )


def bootstrap_weights(people: int, samples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of the people is drawn in each resampling, int (samples, people); rows sum to `people`.

    Drawing n of n with replacement (Efron, 1979) is one multinomial draw of their counts.
    """
    return generator.multinomial(people, np.full(people, 1 / people), size=samples)


def training_shares(trainings: int, samples: int, generator: np.random.Generator) -> np.ndarray:
    """The share of each training in each resampling, (samples, trainings); rows sum to 1."""
    if trainings == 1:
        return np.ones((samples, 1))
    return generator.multinomial(trainings - 1, np.full(trainings, 1 / trainings), size=samples) / (trainings - 1)


def percentiles(replicates: np.ndarray) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the replicates (samples,): the interval's ends."""
    low, high = np.percentile(replicates, [2.5, 97.5])
    return float(low), float(high)
