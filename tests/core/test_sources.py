"""Files outside the project: as they were when they were read, or told with what to run."""

import os
import re
from types import SimpleNamespace

import pytest

from dfd.core.sources import NOTES, READ, changed, files_below, note, states
from dfd.params import Params


class Entry(SimpleNamespace):
    def model_dump(self):
        return vars(self)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Params that name a folder, a list and a recognizer's two files, all read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos/anna").mkdir(parents=True)
    for name in ("photos/anna/1.jpg", "pairs.csv", "a.npz", "b.npz"):
        (tmp_path / name).write_text("x")
    params = SimpleNamespace(
        datasets={"mine": Entry(path="~/photos", pairs="pairs.csv", attributes=None), "lfw": Entry(pairs="published")},
        import_recognizer={"net": Entry(weights="precomputed", templates={"mine": "a.npz", "lfw": "b.npz"})},
        import_decoder={},
    )
    for stage, name in (("fetch", "mine"), ("preprocess", "mine"), ("preprocess", "lfw"), ("import_recognizer", "net")):
        note(stage, name, states(stage, getattr(params, READ[stage][0])[name].model_dump()))
    return params


def test_what_is_as_it_was_is_not_told(project):
    assert list(changed(project)) == []


CHANGES = {
    "a photo more": (lambda: open("photos/anna/2.jpg", "w").close(), "~/photos.*-sf fetch@mine`, then"),
    "a photo changed": (lambda: os.utime("photos/anna/1.jpg", (5, 5)), "~/photos.*fetch@mine"),
    "a photo gone": (lambda: os.remove("photos/anna/1.jpg"), "~/photos.*fetch@mine"),
    "pairs": (lambda: open("pairs.csv", "a").write("y"), "pairs.csv has changed.*-sf preprocess@mine verify`"),
    "templates": (lambda: open("b.npz", "a").write("y"), "b.npz.*-sf import_recognizer@net`"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_once_with_what_to_run(project, change):
    do, told = CHANGES[change]
    do()
    (line,) = changed(project)
    assert re.search(told, line)
    name = "net" if change == "templates" else "mine"
    assert list(changed(project, [name])) == [line] and list(changed(project, ["other"])) == []
    stage = re.search(r"read it; run `dvc repro -sf (\w+)@", line)[1]
    note(stage, name, states(stage, getattr(project, READ[stage][0])[name].model_dump()))
    assert list(changed(project)) == []


def test_a_file_that_is_gone_or_has_no_note_has_nothing_to_tell(project):
    os.remove("pairs.csv")
    os.remove(NOTES.format("fetch", "mine"))
    open("photos/anna/2.jpg", "w").close()
    assert list(changed(project)) == []


def test_the_keys_are_of_params():
    for section, keys in READ.values():
        entry = Params.model_fields[section].annotation.__args__[1]
        assert set(keys) <= set(entry.model_fields)


def test_files_below_are_sorted_and_links_to_their_own_folder_not_followed(tmp_path):
    for name in ("b/2.jpg", "b/10.jpg", "b.jpg", "a/c/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "z").symlink_to(tmp_path / "a/c")
    found = [file.relative_to(tmp_path).as_posix() for file in files_below(tmp_path)]
    assert found == ["a/c/1.jpg", "b/10.jpg", "b/2.jpg", "b.jpg", "z/1.jpg"]
