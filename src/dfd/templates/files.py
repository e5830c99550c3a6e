"""Templates in files of the user's own: .npy, .npz, HDF5 and Parquet, with the keys of the photos they are of.

Arrays are named `key` (N,) and `template` (N, D); a Parquet file has a column `key` and either a column `template` of
lists or a numeric column for each of the D numbers. Whose templates they are, `recognizer` and `weights_sha256`, may
stand beside them: as arrays of one text in .npz, attributes in HDF5, metadata of the schema in Parquet. Nothing is
unpickled.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError

SOURCE = ("recognizer", "weights_sha256")  # what may say whose templates a file holds


class TemplatesFile(NamedTuple):
    """A file of templates. key (N,), where it has any; template float32 (N, D), finite; stored: the type of its
    numbers; recognizer and weights_sha256: whose they are, where it says so."""

    path: Path
    key: list[str] | None
    template: np.ndarray
    stored: np.dtype
    recognizer: str | None
    weights_sha256: str | None


def read_templates_file(path: str | Path) -> TemplatesFile:
    """All that a file of templates says, N > 0; one vector (D,) is read as (1, D).

    Raises DfdError for a missing, unreadable or foreign file, for what is no finite number, and for another number of
    keys than of templates.
    """
    path = Path(path).expanduser()
    keys, vectors, source = by_suffix(path, READERS)(path)
    vectors = np.asarray(vectors)
    stored = vectors.dtype
    if vectors.ndim == 1 and vectors.dtype != object:
        vectors = vectors[None]
    if vectors.dtype == object or vectors.ndim != 2 or not vectors.size:
        raise DfdError(f"{path}: its templates are no table (N, D) of numbers, but {_shape(vectors)}")
    if vectors.dtype.kind not in "fiu":
        raise DfdError(f"{path}: templates must be finite numbers, not {vectors.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is told
        vectors = vectors.astype(np.float32)
    if not (finite := np.isfinite(vectors).all(1)).all():
        bad = np.flatnonzero(~finite)
        first = f"row {bad[0]}" if keys is None or len(keys) != len(vectors) else keys[bad[0]]
        raise DfdError(
            f"{path}: templates must be finite numbers; {len(bad)} are not, first that of {first} "
            f"({named_rows(bad)}, counted from 0)"
        )
    if keys is not None and len(keys) != len(vectors):
        raise DfdError(f"{path}: {len(keys)} keys for {len(vectors)} templates")
    return TemplatesFile(path, keys, vectors, stored, *(source.get(name) for name in SOURCE))


def named_rows(rows: Sequence[int]) -> str:
    """Numbers of rows as words: `row 3`, or `rows 3, 7, 8, 9, 12 and 2 more`."""
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(str(row) for row in rows[:5])}{more}"


def read_keyed_templates(path: str | Path) -> tuple[list[str], np.ndarray]:
    """(keys (N,), templates float32 (N, D)) of a file; errors as `read_keyed_templates_file`."""
    file = read_keyed_templates_file(path)
    return file.key, file.template


def read_keyed_templates_file(path: str | Path) -> TemplatesFile:
    """All that a file of templates says, one that names the photo of each.

    Raises DfdError as `read_templates_file`, and where there are no keys or one has two templates.
    """
    file = read_templates_file(path)
    keys = file.key
    if keys is None:
        raise DfdError(f"{path}: holds no `key`, which says of which photo (<identity>/<photo>) each template is")
    if twice := len(keys) - len(set(keys)):
        example = next(key for key, more in pd.Series(keys).value_counts().items() if more > 1)
        raise DfdError(f"{path}: {twice} of its keys are repeated, {example} for one; give each photo one template")
    return file


def write_templates_file(
    path: str | Path, keys: list[str], templates: np.ndarray, source: Mapping[str, str] | None = None
) -> None:
    """Write keys (N,) and templates (N, D) as .npz, HDF5 or Parquet; source: whose they are, by the names in SOURCE.

    Raises DfdError for another suffix.
    """
    by_suffix(Path(path), WRITERS)(Path(path), keys, templates, source or {})


def by_suffix(path: Path, functions: dict[str, Callable]) -> Callable:
    """The function for the path's suffix. Raises DfdError where there is none."""
    if path.suffix.lower() not in functions:
        raise DfdError(f"{path}: templates are kept in {', '.join(functions)} files")
    return functions[path.suffix.lower()]


Read = tuple[list[str] | None, np.ndarray, dict[str, str]]  # keys, templates, source


def _read_npy(path: Path) -> Read:
    return None, _load(path, np.load), {}


def _read_npz(path: Path) -> Read:
    with _load(path, np.load) as file:
        return *_parts(path, file), _load(path, lambda _: _source(file))


def _read_h5(path: Path) -> Read:
    with _load(path, h5py.File) as file:
        return *_parts(path, file), _source(file.attrs)


def _source(texts: Mapping) -> dict[str, str]:
    """What says whose templates they are, of arrays, attributes or metadata."""
    values = {name: np.asarray(texts[name]) for name in SOURCE if name in texts}
    return {name: _text(value.item()) for name, value in values.items() if value.size == 1}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _read_parquet(path: Path) -> Read:
    table = _load(path, pd.read_parquet)
    metadata = _load(path, pq.read_schema).metadata or {}
    source = {name: _text(metadata[name.encode()]) for name in SOURCE if name.encode() in metadata}
    return *_columns(path, table), source


def _columns(path: Path, table: pd.DataFrame) -> tuple[list[str] | None, np.ndarray]:
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
    return (
        "rows that differ in length or hold no numbers"
        if vectors.dtype == object
        else f"an array of shape {vectors.shape}"
    )


def _write_npz(path: Path, keys: list[str], templates: np.ndarray, source: Mapping[str, str]) -> None:
    texts = {name: np.array(text) for name, text in source.items()}
    with replacing(path) as temporary:
        np.savez(temporary, key=np.array(keys), template=templates, **texts)


def _write_h5(path: Path, keys: list[str], templates: np.ndarray, source: Mapping[str, str]) -> None:
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("key", data=keys, dtype=h5py.string_dtype())
        file.create_dataset("template", data=templates)
        file.attrs.update(source)


def _write_parquet(path: Path, keys: list[str], templates: np.ndarray, source: Mapping[str, str]) -> None:
    table = pa.Table.from_pandas(pd.DataFrame({"key": keys, "template": list(templates)}), preserve_index=False)
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **source}), temporary)


READERS = {".npy": _read_npy, ".npz": _read_npz, ".h5": _read_h5, ".hdf5": _read_h5, ".parquet": _read_parquet}
WRITERS = {".npz": _write_npz, ".h5": _write_h5, ".hdf5": _write_h5, ".parquet": _write_parquet}
