"""Unlinkability of protected templates over keys: D(s) and D_sys (Gomez-Barrero, Galbally, Rathgeb & Busch, TIFS 2018).

A mated score compares templates of one person under two keys, a non-mated one templates of two people under two keys. With
LR(s) = p(s | mated) / p(s | non-mated) and ω = P(mated) / P(non-mated)

    D(s) = 2 ω·LR(s) / (1 + ω·LR(s)) − 1 where ω·LR(s) > 1, else 0,    D_sys = ∫ p(s | mated) D(s) ds,

so that 0 is fully unlinkable and 1 fully linkable. Densities are histograms. Few mated scores in many bins look linkable by
chance alone: `chance` is what they give where who is mated was drawn by lot.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dfd.measures.acceptance import NO_PAIRS
from dfd.measures.verification import cosine_pairs

OMEGA = 1.0
BINS = (10, 100)
SHUFFLES = 20


def local_linkability(mated: np.ndarray, non_mated: np.ndarray, bins: int, omega: float = OMEGA) -> np.ndarray:
    """D(s) in each of the bins, (bins,), of scores (M,) and (N,)."""
    p_mated, p_non_mated = _histograms(mated, non_mated, bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = omega * p_mated / p_non_mated
        return np.where(np.isinf(ratio), 1.0, np.where(ratio > 1, 2 * ratio / (1 + ratio) - 1, 0.0))


def system_linkability(mated: np.ndarray, non_mated: np.ndarray, bins: int, omega: float = OMEGA) -> float:
    """D_sys in [0, 1], of scores (M,) and (N,). Raises ValueError where either has none, or one is not finite."""
    p_mated, _ = _histograms(mated, non_mated, bins)
    return float(p_mated @ local_linkability(mated, non_mated, bins, omega))


def _histograms(mated: np.ndarray, non_mated: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The share of each kind of score in bins of equal width over the range of both."""
    scores = np.concatenate([mated, non_mated])
    if not len(mated) or not len(non_mated) or not np.isfinite(scores).all():
        raise ValueError("linkability needs mated and non-mated scores, all finite")
    edges = np.linspace(scores.min(), scores.max(), bins + 1)
    if edges[0] == edges[-1]:  # all scores are one: a single bin holds them
        edges = np.array([edges[0] - 1, edges[0] + 1])
    return tuple(np.histogram(part, edges)[0] / len(part) for part in (mated, non_mated))


def linkability(
    protect: Callable[[int], torch.Tensor], identities: np.ndarray, keys: Sequence[tuple[int, int]], seed: int
) -> dict:
    """By number of bins D_sys, `value`, and `chance`, of templates protected by one key against those by another.

    protect: a key → protected templates (N, K); keys: pairs of them, whose scores count together. Different photos are
    compared. Null, with a note, where no person has two photos or there is but one person.
    """
    parts = [cosine_pairs(protect(first).numpy(), protect(second).numpy(), identities) for first, second in keys]
    scores = np.concatenate([part.scores for part in parts])
    genuine = np.concatenate([part.genuine for part in parts])
    counts = {"n_mated": int(genuine.sum()), "n_non_mated": int((~genuine).sum()), "key_pairs": len(keys)}
    if genuine.all() or not genuine.any():
        nothing = NO_PAIRS.metrics("value", "chance", note="linkability")
        return {f"bins_{bins}": nothing for bins in BINS} | counts
    rng = np.random.default_rng(seed)
    measures = {}
    for bins in BINS:
        by_lot = []
        for _ in range(SHUFFLES):
            lot = rng.permutation(genuine)
            by_lot.append(system_linkability(scores[lot], scores[~lot], bins))
        value = system_linkability(scores[genuine], scores[~genuine], bins)
        measures[f"bins_{bins}"] = {"value": value, "chance": float(np.mean(by_lot))}
    return measures | counts
