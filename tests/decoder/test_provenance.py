"""What a decoder's header says of its training, and what it forbids; whose templates a recognizer's are."""

import json

import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.decoder.provenance import admit, axes, provenance, refuse_other_faces, restored, whom_it_saw
from dfd.decoder.registry import build_decoder, load_decoder, save_decoder
from dfd.faces.leakage import person_hash, refuse_leakage
from dfd.recognizers.precomputed import Precomputed
from dfd.recognizers.registry import build_recognizer, load_recognizer, save_recognizer, weights_sha256
from dfd.templates.files import read_templates_file, write_templates_file
from dfd.templates.store import TemplateStore, write_templates

CPU = torch.device("cpu")
OPTIONS = {"size": 14, "hidden": 8, "rank": 4, "channels": 4, "axes": 3}
VGG = {"size": 32, "width": 0.05, "normalise": True}
SOURCE = {"recognizer": "vgg", "weights_sha256": "a" * 64}


# Recognizers


def vgg(seed: int = 0, **options):
    torch.manual_seed(seed)
    return build_recognizer("vgg16", VGG | options)


def test_the_hash_is_of_all_that_decides_a_template_and_of_nothing_else(tmp_path):
    digest = weights_sha256(vgg())
    assert len(digest) == 64 and weights_sha256(vgg()) == digest
    assert weights_sha256(vgg(tap="conv2_2")) == weights_sha256(vgg(dropout=0.1)) == digest
    with_head = vgg()
    with_head.head = torch.nn.Linear(with_head.dimension, 3)
    assert weights_sha256(with_head) == digest
    assert weights_sha256(vgg().place("portrait").to(memory_format=torch.channels_last)) == digest
    others = [
        vgg(seed=1),
        vgg(layer="fc6"),
        vgg(size=64),
        vgg(window="dlib"),
        vgg(bgr=False),
        vgg(mean=(1.0, 2.0, 3.0)),
    ]
    assert len({digest, *map(weights_sha256, others)}) == 1 + len(others)
    resnets = []
    for options in ({}, {"padding": "caffe"}, {"epsilon": 1e-5}):
        torch.manual_seed(0)
        resnets.append(weights_sha256(build_recognizer("resnet50", {"size": 64, "width": 0.05} | options)))
    assert len(set(resnets)) == 3

    save_recognizer(tmp_path / "r.safetensors", vgg(), "vgg16", VGG)
    assert weights_sha256(load_recognizer(tmp_path / "r.safetensors", CPU, "portrait")) == digest


def test_points_of_a_window_count_as_numbers():
    points = [[10, 12], [20, 12], [15, 16], [11, 22], [19, 22]]
    assert (
        weights_sha256(vgg(window=points))
        == weights_sha256(vgg(window=np.array(points, float)))
        != weights_sha256(vgg())
    )


def test_templates_alone_have_a_hash(tmp_path):
    first, second = (Precomputed({"orl": (["a", "b"], np.full((2, 3), value, np.float32))}) for value in (0.0, 1.0))
    save_recognizer(tmp_path / "p.safetensors", first, "precomputed", first.options)
    read = load_recognizer(tmp_path / "p.safetensors", CPU, "portrait")
    assert weights_sha256(read) == weights_sha256(first) != weights_sha256(second)


# Decoders


@pytest.fixture
def store(synthetic_store, tmp_path) -> TemplateStore:
    template = torch.randn(len(synthetic_store), 2, generator=torch.Generator().manual_seed(0)) + 3
    write_templates(tmp_path / "t.h5", synthetic_store, template.numpy(), None, SOURCE | {"layer": "fc7"})
    return TemplateStore(tmp_path / "t.h5", synthetic_store)


@pytest.fixture
def decoder(store, synthetic_store, tmp_path):
    """A decoder read from a file with its provenance."""
    network = build_decoder("residual", 2, OPTIONS)
    training = store.template[store.rows("train")]
    network.set_statistics(training, torch.full((3, 14, 14), 0.5))
    header = provenance(network, synthetic_store, store, training, len(training))
    save_decoder(
        tmp_path / "d.safetensors", network, header | {"architecture": "residual", "dimension": 2, "options": OPTIONS}
    )
    return load_decoder(tmp_path / "d.safetensors", CPU)


def test_the_header_says_what_was_learned_from(decoder, synthetic_store, store):
    config = decoder.config
    assert config["format"] == 1 and (config["recognizer"], config["weights_sha256"], config["layer"]) == (
        "vgg",
        "a" * 64,
        "fc7",
    )
    assert (config["geometry"], config["fill"], config["dataset"]) == (synthetic_store.geometry, "edge", "synthetic")
    assert config["n_faces"] == config["training_templates"]["n"] == len(store.rows("train"))
    seen = np.concatenate([synthetic_store.rows(split) for split in ("train", "validation")])
    assert config["people"] == sorted({person_hash(name) for name in synthetic_store.identities(seen)})
    assert all(len(person) == 8 for person in config["people"]) and len(json.dumps(config)) < 2000 + 12 * len(
        config["people"]
    )
    distances = axes(decoder).distances(store.template[store.rows("train")])
    assert config["training_templates"]["distance"]["high"] == pytest.approx(distances.max(), rel=0.01)
    assert axes(build_decoder("linear", 2, {"size": 14})) is None


def test_nobody_whom_it_saw_is_evaluated_elsewhere(decoder, synthetic_store):
    learned = {"decoder": whom_it_saw(decoder)}
    assert refuse_leakage(learned, synthetic_store, synthetic_store.rows("test"), False) == 0
    with pytest.raises(DfdError, match=r"identities to be evaluated were seen in training .* by decoder \(synthetic\)"):
        refuse_leakage(learned, synthetic_store, synthetic_store.rows("validation"), False)
    rows = synthetic_store.rows("train")
    assert refuse_leakage(learned, synthetic_store, rows, True) == len(set(synthetic_store.identities(rows)))
    decoder.config = {}
    with pytest.raises(DfdError, match="does not say whom"):
        whom_it_saw(decoder)


def test_another_recognizer_or_geometry_is_refused(decoder):
    config = decoder.config
    refuse_other_faces(config, "d", "vgg", "a" * 64, config["geometry"])
    with pytest.raises(
        DfdError, match=r"^d: learned from templates of vgg with the weights aaaaaaaaaaaa…; those of mine here are bbbb"
    ):
        refuse_other_faces(config, "d", "mine", "b" * 64, config["geometry"])
    with pytest.raises(DfdError, match=r"^d: learned faces of the geometry \w+, and faces.geometry is box"):
        refuse_other_faces(config, "d", "vgg", "a" * 64, "box")


@pytest.mark.parametrize("suffix", ["npz", "h5", "parquet"])
def test_the_door_believes_a_file_that_says_whose_templates_it_holds(decoder, store, tmp_path, suffix):
    path, keys = tmp_path / f"t.{suffix}", [str(i) for i in range(6)]
    vectors = store.template[store.rows("test")[:1]].repeat(6, 1).numpy()

    def door(source, factor=1.0):
        write_templates_file(path, keys, factor * vectors, source)
        file = read_templates_file(path)
        assert (file.recognizer, file.weights_sha256) == (source.get("recognizer"), source.get("weights_sha256"))
        admitted, warnings = admit(decoder, file, "d")
        np.testing.assert_array_equal(admitted, file.template)  # exact ones stay
        return warnings

    assert door(SOURCE) == [] and door({}) == [] and door(SOURCE, 10.0) == []
    (warning,) = door({}, 10.0)
    assert warning.startswith(f"{path}: ") and "scaled" in warning
    with pytest.raises(
        DfdError, match=r"templates of other with the weights bbbbbbbbbbbb…; d decodes those of vgg with aaaa"
    ):
        door({"recognizer": "other", "weights_sha256": "b" * 64})
    write_templates_file(path, keys, vectors[:, :1])
    with pytest.raises(DfdError, match=r"shape \(6, 1\); d decodes \(N, 2\)"):
        admit(decoder, read_templates_file(path), "d")


def test_a_decoder_without_provenance_admits_all(store, tmp_path):
    np.save(tmp_path / "t.npy", store.template[:])
    vectors, warnings = admit(build_decoder("linear", 2, {"size": 14}), read_templates_file(tmp_path / "t.npy"), "d")
    assert torch.equal(vectors, store.template[:]) and warnings == []


@pytest.mark.parametrize("source", [SOURCE, {}])
def test_the_door_restores_what_a_file_rounded_off(decoder, store, tmp_path, source):
    exact = store.template[:]
    write_templates_file(tmp_path / "t.npz", [str(i) for i in range(len(exact))], exact.numpy().round(2), source)
    vectors, _ = admit(decoder, read_templates_file(tmp_path / "t.npz"), "d")
    assert torch.equal(vectors, restored(decoder, exact.double().round(decimals=2).float()))
    assert not torch.equal(vectors, exact.double().round(decimals=2).float())
