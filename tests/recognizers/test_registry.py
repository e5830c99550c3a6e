"""What holds for every architecture, on small versions of each; names, errors and files."""

import functools
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import damages
from keras_files import vgg_layers
from keras_files import write as keras_file
from safetensors.torch import save_file

from dfd.core.artefacts import save_module
from dfd.core.errors import DfdError
from dfd.faces.geometry import WINDOWS
from dfd.recognizers import registry, settings
from dfd.recognizers.registry import (
    ARCHITECTURES,
    IMPORTERS,
    PREPROCESSING,
    PUBLISHED,
    build_recognizer,
    import_recognizer,
    load_recognizer,
    save_recognizer,
)

SMALL = {
    "dlib-resnet": {},
    "vgg16": {"size": 64, "width": 0.125, "normalise": True},
    "resnet50": {"size": 64, "width": 0.125},
    "inception-resnet-v1": {"size": 96, "tap": "conv2d_4a"},
    "iresnet": {"size": 48, "width": 0.125},
    "mobilefacenet": {},
}
PLAIN_VGG = {"size": 32, "width": 0.125}
CPU = torch.device("cpu")


@pytest.fixture(params=SMALL)
def architecture(request) -> str:
    return request.param


def build(architecture: str, **options):
    torch.manual_seed(0)
    return build_recognizer(architecture, SMALL[architecture] | options)


def noise(count: int, size: int | tuple[int, int]) -> torch.Tensor:
    """Images (count, 3, height, width); size: a side, or (height, width)."""
    height, width = (size, size) if isinstance(size, int) else size
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def relative(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x - y).norm() / y.norm())


def test_settings_know_every_architecture_its_options_and_every_window():
    assert settings.OPTIONS.keys() == ARCHITECTURES.keys() and settings.WINDOWS == tuple(WINDOWS)
    for name, architecture in ARCHITECTURES.items():
        assert settings.OPTIONS[name].model_fields.keys() == inspect.signature(architecture).parameters.keys(), name


def test_every_architecture_has_a_small_version_here():
    assert {*SMALL, "onnx"} == ARCHITECTURES.keys()  # which is nothing without a file: see test_onnx_model.py


@torch.no_grad()
def test_templates(architecture):
    recognizer = build(architecture)
    assert not recognizer.training
    images = noise(2, recognizer.size)
    templates = recognizer(images)
    assert templates.shape == (2, recognizer.dimension) and templates.dtype == torch.float32
    assert torch.isfinite(templates).all() and relative(templates[0], templates[1]) > 1e-3
    assert relative(recognizer(images[1:]), templates[1:]) < 1e-5  # the other faces of a batch do not matter


def test_the_dimension_leaves_no_trace(architecture):
    recognizer = build(architecture).train()
    before = {name: tensor.clone() for name, tensor in recognizer.state_dict().items()}
    assert recognizer.dimension > 1 and recognizer.training
    assert all(torch.equal(before[name], tensor) for name, tensor in recognizer.state_dict().items())


@torch.no_grad()
def test_images_of_any_size_are_resized(architecture):
    recognizer = build(architecture)
    for images in (noise(1, 40), noise(1, 200)):
        resized = torch.nn.functional.interpolate(images, recognizer.size, mode="bilinear", antialias=True)
        assert relative(recognizer(images), recognizer(resized)) < 1e-5


@torch.no_grad()
def test_red_and_blue_can_be_exchanged(architecture):
    """The mean of each channel stays the network's own."""
    bgr = architecture not in ("vgg16", "resnet50")  # the other way round than by default
    recognizer, images = ARCHITECTURES[architecture](**SMALL[architecture], bgr=bgr), noise(1, 8)
    fed = images.flip(1) if bgr else images
    assert torch.equal(recognizer.preprocess(images), (fed * 255 - recognizer.mean) * recognizer.scale)


def test_a_gradient_reaches_every_parameter(architecture):
    recognizer = build(architecture).train()
    assert recognizer.gives_gradients and recognizer.embeds_images
    templates = recognizer(noise(4, recognizer.size))
    # At random: the sum of squares of normalised numbers would not change.
    (templates * torch.randn(templates.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    for name, parameter in recognizer.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_tap_works_at_the_images_own_resolution(architecture):
    recognizer = build(architecture).requires_grad_(False)
    images = noise(1, 56).requires_grad_()
    own, double = recognizer.perceptual(images), recognizer.perceptual(noise(1, 112))
    assert own.ndim == 4 and own.shape[:2] == double.shape[:2]
    assert all(1.7 <= large / small <= 2.7 for small, large in zip(own.shape[2:], double.shape[2:], strict=True))
    own.square().mean().backward()
    assert (images.grad != 0).any(1).float().mean() > 0.5


@torch.no_grad()
def test_activations_are_what_layers_compute(architecture):
    recognizer = build(architecture)
    images = noise(1, recognizer.size)
    found = recognizer.activations(images, [recognizer.layer, recognizer.tap])
    torch.testing.assert_close(found[recognizer.layer].flatten(1), recognizer(images))
    torch.testing.assert_close(found[recognizer.tap], recognizer.perceptual(images))


def test_preprocessing_subtracts_the_mean_colour(architecture):
    """The mean colour becomes zero, and a step of one grey level becomes the scale, in the network's channel order."""
    recognizer, seen = build(architecture), []
    recognizer._layers = lambda x: seen.append(x) or iter([(recognizer.tap, x)])
    colour = recognizer.mean_colour.view(1, 3, 1, 1)
    recognizer.perceptual(colour.expand(1, 3, 4, 4))
    recognizer.perceptual((colour + torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1) / 255).expand(1, 3, 4, 4))
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 4, 4), atol=1e-4, rtol=0)
    order = [3.0, 2, 1] if architecture in ("vgg16", "resnet50") else [1.0, 2, 3]
    torch.testing.assert_close(seen[1][0, :, 0, 0], torch.tensor(order) * recognizer.scale, atol=1e-4, rtol=0)


@torch.no_grad()
def test_saved_and_loaded_it_gives_the_same_templates_and_bytes(architecture, tmp_path):
    recognizer, options = build(architecture), SMALL[architecture]
    paths = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    save_recognizer(paths[0], recognizer, architecture, options)
    loaded = load_recognizer(paths[0], CPU, "portrait")
    save_recognizer(paths[1], loaded, architecture, options)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    images = noise(1, recognizer.size)
    assert relative(loaded.embed(images), recognizer.embed(images)) < 1e-5  # channels last: another order of summation
    again, faces = load_recognizer(paths[1], CPU, "portrait"), noise(1, loaded.view_size)
    assert torch.equal(loaded.embed(images), again.embed(images)) and torch.equal(loaded(faces), again(faces))
    assert relative(loaded(faces), recognizer.place("portrait")(faces)) < 1e-5
    state = recognizer.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    assert (loaded.layer, loaded.tap, loaded.size) == (recognizer.layer, recognizer.tap, recognizer.size)
    assert loaded.window == recognizer.window


def test_a_portrait_holds_the_window_of_every_architecture(architecture):
    recognizer = build(architecture).place("portrait")
    assert recognizer.window == {"dlib-resnet": "dlib", "iresnet": "arcface", "mobilefacenet": "arcface"}.get(
        architecture, "box"
    )
    assert max(recognizer.size) <= recognizer.view_size <= 1.2 * max(recognizer.size)


WRONG_OPTIONS = {
    "unknown layer": {"layer": "fc9"},
    "unknown tap": {"tap": "conv9_9"},
    "unknown option": {"depth": 3},
    "too small": {"size": 1},
    "a size in words": {"size": "large"},
}


@pytest.mark.parametrize("mistake", WRONG_OPTIONS)
def test_wrong_options_are_errors_for_the_user(architecture, mistake):
    with pytest.raises(DfdError):
        build_recognizer(architecture, SMALL[architecture] | WRONG_OPTIONS[mistake])


@torch.no_grad()
def test_the_scale_may_differ_by_channel():
    recognizer = build("vgg16", mean=0.0, bgr=False, scale=[1 / 255, 2 / 255, 3 / 255])
    torch.testing.assert_close(recognizer.preprocess(torch.ones(2, 3, 4, 4))[1, :, 2, 3], torch.tensor([1.0, 2, 3]))


def test_an_architecture_without_a_model_is_not_trained():
    with pytest.raises(DfdError, match="import it"):
        build_recognizer("onnx", {"size": 16})(noise(1, 16))


def test_a_layer_that_is_not_there_is_named():
    with pytest.raises(DfdError, match="no layer fc9"):
        build("vgg16", layer="fc9")
    with pytest.raises(DfdError, match="no layer fc9"):
        build("vgg16").activations(noise(1, 64), ["conv1_1", "fc9"])
    with pytest.raises(DfdError, match="multiple of 32, not 50"):
        build("vgg16", size=50)
    with pytest.raises(DfdError, match=r"senet.*vgg16"):
        build_recognizer("senet", {})
    with pytest.raises(DfdError, match="options of resnet50"):
        build("resnet50", mean=[1.0, 2.0])


def test_published_weights():
    assert list(PUBLISHED) == ["dlib-face-recognition"]
    recognizer = import_recognizer("dlib-resnet", {}, "dlib-face-recognition")
    assert recognizer.dimension == 128 and recognizer.blocks["5_1"].conv2.bias.abs().max() > 0
    assert import_recognizer("dlib-resnet", {"bgr": True}, "dlib-face-recognition").channels.tolist() == [2, 1, 0]
    small = import_recognizer("dlib-resnet", {"layer": "pool", "tap": "conv2_3_3x3"}, "dlib-face-recognition")
    assert small.dimension == 256 and torch.equal(small.conv1.weight, recognizer.conv1.weight)
    with pytest.raises(DfdError, match=r"vggface.*dlib-face-recognition"):
        import_recognizer("dlib-resnet", {}, "vggface")
    with pytest.raises(DfdError, match="do not fit vgg16"):
        import_recognizer("vgg16", PLAIN_VGG, "dlib-face-recognition")


def of_every_format(folder: Path) -> Iterator[tuple[str, dict, Path]]:
    """(architecture, options, file) of weights in each format that is read."""
    vgg = build_recognizer("vgg16", PLAIN_VGG)
    save_recognizer(folder / "own.safetensors", vgg, "vgg16", PLAIN_VGG)
    state = {name: tensor for name, tensor in vgg.state_dict().items() if name not in PREPROCESSING}
    state = {name.removeprefix("convolutions."): tensor for name, tensor in state.items()}  # as Oxford calls them
    torch.save({"state_dict": state}, folder / "zip.pth")
    torch.save(state, folder / "pickle.ckpt", _use_new_zipfile_serialization=False)
    save_file(state, folder / "theirs.safetensors")
    yield from (
        ("vgg16", PLAIN_VGG, folder / name)
        for name in ("own.safetensors", "zip.pth", "pickle.ckpt", "theirs.safetensors")
    )
    keras_file(folder / "keras.h5", vgg_layers())
    yield "vgg16", {"size": 64, "width": 1 / 16}, folder / "keras.h5"


def test_damaged_weights_are_read_or_told_in_one_line(tmp_path, monkeypatch):
    networks = functools.cache(lambda architecture, options: build_recognizer(architecture, json.loads(options)))
    monkeypatch.setattr(registry, "build_recognizer", lambda name, options: networks(name, json.dumps(options)))
    for number, (architecture, options, path) in enumerate(of_every_format(tmp_path)):
        whole, bad = path.read_bytes(), path.with_name(f"bad{path.suffix}")
        assert import_recognizer(architecture, options, str(path))
        for damaged in damages(whole, seed=number):
            bad.write_bytes(damaged)
            try:
                import_recognizer(architecture, options, str(bad))
            except DfdError as error:
                assert str(bad) in str(error) and "\n" not in str(error)


def test_the_files_of_users(tmp_path):
    assert {name for name, _ in IMPORTERS} == ARCHITECTURES.keys()
    with pytest.raises(DfdError, match=r"missing\.h5: no such weights file"):
        import_recognizer("vgg16", PLAIN_VGG, str(tmp_path / "missing.h5"))
    with pytest.raises(
        DfdError, match=r"vgg16 are imported from \.h5 or \.keras or \.pth or .* or \.safetensors files"
    ):
        import_recognizer("vgg16", PLAIN_VGG, str(tmp_path / "weights.onnx"))
    with pytest.raises(DfdError, match=r"weights\.h5: weights of inception-resnet-v1 are imported from \.pth or "):
        import_recognizer("inception-resnet-v1", {}, str(tmp_path / "weights.h5"))
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(DfdError, match=r"folder\.h5: no such weights file"):
        import_recognizer("vgg16", PLAIN_VGG, str(tmp_path / "folder.h5"))
    with pytest.raises(DfdError, match="no architecture is called senet"):
        import_recognizer("senet", {}, __file__)


@torch.no_grad()
def test_a_head_is_part_of_the_saved_recognizer(tmp_path):
    recognizer, path = build("resnet50"), tmp_path / "r.safetensors"
    assert recognizer.head is None and not any(name.startswith("head") for name in recognizer.state_dict())
    with pytest.raises(DfdError, match="no layer logits"):
        recognizer.activations(noise(1, 64), ["logits"])
    recognizer.head = torch.nn.Linear(256, 5)
    save_recognizer(path, recognizer, "resnet50", SMALL["resnet50"])
    loaded = load_recognizer(path, CPU, "portrait")
    found = loaded.activations(noise(1, 64), ["avg_pool", "logits"])
    torch.testing.assert_close(found["logits"], recognizer.head(found["avg_pool"]))
    assert loaded.dimension == 256


def test_files_of_something_else_are_errors_for_the_user(tmp_path):
    path = tmp_path / "r.safetensors"
    save_module(path, torch.nn.Linear(1, 1), {"architecture": "inverted-vgg", "options": {}})
    with pytest.raises(DfdError, match="inverted-vgg"):
        load_recognizer(path, CPU, "portrait")
    with pytest.raises(DfdError, match="missing"):
        load_recognizer(tmp_path / "missing.safetensors", CPU, "portrait")


# Topology at full width, without its weights


def full(architecture: str, **options):
    with torch.device("meta"):
        return ARCHITECTURES[architecture](**options)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def shapes(recognizer, size: int = 224) -> dict[str, tuple[int, ...]]:
    return {name: tuple(x.shape[1:]) for name, x in recognizer._layers(torch.empty(1, 3, size, size, device="meta"))}


def test_vgg16_is_the_published_one():
    recognizer = full("vgg16")
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    convolutions = sum(9 * a * b + b for a, b in pairwise(channels))
    assert parameters(recognizer) == convolutions + (512 * 7 * 7 + 1) * 4096 + 4097 * 4096 == 134_260_544
    layers = shapes(recognizer)
    convs = [f"conv{stage}_{index}" for stage, count in enumerate((2, 2, 3, 3, 3), 1) for index in range(1, count + 1)]
    assert list(layers) == [*convs, "conv5-avg", "pool5", "fc6", "fc7"]
    assert layers["conv4_3"] == (512, 28, 28) and layers["pool5"] == (512, 7, 7)
    assert layers["fc6"] == layers["fc7"] == (4096,)
    assert recognizer.dimension == 4096
    assert full("vgg16", layer="conv5-avg").dimension == 512


def test_vgg16_layers_are_before_or_after_their_relu_as_in_keras():
    recognizer, images = build("vgg16"), noise(4, 64)
    found = recognizer.activations(images, ["conv4_3", "conv5_3", "conv5-avg", "pool5", "fc6", "fc7"])
    assert found["conv4_3"].min() == 0 and found["fc6"].min() < 0 and found["fc7"].min() < 0
    torch.testing.assert_close(found["conv5-avg"], found["conv5_3"].mean((2, 3)))
    torch.testing.assert_close(found["pool5"], torch.nn.functional.max_pool2d(found["conv5_3"], 2))
    torch.testing.assert_close(found["fc7"], recognizer.fc7(found["fc6"].relu()))


def test_resnet50_is_the_published_one():
    recognizer = full("resnet50")
    assert parameters(recognizer) == 23_508_032  # torchvision's 25,557,032 less its classifier
    layers = shapes(recognizer)
    blocks = [f"{stage}_{block}" for stage, count in ((2, 3), (3, 4), (4, 6), (5, 3)) for block in range(1, count + 1)]
    assert list(layers) == ["conv1", *[n for b in blocks for n in (f"conv{b}_3x3", f"conv{b}")], "avg_pool"]
    assert layers["conv1"] == (64, 112, 112) and layers["conv2_1"] == (256, 55, 55)  # "valid" max-pooling: 112 → 55
    assert layers["conv4_3_3x3"] == (256, 14, 14) and layers["conv5_3"] == (2048, 7, 7)
    assert recognizer.dimension == 2048


@pytest.mark.parametrize("side", [224, 65])
def test_resnet50_pads_as_tensorflow_does(side):
    """ "same" for a 7×7 kernel with stride 2: 2 and 3 pixels on an even side, 3 and 3 on an odd one; zeros."""
    recognizer = build("resnet50", mean=(0.0, 0.0, 0.0), scale=1 / 255, bgr=False)
    before, after = (2, 3) if side % 2 == 0 else (3, 3)
    image = noise(1, side)
    padded = np.pad(image[0].numpy(), ((0, 0), (before, after), (before, after)))
    kernels = recognizer.conv1.weight.detach().numpy()
    with torch.no_grad():
        output = recognizer.activations(image, ["conv1"])["conv1"][0].numpy()
    last = -(-side // 2) - 1
    assert output.shape[1:] == (last + 1, last + 1)
    for row, column in ((0, 0), (0, last), (last, 0), (last, last), (5, 7)):
        window = padded[:, 2 * row : 2 * row + 7, 2 * column : 2 * column + 7]
        np.testing.assert_allclose(output[:, row, column], (kernels * window).sum((1, 2, 3)), atol=1e-4)


def test_resnet50_halves_in_the_first_1x1_convolution():
    recognizer = full("resnet50")
    strides = {name: (block.reduce.stride, block.spatial.stride) for name, block in recognizer.blocks.items()}
    for name, (reduce, spatial) in strides.items():
        assert spatial == (1, 1) and reduce == ((2, 2) if name in ("3_1", "4_1", "5_1") else (1, 1))
    norms = [module for module in recognizer.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 53 and {norm.eps for norm in norms} == {1e-3}


def test_the_raw_3x3_convolution_is_before_its_normalisation():
    recognizer, images = build("resnet50"), noise(2, 64)
    found = recognizer.activations(images, ["conv4_2", "conv4_3_3x3", "conv4_3"])
    block = recognizer.blocks["4_3"]
    reduced = block.reduce_norm(block.reduce(found["conv4_2"])).relu()
    torch.testing.assert_close(found["conv4_3_3x3"], block.spatial(reduced))
    assert found["conv4_3_3x3"].min() < 0 and found["conv4_3"].min() == 0


def test_nothing_beyond_the_last_layer_asked_for_is_computed():
    recognizer = build("vgg16")
    recognizer.fc6.register_forward_hook(lambda *_: pytest.fail("computed"))
    recognizer.perceptual(noise(1, 64))


@torch.no_grad()
def test_the_dropout_of_vgg_acts_in_training_alone():
    images = noise(4, 64)
    with_dropout, without = build("vgg16", dropout=0.5, normalise=False), build("vgg16", dropout=0.0, normalise=False)
    for recognizer, random in ((with_dropout, True), (without, False)):
        assert torch.equal(recognizer(images), recognizer(images))
        recognizer.train()
        assert torch.equal(recognizer(images), recognizer(images)) is not random
