"""Faces with what is to be learned from or about them, in batches for training."""

import math
from collections.abc import Iterator, Sequence

import joblib
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from dfd.core.errors import DfdError
from dfd.core.rows import PickedRows, Rows
from dfd.faces.store import FaceStore

LOADERS = min(4, joblib.cpu_count())  # worker processes, where the faces do not fit in memory


class Examples(Dataset):
    """Pairs (face, target) of some rows: the faces as they are, then, if they have targets too, the faces mirrored.

    targets, mirrored: (N, …) for the whole store: templates, or labels. Templates that are in a file, and the faces, as
    uint8, are kept in memory where `memory_gb` allows both, else both are read anew for every batch. `targets` then has
    those of the examples as `Rows`, else as a tensor. Raises DfdError for no rows.
    """

    def __init__(
        self,
        faces: FaceStore,
        rows: Sequence[int],
        size: int,
        targets: torch.Tensor | Rows,
        mirrored: torch.Tensor | Rows | None,
        memory_gb: float,
    ):
        if len(rows) == 0:
            raise DfdError(
                f"{faces.path}: no face to learn from, or none with a template; give this split of the data set a larger share"
            )
        self.faces, self.rows, self.size = faces, np.asarray(rows), size
        self.targets = PickedRows([targets] if mirrored is None else [targets, mirrored], self.rows)
        stored = 0 if isinstance(targets, torch.Tensor) else math.prod(self.targets.shape) * targets.dtype.itemsize
        fits = stored + len(rows) * 3 * size**2 <= memory_gb * 1e9
        if fits or not stored:
            self.targets = self.targets.in_memory()
        self.images = None
        if fits:
            self.images = torch.cat([self._read(part) for part in np.array_split(self.rows, -(-len(rows) // 256))])

    def __len__(self) -> int:
        return len(self.targets)

    def _read(self, rows: np.ndarray) -> torch.Tensor:
        return (self.faces.views(rows, self.size) * 255).round().byte()

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A batch: indices (B,), targets (B, …), faces uint8 (B, 3, size, size)."""
        index = torch.as_tensor(indices)
        position = index % len(self.rows)
        images = self._read(self.rows[position.numpy()]) if self.images is None else self.images[position]
        mirrored = (index >= len(self.rows))[:, None, None, None]
        return index, self.targets[index], torch.where(mirrored, images.flip(3), images)

    def shuffled(self) -> torch.Tensor:
        """An epoch: every face once, in random order, mirrored or not by chance where both have targets."""
        order = torch.randperm(len(self.rows))
        return order + len(self.rows) * torch.randint(len(self) // len(self.rows), order.shape)

    def batches(
        self, order: torch.Tensor, batch_size: int, process: int = 0, processes: int = 1
    ) -> Iterator[tuple[torch.Tensor, ...]]:
        """The examples in this order, of each batch the share of one of so many processes.

        The last batch is left out if it holds less than two for each of them (batch normalisation).
        """
        whole = (part for part in order.split(batch_size) if len(part) >= 2 * processes or len(part) == len(order))
        shares = (part.tensor_split(processes)[process] for part in whole)
        parts = (part.tolist() for part in shares if len(part))
        if self.images is not None and isinstance(self.targets, torch.Tensor):
            return map(self.__getitems__, parts)
        # A generator of its own, from which the workers' seeds are drawn: training draws the same as with faces in memory.
        settings = {"collate_fn": _as_it_is, "num_workers": LOADERS, "generator": torch.Generator()}
        return iter(DataLoader(self, batch_sampler=parts, **settings))


def _as_it_is(batch: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """A function of the module, not a lambda: where workers are spawned (macOS, Windows, Python 3.14) it is pickled."""
    return batch


def mean_face(examples: Examples) -> torch.Tensor:
    """The mean of all example faces, (3, size, size) in [0, 1]."""
    total = torch.zeros(3, examples.size, examples.size, dtype=torch.float64)
    for _, _, images in examples.batches(torch.arange(len(examples)), 256):
        total += images.double().sum(0)
    return (total / (255 * len(examples))).float()


def on_device(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """uint8 images (B, 3, H, W) as float32 in [0, 1] on the device, channels last."""
    return (images.to(device).float() / 255).contiguous(memory_format=torch.channels_last)
