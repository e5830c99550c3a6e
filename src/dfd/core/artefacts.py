"""Writing outs whole or not at all, and reading them back with clear errors."""

import contextlib
import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dfd.core.errors import DfdError
from dfd.core.rows import Rows

LONGEST_NAME = 255  # bytes, of the file systems in use
UNWRITABLE = (
    errno.ENAMETOOLONG,
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR),  # a file stands where a folder should be, or a folder where a file
)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block succeeds and removed when it fails.

    Raises DfdError where the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    if len(os.fsencode(temporary.name)) > LONGEST_NAME:  # where the file's own is not
        stem = os.fsdecode(shortened(path.stem, 100).encode())  # in ASCII's locale too
        temporary = path.with_name(f".{stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # HDF5 and safetensors name a full disk in their message only
        if getattr(error, "errno", None) in UNWRITABLE or any(
            os.strerror(number) in str(error) for number in UNWRITABLE
        ):
            raise DfdError(
                f"{path}: could not be written ({error}); free disk space, fix its permissions or shorten its name"
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # its folder may not exist: that is the error to report
            temporary.unlink()


def shortened(name: str, most: int) -> str:
    """A name of at most `most` bytes (UTF-8): a longer one is cut, and told from its like by a digest of all of it."""
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= most:
        return name
    return f"{encoded[: most - 9].decode('utf-8', 'ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, values: dict) -> None:
    """Write metrics: nested objects of numbers and notes, floats rounded to 6 significant digits, no NaN.

    Raises ValueError for NaN, infinity or a list: `dvc metrics diff` cannot compare them.
    """
    write_text(path, json.dumps(_rounded(values, Path(path).name), indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> dict:
    """What `write_json` wrote. Raises DfdError where it is something else: damaged, or with the marks of a merge in it."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as error:
        raise DfdError(f"{path}: not JSON as it was written ({error}); delete it, and have it written anew") from error
    return values


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as .csv, without its index, numbers with 6 significant digits."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def write_text(path: str | Path, text: str) -> None:
    """Write text, on every machine as the same bytes: UTF-8, and lines that end as they do in `text`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _rounded(value, where: str):
    if isinstance(value, dict):
        return {str(key): _rounded(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}: write null and a note instead")
        return float(f"{value:.6g}")
    if value is None or isinstance(value, bool | int | str):
        return value
    raise ValueError(f"{where}: {type(value).__name__} is no metric")


DIGESTED = 4096  # rows of what is not in memory, at once
FORMAT = 1  # of weights files; one with a higher number is of a newer version of this project


def save_module(path: str | Path, module: torch.nn.Module, config: dict) -> None:
    """Write a module's state and the config that rebuilds it (kept in the header) as .safetensors."""
    save_state(path, module.state_dict(), config)


def save_state(path: str | Path, state: dict[str, torch.Tensor], config: dict) -> None:
    """The same of a state dict."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with replacing(path) as temporary:
        # One header entry: safetensors keeps several in no fixed order, and equal inputs must give equal bytes.
        save_file(state, temporary, metadata={"config": json.dumps(config, sort_keys=True)})


def read_module(path: str | Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """The (config, state) that `save_module` wrote, float16 as float32.

    Raises DfdError for a missing, foreign or damaged file, and for one of a newer format.
    """
    config = read_config(path)
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it cannot be iterated)
    except SafetensorError as error:
        raise DfdError(f"{path}: not a weights file written by this project ({error})") from error
    written = config.pop("state_sha256", None)  # of released files
    if written is not None and written != state_sha256(state):
        raise DfdError(f"{path}: damaged, its numbers are not those that were written; get the file again")
    return config, {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}


def read_config(path: str | Path) -> dict:
    """The config in the header alone. Raises DfdError for a missing or foreign file, and for one of a newer format."""
    if not Path(path).is_file():
        raise DfdError(f"{path}: no such weights file; run the stage that writes it (`dvc repro`)")
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})["config"])
        if not isinstance(config, dict):
            raise KeyError("config")
        written = config.get("format", FORMAT)
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise DfdError(f"{path}: not a weights file written by this project ({error})") from error
    if written not in range(1, FORMAT + 1):
        raise DfdError(f"{path}: its format is {written}, and this version reads up to {FORMAT}; update the project")
    return config


def state_sha256(state: dict[str, torch.Tensor | Rows]) -> str:
    """A digest of the names, types, shapes and numbers of a state dict, in whatever order and on whatever device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        parts = [tensor] if isinstance(tensor, torch.Tensor) else tensor.split(DIGESTED)
        for number, part in enumerate(parts):
            numbers = part.detach().cpu().contiguous()
            if number == 0:
                digest.update(f"{name} {numbers.dtype} {list(tensor.shape)}\n".encode())
            digest.update(numbers.numpy())  # not its bytes, a second copy of what may be most of the memory
    return digest.hexdigest()
