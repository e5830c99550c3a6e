"""Text in HDF5 files: what is written is read, others' too, and no damage is read for ever."""

import multiprocessing
import os

import h5py
import numpy as np
import pytest

from dfd.core.hdf5 import read_attributes, texts, write_attributes

ATTRIBUTES = {"recognizer": "résumé", "layer": "", "dimension": 128, "context": 2.0, "seen": np.eye(2)}


def test_attributes_are_read_as_they_were_written(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_attributes(file, ATTRIBUTES)
        assert h5py.check_string_dtype(file.attrs.get_id("recognizer").dtype).length  # fixed
    with h5py.File(tmp_path / "a.h5") as file:
        found = read_attributes(file)
    assert found.keys() == ATTRIBUTES.keys()
    np.testing.assert_array_equal(found.pop("seen"), np.eye(2))
    assert found == {name: value for name, value in ATTRIBUTES.items() if name != "seen"}


def test_those_of_others_are_read_too(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["recognizer"] = "résumé"  # h5py's own: of varying length
        assert read_attributes(file) == {"recognizer": "résumé"}


def test_names_that_are_no_utf_8_come_back(tmp_path):
    name = "anna/\udcff.jpg"  # as Python has a byte that is none of UTF-8's
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["key"] = texts(["zoë/1.jpg", name])
        assert [key.decode("utf-8", "surrogateescape") for key in file["key"]] == ["zoë/1.jpg", name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process that may never end")
@pytest.mark.parametrize("value", [b"\0", b"\xff"])
def test_no_damage_is_read_for_ever(tmp_path, value):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["template"], file["key"] = np.ones((20, 6)), texts([f"s{number}/1.pgm" for number in range(20)])
        write_attributes(file, ATTRIBUTES)
    content = path.read_bytes()

    def read_all() -> None:
        for place in range(0, len(content), 8):
            path.write_bytes(content[:place] + 8 * value + content[place + 8 :])
            try:
                with h5py.File(path) as file:
                    read_attributes(file), file["template"][:], file["key"][:]
            except (OSError, KeyError, ValueError, RuntimeError, TypeError, MemoryError, OverflowError, UnicodeError):
                pass  # a damaged file that says so

    reader = multiprocessing.get_context("fork").Process(target=read_all)
    reader.start()
    reader.join(60)
    ended = not reader.is_alive()
    reader.kill()
    assert ended and reader.exitcode == 0
