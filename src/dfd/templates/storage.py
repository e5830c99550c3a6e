"""Templates as people store them: with fewer digits than the recognizer computed, read back as float32.

Each format is a function of a file's templates (N, D) to what is read from that file, (N, D) float32.
"""

from collections.abc import Callable

import torch

FLOAT16_MAX = torch.finfo(torch.float16).max
LEVELS = 127  # of int8 on either side of zero: −128 is not used, so that the scale is symmetric


def float16(templates: torch.Tensor) -> torch.Tensor:
    """11 significant bits; what is beyond ±65504 ends there."""
    return templates.clamp(-FLOAT16_MAX, FLOAT16_MAX).half().float()


def decimals(templates: torch.Tensor, count: int) -> torch.Tensor:
    """So many digits after the point, as in text files; in float64, where ten to some power is exact."""
    return templates.double().round(decimals=count).float()


def int8(templates: torch.Tensor) -> torch.Tensor:
    """Whole numbers from −127 to 127, with one scale for the file: 127 is its largest absolute value."""
    largest = templates.abs().max()
    if largest == 0:
        return templates.float()
    return (templates / largest * LEVELS).round().to(torch.int8).float() / LEVELS * largest


FORMATS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "float16": float16,
    "decimals-5": lambda templates: decimals(templates, 5),
    "decimals-4": lambda templates: decimals(templates, 4),
    "int8": int8,
}
