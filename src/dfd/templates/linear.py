"""Ridge regression from streamed moments, its strength chosen on held-out data."""

from typing import NamedTuple

import torch

STRENGTHS = tuple(10.0**power for power in range(-14, 3))  # λ tried, relative to the mean variance of an input


FLOOR = 1e-14  # of the largest variance: what float32 templates still resolve


def whitening(templates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean (D,) and the matrix (D, D) with which (e − mean) @ matrix has variance 1 along every principal axis.

    Axes come by falling variance of the templates (M, D); those with next to none become zero.
    """
    mean = templates.mean(0)
    centred = (templates - mean).double()
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(templates))
    variances, axes = variances.flip(0), axes.flip(1)
    scales = torch.where(variances > FLOOR * variances.max(), variances.clamp_min(1e-30).rsqrt(), 0)
    return mean, (axes * scales).to(templates.dtype)


class LinearMap(NamedTuple):
    """y = weight · x + bias; weight: (K, D), bias: (K,), float32."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map rows (N, D) to (N, K)."""
        return x @ self.weight.T + self.bias


class Fit(NamedTuple):
    """A fitted map, how many rows it saw, its λ (relative to the mean input variance) and its held-out R²."""

    map: LinearMap
    n: int
    strength: float
    r2: float


class Moments:
    """First and second moments of paired rows x (D) and y (K), in float64, so that any number of rows fits.

    Memory: D² + D·K numbers.
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
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += float((y**2).sum())


def fit_ridge(train: Moments, held_out: Moments, strengths: tuple[float, ...] = STRENGTHS) -> Fit:
    """The map minimising ‖y − Wx − b‖² + λ‖W‖² over the training rows, for the λ with the best held-out R².

    Where there are fewer rows than inputs, λ also settles what the data leave open (Eq. 6 has no unique solution then).
    Raises ValueError without training or held-out rows.
    """
    if train.n == 0 or held_out.n == 0:
        raise ValueError("ridge regression needs training rows and held-out rows")
    mean_x, mean_y = train.x / train.n, train.y / train.n
    variances, axes = torch.linalg.eigh(train.xx / train.n - torch.outer(mean_x, mean_x))
    # Where the rows do not vary, covariances are rounding errors: such an axis gets no weight.
    rounding = len(variances) * torch.finfo(torch.float64).eps * float(train.xx.diagonal().max()) / train.n
    varies, variances = variances > rounding, variances.clamp_min(0)
    target = axes.T @ (train.xy / train.n - torch.outer(mean_x, mean_y))  # covariances, along the principal axes

    # Held-out moments about the training means, along the same axes: every λ's error without touching the data again.
    n, dx, dy = held_out.n, held_out.x / held_out.n - mean_x, held_out.y / held_out.n - mean_y
    xx = held_out.xx / n - torch.outer(mean_x, mean_x + dx) - torch.outer(dx, mean_x)
    xy = held_out.xy / n - torch.outer(mean_x, mean_y + dy) - torch.outer(dx, mean_y)
    yy = held_out.yy / n - float(mean_y @ (mean_y + 2 * dy))
    spread = yy - float(dy @ dy)  # the held-out variance about its own mean
    xx, xy = axes.T @ xx @ axes, axes.T @ xy

    best = None
    for strength in strengths:
        weight = torch.where(varies, 1 / (variances + strength * variances.mean()), 0)[:, None] * target
        error = yy - 2 * float((weight * xy).sum()) + float((weight * (xx @ weight)).sum())
        r2 = 1 - error / spread if spread > 0 else 0.0
        if best is None or r2 > best[0]:
            best = (r2, strength, weight)
    r2, strength, weight = best
    matrix = (axes @ weight).T
    return Fit(LinearMap(matrix.float(), (mean_y - matrix @ mean_x).float()), train.n, strength, r2)
