"""Computing templates: e = ξ(x)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from tqdm import tqdm

from dfd.core.devices import autocast
from dfd.faces.store import PLAIN, FaceStore
from dfd.recognizers.base import Recognizer

BATCH = {"cpu": 8}  # a CPU's cache holds no more of a ResNet's activations; other devices take 256


def batches(rows: Sequence[int], device: torch.device) -> Iterator[np.ndarray]:
    """`rows` in the order given, cut to the batch size that suits the device."""
    size = BATCH.get(device.type, 256)
    for start in range(0, len(rows), size):
        yield np.asarray(rows[start : start + size])


@torch.inference_mode()
def embed_images(recognizer: Recognizer, images: torch.Tensor, precision: str = "float32") -> torch.Tensor:
    """Templates (N, D), float32 on the CPU, of images (N, 3, H, W) in [0, 1]."""
    device = recognizer.mean.device
    parts = []
    for rows in batches(range(len(images)), device):
        batch = images[torch.as_tensor(rows)].to(device).contiguous(memory_format=torch.channels_last)
        with autocast(device, precision):
            parts.append(recognizer(batch).float().cpu())
    return torch.cat(parts)


def embed_faces(recognizer: Recognizer, faces: FaceStore, precision: str = "float32") -> tuple[torch.Tensor, torch.Tensor]:
    """Templates (N, D) of all faces of a store, and of the mirrored faces."""
    device = recognizer.mean.device
    plain, mirrored = [], []
    progress = tqdm(total=len(faces), desc=f"templates of {faces.name}", unit=" faces", disable=None)
    for rows in batches(range(len(faces)), device):
        images = faces.views(rows, recognizer.size)
        plain.append(embed_images(recognizer, images, precision))
        mirrored.append(embed_images(recognizer, images.flip(3), precision))
        progress.update(len(rows))
    return torch.cat(plain), torch.cat(mirrored)


def embed_views(
    recognizer: Recognizer, faces: FaceStore, rows: Sequence[int], view: np.ndarray = PLAIN, precision: str = "float32"
) -> torch.Tensor:
    """Templates (N, D) of one view of `rows`."""
    parts = []
    for batch in batches(rows, recognizer.mean.device):
        parts.append(embed_images(recognizer, faces.views(batch, recognizer.size, view), precision))
    return torch.cat(parts)
