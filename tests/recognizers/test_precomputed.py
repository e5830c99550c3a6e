"""A recognizer that is templates alone: its file gives them back, and it embeds nothing."""

import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.recognizers.precomputed import Precomputed
from dfd.recognizers.registry import build_recognizer, load_recognizer, save_recognizer
from dfd.recognizers.settings import PRECOMPUTED

RANDOM = np.random.default_rng(0)
GIVEN = {
    "my.photos": (["anna/1.jpg", "zoë/ü\n2.jpg"], RANDOM.normal(size=(2, 7)).astype(np.float32)),
    "orl": ([f"s1/{n}.pgm" for n in range(5)], RANDOM.normal(size=(5, 7)).astype(np.float32)),
}


def save(path, given=GIVEN):
    module = Precomputed(given)
    save_recognizer(path, module, PRECOMPUTED, module.options)


def test_its_file_gives_the_templates_back(tmp_path):
    for name in ("a.safetensors", "b.safetensors"):
        save(tmp_path / name)
    module = load_recognizer(tmp_path / "a.safetensors", torch.device("cpu"), "portrait")
    assert (module.dimension, module.datasets) == (7, list(GIVEN)) and not module.training
    assert (module.embeds_images, module.gives_gradients) == (False, False)
    for dataset, (keys, vectors) in GIVEN.items():
        found, templates = module.templates_of(dataset)
        assert found == keys and templates.numpy().tobytes() == vectors.tobytes()
    keys, templates = module.templates_of("lfw")
    assert keys == [] and templates.shape == (0, 7)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_it_embeds_nothing(tmp_path):
    save(tmp_path / "a.safetensors")
    module = load_recognizer(tmp_path / "a.safetensors", torch.device("cpu"), "portrait")
    for ask in (module, module.perceptual, lambda images: module.activations(images, ["template"])):
        with pytest.raises(DfdError, match="precomputed: no other image can be embedded") as error:
            ask(torch.zeros(2, 3, 8, 8))
        assert "\n" not in str(error.value)


def test_two_dimensions_are_refused():
    with pytest.raises(DfdError, match="7 in my.photos, 6 in orl"):
        Precomputed(GIVEN | {"orl": (["a"], np.zeros((1, 6), np.float32))})


def test_networks_are_what_they_were():
    module = build_recognizer("vgg16", {"size": 32, "width": 0.05})
    assert (module.embeds_images, module.gives_gradients) == (True, True)
    with pytest.raises(DfdError, match=r"no architecture is called precompute;.* precomputed"):
        build_recognizer("precompute", {})
