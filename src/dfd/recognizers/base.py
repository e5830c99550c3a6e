"""What every recognizer is: a network with named layers that brings its own preprocessing."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
from dfd.faces.geometry import seen_window, views

NO_IMAGES = LeftOut("its templates are precomputed: no other image can be embedded")  # where `embeds_images` is false
NO_GRADIENTS = LeftOut("it gives no gradients")  # where `gives_gradients` is false
Window = str | Sequence[Sequence[float]]  # a name in WINDOWS, or five landmarks in pixels of the input


def no_features(recognizer: str) -> LeftOut:
    """What becomes of learning through the features of a recognizer that gives no gradients."""
    return LeftOut(f"left out: {recognizer} gives no gradients, so nothing can be learned through its features")


class Recognizer(nn.Module):
    """A face-recognition network ξ, also usable as perceptual network φ.

    A subclass builds its layers and runs them in `_layers`, which yields (name, activation) in forward order.

    size: (height, width) of the input in pixels; given as one number where it is square. layer: the layer whose activation
    is the template. tap: the layer whose activation is the perceptual feature. Preprocessing: ((255·x)[channel order] −
    mean) · scale, each of the two one number or one per channel in the network's order.
    window: which part of a face it was trained on: a name in WINDOWS, or the five landmarks' places in its input. `place`
    finds it in the plain view of a geometry; until then what it is shown is its window.
    head: the published classifier, where the weights came with one (else None); it gives the layer `logits`.

    gives_gradients: whether templates and activations can be differentiated with respect to images; without that there
    are no perceptual features, no training, no white-box analysis. embeds_images: whether it computes
    templates at all; where it does not, they exist for some photos and for nothing else.
    """

    gives_gradients: bool = True
    embeds_images: bool = True

    def __init__(
        self,
        size: int | tuple[int, int],
        layer: str,
        tap: str,
        mean: float | tuple[float, ...],
        scale: float | tuple[float, ...],
        window: Window,
        bgr: bool = False,
    ):
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size
        self.window = window
        self.seen: np.ndarray | None = None  # the window in the plain view, (2, 3), once it is placed
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
            self.activations(torch.zeros(1, 3, *self.size), [self.layer, self.tap])

    def fit(self, state: dict[str, torch.Tensor]) -> None:
        """Make room for what only weights tell the shape of, before they are loaded: the classifier in `state`, if any."""
        if "head.weight" in state and state["head.weight"].ndim == 2:
            classes, features = state["head.weight"].shape
            self.head = nn.utils.skip_init(nn.Linear, features, classes).eval()

    def decides(self) -> dict:
        """What decides a template besides the weights and the preprocessing, which `state_dict` holds."""
        window = self.window if isinstance(self.window, str) else np.asarray(self.window, float).tolist()
        return {"class": type(self).__name__, "layer": self.layer, "size": list(self.size), "window": window}

    def place(self, geometry: str) -> "Recognizer":
        """See faces of this geometry from now on. Raises DfdError where they do not hold the recognizer's window."""
        self.seen = seen_window(self.window, self.size, geometry)
        return self

    @property
    def view_size(self) -> int:
        """The side of a plain view, in pixels, in which its window has as many pixels as its input."""
        if self.seen is None:
            return max(self.size)
        return round(max(side / np.linalg.norm(axis) for side, axis in zip(self.size[::-1], self.seen[:, :2].T)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Templates (N, D) of plain views (N, 3, H, W), RGB in [0, 1]: of the recognizer's own window in them."""
        if self.seen is not None:
            images = views(images, self.seen, self.size, images.shape[-1], context=1.0)
        elif images.shape[-2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        return self.embed(images)

    def embed(self, windows: torch.Tensor) -> torch.Tensor:
        """Templates (N, D) of what the network is to be shown: RGB (N, 3, *size) in [0, 1], faces in its own window."""
        return self.activations(windows, [self.layer])[self.layer].flatten(1)

    def perceptual(self, images: torch.Tensor) -> torch.Tensor:
        """The tapped activation (N, C, h, w) of plain views (N, 3, H, W), RGB in [0, 1], at the images' own resolution: of all
        that they show, not of the recognizer's window alone."""
        return self.activations(images, [self.tap])[self.tap]

    def activations(self, images: torch.Tensor, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """The named layers' activations; nothing beyond the last of them is computed.

        Raises DfdError for a layer that the network does not have.
        """
        wanted, kept = set(names), {}
        for name, activation in self._layers(self.preprocess(images)):
            if name in wanted:
                kept[name] = activation
                if len(kept) == len(wanted):
                    return kept
        raise DfdError(f"{type(self).__name__} has no layer {', '.join(sorted(wanted - set(kept)))}")

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
            training, _ = self.training, self.eval()
            length = self.embed(torch.zeros(1, 3, *self.size, device=self.device)).shape[1]
            self.train(training)
        return length

    @property
    def device(self) -> torch.device:
        return self.mean.device
