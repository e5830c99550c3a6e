"""Templates that exist, matched to faces by key: against a dictionary."""

import numpy as np
import pandas as pd
import pytest
import torch

from dfd.core.artefacts import write_json
from dfd.core.errors import DfdError
from dfd.templates.lookup import look_up, matched


def templates_of(keys) -> torch.Tensor:
    return torch.randn(len(keys), 4, generator=torch.Generator().manual_seed(0))


def test_every_face_gets_the_template_of_its_key(orl_store):
    keys = orl_store.faces["key"].tolist()[::-1]
    given = templates_of(keys)
    found, metrics = look_up(keys, given, orl_store)
    assert torch.equal(found, given.flip(0)) and found.dtype == torch.float32
    n = len(keys)
    assert metrics == {"n_faces": n, "n_templates": n, "unmatched_keys": 0, "faces_without_template": 0, "dimension": 4}
    assert matched(found, n) == metrics


def test_some_are_missing_and_some_are_foreign(orl_store, tmp_path):
    ours = orl_store.faces["key"].tolist()
    keys = np.random.default_rng(0).permutation(["x/1.jpg", *ours[3:], "x/2.jpg", "x/3.jpg", "x/4.jpg"]).tolist()
    given = templates_of(keys)
    found, metrics = look_up(keys, given, orl_store)
    for key, template in zip(ours, found, strict=True):
        expected = dict(zip(keys, given, strict=True)).get(key)
        assert template.isnan().all() if expected is None else torch.equal(template, expected)
    assert (metrics["n_templates"], metrics["faces_without_template"], metrics["unmatched_keys"]) == (
        len(ours) - 3,
        3,
        4,
    )
    assert (
        metrics["unmatched_note"].startswith("templates of no face: 4 of no photo: x/")
        and ", …" in metrics["unmatched_note"]
    )
    assert all(key in metrics["without_template_note"] for key in ours[:3])
    write_json(tmp_path / "metrics.json", metrics)


def test_templates_of_rejected_photos_are_told_apart(orl_store, monkeypatch):
    rejected = {"key": "s1/blurred.pgm", "identity": "s1", "row": None, "reason": "no-face"}
    monkeypatch.setattr(orl_store, "index", pd.concat([orl_store.index, pd.DataFrame([rejected])]))
    keys = [*orl_store.faces["key"], "s1/blurred.pgm", "x/1.jpg"]
    _, metrics = look_up(keys, templates_of(keys), orl_store)
    expected = "templates of no face: 1 of photos without a face in the store: s1/blurred.pgm (no-face); 1 of no photo: x/1.jpg"
    assert metrics["unmatched_note"] == expected and metrics["unmatched_keys"] == 2


def test_no_key_that_matches_is_an_error_with_one_of_each_side(orl_store):
    keys = [key.removesuffix(".pgm") for key in orl_store.faces["key"]]
    with pytest.raises(DfdError) as error:
        look_up(keys, templates_of(keys), orl_store)
    message = str(error.value)
    assert f"like {keys[0]}," in message and f"like {orl_store.faces['key'][0]}" in message and "\n" not in message


def test_no_templates_at_all_are_a_note(orl_store):
    found, metrics = look_up([], torch.zeros(0, 4), orl_store)
    assert found.shape == (len(orl_store), 4) and found.isnan().all()
    assert metrics["n_templates"] == 0 and metrics["faces_without_template"] == len(orl_store)
    assert "no templates of orl" in metrics["templates_note"]
