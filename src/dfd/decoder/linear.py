"""The linear decoder: ridge regression from templates to pixels, in closed form."""

import torch
from torch import nn

from dfd.faces.examples import Examples
from dfd.templates.linear import Fit, Moments, fit_ridge

BATCH = 512


class LinearDecoder(nn.Module):
    """Templates (N, D) to RGB faces (N, 3, size, size), affinely; also keeps the mean training face."""

    def __init__(self, dimension: int, size: int):
        super().__init__()
        self.size = size
        self.affine = nn.Linear(dimension, 3 * size**2)
        self.register_buffer("template_mean", torch.zeros(dimension))
        self.register_buffer("mean_face", torch.zeros(3, size, size))

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return self.affine(templates).unflatten(1, (3, self.size, self.size))


def fit_linear_decoder(training: Examples, validation: Examples, size: int) -> tuple[LinearDecoder, Fit]:
    """The linear decoder with the least squared pixel error, its ridge strength chosen on the validation faces."""
    train, held_out = _moments(training, size), _moments(validation, size)
    fit = fit_ridge(train, held_out)
    decoder = LinearDecoder(training.targets.shape[1], size)
    with torch.no_grad():
        decoder.affine.weight.copy_(fit.map.weight)
        decoder.affine.bias.copy_(fit.map.bias)
        decoder.template_mean.copy_(train.x / train.n)
        decoder.mean_face.copy_((train.y / train.n).view(3, size, size))
    return decoder, fit


def _moments(examples: Examples, size: int) -> Moments:
    moments = Moments(examples.targets.shape[1], 3 * size**2)
    for _, templates, images in examples.batches(torch.arange(len(examples)), BATCH):
        moments.add(templates, images.flatten(1).float() / 255)
    return moments
