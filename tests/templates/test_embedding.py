"""Embedding: batches do not show, mirrored faces and views are what they are called."""

import numpy as np
import pytest
import torch

from dfd.core.artefacts import file_sha256
from dfd.core.errors import DfdError
from dfd.faces.store import MIRROR, PLAIN
from dfd.recognizers.registry import build_recognizer
from dfd.templates import embedding
from dfd.templates.embedding import batches, embed_faces, embed_images, embed_into, embed_views
from dfd.templates.store import TemplateStore, templates_file

ROWS = [3, 17, 0, 8, 9]


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    return build_recognizer("vgg16", {"size": 32, "width": 0.05, "normalise": True}).requires_grad_(False)


def close(x: torch.Tensor, y: torch.Tensor) -> bool:
    return float((x - y).norm() / y.norm()) < 1e-5


@pytest.mark.parametrize("size", [1, 3, 100])
def test_batches_do_not_show(recognizer, orl_store, monkeypatch, size):
    images = orl_store.views(ROWS, 32)
    monkeypatch.setitem(embedding.BATCH, "cpu", size)
    templates = embed_images(recognizer, images)
    assert templates.shape == (5, recognizer.dimension) and templates.dtype == torch.float32
    assert close(templates, recognizer(images))


def test_batches_keep_the_order(monkeypatch):
    monkeypatch.setitem(embedding.BATCH, "cpu", 2)
    assert [part.tolist() for part in batches(ROWS, torch.device("cpu"))] == [[3, 17], [0, 8], [9]]


def test_a_whole_store_and_its_mirrored_training_faces(recognizer, orl_store, monkeypatch):
    plain, mirrored = embed_faces(recognizer, orl_store)
    assert plain.shape == (20, recognizer.dimension) and mirrored is None
    assert close(plain[ROWS], embed_views(recognizer, orl_store, ROWS))
    assert close(plain[ROWS], embed_views(recognizer, orl_store, ROWS, PLAIN))
    monkeypatch.setitem(embedding.BATCH, "cpu", 3)
    monkeypatch.setattr(orl_store, "rows", lambda split: np.array(ROWS) if split == "train" else np.arange(0))
    again, mirrored = embed_faces(recognizer, orl_store)
    assert close(again, plain) and mirrored.shape == plain.shape
    assert close(mirrored[ROWS], embed_views(recognizer, orl_store, ROWS, MIRROR)) and not close(
        mirrored[ROWS], plain[ROWS]
    )
    assert np.flatnonzero(~mirrored.isnan().any(1)).tolist() == sorted(ROWS)


def test_templates_are_float32_also_where_training_is_not(recognizer, orl_store, monkeypatch):
    images = orl_store.views(ROWS, 32)
    exact = embed_images(recognizer, images)
    monkeypatch.setattr("dfd.core.devices.profits_from_bfloat16", lambda device: True)
    again = embed_images(recognizer, images)
    assert again.dtype == torch.float32 and torch.equal(again, exact)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        rough = recognizer(images).float()
    assert (rough - exact).norm() / exact.norm() > 1e-4  # what would be lost


def test_a_file_is_filled_shard_by_shard_with_the_same(recognizer, orl_store, monkeypatch, tmp_path):
    monkeypatch.setattr(orl_store, "rows", lambda split: np.array(ROWS) if split == "train" else np.arange(0))
    plain, mirrored = embed_faces(recognizer, orl_store)
    monkeypatch.setattr(embedding, "SHARD", 8)
    for name in ("a.h5", "b.h5"):
        with templates_file(tmp_path / name, orl_store, recognizer.dimension, True, {"recognizer": "r"}) as file:
            embed_into(file, recognizer, orl_store)
    store = TemplateStore(tmp_path / "a.h5", orl_store)
    torch.testing.assert_close(store.template[:], plain)
    torch.testing.assert_close(store.mirrored[:], mirrored, equal_nan=True)
    assert file_sha256(tmp_path / "a.h5") == file_sha256(tmp_path / "b.h5")


@pytest.mark.parametrize("damage", [torch.nan, 0.0])
def test_what_a_broken_network_gives_is_told_and_no_file_is_left(recognizer, orl_store, monkeypatch, tmp_path, damage):
    """Also of a mirrored training face: only those of no training face are nothing but NaN."""
    monkeypatch.setattr(orl_store, "rows", lambda split: np.array(ROWS) if split == "train" else np.arange(0))
    whole = embedding.embed_crops

    def broken(recognizer, faces, crops, view=PLAIN):
        templates = whole(recognizer, faces, crops, view)
        return torch.full_like(templates, damage) if view is MIRROR else templates

    monkeypatch.setattr(embedding, "embed_crops", broken)
    first = orl_store.faces["key"][min(ROWS)]
    with pytest.raises(DfdError, match=f"weights are damaged: .* first that of {first} "):
        with templates_file(tmp_path / "a.h5", orl_store, recognizer.dimension, True, {}) as file:
            embed_into(file, recognizer, orl_store)
    assert list(tmp_path.iterdir()) == []
