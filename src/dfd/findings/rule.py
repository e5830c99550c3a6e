"""Does what the paper says hold in this run's numbers? One rule for every claim.

A claim is a range that an effect is said to lie in: above 0 ("A is better than B"), within ±margin ("A is like B"),
above −margin ("A is no worse than B"). It **holds** where the effect's whole 95 % interval lies inside the range, **does
not hold** where no part of the interval does, and is **undecided** otherwise: also without an interval, or with one of
no width, where resampling saw nothing vary. For "A is like B" this is the two one-sided tests' procedure (Schuirmann,
1987), with a 95 instead of a 90 % interval.

A claim about several things at once (both recognizers, each of the losses) has parts: it holds where all parts hold
(each at 95 %: the intersection-union test, which needs no correction), does not hold where any part does not (without a
correction: of many parts one may fail by chance, so look at all of them), and is undecided otherwise. Its effect is that of the part which decides: of those with the claim's verdict, the one that lies
least within the range.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dfd.core.left_out import LeftOut
from dfd.measures.estimates import Estimate

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
NUMBERS = ("difference", "mean", "value")  # how metrics call what has an interval

# How the interval of an effect was made, by `Estimate.paired`; for the outer one see `minus`
INTERVALS = {None: "of the measure", True: "paired", False: "outer"}


class Missing(Exception):
    """A metric is not there, or null; the message says why."""


class Claim(NamedTuple):
    """What the paper says, and where; what is compared here, in which unit, and the range (low, high) that it means.

    effects: from all metrics and a data set's name, the effect of each part; may raise Missing. by_dataset: whether
    these differ between data sets.
    """

    text: str
    where: str
    compares: str
    unit: str
    low: float
    high: float
    effects: Callable[[Mapping, str], Mapping[str, Estimate]]
    by_dataset: bool = False

    @property
    def range(self) -> str:
        """The range in words."""
        if self.high == math.inf:
            return f"above {_signed(self.low)}"
        if self.low == -math.inf:
            return f"below {_signed(self.high)}"
        return (
            f"within ±{self.high:g}" if self.low == -self.high else f"from {_signed(self.low)} to {_signed(self.high)}"
        )


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def look_up(metrics: Mapping, *path: str) -> Mapping:
    """What lies at a path through nested metrics. Raises Missing, with the metrics' own note if there is one."""
    found = metrics
    for depth, key in enumerate(path):
        if not isinstance(found, Mapping) or found.get(key) is None:
            notes = (
                {name: note for name, note in found.items() if name.endswith("_note")}
                if isinstance(found, Mapping)
                else {}
            )
            absent = f"no {'/'.join(path[: depth + 1])} among the metrics"
            raise Missing(notes.get(f"{key}_note") or next(iter(notes.values()), absent))
        found = found[key]
    return found


def number(metrics: Mapping, *path: str) -> Estimate:
    """The estimate at a path: a `difference`, `mean` or `value` with its interval. Raises Missing where it is null.

    What metrics call a `difference`, and all that they have under `minus_<another>`, is paired.
    """
    found = look_up(metrics, *path)
    name = next((name for name in NUMBERS if name in found), None)
    if name is None:
        raise Missing(f"{'/'.join(path)} is no number with an interval")
    paired = name == "difference" or any(key.startswith("minus_") for key in path)
    interval = found.get("ci95_low"), found.get("ci95_high")
    return Estimate(look_up(found, name), *interval, paired=paired or None, left_out=LeftOut.among(found, "ci95"))


def negated(effect: Estimate) -> Estimate:
    """B − A for A − B."""
    value, low, high = (None if end is None else 0.0 - end for end in (effect.value, effect.high, effect.low))
    return effect._replace(value=value, low=low, high=high)


def above(effect: Estimate, level: float) -> Estimate:
    """The effect, counted from a constant."""
    value, low, high = (None if end is None else end - level for end in effect[:3])
    return effect._replace(value=value, low=low, high=high)


def minus(effect: Estimate, other: Estimate) -> Estimate:
    """The difference of two numbers of which only their own intervals are known, which may depend on one another.

    The interval is the outer one, [a_low − b_high, a_high − b_low]: however the two (normal) estimates are correlated,
    their difference's standard error is at most the sum of both, so it covers at least 95 %. It is wider than a paired
    one: what it decides is decided, and more remains open.
    """
    difference = Estimate(effect.value - other.value, paired=False, left_out=effect.left_out or other.left_out)
    if None in (effect.low, other.low):
        return difference
    return difference._replace(low=effect.low - other.high, high=effect.high - other.low)


def verdict(effect: Estimate, low: float, high: float) -> str:
    """`holds`, `does not hold` or `undecided`: where the interval lies beside the open range (low, high)."""
    if effect.low is None or effect.high is None or effect.low == effect.high:
        return UNDECIDED
    if low < effect.low and effect.high < high:
        return HOLDS
    if effect.high <= low or effect.low >= high:
        return FAILS
    return UNDECIDED


def together(verdicts: Sequence[str]) -> str:
    """The verdict on a claim whose parts have these."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if verdicts and set(verdicts) == {HOLDS} else UNDECIDED


def attempted(effect: Callable[[], Estimate]) -> Estimate:
    """The effect; null, with a note, where its metric is missing."""
    try:
        return effect()
    except Missing as missing:
        return Estimate(None, left_out=LeftOut(str(missing)))


def judged(claim: Claim, metrics: Mapping, dataset: str) -> dict:
    """One claim on one data set: `effect`, `ci95_low`, `ci95_high`, `interval`, `verdict`; `part`, whose effect it is, and
    all `parts`, where there are several; `effect_note` where something is missing.
    """
    try:
        effects = dict(claim.effects(metrics, dataset))
    except Missing as missing:
        effects = {"all": Estimate(None, left_out=LeftOut(str(missing)))}
    effects = effects or {"all": Estimate(None, left_out=LeftOut("there is nothing to be compared"))}
    found = {name: _judged(effect, claim) for name, effect in effects.items()}
    overall = together([part["verdict"] for part in found.values()])

    def within(name: str) -> float:  # how far inside the range; what is missing decides only where nothing else does
        value = found[name]["effect"]
        return math.inf if value is None else min(value - claim.low, claim.high - value)

    deciding = min((name for name in found if found[name]["verdict"] == overall), key=within)
    summary = found[deciding] | {"verdict": overall}
    return summary if len(found) == 1 else summary | {"part": deciding, "parts": found}


def _judged(effect: Estimate, claim: Claim) -> dict:
    found = {
        "effect": effect.value,
        "ci95_low": effect.low,
        "ci95_high": effect.high,
        "interval": INTERVALS[effect.paired],
    }
    found["verdict"] = verdict(effect, claim.low, claim.high)
    if effect.left_out:
        found |= effect.left_out.metrics(note="effect")
    elif effect.low is not None and effect.low == effect.high:
        found["effect_note"] = "the interval has no width: resampling saw nothing vary"
    return found


def findings(claims: Mapping[str, Claim], metrics: Mapping, dataset: str, others: Sequence[str]) -> dict:
    """`counts` of verdicts, and `claims` by key: the claim in words, what it compares, and what `judged` says of it on the
    main data set; under `also` the same of the `others`, for claims that have numbers there of their own.
    """
    found = {}
    for key, claim in claims.items():
        found[key] = {
            "claim": claim.text,
            "where": claim.where,
            "compares": claim.compares,
            "unit": claim.unit,
            "claimed": claim.range,
            "dataset": dataset,
        } | judged(claim, metrics, dataset)
        also = {other: judged(claim, metrics, other) for other in others if claim.by_dataset}
        if also := {other: result for other, result in also.items() if result["effect"] is not None}:
            found[key]["also"] = also
    verdicts = [finding["verdict"] for finding in found.values()]
    return {"counts": {name: verdicts.count(name) for name in (HOLDS, FAILS, UNDECIDED)}, "claims": found}
