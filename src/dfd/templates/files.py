"""Templates in files of the user's own: .npy, .npz, HDF5 and Parquet, with the keys of the photos they are of.

Arrays are named `key` (N,) and `template` (N, D); a Parquet file has a column `key` and either a column `template` of
lists or a numeric column for each of the D numbers. Nothing is unpickled.
"""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError


def read_templates(path: str | Path) -> tuple[list[str] | None, np.ndarray]:
    """(keys or None, templates float32 (N, D)), N > 0; one vector (D,) is read as (1, D).

    Raises DfdError for a missing, unreadable or foreign file, for what is no finite number, and for another number of
    keys than of templates.
    """
    path = Path(path).expanduser()
    keys, vectors = by_suffix(path, READERS)(path)
    vectors = np.asarray(vectors)
    if vectors.ndim == 1 and vectors.dtype != object:
        vectors = vectors[None]
    if vectors.dtype == object or vectors.ndim != 2 or not vectors.size:
        raise DfdError(f"{path}: its templates are no table (N, D) of numbers, but {_shape(vectors)}")
    if vectors.dtype.kind not in "fiu":
        raise DfdError(f"{path}: templates must be finite numbers, not {vectors.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is told
        vectors = vectors.astype(np.float32)
    if not (finite := np.isfinite(vectors).all(1)).all():
        first = np.flatnonzero(~finite)[0]
        which = f"row {first}" if keys is None or len(keys) != len(vectors) else keys[first]
        raise DfdError(f"{path}: templates must be finite numbers; {int((~finite).sum())} are not, first that of {which}")
    if keys is not None and len(keys) != len(vectors):
        raise DfdError(f"{path}: {len(keys)} keys for {len(vectors)} templates")
    return keys, vectors


def read_keyed_templates(path: str | Path) -> tuple[list[str], np.ndarray]:
    """(keys (N,), templates float32 (N, D)) of a file that says whose each template is.

    Raises DfdError as `read_templates`, and where there are no keys or one has two templates.
    """
    keys, vectors = read_templates(path)
    if keys is None:
        raise DfdError(f"{path}: holds no `key`, which says of which photo (<identity>/<photo>) each template is")
    if twice := len(keys) - len(set(keys)):
        example = next(key for key, more in pd.Series(keys).value_counts().items() if more > 1)
        raise DfdError(f"{path}: {twice} of its keys are repeated, {example} for one; give each photo one template")
    return keys, vectors


def write_templates_file(path: str | Path, keys: list[str], templates: np.ndarray) -> None:
    """Write keys (N,) and templates (N, D) as .npz, HDF5 or Parquet. Raises DfdError for another suffix."""
    by_suffix(Path(path), WRITERS)(Path(path), keys, templates)


def by_suffix(path: Path, functions: dict[str, Callable]) -> Callable:
    """The function for the path's suffix. Raises DfdError where there is none."""
    if path.suffix.lower() not in functions:
        raise DfdError(f"{path}: templates are kept in {', '.join(functions)} files")
    return functions[path.suffix.lower()]


def _read_npy(path: Path) -> tuple[None, np.ndarray]:
    return None, _load(path, np.load)


def _read_npz(path: Path) -> tuple[list[str] | None, np.ndarray]:
    with _load(path, np.load) as file:
        return _parts(path, file)


def _read_h5(path: Path) -> tuple[list[str] | None, np.ndarray]:
    with _load(path, h5py.File) as file:
        return _parts(path, file)


def _read_parquet(path: Path) -> tuple[list[str] | None, np.ndarray]:
    table = _load(path, pd.read_parquet)
    if table.index.name == "key":  # where pandas wrote it as the table's index
        table = table.reset_index()
    keys = _texts(path, table.pop("key")) if "key" in table else None
    if "template" in table and table["template"].dtype == object:
        rows = [np.asarray([] if row is None else row) for row in table["template"]]
        if len({row.shape for row in rows}) == 1:
            return keys, np.stack(rows)
        lengths = sorted({row.size for row in rows})
        raise DfdError(f"{path}: its templates differ in length: {', '.join(map(str, lengths[:5]))}")
    if others := [name for name, kind in table.dtypes.items() if not is_numeric_dtype(kind) or is_bool_dtype(kind)]:
        raise DfdError(
            f"{path}: the column {others[0]} holds no numbers; keep `key` and either `template`, lists, or the template's numbers"
        )
    if table.shape[1] == 0:
        raise DfdError(f"{path}: holds no column `template`, nor a column for each number of the templates")
    with np.errstate(over="ignore"):
        return keys, table.to_numpy(np.float32, na_value=np.nan)


def _load(path: Path, function: Callable):
    try:
        return function(path)  # NumPy refuses pickled objects unless asked for
    except FileNotFoundError as error:
        raise DfdError(f"{path}: cannot be read (no such file); put it there, or correct the path") from error
    except (OSError, ValueError, EOFError) as error:  # Parquet's own errors are ValueErrors
        raise DfdError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error


def _parts(path: Path, file) -> tuple[list[str] | None, np.ndarray]:
    try:
        keys = _texts(path, file["key"][:]) if "key" in file else None
        return keys, file["template"][...]
    except (KeyError, ValueError, IndexError, TypeError) as error:  # the last: a group in place of an array
        raise DfdError(f"{path}: holds no array `template` of numbers ({error})") from error


def _texts(path: Path, keys) -> list[str]:
    texts = []
    for number, key in enumerate(keys):
        try:
            texts.append(key.decode() if isinstance(key, bytes) else str(key))
        except UnicodeDecodeError as error:
            raise DfdError(f"{path}: key {number} is no text in UTF-8") from error
        if pd.isna(key):  # pandas' missing text
            raise DfdError(f"{path}: template {number} has no key")
    return texts


def _shape(vectors: np.ndarray) -> str:
    return "rows that differ in length or hold no numbers" if vectors.dtype == object else f"an array of shape {vectors.shape}"


def _write_npz(path: Path, keys: list[str], templates: np.ndarray) -> None:
    with replacing(path) as temporary:
        np.savez(temporary, key=np.array(keys), template=templates)


def _write_h5(path: Path, keys: list[str], templates: np.ndarray) -> None:
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("key", data=keys, dtype=h5py.string_dtype())
        file.create_dataset("template", data=templates)


def _write_parquet(path: Path, keys: list[str], templates: np.ndarray) -> None:
    with replacing(path) as temporary:
        pd.DataFrame({"key": keys, "template": list(templates)}).to_parquet(temporary, index=False)


READERS = {".npy": _read_npy, ".npz": _read_npz, ".h5": _read_h5, ".hdf5": _read_h5, ".parquet": _read_parquet}
WRITERS = {".npz": _write_npz, ".h5": _write_h5, ".hdf5": _write_h5, ".parquet": _write_parquet}
