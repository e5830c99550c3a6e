"""Text in HDF5 files, of fixed length: damaged text of varying length is what HDF5 reads for ever, and no program can stop it."""

from collections.abc import Mapping, Sequence

import h5py
import numpy as np


def texts(values: Sequence[str]) -> np.ndarray:
    """Texts as an array (N,) of bytes, UTF-8, padded to the longest."""
    return np.array([_encoded(value) for value in values], np.bytes_)


def write_attributes(group: h5py.Group, attributes: Mapping) -> None:
    for name, value in attributes.items():
        group.attrs[name] = np.bytes_(_encoded(value)) if isinstance(value, str) else value


def read_attributes(group: h5py.Group) -> dict:
    """Those of a file or a group, text as str, whether its length is fixed or, as others write it, not."""
    return {
        name: value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        for name, value in group.attrs.items()
    }


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape") or b"\0"  # HDF5 has no text of length 0
