"""Files as disks, downloads and mistakes leave them."""

from collections.abc import Iterator

import numpy as np

OTHERS = (
    b"",
    b"<!DOCTYPE html><title>Quota exceeded</title>",
    b"PK\x03\x04",
    b"\x89HDF\r\n\x1a\n",
    b"\x80\x04N.",
    b"PAR1",
)


def damages(content: bytes, seed: int = 0) -> Iterator[bytes]:
    """Forty damaged versions of a file, the same each time."""
    yield from OTHERS
    rng = np.random.default_rng(seed)
    for number in range(40 - len(OTHERS)):
        damaged = bytearray(content)
        place, length = rng.integers(len(content)), 1 + rng.integers(min(64, len(content)))
        if number % 2:  # at either end lie the headers and the indices of most formats
            place = rng.integers(min(200, len(content)))
        elif number % 4:
            place = len(content) - 1 - place % min(200, len(content))
        match number % 5:
            case 0:
                del damaged[place:]
            case 1:
                damaged[place] ^= 1 << rng.integers(8)
            case 2:
                damaged[place : place + length] = rng.bytes(length)
            case 3:
                damaged[place : place + length] = bytes(length)
            case 4:
                del damaged[place : place + length]
        yield bytes(damaged)
