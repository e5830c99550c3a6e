"""What a recognizer is shown of a reconstruction while a decoder learns: never twice the same view.

Without this a decoder paints ξ's adversarial patterns, which no other recognizer and no person takes for the face: they
live in fine detail, in exact places and in colour.
"""

import torch
import torch.nn.functional as F

from dfd.core.devices import float32
from dfd.recognizers.base import Recognizer

TURN, SCALE, SHIFT = 0.1, 0.08, 0.06  # at most: radians, share of the size, of the window's half side
# Of the recognizer's input: the range of sizes that an image is shrunk to and enlarged from. From 0.15 to 0.4 it teaches less,
# also of what other recognizers see.
COARSEST, FINEST = 0.25, 0.9
GREY = 0.5  # of the images
NOISE = 0.02  # standard deviation, in [0, 1]


def jittered(images: torch.Tensor, recognizer: Recognizer) -> torch.Tensor:
    """The recognizer's windows (N, 3, *size) in plain views (N, 3, H, W), RGB in [0, 1]: each turned, scaled, shifted,
    shrunk to a size drawn for all and enlarged again, some grey, with noise. Gradients reach the images."""
    with float32(images.device):  # bfloat16's coordinates would be a fifth of a pixel apart
        return _jittered(images, recognizer)


def _jittered(images: torch.Tensor, recognizer: Recognizer) -> torch.Tensor:
    n, device = len(images), images.device
    turn = _within(TURN, n, device=device)
    scale = 1 + _within(SCALE, n, device=device)
    cos, sin = scale * torch.cos(turn), scale * torch.sin(turn)
    linear = torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2)
    shift = _within(SHIFT, n, 2, device=device)[:, :, None]
    window = torch.eye(2, 3) if recognizer.seen is None else torch.as_tensor(recognizer.seen, dtype=torch.float32)
    window = window.to(device)
    theta = torch.cat([linear @ window[:, :2], window[:, :2] @ shift + window[:, 2:]], 2)

    share = COARSEST + (FINEST - COARSEST) * float(torch.rand(()))
    coarse = [max(1, round(share * side)) for side in recognizer.size]
    finer = max(
        1, round(images.shape[-1] * float(window[:, :2].norm(dim=0).max()) / min(coarse))
    )  # samples per coarse pixel
    grid = F.affine_grid(theta, (n, 3, *(side * finer for side in coarse)), align_corners=False)
    windows = F.avg_pool2d(F.grid_sample(images, grid, padding_mode="border", align_corners=False), finer)
    grey = (torch.rand(n, device=device) < GREY)[:, None, None, None]
    windows = torch.where(grey, windows.mean(1, keepdim=True), windows)
    windows = windows + NOISE * torch.randn_like(windows)
    return F.interpolate(windows, recognizer.size, mode="bilinear", align_corners=False)


def _within(most: float, *shape: int, device: torch.device) -> torch.Tensor:
    """Uniform in [−most, most]."""
    return most * (2 * torch.rand(*shape, device=device) - 1)
