"""What every decoder is: a network from templates to faces that knows the statistics of what it learned from."""

import torch
from torch import nn

from dfd.core.devices import float32
from dfd.core.rows import Rows
from dfd.faces.examples import Examples, mean_face
from dfd.templates.linear import soft_whitening

CLIP = 5.0  # standard deviations
# Of the templates' largest variance. What lies along smaller axes is lost in float16 and five decimals, and with this floor
# that costs dlib's templates less than 0.05 dB; what two machines compute differs by far less.
FLOOR = 1e-8
NOISE = 0.05  # standard deviations, of what a whitened template is trained with, where nothing else is said


class Decoder(nn.Module):
    """D: templates (N, D) to RGB faces (N, 3, size, size), in [0, 1] but for overshoots.

    dimension: the template's length D. size: pixels of the face. config: the header of the file it was read from.
    """

    def __init__(self, dimension: int, size: int):
        super().__init__()
        self.dimension, self.size = dimension, size
        self.config: dict = {}
        self.register_buffer("mean_face", torch.full((3, size, size), 0.5))

    @property
    def device(self) -> torch.device:
        return self.mean_face.device

    def learn_statistics(self, training: Examples, validation: Examples) -> None:
        """Take from examples, before any training, what is no weight: centre and scale of templates, the mean face."""
        self.set_statistics(training.targets, mean_face(training))

    def set_statistics(self, templates: torch.Tensor | Rows, mean_face: torch.Tensor) -> None:
        """The same from training templates (M, D) and the mean training face (3, size, size)."""
        raise NotImplementedError


class Whitening(nn.Module):
    """Templates (N, D) along their principal axes, each with variance 1; in training with noise, of `noise` deviations.

    Axes of little variance say as much about the face as others do, and gradient descent would hardly see them. Those with
    less than FLOOR of the largest variance count the less the smaller they are. Nothing counts beyond CLIP standard
    deviations, where a few unseen faces lie, which would be decoded to black.

    Along small axes what storage rounds off (float16, five decimals) is larger than what people differ by: rounded
    templates are restored before they are decoded, see `provenance.restored`, for which their `variances` are kept.
    """

    def __init__(self, dimension: int):
        super().__init__()
        self.noise = NOISE
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("matrix", torch.eye(dimension))
        self.register_buffer("variances", torch.ones(dimension))

    def learn(self, templates: torch.Tensor | Rows) -> None:
        """Take mean and axes from training templates (M, D)."""
        for buffer, learned in zip(
            (self.mean, self.matrix, self.variances), soft_whitening(templates, FLOOR), strict=True
        ):
            buffer.copy_(learned)

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        # What bfloat16 rounds off would come out larger than the noise along small axes, and only while learning.
        with float32(templates.device):
            white = ((templates - self.mean) @ self.matrix).clamp(-CLIP, CLIP)
        return white + self.noise * torch.randn_like(white) if self.training else white
