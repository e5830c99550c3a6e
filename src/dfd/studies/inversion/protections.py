"""What is done to templates to protect them, and how an attacker undoes it.

Each protection is learned, if at all, from training templates; it is applied to the templates that a system stores and to
those that it compares with them. An attacker who knows it maps protected templates back, by the ridge regression that
training faces' pairs give, before they are decoded: the closed form of fitting the decoder anew. From there the decoder may
learn on, see `fine_tuning`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.templates.belonging import Axes
from dfd.templates.linear import Moments, fit_ridge
from dfd.templates.storage import float16, int8

Protect = Callable[[torch.Tensor], torch.Tensor]  # templates (N, D) to protected ones (N, K)

NONE = "none"


class Protection(NamedTuple):
    """fit: training templates (M, D) and a key, a whole number, to the function that protects.

    native: a protected template is still one of the recognizer's, so that its decoder takes it. secret: the attacker does
    not know the key. pools: one template is made of several photos of a person, see `halves`.
    """

    fit: Callable[[torch.Tensor, int], Protect]
    native: bool = True
    secret: bool = False
    pools: bool = False


def unchanged(training: torch.Tensor, key: int) -> Protect:
    return lambda templates: templates


def truncated(axes: int) -> Callable[[torch.Tensor, int], Protect]:
    """Only the first principal axes are kept; along the others every template has the training's mean."""

    def fit(training: torch.Tensor, key: int) -> Protect:
        mean = training.double().mean(0)
        principal = torch.linalg.eigh(torch.cov(training.double().T))[1].flip(1)[:, :axes]
        return lambda templates: (mean + (templates.double() - mean) @ principal @ principal.T).float()

    return fit


def stored(read_back: Protect) -> Callable[[torch.Tensor, int], Protect]:
    """A format of files, as `templates.storage` has them."""
    return lambda training, key: read_back


def levels(bits: int) -> Callable[[torch.Tensor, int], Protect]:
    """2^bits levels of each number, at the middles of as many equally frequent parts of the training's: its quantiles."""

    def fit(training: torch.Tensor, key: int) -> Protect:
        count = 2**bits
        centres = torch.from_numpy(np.quantile(training.numpy(), (np.arange(count) + 0.5) / count, axis=0)).float()
        edges = ((centres[1:] + centres[:-1]) / 2).T.contiguous()  # (D, count − 1)

        def protect(templates: torch.Tensor) -> torch.Tensor:
            level = torch.searchsorted(edges, templates.T.contiguous())
            return torch.gather(centres, 0, level.T)

        return protect

    return fit


def noisy(sigma: float) -> Callable[[torch.Tensor, int], Protect]:
    """Gaussian noise in each number, `sigma` times what a number varies by (the root of the mean variance); anew each time."""

    def fit(training: torch.Tensor, key: int) -> Protect:
        generator, deviation = torch.Generator().manual_seed(key), training.var(0).mean().sqrt()
        return lambda templates: templates + sigma * deviation * torch.randn(templates.shape, generator=generator)

    return fit


def biohash(training: torch.Tensor, key: int) -> Protect:
    """BioHash (Jin, Ling & Goh, 2004): the signs, ±1, along directions that the key draws, orthonormal, as many as numbers."""
    mean, size = training.mean(0), training.shape[1]
    directions = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(key)))[0]
    return lambda templates: torch.where((templates - mean) @ directions > 0, 1.0, -1.0)


def normalised(training: torch.Tensor, key: int) -> Protect:
    return lambda templates: F.normalize(templates, dim=1)


PROTECTIONS: dict[str, Protection] = {
    NONE: Protection(unchanged),
    "normalised": Protection(normalised),
    "float16": Protection(stored(float16)),
    "8-bits": Protection(stored(int8)),
    "4-bits": Protection(levels(4)),
    "1-bit": Protection(levels(1)),
    "axes-64": Protection(truncated(64)),
    "axes-32": Protection(truncated(32)),
    "axes-16": Protection(truncated(16)),
    "axes-8": Protection(truncated(8)),
    "noise-0.5": Protection(noisy(0.5)),
    "noise-1": Protection(noisy(1.0)),
    "noise-2": Protection(noisy(2.0)),
    "biohash": Protection(biohash, native=False),
    "biohash-secret": Protection(biohash, native=False, secret=True),
    "aggregated": Protection(unchanged, pools=True),
}
IDENTITY_PART = "identity-part"  # of PFRNet, which another study learns: see `identity_part`


def identity_part(split: Protect | LeftOut) -> Protection | LeftOut:
    """Templates replaced by their identity part alone, as `split` gives it; it is no template of the recognizer's."""
    return split if isinstance(split, LeftOut) else Protection(lambda training, key: split, native=False)


def halves(identities: np.ndarray) -> np.ndarray:
    """A group (N,) for each photo: of each person's photos every other one is in the same. One photo alone is one group."""
    people, codes = np.unique(identities, return_inverse=True)
    order = np.zeros(len(identities), int)
    for code in range(len(people)):
        photos = np.flatnonzero(codes == code)
        order[photos] = np.arange(len(photos)) % 2
    return 2 * codes + order


def pooled(templates: torch.Tensor, groups: np.ndarray) -> torch.Tensor:
    """Each template (N, D) replaced by the mean of its group's (N,)."""
    _, codes = np.unique(groups, return_inverse=True)
    codes = torch.from_numpy(codes)
    sums = torch.zeros(int(codes.max()) + 1, templates.shape[1], dtype=torch.float64)
    sums.index_add_(0, codes, templates.double())
    return (sums / torch.bincount(codes)[:, None])[codes].float()


def undoing(
    protected: tuple[torch.Tensor, torch.Tensor], exact: tuple[torch.Tensor, torch.Tensor], space: Axes | None
) -> Protect:
    """What brings protected templates (N, K) back to the recognizer's (N, D), linearly.

    protected, exact: of the same training and validation faces; the latter choose the ridge's strength. space: in which
    the decoder sees templates, where errors count. Least squares draws what cannot be told to the mean, which would give
    mean faces: deviations are lengthened until validation templates spread as far as they should.
    """
    seen = [part if space is None else space(part) for part in exact]
    moments = [Moments(inputs.shape[1], outputs.shape[1]) for inputs, outputs in zip(protected, seen, strict=True)]
    for part, inputs, outputs in zip(moments, protected, seen, strict=True):
        part.add(inputs, outputs)
    ridge, centre = fit_ridge(*moments).map, seen[0].double().mean(0)
    told, true = ridge(protected[1]).double() - centre, seen[1].double() - centre
    spread = told.square().sum()
    stretch = (true.square().sum() / spread).sqrt() if spread > 0 else torch.ones(())
    back = None if space is None else torch.linalg.pinv(space.matrix.double())

    def undo(templates: torch.Tensor) -> torch.Tensor:
        restored = centre + stretch * (ridge(templates).double() - centre)
        return (restored if back is None else restored @ back + space.mean.double()).float()

    return undo
