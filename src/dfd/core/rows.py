"""Tables with a row for each face that are not held in memory: rows are read when they are asked for.

A `Rows` has what a tensor is used for where only parts of it are needed at a time: `shape`, `len`, `[rows]` and `split`.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch

GAP = 8  # rows between two wanted ones, up to which reading them too is faster than another access to the file
BLOCK = 1024  # wanted rows read at once


class Rows:
    """Rows (N, …), read by `read`, which takes their numbers (M,), in any order and number, and gives (M, …)."""

    shape: tuple[int, ...]

    def read(self, numbers: np.ndarray) -> torch.Tensor:
        raise NotImplementedError

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray | torch.Tensor) -> torch.Tensor:
        """As a tensor's: a slice, a mask (N,), or numbers (M,)."""
        numbers = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        return self.read(np.flatnonzero(numbers) if numbers.dtype == bool else numbers)

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """All rows in their order, `size` at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))


class StoredRows(Rows):
    """Those of a data set in an HDF5 file, which each process opens for itself."""

    def __init__(self, path: str | Path, name: str):
        self.path, self.name = Path(path), name
        with h5py.File(path) as file:
            self.shape, self.dtype = file[name].shape, file[name].dtype
        self._file: h5py.File | None = None
        self._process = 0  # that opened it

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_file": None}

    def read(self, numbers: np.ndarray) -> torch.Tensor:
        if self._file is None or self._process != os.getpid():  # a loader worker, forked or spawned, opens its own
            self._file, self._process = h5py.File(self.path), os.getpid()
        data = self._file[self.name]
        rising = len(numbers) < 2 or (np.diff(numbers) > 0).all()
        wanted, places = (numbers, None) if rising else np.unique(numbers, return_inverse=True)
        out = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        ends = {*(np.flatnonzero(np.diff(wanted) > GAP) + 1).tolist(), *range(BLOCK, len(wanted), BLOCK), len(wanted)}
        start = 0
        for end in sorted(ends - {0}):
            run = wanted[start:end]
            out[start:end] = data[run[0] : run[-1] + 1][run - run[0]]
            start = end
        return torch.from_numpy(out if places is None else out[places])


class PickedRows(Rows):
    """Some rows, `numbers` (M,), of each of several tables of the same width, one after the other."""

    def __init__(self, tables: Sequence[torch.Tensor | Rows], numbers: np.ndarray):
        self.tables, self.numbers = tables, numbers
        self.shape = (len(tables) * len(numbers), *tables[0].shape[1:])

    def read(self, numbers: np.ndarray) -> torch.Tensor:
        table, place = np.divmod(numbers, len(self.numbers))
        parts = [(table == k, rows) for k, rows in enumerate(self.tables) if (table == k).any()]
        if len(parts) == 1:
            return parts[0][1][self.numbers[place]]
        pieces = [(of_it, rows[self.numbers[place[of_it]]]) for of_it, rows in parts]
        out = pieces[0][1].new_empty((len(numbers), *self.shape[1:])) if pieces else torch.empty(0, *self.shape[1:])
        for of_it, rows in pieces:
            out[torch.from_numpy(of_it)] = rows
        return out

    def in_memory(self) -> torch.Tensor:
        """All of them, filled in place: no step holds them twice."""
        parts = self.split(BLOCK)
        first = next(parts)
        out = first.new_empty(self.shape)
        out[: len(first)] = first
        for start, part in enumerate(parts, 1):
            out[start * BLOCK : start * BLOCK + len(part)] = part
        return out
