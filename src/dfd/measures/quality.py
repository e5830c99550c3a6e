"""Image quality of reconstructions (paper, table 1): PSNR, SSIM and LPIPS, each per image, of 8-bit images.

The packages torchmetrics and lpips bring all of torchvision: they are imported where they are called, as this takes seconds.
"""

from __future__ import annotations

import logging
import socket
import warnings
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dfd.core.artefacts import file_sha256
from dfd.core.devices import exact_convolutions
from dfd.core.left_out import LeftOut
from dfd.core.packages import package_file
from dfd.measures.pixels import to_8bit

if TYPE_CHECKING:
    from lpips import LPIPS

# As in torchvision.models.AlexNet_Weights.IMAGENET1K_V1
TRUNK_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
TRUNK_SHA256 = TRUNK_URL.rpartition("-")[2].removesuffix(".pth")  # PyTorch publishes the first digits, in the name
INFINITE = LeftOut("a reconstruction equals its original, where this measure is infinite")  # why a mean PSNR is None
BATCH = 32  # images whose windows are convolved at once: more of them leave a CPU's cache and take longer (benchmarks/speed.py)
TIMEOUT = 10  # seconds without an answer after which the download is given up

log = logging.getLogger(__name__)


@torch.no_grad()
def psnr(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB, (N,), in [0, inf], of RGB images (N, 3, H, W) in [0, 1]: higher is better.

    Identical images have no noise and give inf. JSON has no inf: metrics report a mean that holds one as None with a
    note. Raises ValueError for shapes that differ.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    images, targets = _comparable(images, targets)
    # Without `dim` the squared errors of the whole batch are pooled, and the mean depends on the batch size.
    return peak_signal_noise_ratio(images, targets, data_range=1.0, reduction="none", dim=(1, 2, 3))


@torch.no_grad()
def ssim(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Structural similarity, (N,), in [-1, 1], of RGB images (N, 3, H, W) in [0, 1], H and W above 5: higher is better.

    Wang et al., 2004: Gaussian window of σ = 1.5 (11×11, borders reflected), K1 = 0.01, K2 = 0.03, averaged over pixels
    and channels. In float32, exact to about 3e-4 in flat bright images and better elsewhere (float64 takes 20 times as
    long on a CPU). Raises ValueError for shapes that differ.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    images, targets = _comparable(images, targets)
    parts = []
    with exact_convolutions():
        for some, others in zip(images.split(BATCH), targets.split(BATCH), strict=True):
            # All colours of all images as channels of one: a CPU convolves these six times as fast.
            as_channels = [part.flatten(0, 1)[None] for part in (some, others)]
            _, by_pixel = structural_similarity_index_measure(
                *as_channels, data_range=1.0, reduction="none", return_full_image=True
            )
            parts.append(by_pixel.reshape(some.shape).mean((1, 2, 3)))
    return torch.cat(parts)


class Lpips:
    """Learned perceptual distance, LPIPS v0.1 on AlexNet (Zhang et al., CVPR 2018): lower is better, 0 for equal images.

    network: the `lpips` package's own module, with its weights.
    """

    def __init__(self, network: LPIPS):
        self.network = network.eval()

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, targets: torch.Tensor, batch: int = 64) -> torch.Tensor:
        """Distances, (N,), at least 0, of RGB images (N, 3, H, W) in [0, 1], H and W of 31 or more.

        batch: pairs in memory at once. Raises ValueError for shapes that differ.
        """
        images, targets = _comparable(images, targets)
        with exact_convolutions():
            parts = [
                self.network(some, others, normalize=True)  # normalize: from [0, 1] to the [-1, 1] it was trained on
                for some, others in zip(images.split(batch), targets.split(batch), strict=True)
            ]
        return torch.cat(parts).flatten()


def load_lpips(device: torch.device | str) -> Lpips | LeftOut:
    """LPIPS, or the reason where AlexNet's ImageNet weights cannot be had, which says where to put them.

    They are looked for in torch.hub's cache, then downloaded into it, as torchvision does. Their SHA-256 is checked
    in both cases: with any other weights LPIPS would be another number under the same name.
    """
    trunk = Path(torch.hub.get_dir()) / "checkpoints" / TRUNK_URL.rpartition("/")[2]
    try:
        if not trunk.is_file():
            _download(trunk)
        if not file_sha256(trunk).startswith(TRUNK_SHA256):
            return LeftOut(
                f"LPIPS was not computed: {_homely(trunk)} is not {TRUNK_URL}; delete it and download it again"
            )
    except (OSError, HTTPException, RuntimeError) as error:
        # The reason varies from run to run, what is left out is committed with the metrics: only the log has the reason.
        log.warning("%s could not be had: %s", TRUNK_URL, error)
        return LeftOut(
            f"LPIPS was not computed: {trunk.name} could not be downloaded; "
            f"put {TRUNK_URL} into the folder {_homely(trunk.parent)}"
        )
    return Lpips(_network(trunk).to(device))


def _download(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # torch.hub sets none, and would wait for a silent server for ever
    try:
        torch.hub.download_url_to_file(TRUNK_URL, str(path), hash_prefix=TRUNK_SHA256, progress=False)
    finally:
        socket.setdefaulttimeout(timeout)


def _network(trunk: Path) -> LPIPS:
    """The package's module with its weights, both files unpickled as weights only (itself it would run their code)."""
    import lpips

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # its random weights are thrown away
        warnings.simplefilter("ignore")  # it calls torchvision with arguments of 2022
        network = lpips.LPIPS(net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False)
    state = torch.load(trunk, map_location="cpu", weights_only=True)
    # lpips cuts torchvision's `features` into slices, whose modules keep their numbers: slice2.3 is features.3.
    names = {name: f"features.{name.partition('.')[2]}" for name in network.net.state_dict()}
    network.net.load_state_dict({name: state[published] for name, published in names.items()})
    heads = torch.load(package_file("lpips", "lpips/weights/v0.1/alex.pth"), map_location="cpu", weights_only=True)
    network.lins.load_state_dict({name.removeprefix("lin"): head for name, head in heads.items()})
    return network


def _comparable(images: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if images.shape != targets.shape or images.ndim != 4:
        raise ValueError(f"images {tuple(images.shape)} and targets {tuple(targets.shape)} must be alike, (N, 3, H, W)")
    return to_8bit(images), to_8bit(targets)


def _homely(path: Path) -> str:
    """The path with ~ for the home folder, so that a committed note is the same for everybody."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
