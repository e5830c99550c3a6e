"""Nobody's faces: the DCGAN generator that the package `gan-face-generate` carries, trained on rendered faces.

Architecture: Radford et al., "Unsupervised representation learning with deep convolutional GANs", ICLR 2016,
as stored in the package's weights file (MIT licence), whose training data is DigiFace-1M.
"""

import io
from collections.abc import Iterator

import torch
from PIL import Image
from torch import nn

from dfd.core.errors import DfdError
from dfd.core.packages import package_file

LATENT = 100
WIDTHS = (512, 256, 128, 64)
BATCH = 100


def build_generator() -> nn.Module:
    """The generator with its weights, in eval mode: latent (N, 100, 1, 1) ~ N(0, 1) to images (N, 3, 64, 64) in [-1, 1]."""
    layers: list[nn.Module] = []
    channels = LATENT
    for index, width in enumerate(WIDTHS):
        stride, padding = (1, 0) if index == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(channels, width, 4, stride, padding, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    generator = nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh())

    path = package_file("gan-face-generate", "gan_face_generate/weights.tar")
    state = torch.load(path, map_location="cpu", weights_only=True)["netG_state_dict"]
    generator.load_state_dict({name.removeprefix("main."): tensor for name, tensor in state.items()})
    return generator.eval()


@torch.no_grad()
def synthetic_photos(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` generated faces, 64×64 RGB, as (`<identity>/0.png`, PNG bytes): each its own identity."""
    if count < 1:
        raise DfdError(f"datasets: a synthetic data set needs at least one face, not {count}")
    generator = build_generator()
    random = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH):
        # Whole batches are always drawn, so that a larger data set begins with the smaller one's faces.
        images = generator(torch.randn(BATCH, LATENT, 1, 1, generator=random))
        pixels = ((images + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        for offset, image in enumerate(pixels[: count - start]):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, format="PNG")
            yield f"synthetic-{start + offset:06d}/0.png", buffer.getvalue()
