"""Files outside the project: as they were when they were read, or told with what to run."""

import os
import re

import pytest

from dfd.core.sources import NOTES, READ, changed, files_below, note, states
from dfd.params import Params

ENTRIES = {
    ("fetch", "mine"): {"path": "~/photos", "pairs": "pairs.csv", "attributes": None},
    ("preprocess", "mine"): {"path": "~/photos", "pairs": "pairs.csv", "attributes": None},
    ("preprocess", "lfw"): {"pairs": "published"},
    ("import_recognizer", "net"): {"weights": "precomputed", "templates": {"mine": "a.npz", "lfw": "b.npz"}},
}
ALL = ("mine", "lfw", "net")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder, a list and a recognizer's two files, all read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos/anna").mkdir(parents=True)
    for name in ("photos/anna/1.jpg", "pairs.csv", "a.npz", "b.npz"):
        (tmp_path / name).write_text("x")
    for (stage, name), entry in ENTRIES.items():
        note(stage, name, states(stage, entry))


def test_what_is_as_it_was_is_not_told():
    assert list(changed(ALL)) == []


CHANGES = {
    "a photo more": (lambda: open("photos/anna/2.jpg", "w").close(), "~/photos.*-sf fetch@mine`, then"),
    "a photo changed": (lambda: os.utime("photos/anna/1.jpg", (5, 5)), "~/photos.*fetch@mine"),
    "a photo gone": (lambda: os.remove("photos/anna/1.jpg"), "~/photos.*fetch@mine"),
    "pairs": (lambda: open("pairs.csv", "a").write("y"), "pairs.csv has changed.*-sf preprocess@mine verify`"),
    "templates": (lambda: open("b.npz", "a").write("y"), "b.npz.*-sf import_recognizer@net`"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_once_with_what_to_run(change):
    do, told = CHANGES[change]
    do()
    (line,) = changed(ALL)
    assert re.search(told, line)
    name = "net" if change == "templates" else "mine"
    assert list(changed([name])) == [line] and list(changed(["lfw"])) == []
    stage = re.search(r"run `dvc repro -sf (\w+)@", line)[1]
    note(stage, name, states(stage, ENTRIES[stage, name]))
    assert list(changed(ALL)) == []


def test_a_file_that_is_gone_or_has_no_note_has_nothing_to_tell():
    os.remove("pairs.csv")
    os.remove(NOTES / "fetch/mine.json")
    open("photos/anna/2.jpg", "w").close()
    assert list(changed(ALL)) == []


def test_the_keys_are_of_params():
    for section, keys in READ.values():
        entry = Params.model_fields[section].annotation.__args__[1]
        assert set(keys) <= set(entry.model_fields)


def test_files_below_are_sorted_and_links_to_their_own_folder_not_followed(tmp_path):
    tmp_path = tmp_path / "tree"
    for name in ("b/2.jpg", "b/10.jpg", "b.jpg", "a/c/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "z").symlink_to(tmp_path / "a/c")
    found = [file.relative_to(tmp_path).as_posix() for file in files_below(tmp_path)]
    assert found == ["a/c/1.jpg", "b/10.jpg", "b/2.jpg", "b.jpg", "z/1.jpg"]
