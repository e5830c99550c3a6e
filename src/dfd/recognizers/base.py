"""What every recognizer is: a network with named layers that brings its own preprocessing."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError

NO_IMAGES = "its templates are precomputed: no other image can be embedded"  # where `embeds_images` is false
NO_GRADIENTS = "it gives no gradients"  # where `gives_gradients` is false


class Recognizer(nn.Module):
    """A face-recognition network ξ, also usable as perceptual network φ.

    A subclass builds its layers and runs them in `_layers`, which yields (name, activation) in forward order.

    size: pixels of the square input. layer: the layer whose activation is the template. tap: the layer whose
    activation is the perceptual feature. Preprocessing: ((255·x)[channel order] − mean) · scale, each of the two one
    number or one per channel in the network's order.
    head: the published classifier, where the weights came with one (else None); it gives the layer `logits`.

    gives_gradients: whether templates and activations can be differentiated with respect to images; without that there
    are no perceptual features, no training, no white-box analysis. embeds_images: whether it computes
    templates at all; where it does not, they exist for some photos and for nothing else.
    """

    gives_gradients: bool = True
    embeds_images: bool = True

    def __init__(
        self,
        size: int,
        layer: str,
        tap: str,
        mean: float | tuple[float, ...],
        scale: float | tuple[float, ...],
        bgr: bool = False,
    ):
        super().__init__()
        self.size = size
        self.layer = layer
        self.tap = tap
        self.head: nn.Linear | None = None
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        scale = torch.tensor(scale, dtype=torch.float32)
        self.register_buffer("scale", scale.view(1, -1, 1, 1) if scale.ndim else scale)
        self.register_buffer("channels", torch.tensor([2, 1, 0] if bgr else [0, 1, 2]))

    def check(self) -> None:
        """Run the network once, so that a layer, a tap or a size that it cannot have is an error before any work."""
        with torch.no_grad():
            self.activations(torch.zeros(1, 3, self.size, self.size), [self.layer, self.tap])

    def fit(self, state: dict[str, torch.Tensor]) -> None:
        """Make room for what only weights tell the shape of, before they are loaded: the classifier in `state`, if any."""
        if "head.weight" in state and state["head.weight"].ndim == 2:
            classes, features = state["head.weight"].shape
            self.head = nn.utils.skip_init(nn.Linear, features, classes).eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Templates (N, D) of RGB images (N, 3, H, W) in [0, 1], resized to the network's own size."""
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return self.activations(images, [self.layer])[self.layer].flatten(1)

    def perceptual(self, images: torch.Tensor) -> torch.Tensor:
        """The tapped activation (N, C, h, w) of RGB images (N, 3, H, W) in [0, 1], at the images' own resolution."""
        return self.activations(images, [self.tap])[self.tap]

    def activations(self, images: torch.Tensor, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """The named layers' activations; nothing beyond the last of them is computed.

        Raises DfdError for a layer that the network does not have.
        """
        wanted, found = set(names), {}
        for name, activation in self._layers(self.preprocess(images)):
            if name in wanted:
                found[name] = activation
                if len(found) == len(wanted):
                    return found
        raise DfdError(f"{type(self).__name__} has no layer {', '.join(sorted(wanted - set(found)))}")

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """What the network is fed (N, 3, H, W) for RGB images (N, 3, H, W) in [0, 1]."""
        return (images[:, self.channels] * 255 - self.mean) * self.scale

    def _layers(self, x: torch.Tensor):
        raise NotImplementedError

    def count_parameters(self) -> int | None:
        """How many numbers were learned; None where that is unknown."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def mean_colour(self) -> torch.Tensor:
        """The colour (3, 1, 1), RGB in [0, 1], that preprocessing turns into zero."""
        return self.mean[0, self.channels] / 255  # red and blue change places or nothing does: its own inverse

    @property
    def dimension(self) -> int:
        """The template's length D."""
        with torch.no_grad():
            device = self.mean.device
            training, _ = self.training, self.eval()
            length = self(torch.zeros(1, 3, self.size, self.size, device=device)).shape[1]
            self.train(training)
        return length
