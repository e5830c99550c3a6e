"""A decoder learned from its beginning: what decides it, and what a φ without gradients leaves."""

import pandas as pd
import pytest
import torch

from dfd.decoder.inverted_vgg import InvertedVGG
from dfd.decoder.provenance import provenance
from dfd.decoder.registry import load_decoder
from dfd.decoder.residual import ResidualDecoder
from dfd.decoder.settings import Decoder
from dfd.faces import examples
from dfd.learning.decoders import Networks, fresh_decoder, learn, learning_examples, open_networks, stamp
from dfd.learning.losses import TERMS
from dfd.learning.settings import PERCEPTUAL, Loss, TrainDecoder, Variant
from dfd.learning.training import Conditions
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.templates import linear
from dfd.templates.store import Templates, TemplateStore, write_templates

CPU = torch.device("cpu")
INVERTED_VGG = Decoder(
    architecture="inverted-vgg",
    size=14,
    options={
        "width": 0.02, "hidden": 256, "channels": [256, 256, 128, 64, 64],
        "dropout": 0.0, "normalise": "batch", "output": "linear",
    },
)  # fmt: skip
SETTINGS = TrainDecoder(
    epochs=2, patience=2, batch_size=8, learning_rate=1e-3, weight_decay=0.0, schedule="constant", averaging=0.0, clip=0.0, noise=0.05
)  # fmt: skip


def losses(**weights) -> Loss:
    """Terms that have a weight; all others have none."""
    terms = dict.fromkeys(TERMS, 0.0) | weights
    return Loss(**terms, local=True, perceptual_share=1.0, features="balanced")


EVERY_TERM = losses(**dict.fromkeys(TERMS, 1.0) | {"identity": 0.0})
PIXEL = losses(pixel=1.0)


class NoGradients(torch.nn.Module):
    gives_gradients = False

    def perceptual(self, images):
        raise AssertionError("nothing is learned through this network")


@pytest.fixture
def templates(synthetic_store):
    generator = torch.Generator().manual_seed(0)
    return Templates(synthetic_store, *(torch.randn(len(synthetic_store), 6, generator=generator) for _ in range(2)))


@pytest.fixture
def lesson(templates, tmp_path):
    """A function: learns from networks by a loss."""

    def run(networks, loss, decoder=INVERTED_VGG, settings=SETTINGS, seed=0, checkpoint=tmp_path / "x.pt"):
        return learn(templates, networks, decoder, loss, settings, Conditions(CPU, "float32", seed, 1.0), checkpoint)

    return run


def test_it_learns_and_its_file_gives_the_decoder_back(lesson, phi, tmp_path):
    learned = lesson(Networks(phi), EVERY_TERM)
    assert isinstance(learned.decoder, InvertedVGG) and learned.gain > 0
    assert learned.history["epoch"].tolist() == [1, 1, 2, 2]
    best = learned.best()
    assert best["total"] == learned.history[learned.history["split"] == "validation"]["total"].min()
    learned.save(tmp_path / "out")
    loaded = load_decoder(tmp_path / "out" / "decoder.safetensors", CPU)
    templates = learned.training.targets[:3]
    with torch.no_grad():
        torch.testing.assert_close(loaded(templates), learned.decoder.eval()(templates))
    assert pd.read_csv(tmp_path / "out" / "history.csv").shape == learned.history.shape


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(lesson, phi, tmp_path):
    states = [
        lesson(Networks(phi), PIXEL, seed=seed, checkpoint=tmp_path / f"{i}.pt").decoder.state_dict()
        for i, seed in enumerate((0, 0, 1))
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_a_phi_without_gradients_teaches_by_no_perceptual_term(lesson):
    assert EVERY_TERM.takes_features and not EVERY_TERM.without_features().takes_features
    weights = EVERY_TERM.without_features().weights()
    assert {term for term, weight in weights.items() if not weight} == {*PERCEPTUAL, "identity"}
    learned = lesson(Networks(NoGradients()), EVERY_TERM)
    assert learned.gain == 1.0
    assert not [column for column in learned.history if "perceptual" in column]


def test_local_features_alone_are_features():
    assert losses(local_perceptual=1.0).takes_features
    assert not losses(local_perceptual=1.0).model_copy(update={"local": False}).takes_features


def test_through_another_recognizer_it_learns_the_identity(lesson, phi):
    learned = lesson(Networks(phi, phi, white_box=False), losses(pixel=1.0, identity=1.0))
    assert set(learned.history) == {"epoch", "split", "total", "pixel", "identity"} and learned.gain == 1.0
    assert (learned.history["identity"] > 0).all()


@pytest.mark.parametrize("identity, white_box", [("b", False), ("a", True), (None, False)])
def test_a_variants_networks(tmp_path, identity, white_box):
    """ξ is opened where its term has a weight, and is the decoded templates' own where it is `template`."""
    for name in ("a", "b"):
        options = {"size": 32, "width": 0.05, "tap": "conv2_2"}
        save_recognizer(tmp_path / f"{name}.safetensors", build_recognizer("vgg16", options), "vgg16", options)
    variant = Variant(template="a", perceptual="b", identity=identity)
    files = str(tmp_path / "{}.safetensors")
    networks = open_networks(variant, losses(identity=1.0), files, CPU, "portrait")
    assert (networks.identity is not None) == (identity is not None) and networks.white_box == white_box
    assert open_networks(variant, PIXEL, files, CPU, "portrait").identity is None


RESIDUAL = Decoder(architecture="residual", size=14, options={"hidden": 16, "rank": 8, "channels": 16, "axes": 3})


@pytest.mark.parametrize("decoder", [INVERTED_VGG, RESIDUAL], ids=lambda decoder: decoder.architecture)
def test_templates_that_stay_in_their_file_teach_the_same(templates, decoder, tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "ROWS", 16)  # sums are of so many rows, in memory or not
    monkeypatch.setattr(examples, "LOADERS", 1)
    attributes = {"recognizer": "a", "layer": "b", "weights_sha256": "c"}
    arrays = templates.template.numpy(), templates.mirrored.numpy()
    write_templates(tmp_path / "t.h5", templates.faces, *arrays, attributes)
    learned = []
    for number, memory_gb in enumerate((1.0, 0.0)):
        stored, conditions = TemplateStore(tmp_path / "t.h5", templates.faces), Conditions(CPU, "float32", 0, memory_gb)
        of = stored, Networks(NoGradients()), decoder, PIXEL, SETTINGS, conditions, tmp_path / f"{number}.pt"
        learned.append(learn(*of))
        origin = provenance(learned[-1].decoder, stored.faces, stored, learned[-1].training.targets, 1)
        learned[-1].save(tmp_path / str(number))
        (tmp_path / str(number) / "origin").write_text(str(origin))
    assert [isinstance(found.training.targets, torch.Tensor) for found in learned] == [True, False]
    for name in ("decoder.safetensors", "history.csv", "origin"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
    marks = [torch.load(tmp_path / f"{number}.pt", weights_only=True)["stamp"] for number in range(2)]
    assert marks[0] == marks[1]  # so that a training goes on with other memory


def test_the_residual_decoder_is_trained_from_where_regression_ends(lesson, phi, tmp_path):
    learned = lesson(Networks(phi), PIXEL, RESIDUAL, SETTINGS.model_copy(update={"learning_rate": 1e-9}))
    fresh = fresh_decoder(RESIDUAL, training=learned.training, validation=learned.validation, seed=0)
    assert isinstance(learned.decoder, ResidualDecoder) and fresh.skip[-1].weight.abs().max() > 0
    templates = learned.validation.targets
    with torch.no_grad():
        torch.testing.assert_close(learned.decoder.eval()(templates), fresh.eval()(templates), atol=1e-4, rtol=0)


def test_templates_are_as_noisy_in_training_as_is_said(lesson, phi):
    learned = lesson(Networks(phi), PIXEL, RESIDUAL, SETTINGS.model_copy(update={"noise": 0.3}))
    whitening, templates = learned.decoder.whitening, learned.training.targets
    plain = whitening.eval()(templates)
    assert float((whitening.train()(templates) - plain).std()) == pytest.approx(0.3, rel=0.1)
    held_back, free = (
        fresh_decoder(RESIDUAL, learned.training, learned.validation, 0, noise).skip[0].weight.norm()
        for noise in (0.3, 0.0)
    )
    assert held_back < free  # the regression that training starts from knows of the noise


def test_faces_without_a_template_are_no_examples(synthetic_store):
    template = torch.zeros(len(synthetic_store), 6)
    train = synthetic_store.rows("train")
    template[train[0]] = float("nan")
    training, validation = learning_examples(Templates(synthetic_store, template, None), 14, 1.0)
    assert training.rows.tolist() == train[1:].tolist() and len(training) == len(train) - 1  # none mirrored
    assert validation.rows.tolist() == synthetic_store.rows("validation").tolist()


def test_a_checkpoint_of_other_params_or_inputs_is_not_resumed(lesson, phi, templates, caplog):
    """What is one by one changed, of the settings and of what is read, and at last nothing."""
    other = build_recognizer("vgg16", {"size": 32, "width": 0.05, "tap": "conv2_2", "normalise": True})
    other_tap = build_recognizer("vgg16", {"size": 32, "width": 0.05, "tap": "conv1_2", "normalise": True})
    other_tap.load_state_dict(phi.state_dict())
    one = EVERY_TERM.model_copy(update={"identity": 1.0})

    def resumes(*arguments, **changes) -> bool:
        caplog.clear()
        with caplog.at_level("INFO"):
            lesson(*arguments, **changes)
        assert ("resuming" in caplog.text) != ("starting anew" in caplog.text)
        return "resuming" in caplog.text

    lesson(Networks(phi, phi, False), one)
    assert not resumes(Networks(other, phi, False), one) and not resumes(Networks(other_tap, phi, False), one)
    assert not resumes(Networks(phi, other, False), one)
    assert not resumes(Networks(phi, phi, False), one.model_copy(update={"chroma": 2.0}))
    assert not resumes(Networks(phi, phi, False), one, settings=SETTINGS.model_copy(update={"epochs": 3}))
    assert not resumes(Networks(phi, phi, False), one, seed=1)
    assert not resumes(Networks(phi, phi, False), one) and resumes(Networks(phi, phi, False), one)
    templates.template[templates.rows("train")[0], 0] += 1
    assert not resumes(Networks(phi, phi, False), one) and resumes(Networks(phi, phi, False), one)


def test_a_stamp_does_not_depend_on_the_order_of_what_decides(templates):
    examples, conditions = learning_examples(templates, 14, 1.0), Conditions(CPU, "float32", 0, 1.0)
    stamps = [stamp(*examples, [], conditions, decides) for decides in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1})]
    assert stamps[0] == stamps[1] != stamps[2]
