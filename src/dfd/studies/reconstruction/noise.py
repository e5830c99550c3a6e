"""Painted noise: what a decoder that learned from a recognizer's eyes draws, which no person and no other recognizer
sees as a face.

A reconstruction has as much fine detail as a photo, or less where it is blurred. More is noise.
"""

from collections.abc import Mapping

import torch

from dfd.core.left_out import LeftOut

BANDS = {"top_octave": (0.25, 0.5), "second_octave": (0.125, 0.25)}  # cycles a pixel, without the lower end
MEASURES = {  # name -> (what is seen of an image, band)
    "top_octave": ("luma", "top_octave"),
    "second_octave": ("luma", "second_octave"),
    "chroma_top_octave": ("chroma", "top_octave"),
}
LUMA = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601
ROUNDING = 1 / 12 / 255**2  # the variance of what rounding to 8 bits changes
BATCH = 64


def gradient_energy(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The energy of the images' (N, C, H, W) gradient by band of radial frequency, (N,) float64, summed over channels.

    It is the integral over the band of |f|² S(f), f in cycles a pixel, S the power spectrum of the image under a Hann
    window, which keeps the edges of the picture from counting as detail. White noise of variance σ² has S = σ².
    Diagonal frequencies beyond 0.5 belong to no octave. For images with values in [0, 1] the unit is (1/pixel)², but
    for a factor of 4π².
    """
    down, across = (torch.hann_window(side, dtype=torch.float64, device=images.device) for side in images.shape[-2:])
    window = down[:, None] * across
    parts = []
    for some in images.split(BATCH):
        spectrum = torch.fft.fft2(some.double() * window) / window.square().sum().sqrt()
        parts.append((spectrum.real.square() + spectrum.imag.square()).sum(1))
    power = torch.cat(parts)
    weights = _weights(power.shape[-2:], images.device)
    return {name: (power * weight).mean((1, 2)) for name, weight in weights.items()}


def _weights(size: tuple[int, int], device: torch.device) -> dict[str, torch.Tensor]:
    """|f|² within each band, 0 outside it, (H, W) each."""
    down, across = (torch.fft.fftfreq(side, dtype=torch.float64, device=device) for side in size)
    squared = down[:, None].square() + across.square()
    return {name: squared * ((squared > low**2) & (squared <= high**2)) for name, (low, high) in BANDS.items()}


def luma(images: torch.Tensor) -> torch.Tensor:
    """The brightness (N, 1, H, W) of RGB images (N, 3, H, W)."""
    return (images * torch.tensor(LUMA, device=images.device)[:, None, None]).sum(1, keepdim=True)


def chroma(images: torch.Tensor) -> torch.Tensor:
    """The colour (N, 3, H, W) of RGB images (N, 3, H, W): what differs from their mean over the three channels."""
    return images - images.mean(1, keepdim=True)


@torch.no_grad()
def noise(images: torch.Tensor, photos: torch.Tensor) -> dict:
    """How much fine detail images (N, 3, H, W) have for each one of the photos, of the same size, both RGB in [0, 1]:
    `top_octave` and `second_octave` of luma, `chroma_top_octave` of colour, as the ratio of the gradient energies of
    all images and all photos.

    1 is natural, less is blur, more than 1.3 in the top octave painted noise. Null, with a note, where the photos have
    less than rounding to 8 bits leaves of any image: grey photos have no colour. Raises ValueError for other sizes.
    """
    if images.shape[1:] != photos.shape[1:]:
        raise ValueError(f"images {tuple(images.shape)} and photos {tuple(photos.shape)} must have the same size")
    seen = {"luma": luma, "chroma": chroma}
    theirs, ours = ({name: _mean_energy(see(faces)) for name, see in seen.items()} for faces in (photos, images))
    least = {
        band: ROUNDING * float(weight.mean()) for band, weight in _weights(images.shape[-2:], images.device).items()
    }
    ratios: dict = {}
    for name, (what, band) in MEASURES.items():
        if theirs[what][band] > least[band]:
            ratios[name] = ours[what][band] / theirs[what][band]
        else:
            ratios |= LeftOut(f"the photos have no {what} in this band: nothing to compare with").metrics(name)
    return ratios


def _mean_energy(images: torch.Tensor) -> Mapping[str, float]:
    return {band: float(energy.mean()) for band, energy in gradient_energy(images).items()}
