"""The template store: read back as written, and only beside the faces it was made from."""

import h5py
import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.templates.store import TemplateStore, write_templates

ATTRIBUTES = {"recognizer": "vgg", "layer": "fc7", "weights_sha256": "00"}


@pytest.fixture
def written(orl_store, tmp_path):
    random = np.random.default_rng(0)
    template, mirrored = random.normal(size=(2, len(orl_store), 6)).astype(np.float32)
    write_templates(tmp_path / "orl.h5", orl_store, template, mirrored, ATTRIBUTES)
    return tmp_path / "orl.h5", template, mirrored


def test_round_trip(written, orl_store):
    path, template, mirrored = written
    store = TemplateStore(path, orl_store)
    assert store.template[:].dtype == torch.float32 and store.dimension == 6
    np.testing.assert_array_equal(store.template[:], template)
    np.testing.assert_array_equal(store.mirrored[:], mirrored)
    expected = ATTRIBUTES | {"dimension": 6, "faces_fingerprint": orl_store.fingerprint}
    assert {name: store.attributes[name] for name in expected} == expected
    with h5py.File(path) as file:
        assert [key.decode() for key in file["key"]] == orl_store.faces["key"].to_list()


def test_every_face_has_a_template_of_a_network(written, orl_store):
    np.testing.assert_array_equal(TemplateStore(written[0], orl_store).rows("test"), orl_store.rows("test"))


def test_faces_without_a_template_and_without_mirrored_ones(written, synthetic_store, tmp_path):
    template = np.random.default_rng(0).normal(size=(len(synthetic_store), 6)).astype(np.float32)
    train = synthetic_store.rows("train")
    template[train[1]] = template[synthetic_store.rows("test")] = np.nan
    write_templates(tmp_path / "some.h5", synthetic_store, template, None, ATTRIBUTES)
    store = TemplateStore(tmp_path / "some.h5", synthetic_store)
    assert store.mirrored is None and store.dimension == 6
    assert store.rows("train").tolist() == [train[0], *train[2:]]
    assert store.rows("validation").tolist() == synthetic_store.rows("validation").tolist() != []
    assert store.rows("test").tolist() == []
    with pytest.raises(DfdError, match="no split"):
        store.rows("all")


def test_writing_twice_gives_the_same_bytes(written, orl_store, tmp_path):
    path, template, mirrored = written
    write_templates(tmp_path / "again.h5", orl_store, template, mirrored, ATTRIBUTES)
    assert path.read_bytes() == (tmp_path / "again.h5").read_bytes()


def test_templates_of_other_faces_are_refused(written, synthetic_store):
    with pytest.raises(DfdError, match=r"orl\.h5: these templates were not made from .*synthetic\.h5"):
        TemplateStore(written[0], synthetic_store)


@pytest.mark.parametrize("content", [None, b"", b"something else" * 100])
def test_a_missing_or_foreign_file_is_named(orl_store, tmp_path, content):
    path = tmp_path / "orl.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DfdError, match=r"orl\.h5: not a template store.*dvc repro"):
        TemplateStore(path, orl_store)


@pytest.mark.parametrize("missing", ["template", "faces_fingerprint"])
def test_an_incomplete_file_is_named(written, orl_store, missing):
    with h5py.File(written[0], "a") as file:
        del (file.attrs if missing == "faces_fingerprint" else file)[missing]
    with pytest.raises(DfdError, match=r"orl\.h5: not a template store"):
        TemplateStore(written[0], orl_store)


def test_a_face_store_is_no_template_store(orl_store):
    with pytest.raises(DfdError, match="not a template store"):
        TemplateStore(orl_store.path, orl_store)
