"""Decoders in closed form: ridge regression from templates to pixels, linear or quadratic."""

import torch
from torch import nn

from dfd.core.rows import Rows
from dfd.decoder.base import Decoder
from dfd.faces.examples import Examples
from dfd.templates.linear import Fit, Moments, fit_ridge, whitening

BATCH = 512
PRODUCTS = (1.0, 0.3, 0.1, 0.03)  # scales of the products tried


def products(x: torch.Tensor) -> torch.Tensor:
    """All products of two of the coordinates (N, K), squares among them: (N, K(K+1)/2)."""
    first, second = torch.triu_indices(x.shape[1], x.shape[1])
    return x[:, first] * x[:, second]


class LinearDecoder(Decoder):
    """Templates (N, D) to RGB faces (N, 3, size, size), affinely."""

    def __init__(self, dimension: int, size: int):
        super().__init__(dimension, size)
        self.affine = nn.Linear(dimension, 3 * size**2)

    def set_statistics(self, templates: torch.Tensor | Rows, mean_face: torch.Tensor) -> None:
        self.mean_face.copy_(mean_face)

    def features(self, templates: torch.Tensor) -> torch.Tensor:
        """What the pixels are affine in, (N, features)."""
        return templates

    def scales(self) -> list[torch.Tensor] | None:
        """How to scale the features for the ridge: choices, each (features,), for validation faces (see `fit_ridge`)."""
        return None

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return self.affine(self.features(templates)).unflatten(1, (3, self.size, self.size))


class QuadraticDecoder(LinearDecoder):
    """Affine in the whitened template and in all products of its first `axes` principal coordinates.

    What a template says of a face is not linear in it; products are the first terms of what remains. With D = 128 and
    35 axes it has 128 + 630 features.
    """

    def __init__(self, dimension: int, size: int, axes: int):
        super().__init__(dimension, size)
        self.axes = min(axes, dimension)
        self.affine = nn.Linear(dimension + self.axes * (self.axes + 1) // 2, 3 * size**2)
        self.register_buffer("template_mean", torch.zeros(dimension))
        self.register_buffer("whitening", torch.eye(dimension))

    def set_statistics(self, templates: torch.Tensor | Rows, mean_face: torch.Tensor) -> None:
        super().set_statistics(templates, mean_face)
        mean, matrix = whitening(templates)
        self.template_mean.copy_(mean)
        self.whitening.copy_(matrix)

    def features(self, templates: torch.Tensor) -> torch.Tensor:
        white = (templates - self.template_mean) @ self.whitening
        return torch.cat([white, products(white[:, : self.axes])], 1)

    def scales(self) -> list[torch.Tensor]:
        """Coordinates of variance one, or each of its axis' own; and products held back more than these, by steps."""
        first, second = torch.triu_indices(self.axes, self.axes)
        lengths = self.whitening.norm(dim=0)
        deviations = torch.where(lengths > 0, lengths[0] / lengths, 0)  # relative to the first axis'
        return [
            torch.cat([axes, products * axes[first] * axes[second]])
            for axes in (torch.ones_like(deviations), deviations)
            for products in PRODUCTS
        ]


@torch.no_grad()
def fit(decoder: LinearDecoder, training: Examples, validation: Examples) -> Fit:
    """Give a decoder the weights with the least squared pixel error; validation faces choose ridge strength and scales."""
    decoder.learn_statistics(training, validation)
    train = _moments(decoder, training)
    fitted = fit_ridge(train, _moments(decoder, validation), scales=decoder.scales())
    decoder.affine.weight.copy_(fitted.map.weight)
    decoder.affine.bias.copy_(fitted.map.bias)
    return fitted


def _moments(decoder: LinearDecoder, examples: Examples) -> Moments:
    moments = Moments(decoder.affine.in_features, decoder.affine.out_features)
    for _, templates, images in examples.batches(torch.arange(len(examples)), BATCH):
        moments.add(decoder.features(templates), images.flatten(1).float() / 255)
    return moments
