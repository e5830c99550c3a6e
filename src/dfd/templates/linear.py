"""Ridge regression from streamed moments, its strength chosen on held-out data."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch

from dfd.core.errors import DfdError
from dfd.core.rows import Rows

STRENGTHS = tuple(10.0**power for power in range(-14, 3))  # λ tried, relative to the mean variance of an input

NOISE = 1e-14  # of the largest variance: what rounding leaves along an axis that does not vary
ROWS, OUTPUTS = 1 << 13, 1 << 14  # of which float64 copies are held at once


def mean(templates: torch.Tensor | Rows) -> torch.Tensor:
    """The mean (D,) of templates (M, D): of ROWS at a time, in memory or not, and of these means in float64."""
    return _averaged(templates, lambda part: part.mean(0))


def deviation(templates: torch.Tensor | Rows) -> torch.Tensor:
    """The root of the mean variance of templates (M, D) along an axis, a scalar; averaged like the mean."""
    centre = mean(templates)
    return _averaged(templates, lambda part: (part - centre).square().mean()).sqrt()


def _averaged(templates: torch.Tensor | Rows, average: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    total, kind = 0, torch.float32
    for part in templates.split(ROWS):
        averaged = average(part)
        total, kind = total + len(part) * averaged.double(), averaged.dtype
    return (total / len(templates)).to(kind)


def whitening(templates: torch.Tensor | Rows, floor: float = NOISE) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean (D,) and the matrix (D, D) with which (e − mean) @ matrix has variance 1 along every principal axis.

    Axes come by falling variance of the templates (M, D); those with less than `floor` of the largest become zero.
    """
    centre, variances, axes = _principal(templates)
    scales = torch.where(variances > floor * variances.max(), variances.clamp_min(1e-30).rsqrt(), 0)
    return centre, (axes * scales).to(centre.dtype)


def soft_whitening(templates: torch.Tensor | Rows, floor: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same, but that an axis of variance v ends with the variance (v / (v + floor · largest))³: small axes count less,
    instead of as much or not at all, and those that do not vary here not at all, whatever others' do. Besides, the
    variances v (D,)."""
    centre, variances, axes = _principal(templates)
    floored = variances + (floor * variances.max()).clamp_min(1e-30)
    scales = floored.rsqrt() * variances / floored
    return centre, (axes * scales).to(centre.dtype), variances.to(centre.dtype)


def _principal(templates: torch.Tensor | Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The mean (D,) of templates (M, D), and their variances (D,), falling, and principal axes (D, D), float64."""
    centre = mean(templates)
    moments = torch.zeros(len(centre), len(centre), dtype=torch.float64)
    for part in templates.split(ROWS):  # three million templates are 50 GB: no second copy of them all
        centred = (part - centre).double()
        moments.addmm_(centred.T, centred)  # in place: beside 4096 numbers' moments there is no second copy of them
    variances, axes = torch.linalg.eigh(moments / len(templates))
    return centre, variances.flip(0).clamp_min(0), axes.flip(1)


class LinearMap(NamedTuple):
    """y = weight · x + bias; weight: (K, D), bias: (K,), float32."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map rows (N, D) to (N, K). Raises DfdError for others: of another layer or network than the map was fitted on."""
        if x.shape[-1] != self.weight.shape[1]:
            raise DfdError(
                f"a map of templates of {self.weight.shape[1]} numbers, and these have {x.shape[-1]}: one of the two was made "
                "with other params; run `dvc repro`"
            )
        return x @ self.weight.T + self.bias


class Fit(NamedTuple):
    """A fitted map, how many rows it saw, its λ (relative to the mean input variance) and its held-out R²."""

    map: LinearMap
    n: int
    strength: float
    r2: float


class Moments:
    """First and second moments of paired rows x (D) and y (K), in float64, so that any number of rows fits.

    Memory: D² + D·K numbers of 8 bytes: 5 GB for 4096-d templates and 224 pixels.
    """

    def __init__(self, inputs: int, outputs: int):
        self.n = 0
        self.x = torch.zeros(inputs, dtype=torch.float64)
        self.y = torch.zeros(outputs, dtype=torch.float64)
        self.xx = torch.zeros(inputs, inputs, dtype=torch.float64)
        self.xy = torch.zeros(inputs, outputs, dtype=torch.float64)
        self.yy = 0.0

    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Add rows x (N, D) and y (N, K)."""
        x, y = x.double().cpu(), y.double().cpu()
        self.n += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx.addmm_(x.T, x)  # in place: where they are large, making and adding a second copy would take longer
        self.xy.addmm_(x.T, y)
        self.yy += float((y**2).sum())


def _blocks(outputs: int) -> Iterator[slice]:
    """The outputs in runs: of the moments with all of them, 5 GB at the paper's size, there is never a second copy."""
    return (slice(start, start + OUTPUTS) for start in range(0, outputs, OUTPUTS))


def fit_ridge(
    train: Moments,
    held_out: Moments,
    strengths: Sequence[float] = STRENGTHS,
    scales: Sequence[torch.Tensor] | None = None,
) -> Fit:
    """The map minimising ‖y − Wx − b‖² + λ‖W/scale‖² over the training rows, for the λ and the scale with the best held-out R².

    scales: of the inputs, each (D,), to choose from; without them the inputs are taken as they are. λ is relative to the
    mean variance of the scaled inputs. Where there are fewer rows than inputs, λ also settles what the data leave open
    (Eq. 6 has no unique solution then). Raises ValueError without training or held-out rows.
    """
    if train.n == 0 or held_out.n == 0:
        raise ValueError("ridge regression needs training rows and held-out rows")
    mean_x, mean_y = train.x / train.n, train.y / train.n
    covariance = train.xx / train.n - torch.outer(mean_x, mean_x)

    def with_outputs(part: slice) -> torch.Tensor:
        """The covariances with some of the outputs, (D, ≤ OUTPUTS)."""
        return train.xy[:, part] / train.n - torch.outer(mean_x, mean_y[part])

    # Held-out moments about the training means: every fit's error without touching the data again.
    n, dx, dy = held_out.n, held_out.x / held_out.n - mean_x, held_out.y / held_out.n - mean_y
    xx = held_out.xx / n - torch.outer(mean_x, mean_x + dx) - torch.outer(dx, mean_x)
    yy = held_out.yy / n - float(mean_y @ (mean_y + 2 * dy))
    spread = yy - float(dy @ dy)  # the held-out variance about its own mean

    # Weights are linear in the covariances with the outputs, so their error needs only two sums over the outputs.
    along, between = torch.zeros_like(xx), torch.zeros_like(xx)
    for part in _blocks(len(mean_y)):
        xy = held_out.xy[:, part] / n - torch.outer(mean_x, (mean_y + dy)[part]) - torch.outer(dx, mean_y[part])
        covariances = with_outputs(part)
        along += covariances @ xy.T
        between += covariances @ covariances.T

    best = None
    for scale in [torch.ones_like(mean_x)] if scales is None else scales:
        scale = scale.double()
        variances, axes = torch.linalg.eigh(covariance * torch.outer(scale, scale))
        # Where the rows do not vary, covariances are rounding errors: such an axis gets no weight.
        rounding = (
            len(variances) * torch.finfo(torch.float64).eps * float((train.xx.diagonal() * scale**2).max()) / train.n
        )
        varies, variances = variances > rounding, variances.clamp_min(0)
        axes = scale[:, None] * axes
        errors = (axes.T @ xx @ axes) * (axes.T @ between @ axes)
        gains = (axes * (along @ axes)).sum(0)
        for strength in strengths:
            factors = torch.where(varies, 1 / (variances + strength * variances.mean()), 0)
            error = yy - 2 * float(factors @ gains) + float(factors @ errors @ factors)
            r2 = 1 - error / spread if spread > 0 else 0.0
            if best is None or r2 > best[0]:
                best = (r2, strength, axes, factors)
    r2, strength, axes, factors = best
    solution = (axes * factors) @ axes.T
    weight, bias = torch.empty(len(mean_y), len(mean_x)), torch.empty(len(mean_y))
    for part in _blocks(len(mean_y)):
        matrix = (solution @ with_outputs(part)).T
        weight[part], bias[part] = matrix, mean_y[part] - matrix @ mean_x
    return Fit(LinearMap(weight, bias), train.n, strength, r2)
