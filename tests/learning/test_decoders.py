"""A decoder learned from its beginning: what decides it, and what a φ without gradients leaves."""

import pandas as pd
import pytest
import torch

from dfd.decoder.inverted_vgg import InvertedVGG
from dfd.decoder.registry import load_decoder
from dfd.decoder.residual import ResidualDecoder
from dfd.learning.decoders import fresh_decoder, learn, learning_examples, stamp, without_perceptual
from dfd.learning.losses import PERCEPTUAL, TERMS

OPTIONS = {
    "size": 14, "width": 0.02, "hidden": 256, "channels": [256, 256, 128, 64, 64],
    "dropout": 0.0, "normalise": "batch", "output": "linear",
}  # fmt: skip
WITHOUT_IDENTITY = dict.fromkeys(TERMS, 1.0) | {"identity": 0.0}
SETTINGS = {
    "epochs": 2,
    "patience": 2,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "constant",
}


class NoGradients(torch.nn.Module):
    gives_gradients = False

    def perceptual(self, images):
        raise AssertionError("nothing is learned through this network")


@pytest.fixture
def lesson(synthetic_store, tmp_path):
    generator = torch.Generator().manual_seed(0)
    template, mirrored = (torch.randn(len(synthetic_store), 6, generator=generator) for _ in range(2))

    def run(perceptual, weights, **changes):
        settings = SETTINGS | changes.pop("settings", {})
        fixed = {
            "architecture": "inverted-vgg", "options": OPTIONS, "features": "balanced", "perceptual_share": 1.0,
            "precision": "float32", "seed": 0, "device": torch.device("cpu"), "memory_gb": 1.0,
            "checkpoint": tmp_path / "x.pt", "decides": {},
        }  # fmt: skip
        return learn(
            synthetic_store, template, mirrored, perceptual, weights=weights, settings=settings, **fixed | changes
        )

    return run


def test_it_learns_and_its_file_gives_the_decoder_back(lesson, phi, tmp_path):
    learned = lesson(phi, WITHOUT_IDENTITY)
    assert isinstance(learned.decoder, InvertedVGG) and learned.gain > 0
    assert learned.history["epoch"].tolist() == [1, 1, 2, 2]
    best = learned.best()
    assert best["total"] == learned.history[learned.history["split"] == "validation"]["total"].min()
    learned.save(tmp_path / "out", "inverted-vgg", OPTIONS)
    loaded = load_decoder(tmp_path / "out" / "decoder.safetensors", torch.device("cpu"))
    templates = learned.training.targets[:3]
    with torch.no_grad():
        torch.testing.assert_close(loaded(templates), learned.decoder.eval()(templates))
    assert pd.read_csv(tmp_path / "out" / "history.csv").shape == learned.history.shape


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(lesson, phi, tmp_path):
    weights = dict.fromkeys(TERMS, 0.0) | {"pixel": 1.0}
    states = [
        lesson(phi, weights, checkpoint=tmp_path / f"{i}.pt", seed=seed).decoder.state_dict()
        for i, seed in enumerate((0, 0, 1))
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_what_is_left_without_perceptual_terms_needs_no_gradients(lesson):
    weights = without_perceptual(dict.fromkeys(TERMS, 0.5))
    assert weights == {term: 0.0 if "perceptual" in term else 0.5 for term in TERMS}
    assert {term for term, weight in weights.items() if not weight} == set(PERCEPTUAL)
    learned = lesson(NoGradients(), weights | {"identity": 0.0})
    assert learned.gain == 1.0
    assert not [column for column in learned.history if "perceptual" in column]


def test_through_another_recognizer_it_learns_the_identity(lesson, phi):
    weights = dict.fromkeys(TERMS, 0.0) | {"pixel": 1.0, "identity": 1.0}
    learned = lesson(phi, weights, identity=phi, white_box=False)
    assert set(learned.history) == {"epoch", "split", "total", "pixel", "identity"} and learned.gain == 1.0
    assert (learned.history["identity"] > 0).all()


def test_the_residual_decoder_is_trained_from_where_regression_ends(lesson, phi, tmp_path):
    weights = dict.fromkeys(TERMS, 0.0) | {"pixel": 1.0}
    residual = {"architecture": "residual", "options": {"size": 14, "hidden": 16, "rank": 8, "channels": 16, "axes": 3}}
    learned = lesson(phi, weights, **residual, settings={"learning_rate": 1e-9})
    fresh = fresh_decoder(**residual, training=learned.training, validation=learned.validation, seed=0)
    assert isinstance(learned.decoder, ResidualDecoder) and fresh.skip[-1].weight.abs().max() > 0
    templates = learned.validation.targets
    with torch.no_grad():
        torch.testing.assert_close(learned.decoder.eval()(templates), fresh.eval()(templates), atol=1e-4, rtol=0)


def test_faces_without_a_template_are_no_examples(synthetic_store):
    template = torch.zeros(len(synthetic_store), 6)
    train = synthetic_store.rows("train")
    template[train[0]] = float("nan")
    training, validation = learning_examples(synthetic_store, template, None, 14, 1.0)
    assert training.rows.tolist() == train[1:].tolist() and len(training) == len(train) - 1  # none mirrored
    assert validation.rows.tolist() == synthetic_store.rows("validation").tolist()


def test_a_stamp_depends_on_values_and_not_on_their_order():
    assert stamp({"a": 1, "b": [2]}) == stamp({"b": [2], "a": 1}) != stamp({"a": 1, "b": [3]})
