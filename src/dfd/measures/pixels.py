"""Differences of faces' pixels, of a part of them and in grey levels; all of RGB images (N, 3, H, W) in [0, 1]."""

import torch

GREY_LEVELS = 255


def to_8bit(images: torch.Tensor) -> torch.Tensor:
    """Images clipped to [0, 1] and rounded to the 256 grey levels that a picture file can hold, still in [0, 1]."""
    # In place on what `clamp` makes: a new tensor for each step takes three times as long.
    return images.float().clamp(0, 1).mul_(GREY_LEVELS).round_().div_(GREY_LEVELS)


@torch.no_grad()
def psnr_within(images: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB, (N,), of a region: higher is better, inf where both are equal there.

    weights: (N, 1, H, W), at least 0, how much each pixel belongs to the region; all 1 is the plain PSNR. A region
    without any weight gives NaN.
    """
    squared = (to_8bit(images) - to_8bit(targets)).square().mean(1, keepdim=True)
    return -10 * ((squared * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))).log10()


@torch.no_grad()
def change_share(
    before: torch.Tensor, after: torch.Tensor, weights: torch.Tensor, centred: bool = False
) -> torch.Tensor:
    """How much of the change lies in a region, (N,) in [0, 1]: of the squared differences' sum. NaN for no change.

    weights: (N, 1, H, W) in [0, 1]. A change without any place has as its share the region's share of the area.
    centred: less each colour's mean change over the picture, which is a change of light or complexion.
    """
    change = after - before
    if centred:
        change = change - change.mean((2, 3), keepdim=True)
    squared = change.square().mean(1, keepdim=True)
    return (squared * weights).sum((1, 2, 3)) / squared.sum((1, 2, 3))


@torch.no_grad()
def mean_within(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The mean of values (N, 3, H, W) over a region, (N,); weights (N, 1, H, W) as above."""
    return (values.mean(1, keepdim=True) * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))


@torch.no_grad()
def grey_levels(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The root mean squared difference, (N,), in grey levels, 0 to 255."""
    return (images - targets).square().mean((1, 2, 3)).sqrt() * GREY_LEVELS


@torch.no_grad()
def pairwise_grey_levels(images: torch.Tensor) -> torch.Tensor:
    """The same between every two images, (N, N) float64, symmetric, 0 on its diagonal. Memory: N² numbers."""
    flat = images.flatten(1).double()
    flat = flat - flat.mean(0)  # nearer to zero, where the sums below cancel less
    squares = flat.square().sum(1)
    squared = (squares[:, None] + squares - 2 * flat @ flat.T).clamp_min(0).fill_diagonal_(0)
    return (squared / flat.shape[1]).sqrt() * GREY_LEVELS
