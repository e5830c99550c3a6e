"""Files of templates: what was written comes back, from every format; everything else is one line that names the file."""

import h5py
import numpy as np
import pandas as pd
import pytest
from damage import damages

from dfd.core.errors import DfdError
from dfd.templates.files import read_keyed_templates, read_templates_file, write_templates_file

KEYS = ["anna/1.jpg", "zoë/a b.png", "10"]
VECTORS = np.random.default_rng(0).normal(size=(3, 5))


@pytest.mark.parametrize("suffix", ["npz", "h5", "hdf5", "parquet"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"templates.{suffix}"
    write_templates_file(path, KEYS, VECTORS.astype(np.float32))
    keys, vectors = read_keyed_templates(path)
    assert keys == KEYS and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS.astype(np.float32))
    before = path.read_bytes()
    write_templates_file(path, KEYS, VECTORS.astype(np.float32))
    assert path.read_bytes() == before or suffix == "npz"  # a zip has the time in it


def test_what_others_write(tmp_path):
    """Other types of numbers and texts, a table of one column a number, keys as the index, a file without keys."""
    columns = pd.DataFrame(VECTORS, columns=[f"f{i}" for i in range(5)])
    columns.assign(key=KEYS).to_parquet(tmp_path / "columns.parquet")
    columns.set_index(pd.Index(KEYS, name="key")).to_parquet(tmp_path / "index.parquet")
    pd.DataFrame({"template": VECTORS.tolist(), "note": "x", "key": KEYS}).to_parquet(tmp_path / "more.parquet")
    np.savez(tmp_path / "bytes.npz", key=np.array([key.encode() for key in KEYS]), template=VECTORS)
    with h5py.File(tmp_path / "fixed.h5", "w") as file:
        file["key"], file["template"] = np.array([key.encode() for key in KEYS]), VECTORS
    for name in ("columns.parquet", "index.parquet", "more.parquet", "bytes.npz", "fixed.h5"):
        keys, vectors = read_keyed_templates(tmp_path / name)
        assert keys == KEYS, name
        np.testing.assert_array_equal(vectors, VECTORS.astype(np.float32))

    np.savez(tmp_path / "whole.npz", key=[7, 8, 9], template=np.arange(6, dtype=np.uint8).reshape(3, 2))
    keys, vectors = read_keyed_templates(tmp_path / "whole.npz")
    assert keys == ["7", "8", "9"] and vectors.tolist() == [[0, 1], [2, 3], [4, 5]]
    np.save(tmp_path / "one.npy", VECTORS[0])
    _, keys, vectors, *_ = read_templates_file(tmp_path / "one.npy")
    assert keys is None and vectors.shape == (1, 5)


@pytest.mark.parametrize("kind", ["<f8", ">f8", ">f4", "<f2", ">f2", "i1", ">i2", "u1", "F"])
def test_numbers_of_any_type_and_order(tmp_path, kind):
    """Of either order of bytes; one after the other by columns, as Fortran keeps them; quantised."""
    array = np.asfortranarray(VECTORS) if kind == "F" else (VECTORS * 20).astype(kind)
    np.savez(tmp_path / "x.npz", template=array, key=KEYS)
    np.save(tmp_path / "x.npy", array)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["template"], file["key"] = array, KEYS
    for name in ("x.npz", "x.npy", "x.h5"):
        file = read_templates_file(tmp_path / name)
        assert file.template.dtype == np.float32 and file.stored == array.dtype
        np.testing.assert_array_equal(file.template, array.astype(np.float32))


def test_the_array_of_templates_may_have_any_name(tmp_path):
    np.savez(tmp_path / "x.npz", VECTORS, ids=KEYS)
    pd.DataFrame({"embedding": VECTORS.tolist(), "who": KEYS}).to_parquet(tmp_path / "x.parquet")
    pd.DataFrame({"embedding": VECTORS.tolist(), "key": KEYS}).to_csv(tmp_path / "x.csv")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["set/feature"] = VECTORS
    names = {"x.npz": "arr_0", "x.parquet": "embedding", "x.csv": "embedding", "x.h5": "set/feature"}
    for file, name in names.items():
        np.testing.assert_array_equal(read_templates_file(tmp_path / file, name).template, VECTORS.astype(np.float32))
        with pytest.raises(
            DfdError, match=rf"{file}: .*(it holds .*{name}.*|a column of lists) with --template|--template"
        ):
            read_templates_file(tmp_path / file)
        with pytest.raises(DfdError, match=rf"{file}: holds no (array|column) `x`.* it holds .*{name}.*--template"):
            read_templates_file(tmp_path / file, "x")


def test_tables_as_text(tmp_path):
    """With and without names of columns, with keys, with pandas' numbers of rows, with lists in cells."""
    columns = pd.DataFrame(VECTORS, columns=[f"f{i}" for i in range(5)])
    columns.to_csv(tmp_path / "rows.csv")
    columns.to_csv(tmp_path / "plain.csv", index=False, header=False)
    np.savetxt(tmp_path / "savetxt.csv", VECTORS, delimiter=",")
    for name in ("rows.csv", "plain.csv", "savetxt.csv"):
        file = read_templates_file(tmp_path / name)
        assert file.key is None
        np.testing.assert_array_equal(file.template, VECTORS.astype(np.float32))
    columns.assign(key=KEYS).to_csv(tmp_path / "keys.csv", index=False, encoding="utf-8-sig")
    columns.assign(key=["007", "1e3", "NA"]).to_csv(tmp_path / "numbers.csv", index=False)
    pd.DataFrame({"key": KEYS, "template": VECTORS.tolist()}).to_csv(tmp_path / "lists.csv")
    for name, keys in (("keys.csv", KEYS), ("lists.csv", KEYS), ("numbers.csv", ["007", "1e3", "NA"])):
        found, vectors = read_keyed_templates(tmp_path / name)
        assert found == keys, name
        np.testing.assert_array_equal(vectors, VECTORS.astype(np.float32))


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5", "parquet", "csv"])
def test_a_damaged_file_is_read_or_told_in_one_line(tmp_path, suffix):
    """Forty ways of each: cut short, numbers changed, parts overwritten or left out, another format under the name."""
    path = tmp_path / f"templates.{suffix}"
    if suffix == "npy":
        np.save(path, VECTORS)
    elif suffix == "csv":
        pd.DataFrame({"key": KEYS, "template": VECTORS.tolist()}).to_csv(path)
    else:
        write_templates_file(path, KEYS, VECTORS, {"recognizer": "r"})
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            assert np.isfinite(read_templates_file(path).template).all()
        except DfdError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)


def ragged_h5(path):
    with h5py.File(path, "w") as file:
        file["key"] = KEYS
        rows = file.create_dataset("template", (3,), h5py.vlen_dtype(np.float32))
        for number, length in enumerate((2, 3, 2)):
            rows[number] = np.zeros(length)


def group_h5(path):
    with h5py.File(path, "w") as file:
        file["template/x"] = VECTORS


def changed(value) -> np.ndarray:
    vectors = VECTORS.copy()
    vectors[1, 2] = value
    return vectors


def table(**columns):
    return lambda path: pd.DataFrame(columns).to_parquet(path)


def arrays(**values):
    return lambda path: np.savez(path, **values)


LISTS = VECTORS.tolist()

# mistake -> (suffix, what writes the file, what the message holds)
MISTAKES = {
    "no such file": ("npz", lambda path: None, "no such file"),
    "no such HDF5 file": ("h5", lambda path: None, "no such file"),
    "no such Parquet file": ("parquet", lambda path: None, "no such file"),
    "another format": ("txt", lambda path: path.write_text("1 2 3"), "kept in .npy, .npz, .h5, .hdf5, .parquet, .csv"),
    "a table without rows": ("csv", lambda path: path.write_text("key,template"), "no table (N, D)"),
    "a pickle": ("pkl", lambda path: path.write_bytes(b"\x80\x04."), "pickled objects could run code"),
    "a zero row": (
        "npz",
        arrays(key=KEYS, template=VECTORS * [[1], [0], [1]]),
        f"repeated, first that of {KEYS[1]} (row 1",
    ),
    "a constant row": ("npz", arrays(template=np.full((2, 5), 1e6)), "2 of its templates hold nothing but one number"),
    "no HDF5": ("h5", lambda path: path.write_bytes(b"x" * 99), "cannot be read"),
    "no Parquet": ("parquet", lambda path: path.write_bytes(b"x" * 99), "cannot be read"),
    "an empty file": ("npz", lambda path: path.write_bytes(b""), "cannot be read"),
    "pickled keys": (
        "npz",
        arrays(key=np.array([{}], dtype=object), template=VECTORS[:1]),
        "Object arrays cannot be loaded",
    ),
    "no templates": ("npz", arrays(key=KEYS), "no array `template`"),
    "a group of templates": ("h5", group_h5, "no array `template`"),
    "no column of templates": ("parquet", table(key=KEYS), "no column `template`"),
    "no keys": ("npz", arrays(template=VECTORS), "holds no `key`"),
    "no column of keys": ("parquet", table(template=LISTS), "holds no `key`"),
    "vectors without keys": ("npy", lambda path: np.save(path, VECTORS), "holds no `key`"),
    "texts beside the numbers": ("parquet", table(key=KEYS, a=[1, 2, 3], who=KEYS), "the column who holds no numbers"),
    "truths beside the numbers": (
        "parquet",
        table(key=KEYS, a=[1, 2, 3], who=[True] * 3),
        "the column who holds no numbers",
    ),
    "texts as templates": ("npz", arrays(key=KEYS, template=np.array([["a"]] * 3)), "finite numbers"),
    "lists of texts": ("parquet", table(key=KEYS, template=[["a"]] * 3), "hold no numbers"),
    "complex numbers": ("npz", arrays(key=KEYS, template=VECTORS * 1j), "finite numbers"),
    "NaN": ("npz", arrays(key=KEYS, template=changed(np.nan)), f"1 are not, first that of {KEYS[1]}"),
    "NaN in a list": (
        "parquet",
        table(key=KEYS, template=changed(np.nan).tolist()),
        f"1 are not, first that of {KEYS[1]}",
    ),
    "NaN in a column": ("parquet", table(key=KEYS, a=[1, None, 2]), f"1 are not, first that of {KEYS[1]}"),
    "infinite": ("npz", arrays(key=KEYS, template=changed(-np.inf)), f"1 are not, first that of {KEYS[1]}"),
    "too large for float32": ("npz", arrays(key=KEYS, template=changed(1e300)), f"1 are not, first that of {KEYS[1]}"),
    "ragged lists": ("parquet", table(key=KEYS, template=[[1.0], [1.0, 2.0], [3.0]]), "differ in length: 1, 2"),
    "a missing list": ("parquet", table(key=KEYS, template=[[1.0], None, [3.0]]), "differ in length: 0, 1"),
    "ragged HDF5": ("h5", ragged_h5, "differ in length"),
    "a repeated key": ("npz", arrays(key=["a", "b", "b"], template=VECTORS), "1 of its keys are repeated, b for one"),
    "a missing key": ("parquet", table(key=["a", None, "b"], template=LISTS), "template 1 has no key"),
    "a key of no text": ("npz", arrays(key=np.array([b"a", b"\xff", b"c"]), template=VECTORS), "key 1 is no text"),
    "fewer keys": ("npz", arrays(key=KEYS[:2], template=VECTORS), "2 keys for 3 templates"),
    "three axes": ("npz", arrays(key=KEYS, template=VECTORS[None]), "shape (1, 3, 5)"),
    "no row": ("npz", arrays(key=np.array([], str), template=VECTORS[:0]), "shape (0, 5)"),
    "one number": ("npz", arrays(key=KEYS, template=np.array(3.0)), "shape ()"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.filterwarnings("error")
def test_a_mistake_is_one_line_that_names_the_file(tmp_path, mistake):
    suffix, write, message = MISTAKES[mistake]
    path = tmp_path / f"templates.{suffix}"
    write(path)
    with pytest.raises(DfdError) as error:
        read_keyed_templates(path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value) and "\n" not in str(error.value)


def test_other_formats_are_not_written(tmp_path):
    with pytest.raises(DfdError, match="kept in .npz, .h5, .hdf5, .parquet"):
        write_templates_file(tmp_path / "x.npy", KEYS, VECTORS)
