"""Templates in files of the user's own: .npy, .npz, HDF5, Parquet and CSV, with the keys of the photos they are of.

Arrays are named `key` (N,) and `template` (N, D), or as the reader is told; a table has a column `key` and either a column
`template` of lists or a numeric column for each of the D numbers. Numbers of any type and order of bytes are read as
float32. Whose templates they are, and of faces of which geometry, may stand beside them, by the names in SOURCE: as arrays
of one text in .npz, attributes in HDF5, metadata of the schema in Parquet. Nothing is unpickled.
"""

import json
import re
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
from dfd.core.hdf5 import texts, write_attributes
from dfd.core.vectors import few, refuse_degenerate

KEY, TEMPLATE = "key", "template"  # names of arrays and columns
SOURCE = ("recognizer", "weights_sha256", "geometry")  # what may say whose templates a file holds
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", re.IGNORECASE)

PICKLES = (".pkl", ".pickle")
NO_PICKLES = (
    "pickled objects could run code; where you trust them, load them with your own tools, and save the plain numbers: "
    'numpy.savez("templates.npz", key=[a name of each], template=[a list of numbers of each])'
)


class TemplatesFile(NamedTuple):
    """A file of templates. key (N,), where it has any; template float32 (N, D), finite; stored: the type of its
    numbers; recognizer, weights_sha256 and geometry: whose they are, of which faces, where it says so."""

    path: Path
    key: list[str] | None
    template: np.ndarray
    stored: np.dtype
    recognizer: str | None
    weights_sha256: str | None
    geometry: str | None = None


def read_templates_file(path: str | Path, name: str = TEMPLATE) -> TemplatesFile:
    """All that a file of templates says, N > 0; one vector (D,) is read as (1, D). name: of the array or column to read.

    Raises DfdError for a missing, damaged or foreign file, for templates that are degenerate, and for another number of
    keys than of templates.
    """
    path = Path(path).expanduser()
    keys, vectors, source = _read(path, name)
    vectors = np.asarray(vectors)
    stored = vectors.dtype
    if vectors.ndim == 1 and vectors.dtype != object:
        vectors = vectors[None]
    if vectors.dtype == object or vectors.ndim != 2 or not vectors.size:
        raise DfdError(f"{path}: its templates are no table (N, D) of numbers, but {_shape(vectors)}")
    if vectors.dtype.kind not in "fiu":
        raise DfdError(f"{path}: templates must be finite numbers, not {vectors.dtype}")
    if keys is not None and len(keys) != len(vectors):
        raise DfdError(f"{path}: {len(keys)} keys for {len(vectors)} templates")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is told
        vectors = vectors.astype(np.float32)
    refuse_degenerate(vectors, keys, str(path))
    return TemplatesFile(path, keys, vectors, stored, *(source.get(text) for text in SOURCE))


def _read(path: Path, name: str) -> "Read":
    """Keys, templates and source, as the file has them; whatever a library makes of a damaged file is a DfdError."""
    if path.suffix.lower() in PICKLES:
        raise DfdError(f"{path}: refused: {NO_PICKLES}")
    read = by_suffix(path, READERS)
    try:
        return read(path, name)
    except DfdError:
        raise
    except FileNotFoundError as error:
        raise DfdError(f"{path}: cannot be read (no such file); put it there, or correct the path") from error
    except Exception as error:  # many classes: zipfile's, zlib's, HDF5's, Arrow's, out of memory for a wrong size
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        advice = NO_PICKLES if "pickle" in reason else "it is damaged, or of another format than its name says"
        raise DfdError(f"{path}: cannot be read ({reason}); {advice}") from error


def read_keyed_templates(path: str | Path) -> tuple[list[str], np.ndarray]:
    """(keys (N,), templates float32 (N, D)) of a file; errors as `read_keyed_templates_file`."""
    file = read_keyed_templates_file(path)
    return file.key, file.template


def read_keyed_templates_file(path: str | Path, name: str = TEMPLATE) -> TemplatesFile:
    """All that a file of templates says, one that names the photo of each; name as in `read_templates_file`.

    Raises DfdError as `read_templates_file`, and where there are no keys or one has two templates.
    """
    file = read_templates_file(path, name)
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


def _read_numpy(path: Path, name: str) -> Read:
    content = np.load(path)  # which refuses pickled objects unless asked for
    if isinstance(content, np.ndarray):
        return None, content, {}
    with content as file:
        return *_parts(path, file, file.files, name), _source(file)


def _read_h5(path: Path, name: str) -> Read:
    with h5py.File(path) as file:
        names: list[str] = []
        file.visititems(lambda part, item: names.append(part) if isinstance(item, h5py.Dataset) else None)
        return *_parts(path, file, names, name), _source(file.attrs)


def _parts(path: Path, file: Mapping, names: Sequence[str], name: str) -> tuple[list[str] | None, np.ndarray]:
    """Keys and templates among the arrays, called `names`, of a file."""
    if name not in names:
        raise DfdError(f"{path}: holds no array `{name}`; {_there(names)}")
    return _texts(path, file[KEY][:]) if KEY in names else None, file[name][...]


def _there(names: Sequence[str]) -> str:
    """What a file holds instead of what was looked for, and what to do."""
    others = [part for part in names if part not in (KEY, *SOURCE)]
    return f"it holds {few(others) or 'no other'}: name that of the templates with --template, or call it `{TEMPLATE}`"


def _source(texts: Mapping) -> dict[str, str]:
    """What says whose templates they are, of arrays, attributes or metadata."""
    values = {name: np.asarray(texts[name]) for name in SOURCE if name in texts}
    return {name: _text(value.item()) for name, value in values.items() if value.size == 1}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _read_parquet(path: Path, name: str) -> Read:
    schema = pq.read_schema(path)
    metadata = schema.metadata or {}
    source = {text: _text(metadata[text.encode()]) for text in SOURCE if text.encode() in metadata}
    columns = [column for column in (KEY, name) if column in schema.names] if name in schema.names else None
    return *_columns(path, pd.read_parquet(path, columns=columns), name), source


def _read_csv(path: Path, name: str) -> Read:
    """A first line of anything but numbers names the columns; one without a name numbers the rows, as pandas writes it."""
    with open(path, encoding="utf-8-sig") as file:
        named = not all(NUMBER.fullmatch(cell) for cell in file.readline().split(","))
    texts = {"dtype": {KEY: str}, "na_values": [""], "keep_default_na": False}  # a person may be called NA
    table = pd.read_csv(path, header=0 if named else None, encoding="utf-8-sig", **texts)
    table = table.loc[:, [not str(column).startswith("Unnamed: ") for column in table]]
    if name in table and not is_numeric_dtype(table[name]):  # a list in each cell
        table = table.assign(**{name: pd.Series([json.loads(cell) for cell in table[name]], dtype=object)})
    return *_columns(path, table, name), {}


def _columns(path: Path, table: pd.DataFrame, name: str) -> tuple[list[str] | None, np.ndarray]:
    if table.index.name == KEY:  # where pandas wrote it as the table's index
        table = table.reset_index()
    keys = _texts(path, table.pop(KEY)) if KEY in table else None
    if name in table and table[name].dtype == object:
        rows = [np.asarray([] if row is None else row) for row in table[name]]
        if len({row.shape for row in rows}) <= 1:
            return keys, np.array(rows)
        lengths = sorted({row.size for row in rows})
        raise DfdError(f"{path}: its templates differ in length: {', '.join(map(str, lengths[:5]))}")
    if name != TEMPLATE:
        raise DfdError(f"{path}: holds no column `{name}` of lists; {_there([str(column) for column in table])}")
    if others := [part for part, kind in table.dtypes.items() if not is_numeric_dtype(kind) or is_bool_dtype(kind)]:
        raise DfdError(
            f"{path}: the column {others[0]} holds no numbers; keep `key` and the template's numbers, or name a column of "
            "lists with --template"
        )
    if table.shape[1] == 0:
        raise DfdError(f"{path}: holds no column `{TEMPLATE}`, nor a column for each number of the templates")
    with np.errstate(over="ignore"):
        return keys, table.to_numpy(np.float32, na_value=np.nan)


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
        file.create_dataset("key", data=texts(keys))
        file.create_dataset("template", data=templates)
        write_attributes(file, source)


def _write_parquet(path: Path, keys: list[str], templates: np.ndarray, source: Mapping[str, str]) -> None:
    table = pa.Table.from_pandas(pd.DataFrame({"key": keys, "template": list(templates)}), preserve_index=False)
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **source}), temporary)


READERS = {
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
}
WRITERS = {".npz": _write_npz, ".h5": _write_h5, ".hdf5": _write_h5, ".parquet": _write_parquet}
