"""Adapters: linear maps from one recognizer's templates to another's, fitted on templates of the same photos by both.

The model of the first need not be at hand: its templates of known photos are enough to open it to a decoder of the
second.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.artefacts import FORMAT, read_module, save_module
from dfd.core.errors import DfdError
from dfd.core.vectors import refuse_degenerate
from dfd.templates.belonging import Axes
from dfd.templates.linear import soft_whitening

FEWEST = 20  # pairs
FOLDS = 5  # of the people, for choosing
STRENGTHS = tuple(10.0 ** (power / 2) for power in range(-12, 4))  # λ tried, relative to the mean variance of an input
FLOOR = 0.1  # under the whitening, where only the pairs tell it: few of them know the large axes alone


class Adapter(nn.Module):
    """Templates (N, D) of one recognizer to templates (N, K) of another: weight · e/‖e‖ + bias.

    Systems that compare by cosine keep templates of any length: it says nothing here.

    weight: (K, D). bias: (K,). config: the header of the file it was read from, or what `fit_adapter` says of it.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, config: Mapping | None = None):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.config = dict(config or {})

    @property
    def dimension(self) -> int:
        """The length D of the templates that it takes."""
        return self.weight.shape[1]

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return F.normalize(templates, dim=1) @ self.weight.T + self.bias


class _Ridge:
    """Ridge regressions of every strength from the same rows x (N, D) to y (N, K), both float64."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor):
        self.mean_x, self.mean_y = x.mean(0), y.mean(0)
        x, y = x - self.mean_x, y - self.mean_y
        if len(x) >= x.shape[1]:
            variances, axes = torch.linalg.eigh(x.T @ x / len(x))
        else:  # there are no more axes than rows: the smaller matrix tells them
            variances, coordinates = torch.linalg.eigh(x @ x.T / len(x))
            axes = x.T @ (coordinates / (len(x) * variances.clamp_min(1e-300)).sqrt())
        kept = variances > 1e-12 * variances.max()  # along the others rows do not vary: rounding errors
        self.variances, self.axes = variances[kept], axes[:, kept]
        self.level = variances.clamp_min(0).sum() / x.shape[1]  # the mean variance of an input
        self.products = self.axes.T @ (x.T @ y) / len(x)

    def weights(self, strength: float) -> torch.Tensor:
        """The weights (D, K) minimising the mean squared error + strength · mean variance · ‖weights‖²."""
        return self.axes @ (self.products / (self.variances + strength * self.level)[:, None])


def fit_adapter(
    source: torch.Tensor,
    target: torch.Tensor,
    people: np.ndarray,
    space: Axes | None = None,
    mirrored: torch.Tensor | None = None,
    seed: int = 0,
) -> Adapter:
    """The adapter from `source` (N, D) to `target` (N, K), templates of the same N photos.

    people: (N,), whom each photo shows: maps are fitted on some people and judged on others, in turn, to choose the
    strength. space: in which the decoder sees templates of `target`; without it the pairs tell one. mirrored: (N, K),
    templates of the mirrored photos by the recognizer of `target`: where the two differ, it is not the person. seed: of
    the folds.

    Least squares draws what it cannot tell to the mean, so that few pairs would give mean faces: the map is lengthened
    until unseen people's templates spread as far as they should. The adapter's config holds n_pairs, n_people, strength
    (λ), and of people whom it was not fitted on: cosine (of mapped and true templates; the mean that all share makes it
    high, and lengthening lowers it) and cosine_whitened (the same in `space`). Raises DfdError where `check_pairs`
    does, and for targets that are degenerate or all alike.
    """
    check_pairs(source, people)
    refuse_degenerate(target, None, "the recognizer's templates", distinct=True)
    if len(source) != len(target):
        raise DfdError(f"{len(source)} templates of the other system and {len(target)} of the recognizer are no pairs")
    if space is None:
        space = Axes(*soft_whitening(target, FLOOR))
    x, y = F.normalize(source.double(), dim=1), space(target)
    learned = y if mirrored is None else (y + space(mirrored)) / 2
    folds = _folds(people, seed)
    parts = [_Ridge(x[folds != fold], learned[folds != fold]) for fold in range(folds.max() + 1)]
    best = None
    for strength in STRENGTHS:
        deviations, means = torch.empty_like(y), torch.empty_like(y)
        for fold, part in enumerate(parts):
            deviations[folds == fold] = (x[folds == fold] - part.mean_x) @ part.weights(strength)
            means[folds == fold] = part.mean_y
        stretch = _lengthening(deviations, y - means)
        predicted = stretch * deviations + means
        cosine = float(F.cosine_similarity(predicted, y).mean())
        if best is None or cosine > best[0]:
            best = (cosine, strength, stretch, predicted)
    cosine, strength, stretch, predicted = best

    every, back = _Ridge(x, learned), torch.linalg.pinv(space.matrix.double())
    weight = (stretch * every.weights(strength) @ back).T
    bias = space.mean.double() + every.mean_y @ back - weight @ every.mean_x
    config = {
        "n_pairs": len(x),
        "n_people": len(np.unique(people)),
        "strength": strength,
        "cosine": float(F.cosine_similarity(predicted @ back + space.mean.double(), target.double()).mean()),
        "cosine_whitened": cosine,
    }
    return Adapter(weight.float().contiguous(), bias.float(), config)


def check_pairs(source: torch.Tensor, people: np.ndarray) -> None:
    """Raise DfdError where no adapter can be fitted on these templates (N, D) of photos of these people (N,): too few,
    of one person, degenerate, or all alike."""
    if len(source) < FEWEST:
        raise DfdError(f"{len(source)} pairs of templates are too few: an adapter needs {FEWEST} at least")
    if len(np.unique(people)) < 2:
        raise DfdError(
            f"all {len(source)} pairs are of one person: an adapter is fitted on some people and judged on others"
        )
    refuse_degenerate(source, None, "the other system's templates", distinct=True)


def _folds(people: np.ndarray, seed: int) -> np.ndarray:
    """A fold (N,) for each photo, from 0: nobody has photos in two. There are FOLDS, or as many as there are people."""
    names, codes = np.unique(people, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return (order % min(FOLDS, len(names)))[codes]


def _lengthening(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """By what predicted deviations are multiplied to spread as far as the true ones; 1 where nothing is predicted."""
    spread = predicted.square().sum()
    return (true.square().sum() / spread).sqrt() if spread > 0 else torch.ones_like(spread)


def save_adapter(path: str | Path, adapter: Adapter, source: Mapping, target: Mapping) -> None:
    """Write an adapter with what it was fitted for, as .safetensors.

    source: whose templates it takes: `name`, and `weights_sha256` where it is known. target: which decoder it is for,
    `decoder`, and whose templates that learned, `recognizer`, and `weights_sha256` where it is known.
    """
    outputs, inputs = adapter.weight.shape
    adapter.config |= {
        "format": FORMAT,
        "from": {**_known(source), "dimension": inputs},
        "to": {**_known(target), "dimension": outputs},
    }
    save_module(path, adapter, adapter.config)


def _known(facts: Mapping) -> dict:
    return {name: value for name, value in facts.items() if value is not None}


def load_adapter(path: str | Path, device: torch.device) -> Adapter:
    """Read what `save_adapter` wrote. Raises DfdError where it is missing, damaged, foreign or of a newer format."""
    if not Path(path).is_file():
        raise DfdError(f"{path}: no such adapter; `dfd adapt` writes it")
    config, state = read_module(path)
    if not isinstance(config, dict) or not {"from", "to"} <= config.keys():
        raise DfdError(f"{path}: not an adapter; `dfd adapt` writes them")
    if config.get("format") != FORMAT:
        raise DfdError(
            f"{path}: its format is {config.get('format')}, and this version reads {FORMAT}; update the project"
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    inputs, outputs = (config[end].get("dimension") for end in ("from", "to"))
    if shapes != {"weight": (outputs, inputs), "bias": (outputs,)} or not all(
        tensor.isfinite().all() for tensor in state.values()
    ):
        raise DfdError(
            f"{path}: damaged: not the matrix ({outputs}, {inputs}) of numbers that its header tells of; fit it again"
        )
    return Adapter(state["weight"].float(), state["bias"].float(), config).to(device)
