"""The door to what the pipeline wrote, and its one rule: nobody is tested whom something learned from."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dfd.core.errors import DfdError
from dfd.faces.leakage import Seen
from dfd.project import Project

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch, orl_store) -> Project:
    (tmp_path / "data/faces").mkdir(parents=True)
    for suffix in (".h5", ".parquet"):
        shutil.copy(orl_store.path.with_suffix(suffix), tmp_path / f"data/faces/orl{suffix}")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return Project()


def test_test_rows_are_those_of_the_split_or_a_choice_of_them(project):
    faces = project.faces("orl")
    every = project.test_rows(faces, {})
    assert every.rows.tolist() == faces.rows("test").tolist() and len(every) == len(every.rows) and every.leaked == 0
    few = project.test_rows(faces, {}, lambda rows: rows[3:5])
    assert few.rows.tolist() == every.rows[3:5].tolist() and few.identities.tolist() == every.identities[3:5].tolist()


def test_whoever_taught_is_not_tested_unless_the_params_allow_it(project):
    faces = project.faces("orl")
    person, *_, other = faces.identities(faces.rows("test"))
    learned = {"recognizer vgg": Seen("orl", frozenset({person}))}
    with pytest.raises(DfdError, match=rf"1 of \d identities .* \({person}\), by recognizer vgg \(orl\)"):
        project.test_rows(faces, learned)
    assert project.test_rows(faces, learned, lambda rows: rows[faces.identities(rows) == other]).leaked == 0
    project.params.roles.__dict__["allow_leakage"] = True
    assert project.test_rows(faces, learned).leaked == 1


def test_what_is_not_there_is_named(project):
    for opened in (project.recognizer, project.decoder, project.maps):
        with pytest.raises(DfdError, match="data/.*nothing"):
            opened("nothing")
    with pytest.raises(DfdError, match="data/templates/orl/nothing.h5"):
        project.templates("orl", "nothing")


def test_recognizers_are_those_of_the_params(project, monkeypatch):
    monkeypatch.setattr(project, "recognizer", str.upper)
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert project.recognizers() == {name: name.upper() for name in values["recognizers"]}
