"""Do these templates belong to this decoder? Where a file does not say whose they are, their statistics do.

Templates of a database were often changed on the way: normalised, scaled, rounded, put into another order; or they are
another network's. A decoder makes a face of anything. What the training templates were like is in its header, and what
is unlike them is said, with the most likely cause.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from dfd.core.rows import Rows
from dfd.core.vectors import named_rows

# How far beyond 99.8 % of the training templates a template may lie: another camera, other people.
DISTANCE = (1 / 1.4, 1.6)
NORM = (1 / 1.25, 1.25)
PER_AXIS = (
    4  # training templates for each of a template's numbers, from which on distances are those of unseen faces too
)
SHARE = 0.4  # of a file's templates that may lie beyond: what is done to templates is done to all of a file
MANY = 5  # templates, from which on their norms together say something
GROSS = 4.0  # times the bounds: said even of a single one
EQUAL = 1e-3  # relative: norms that differ by less were made equal
OPPOSED = -0.5  # the cosine of the mean template to the training's, from which on they count as negated
CENTRED = 0.1  # norm of the training's mean, in norms of templates, below which a sign cannot be told
DECIMALS = range(1, 6)
LEVELS = 256  # of eight bits
HARMLESS, BLURRED = (
    0.97,
    0.5,
)  # shares of what differs between templates, that rounding must leave to be harmless, to blur
FEW = 8  # numbers of a row or column, from which on that all are 127ths of the largest is no chance
WHOLE = 1e-3  # from a whole number, at most

ROWS = 1 << 14  # looked at together
MOST = 1 << 20  # numbers, of which rounding is told


class Doubt(NamedTuple):
    """Why templates may not be what they seem. cause: one of CAUSES. text: the same as words, with its evidence."""

    cause: str
    text: str

    def __str__(self) -> str:
        return self.text


CAUSES = (
    "whole",
    "normalised",
    "unnormalised",
    "scaled",
    "negated",
    "other",
    "outliers",
    "rounded",
)


class Axes(NamedTuple):
    """What a decoder whitens templates with: (e − mean) @ matrix, whose columns are orthogonal; mean (D,), matrix (D, K),
    and variances (K,) of templates along the columns' directions, float32."""

    mean: torch.Tensor
    matrix: torch.Tensor
    variances: torch.Tensor

    def __call__(self, templates: torch.Tensor) -> torch.Tensor:
        """Templates (N, D) along these axes, (N, K), float64."""
        return (templates.double() - self.mean.double()) @ self.matrix.double()

    def distances(self, templates: torch.Tensor | Rows, noise: float = 0.0) -> np.ndarray:
        """The root mean square of each whitened template (N, D), `restored`, in standard deviations: (N,)."""
        matrix = self.matrix * self.kept(noise).float()
        parts = [((part - self.mean) @ matrix).square().mean(1).sqrt() for part in templates.split(ROWS)]
        return torch.cat(parts).double().numpy()

    def kept(self, noise: float) -> torch.Tensor:
        """What share of a deviation along each axis (K,) is the template's, where `noise` is the variance of what was
        added to each number, float64."""
        variances = self.variances.double()
        return variances / (variances + noise) if noise else torch.ones_like(variances)

    def restored(self, templates: torch.Tensor, noise: float) -> torch.Tensor:
        """Templates (N, D) rid of noise of that variance in each number, float32: Wiener's filter, the most likely
        templates if both they and the noise are Gaussian. Axes along which templates vary less end at the mean."""
        matrix = self.matrix.double()
        lengths = matrix.square().sum(0).clamp_min(1e-300)  # 0 where the axis was left out
        filtering = (matrix * self.kept(noise) / lengths) @ matrix.T
        mean = self.mean.double()
        return torch.cat([(mean + (part.double() - mean) @ filtering).float() for part in templates.split(ROWS)])


class Rounding(NamedTuple):
    """How templates were rounded: to what, in words, and the variance of what that took from or added to each number."""

    name: str
    noise: float

    def told(self, axes: Axes | None) -> str:
        """The same as a sentence, with what it means to the decoder that sees templates along `axes`."""
        told = f"they were rounded to {self.name}"
        if axes is None:
            return told
        seen = axes.variances.double() * axes.matrix.double().square().sum(0)
        left = float((seen * axes.kept(self.noise)).sum() / seen.sum())
        effect = "so that the faces will be others'"
        if left > BLURRED:
            effect = "which this decoder bears" if left > HARMLESS else "which blurs the faces"
        return f"{told}, which leaves {100 * left:.3g} % of what differs between them, {effect}"


def statistics(templates: torch.Tensor | Rows, axes: Axes | None) -> dict:
    """What a decoder's header says of its training templates (M, D): numbers by name.

    n; norm: mean, sd, and low and high, the quantiles 0.001 and 0.999; distance: such low and high of the whitened
    templates' root mean squares, where the decoder whitens them (`axes`) and there are enough: the axes fit few too well.
    """
    norms = torch.cat([part.double().norm(dim=1) for part in templates.split(ROWS)]).numpy()
    numbers = {"n": len(norms), "norm": {"mean": norms.mean(), "sd": norms.std(), **_range(norms)}}
    if axes is not None and len(norms) >= PER_AXIS * templates.shape[1]:
        numbers["distance"] = _range(axes.distances(templates))
    return {name: value if isinstance(value, int) else _short(value) for name, value in numbers.items()}


def doubts(templates: np.ndarray, training: Mapping, axes: Axes | None, rounded: Rounding | None) -> list[Doubt]:
    """What speaks against templates (N, D), none degenerate, being such as a decoder learned from; [] for nothing.

    training: what `statistics` gave. rounded: what `rounding` gave of them.
    """
    norms = np.linalg.norm(templates.astype(np.float64), axis=1)
    # Each template once: what is repeated would look like numbers that someone made equal.
    rows = np.array(sorted({templates[row].tobytes(): row for row in range(len(templates))[::-1]}.values()), int)
    checked = _Checked(templates[rows], norms[rows], rows, training, axes, rounded.noise if rounded else 0.0)
    causes = [doubt for doubt in (checked.change(),) if doubt]
    if rounded and not any(doubt.cause in ("whole", "other") for doubt in causes):
        causes.append(Doubt("rounded", rounded.told(axes)))
    return causes


class _Checked:
    """Templates (N, D) held against the training's statistics; rows: their numbers in the file; noise: the variance of
    what was rounded off each number."""

    def __init__(
        self,
        templates: np.ndarray,
        norms: np.ndarray,
        rows: np.ndarray,
        training: Mapping,
        axes: Axes | None,
        noise: float,
    ):
        self.templates, self.norms, self.rows = (
            torch.from_numpy(np.ascontiguousarray(templates, np.float32)),
            norms,
            rows,
        )
        self.training = training
        self.axes = axes if "distance" in training else None
        self.noise = noise
        self.distances = None if self.axes is None else self.axes.distances(self.templates, noise)

    def beyond(self, norms: np.ndarray, distances: np.ndarray | None, factor: float = 1.0) -> np.ndarray:
        """Which templates lie outside the training's bounds, widened by a factor (N,)."""

        def outside(values: np.ndarray, bounds: Mapping, tolerance: tuple[float, float]) -> np.ndarray:
            return (values < bounds["low"] * tolerance[0] / factor) | (values > bounds["high"] * tolerance[1] * factor)

        out = outside(norms, self.training["norm"], NORM)
        return out if distances is None else out | outside(distances, self.training["distance"], DISTANCE)

    def fits(self, factors: float | np.ndarray) -> bool:
        """Whether most templates lie within the bounds once they are multiplied."""
        templates = self.templates * torch.as_tensor(factors, dtype=torch.float32).reshape(-1, 1)
        noise = self.noise * float(np.square(factors).mean())
        distances = None if self.axes is None else self.axes.distances(templates, noise)
        return self.beyond(self.norms * np.abs(np.ravel(factors)), distances).mean() < 0.5

    def change(self) -> Doubt | None:
        """What was done to the templates as a whole; or which of them lie far out."""
        norm, length = self.training["norm"], np.median(self.norms)
        scale = norm["mean"] / length
        varied = norm["sd"] > 10 * EQUAL * norm["mean"]
        if varied and self._made_equal() and self.fits(scale):
            name = "L2-normalised" if abs(length - 1) < EQUAL else f"normalised to the length {length:.3g}"
            return self._doubt(
                "normalised", f"look {name}: give them as the network does, or multiply them by {scale:.3g}"
            )
        if self._negated() and (self.fits(-1.0) or self.fits(-scale)):
            text = (
                "negated: multiply them by −1"
                if self.fits(-1.0)
                else f"negated and scaled: multiply them by −{scale:.3g}"
            )
            return self._doubt("negated", f"look {text}")
        usual = len(self.norms) < MANY or norm["low"] * (1 - EQUAL) <= length <= norm["high"] * (1 + EQUAL)
        if usual and self.beyond(self.norms, self.distances).mean() < SHARE:
            gross = self.beyond(self.norms, self.distances, GROSS)
            return (
                Doubt("outliers", f"{_which(gross, self.rows)} far from all templates of the training")
                if gross.any()
                else None
            )
        if _whole(self.templates.numpy()):
            return self._doubt(
                "whole", "are whole numbers, as eight bits hold them: multiply them by what they were divided by"
            )
        if not varied and self.fits(norm["mean"] / self.norms):
            return self._doubt("unnormalised", "are not normalised, as the decoder's were: divide each by its length")
        if self.fits(scale):
            return self._doubt("scaled", f"look scaled by about {1 / scale:.3g}: divide them by it")
        return self._doubt("other", "look like another network's, or like this one's with the numbers in another order")

    def _made_equal(self) -> bool:
        """Whether all have one norm. A few might by chance: of these, whether it is 1, as no training template's."""
        bounds = self.training["norm"]
        if len(self.norms) < MANY and (np.abs(self.norms - 1).max() > EQUAL or bounds["low"] < 1 < bounds["high"]):
            return False
        return np.ptp(self.norms) <= EQUAL * self.norms.mean()

    def _negated(self) -> bool:
        """Whether the mean template points away from the training's."""
        if self.axes is None or self.axes.mean.norm() < CENTRED * self.training["norm"]["mean"]:
            return False
        return float(torch.cosine_similarity(self.templates.mean(0), self.axes.mean, dim=0)) < OPPOSED

    def _doubt(self, cause: str, text: str) -> Doubt:
        norm = self.training["norm"]
        evidence = f"norms {_spread(self.norms)}, in training {norm['mean']:.3g} ± {norm['sd']:.2g}"
        if self.distances is not None:
            distance = self.training["distance"]
            evidence += (
                f"; distances {_spread(self.distances)}, in training {distance['low']:.2g} to {distance['high']:.2g}"
            )
        return Doubt(cause, f"they {text} ({evidence})")


def rounding(templates: np.ndarray, stored: np.dtype | None = None) -> Rounding | None:
    """To what templates (N, D) of float32 were rounded, the coarsest that fits; None for nothing.

    Told are float16, bfloat16, whole numbers, up to five decimals, and eight bits with one scale for the file, or for each
    row or column, by the type `stored` or by the numbers themselves. A file is looked at in up to MOST of its numbers.
    """
    rows = np.linspace(0, len(templates) - 1, min(len(templates), max(1, MOST // templates.shape[1]))).astype(int)
    templates = np.unique(templates[rows], axis=0)  # repeated ones look like few levels
    templates = templates[np.ptp(templates, axis=1) > 0] if templates.shape[1] > 1 else templates
    values = np.unique(templates[templates != 0]).astype(np.float64)
    if len(values) == 0:
        return None
    exponents = np.floor(np.log2(np.where(templates == 0, 1, np.abs(templates)).astype(np.float64)))
    steps: dict[str, float | np.ndarray] = {}  # of all numbers, or of each number of `templates`
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if stored == np.float16 or (np.isfinite(halves).all() and (halves == values).all()):
        steps["float16"] = 2.0 ** (np.maximum(exponents, -14) - 10)
    if (values.astype(np.float32).view(np.uint32) & 0xFFFF == 0).all():
        steps["bfloat16"] = 2.0 ** (exponents - 7)
    if (values == np.round(values)).all():
        steps["whole numbers"] = 1.0
    elif (decimals := next((d for d in DECIMALS if _has_decimals(np.abs(values), d)), None)) is not None:
        steps[f"{decimals} decimal{'s' * (decimals > 1)}"] = 10.0**-decimals
    if len(values) <= LEVELS and _repeated(templates):
        steps["eight bits"] = float(np.median(np.diff(values))) if len(values) > 1 else float(np.abs(values[0]))
    for name, axis in (("row", 1), ("column", 0)):
        largest = np.abs(templates).max(axis, keepdims=True).astype(np.float64)
        levels = templates * 127 / np.where(largest > 0, largest, 1)
        if templates.shape[axis] >= FEW and (np.abs(levels - np.round(levels)) < WHOLE).all():
            steps[f"eight bits, with a scale for each {name},"] = np.broadcast_to(largest / 127, templates.shape)
    if not steps:
        return None
    # The median over rows: one that was made far larger says nothing of the others.
    noises = {
        name: float(np.median(np.square(step).mean(1)) if isinstance(step, np.ndarray) else step**2) / 12
        for name, step in steps.items()
    }
    return Rounding(*max(noises.items(), key=lambda noise: noise[1]))


def _has_decimals(values: np.ndarray, decimals: int) -> bool:
    """Whether all values are the nearest float32 to one with so few decimals, and that says something at their size."""
    if np.spacing(np.float32(values.max())) * 8 > 10.0**-decimals:
        return False
    return bool((np.round(values, decimals).astype(np.float32) == values.astype(np.float32)).all())


def _repeated(templates: np.ndarray) -> bool:
    """Whether far fewer numbers than there are differ, as no network's output does."""
    nonzero = templates[templates != 0]
    return len(np.unique(nonzero)) < 0.9 * len(nonzero)


def _whole(templates: np.ndarray) -> bool:
    return bool((templates == np.round(templates)).all())


def _range(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values, (0.001, 0.999))
    return {"low": low, "high": high}


def _short(values: Mapping) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in values.items()}


def _spread(values: np.ndarray) -> str:
    return f"{values[0]:.3g}" if len(values) == 1 else f"{np.median(values):.3g} ± {values.std():.2g}"


def _which(flags: np.ndarray, rows: np.ndarray) -> str:
    """The rows that are flagged, with a verb: `rows 3, 7, 8 and 2 more lie`; counted from 0."""
    flagged = rows[flags]
    return f"{named_rows(flagged)} lie{'s' * (len(flagged) == 1)}"
