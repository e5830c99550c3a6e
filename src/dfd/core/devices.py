"""Where the arithmetic runs, and in which precision."""

import contextlib

import torch

from dfd.core.errors import DfdError


def pick_device(name: str) -> torch.device:
    """`auto` (CUDA, else Apple's MPS, else CPU) or a device's own name. Raises DfdError for one not present."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    counts = {"cuda": torch.cuda.device_count() if present["cuda"] else 0}  # of the others there is one
    if device is None or not present.get(device.type, False) or (device.index or 0) >= counts.get(device.type, 1):
        raise DfdError(f"device: {name} is not available here; use one of auto, cpu, cuda, mps")
    return device


def profits_from_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 has hardware of its own on this device: of CPUs those with AMX or AVX-512's bfloat16 instructions.

    With the latter a whole training step of the default decoder took 0.58 of float32's time (one core of an EPYC, 112
    pixels); without either it is ten times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        return any(getattr(torch.cpu, name, lambda: False)() for name in asked)
    return False


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """The precision to compute in: `auto` (bfloat16 where the device profits), `float32` or `bfloat16`."""
    enabled = precision == "bfloat16" or (precision == "auto" and profits_from_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def float32(device: torch.device) -> contextlib.AbstractContextManager:
    """Within `autocast`: float32 all the same."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def exact_convolutions() -> contextlib.AbstractContextManager:
    """No TF32 on CUDA, whose 10-bit mantissa is too coarse for differences of nearly equal numbers."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
