"""A decoder that learns in few epochs on a CPU: dense layers, one residual block per resolution, and a quadratic skip."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError
from dfd.core.rows import Rows
from dfd.decoder.base import Decoder, Whitening
from dfd.decoder.closed_form import products
from dfd.faces.examples import Examples, mean_face
from dfd.faces.geometry import shrunk
from dfd.templates.linear import Moments, fit_ridge

SIDES = range(7, 14)  # pixels of the first map
COARSE = 28  # pixels, at most, of the skip's pictures: what is linear or quadratic in a template has no finer detail
# Pixels from which on the last doubling is a pixel shuffle: a block at full size would cost most of the time, and at 56
# pixels the validation losses of vgg-vgg and resnet-resnet are the same without it (within 0.1 %).
SHUFFLED = 56
# Of a step of the skip's weights, quadratic or linear: at a network's learning rate it would forget the regression.
GENTLE = {True: 0.03, False: 0.1}
# Of coordinates: the smaller products are, the more the ridge holds them back, and the slower they learn.
PRODUCTS = 0.05
BATCH = 512


class ResidualBlock(nn.Module):
    """(N, C, h, w) → the same: BN, ReLU, 3×3, twice, added to its input. It starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class ResidualDecoder(Decoder):
    """mean face + skip(e), enlarged + convolutions(e): whitened templates (N, D) to RGB faces (N, 3, size, size).

    The skip is affine in the whitened template and in the products of its first `axes` coordinates. It starts as the ridge
    regression of coarse pictures, and the convolutions start at zero, so that training starts where regression ends:
    from as few faces as tell a network nothing yet.

    size: 7 to 13 pixels doubled any number of times (56, 112, 224 = 7·2⁵). hidden: of the two dense layers. rank: of the
    matrix from them to the first map; a quadratic skip's has half of it. channels: of the first two maps; halved with
    every doubling after that, but no less than 16. axes: 0 for a linear skip. Raises DfdError for another size.
    """

    def __init__(self, dimension: int, size: int, hidden: int, rank: int, channels: int, axes: int):
        super().__init__(dimension, size)
        doublings = next((k for k in range(12) if size % 2**k == 0 and size >> k in SIDES), None)
        if doublings is None:
            raise DfdError(
                f"decoder.size: no {size} px: use 7 to 13 pixels doubled any number of times, as 56, 64, 112, 224"
            )
        self.side = size >> doublings
        self.coarse = min(size, self.side * 2 ** max(0, math.floor(math.log2(COARSE / self.side))))
        self.whitening = Whitening(dimension)
        self.axes = min(axes, dimension)
        features, outputs = dimension + self.axes * (self.axes + 1) // 2, 3 * self.coarse**2
        self.gentle = GENTLE[self.axes > 0]
        between = min(max(1, rank // 2), outputs)
        quadratic = [nn.Linear(features, between, bias=False), nn.Linear(between, outputs)]
        self.skip = nn.Sequential(*quadratic) if self.axes else nn.Sequential(nn.Linear(features, outputs))
        self.dense = nn.Sequential(
            nn.Linear(dimension, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            # Most of the weights would be in this matrix, and templates hold too few numbers for all of its rank.
            nn.Linear(hidden, rank, bias=False), nn.Linear(rank, channels * self.side**2), nn.ReLU(),
        )  # fmt: skip
        shuffles = size >= SHUFFLED
        widths = [max(min(16, channels), channels >> max(0, k - 1)) for k in range(doublings + 1 - shuffles)]
        layers: list[nn.Module] = [ResidualBlock(widths[0])]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2), ResidualBlock(outputs)]
        self.convolutions = nn.Sequential(*layers, nn.BatchNorm2d(widths[-1]), nn.ReLU())
        last = nn.Conv2d(widths[-1], 3 * 4**shuffles, 3, padding=1)
        self.to_rgb = nn.Sequential(last, nn.PixelShuffle(2)) if shuffles else last
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for start in (self.skip[-1], last):
            nn.init.zeros_(start.weight)
            nn.init.zeros_(start.bias)

    def set_statistics(self, templates: torch.Tensor | Rows, mean_face: torch.Tensor) -> None:
        self.whitening.learn(templates)
        self.mean_face.copy_(mean_face)

    @torch.no_grad()
    def learn_statistics(self, training: Examples, validation: Examples) -> None:
        """Take the whitening and the mean face, and the skip from a ridge regression (validation faces choose λ)."""
        self.set_statistics(training.targets, mean_face(training))
        moments = self._moments(training)
        weight, bias = fit_ridge(moments, self._moments(validation)).map
        self.skip[-1].bias.copy_(bias / self.gentle)
        if not self.axes:
            self.skip[0].weight.copy_(weight / self.gentle)
            return
        # Its matrix keeps the directions of the pictures along which what it says varies most.
        mean, matrix = moments.x / moments.n, weight.double()
        spread = matrix @ (moments.xx / moments.n - torch.outer(mean, mean)) @ matrix.T
        directions = torch.linalg.eigh(spread)[1].flip(1)[:, : self.skip[1].in_features].float()
        length = (
            len(directions) ** 0.5
        )  # weights of the second layer are around 1, as what the first learns is to count
        self.skip[0].weight.copy_(directions.T @ weight / (self.gentle * length))
        self.skip[1].weight.copy_(directions * length)

    def _features(self, white: torch.Tensor) -> torch.Tensor:
        """What the skip is affine in, (N, features), of whitened templates (N, D)."""
        deviations = self.whitening.variances[: self.axes].sqrt()
        relative = (
            deviations / deviations[:1].clamp_min(1e-30)
        ).sqrt()  # products of small axes are held back the most
        return torch.cat([white, PRODUCTS * products(relative * white[:, : self.axes])], 1)

    def _moments(self, examples: Examples) -> Moments:
        moments = Moments(self.skip[0].in_features, self.skip[-1].out_features)
        training, _ = self.training, self.eval()  # without noise
        for _, templates, images in examples.batches(torch.arange(len(examples)), BATCH):
            rest = shrunk(images.float() / 255 - self.mean_face, self.coarse)
            moments.add(self._features(self.whitening(templates)), rest.flatten(1))
        noisy = moments.xx.diagonal()[: self.dimension]
        noisy += len(examples) * self.whitening.noise**2  # as the whitened templates of the training are
        self.train(training)
        return moments

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        white = self.whitening(templates)
        coarse = self.gentle * self.skip(self._features(white)).unflatten(1, (3, self.coarse, self.coarse))
        x = self.dense(white).unflatten(1, (-1, self.side, self.side)).contiguous(memory_format=torch.channels_last)
        fine = self.to_rgb(self.convolutions(x))
        return self.mean_face + F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False) + fine
