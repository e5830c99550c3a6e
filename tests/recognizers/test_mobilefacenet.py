"""MobileFaceNet against a plain writing of the published forward, and its published weights where they are at hand."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.core.artefacts import file_sha256
from dfd.core.errors import DfdError
from dfd.faces.geometry import seen_window
from dfd.recognizers.mobilefacenet import MobileFaceNet
from dfd.recognizers.registry import (
    build_recognizer,
    import_recognizer,
    load_recognizer,
    recognizer_facts,
    save_recognizer,
)
from dfd.templates.embedding import embed_images, embed_views
from dfd.weights.manifest import MANIFEST

PUBLISHED = Path(__file__).parents[3] / "shared/data/mobilefacenet_068.ckpt"
# (expansion, channels, repeats, stride of the first): the paper's Table 1 with the first stage's 64 channels
STAGES = [(2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)]
CPU = torch.device("cpu")


def random_state() -> dict[str, torch.Tensor]:
    """The published names and shapes, with weights and statistics that matter."""
    generator, state = torch.Generator().manual_seed(0), {}

    def uniform(low, high, n):
        return torch.rand(n, generator=generator) * (high - low) + low

    def unit(conv, norm, slopes, outputs, inputs, kernel):
        fan = inputs * kernel[0] * kernel[1]
        state[f"{conv}.weight"] = torch.randn(outputs, inputs, *kernel, generator=generator) * (1.5 / fan) ** 0.5
        state[f"{norm}.weight"], state[f"{norm}.bias"] = uniform(0.5, 1.5, outputs), uniform(-0.3, 0.3, outputs)
        state[f"{norm}.running_mean"] = uniform(-0.3, 0.3, outputs)
        state[f"{norm}.running_var"] = uniform(0.5, 2, outputs)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
        if slopes:
            state[f"{slopes}.weight"] = uniform(0.1, 0.5, outputs)

    def named(name, *shape, linear=False):
        unit(f"{name}.conv", f"{name}.bn", None if linear else f"{name}.prelu", *shape)

    named("conv1", 64, 3, (3, 3))
    named("dw_conv1", 64, 1, (3, 3))
    number, channels = 0, 64
    for expansion, outputs, count, _ in STAGES:
        for _ in range(count):
            name, inner = f"blocks.{number}.conv", channels * expansion
            unit(f"{name}.0", f"{name}.1", f"{name}.2", inner, channels, (1, 1))
            unit(f"{name}.3", f"{name}.4", f"{name}.5", inner, 1, (3, 3))
            unit(f"{name}.6", f"{name}.7", None, outputs, inner, (1, 1))
            number, channels = number + 1, outputs
    named("conv2", 512, 128, (1, 1))
    named("linear7", 512, 1, (7, 6), linear=True)
    named("linear1", 128, 512, (1, 1), linear=True)
    return state


def published_forward(x: torch.Tensor, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All layers for images as the network is fed them, (x − 127.5) / 128, from the state dict's names alone."""

    def unit(x, conv, norm, slopes=None, stride=1, padding=0):
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, None, stride, padding, groups=x.shape[1] // weight.shape[1])
        kinds = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(state[f"{norm}.{kind}"] for kind in kinds), eps=1e-5)
        return F.prelu(x, state[f"{slopes}.weight"]) if slopes else x

    found, number = {}, 0
    found["conv1"] = x = unit(x, "conv1.conv", "conv1.bn", "conv1.prelu", 2, 1)
    found["dw_conv1"] = x = unit(x, "dw_conv1.conv", "dw_conv1.bn", "dw_conv1.prelu", 1, 1)
    for _, outputs, count, first in STAGES:
        for repeat in range(count):
            name, stride = f"blocks.{number}.conv", first if repeat == 0 else 1
            y = unit(x, f"{name}.0", f"{name}.1", f"{name}.2")
            y = unit(y, f"{name}.3", f"{name}.4", f"{name}.5", stride, 1)
            y = unit(y, f"{name}.6", f"{name}.7")
            x = x + y if stride == 1 and x.shape[1] == outputs else y
            found[f"block{number}"], number = x, number + 1
    found["conv2"] = x = unit(x, "conv2.conv", "conv2.bn", "conv2.prelu")
    x = unit(x, "linear7.conv", "linear7.bn")
    found["template"] = unit(x, "linear1.conv", "linear1.bn").flatten(1)
    return found


def images(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 112, 96, generator=torch.Generator().manual_seed(1))


def fed(x: torch.Tensor) -> torch.Tensor:
    return (x * 255 - 127.5) / 128


@pytest.fixture(scope="module")
def random_file(tmp_path_factory) -> str:
    """A checkpoint as the authors write it, of random weights."""
    path = tmp_path_factory.mktemp("weights") / "068.ckpt"
    torch.save({"epoch": 68, "net_state_dict": random_state()}, path)
    return str(path)


@pytest.fixture(scope="module")
def published_file() -> str:
    if not PUBLISHED.is_file():
        pytest.skip(f"the published weights are not at hand ({PUBLISHED.name} in shared/data beside the repository)")
    return str(PUBLISHED)


@pytest.fixture(params=["random", "published"])
def file(request) -> str:
    return request.getfixturevalue(f"{request.param}_file")


def test_its_layers_and_their_shapes():
    with torch.device("meta"):
        recognizer = MobileFaceNet().eval()
        layers = {name: tuple(y.shape[1:]) for name, y in recognizer._layers(torch.empty(1, 3, 112, 96))}
    assert list(layers) == ["conv1", "dw_conv1", *[f"block{number}" for number in range(15)], "conv2", "template"]
    for names, shape in (
        (("conv1", "dw_conv1"), (64, 56, 48)),
        ([f"block{number}" for number in range(5)], (64, 28, 24)),
        ([f"block{number}" for number in range(5, 12)], (128, 14, 12)),
        (("block12", "block13", "block14"), (128, 7, 6)),
        (("conv2",), (512, 7, 6)),
        (("template",), (128,)),
    ):
        assert {layers[name] for name in names} == {shape}
    assert (recognizer.size, recognizer.window, recognizer.tap) == ((112, 96), "arcface", "block0")


def test_it_is_the_published_one():
    with torch.device("meta"):
        recognizer = MobileFaceNet()
    names = {name: tuple(tensor.shape) for name, tensor in recognizer.state_dict().items()}
    expected = {name: tuple(tensor.shape) for name, tensor in random_state().items()}
    assert {name: names[name] for name in names if name not in ("mean", "scale", "channels")} == expected
    parameters = sum(t.numel() for name, t in random_state().items() if "running" not in name and "batches" not in name)
    assert recognizer.count_parameters() == parameters == 999_552


@torch.no_grad()
def test_it_computes_what_the_published_network_does(file):
    state = torch.load(file, map_location="cpu", weights_only=True)["net_state_dict"]
    recognizer = import_recognizer("mobilefacenet", {}, file)
    expected = published_forward(fed(images()), state)
    assert len(expected) == 19 and (expected["template"][0] - expected["template"][1]).norm() > 1e-2
    found = recognizer.activations(images(), expected)
    for name, activation in expected.items():
        scale = float(activation.abs().max())
        torch.testing.assert_close(found[name] / scale, activation / scale, atol=1e-5, rtol=0)
    assert torch.equal(recognizer(images()), found["template"]) and recognizer.dimension == 128
    assert not recognizer.training and recognizer.head is None


def test_a_gradient_reaches_the_images():
    recognizer = build_recognizer("mobilefacenet", {}).requires_grad_(False).place("portrait")
    faces = torch.rand(1, 3, 125, 125, generator=torch.Generator().manual_seed(2)).requires_grad_()
    recognizer(faces).square().sum().backward()
    touched = (faces.grad != 0).any(1)[0]
    assert torch.isfinite(faces.grad).all() and 0.6 < touched.float().mean() < 0.75  # 96 / 112 of 0.895²
    assert touched[0].any() and touched[0, 62] and not touched[-1].any()  # its window: at the upper edge, not the lower


def test_its_tap_is_of_the_whole_view():
    recognizer = build_recognizer("mobilefacenet", {}).requires_grad_(False).place("portrait")
    faces = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(2)).requires_grad_()
    features = recognizer.perceptual(faces)
    assert features.shape == (1, 64, 14, 14)
    features.square().sum().backward()
    assert (faces.grad != 0).any(1).float().mean() > 0.99


@torch.no_grad()
def test_it_is_saved_and_loaded(random_file, tmp_path):
    recognizer = import_recognizer("mobilefacenet", {"tap": "block11"}, random_file)
    save_recognizer(tmp_path / "m.safetensors", recognizer, "mobilefacenet", {"tap": "block11"})
    loaded = load_recognizer(tmp_path / "m.safetensors", CPU, "portrait")
    assert (loaded.size, loaded.window, loaded.tap) == ((112, 96), "arcface", "block11")
    np.testing.assert_array_equal(loaded.seen, seen_window("arcface", (112, 96), "portrait"))
    torch.testing.assert_close(loaded.embed(images()), recognizer(images()), atol=1e-4, rtol=1e-4)
    for geometry, message in (("aligned", "leaves the plain view"), ("box", "placed by landmarks")):
        with pytest.raises(DfdError, match=rf"m\.safetensors: its window \(arcface\) .*{message}.*portrait") as raised:
            load_recognizer(tmp_path / "m.safetensors", CPU, geometry)
        assert "\n" not in str(raised.value)


def test_what_does_not_fit_is_named(random_file, tmp_path):
    state = random_state()
    for name, content, message in (
        ("a.ckpt", {k: v for k, v in state.items() if k != "linear7.bn.bias"}, r"lacks linear7\.bn\.bias"),
        ("b.ckpt", state | {"linear1.conv.weight": torch.zeros(64, 512, 1, 1)}, "64×512×1×1 in it and 128×512×1×1"),
        ("c.ckpt", state | {"arc.weight": torch.zeros(10, 128)}, r"has arc\.weight, which the network lacks"),
    ):
        torch.save({"epoch": 1, "net_state_dict": content}, tmp_path / name)
        with pytest.raises(DfdError, match=rf"{name} do not fit mobilefacenet.*{message}"):
            import_recognizer("mobilefacenet", {}, str(tmp_path / name))
    with pytest.raises(DfdError, match=r"w\.h5: weights of mobilefacenet are imported from \.pth or .* files"):
        import_recognizer("mobilefacenet", {}, str(tmp_path / "w.h5"))
    with pytest.raises(DfdError, match="size"):  # its last layer takes a map of 7 × 6 whole
        import_recognizer("mobilefacenet", {"size": 112}, random_file)


# As ONNX


class Fed(torch.nn.Module):
    """The network without its preprocessing, as others export it."""

    def __init__(self, recognizer):
        super().__init__()
        self.recognizer = recognizer

    def forward(self, x):
        return dict(self.recognizer._layers(x))["template"]


@pytest.mark.skipif(
    sys.getfilesystemencoding() != "utf-8" and not __file__.isascii(), reason="torch traces no code in such a folder"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the newer exporter needs a package more
@torch.no_grad()
def test_as_onnx_it_gives_the_same_templates(file, orl_store, tmp_path):
    """Of photos and of images, by the options that its authors' preprocessing and window come to."""
    ours = import_recognizer("mobilefacenet", {}, file).requires_grad_(False)
    path = str(tmp_path / "mobilefacenet.onnx")
    batches = {"image": {0: "N"}, "template": {0: "N"}}
    torch.onnx.export(
        Fed(ours).eval(), (fed(images()),), path, dynamo=False,
        input_names=["image"], output_names=["template"], dynamic_axes=batches,
    )  # fmt: skip
    options = {"window": "arcface", "scale": 0.0078125, "size": [112, 96]}
    save_recognizer(tmp_path / "onnx.safetensors", import_recognizer("onnx", options, path), "onnx", options)
    theirs = load_recognizer(tmp_path / "onnx.safetensors", CPU, "portrait")
    rows, faces = range(len(orl_store)), orl_store.views(range(len(orl_store)), 112)
    for found, expected in (
        (theirs.embed(images()), ours.embed(images())),
        (embed_views(theirs, orl_store, rows), embed_views(ours.place("portrait"), orl_store, rows)),
        (embed_images(theirs, faces), embed_images(ours, faces)),
    ):
        scale = expected.norm(dim=1).mean() / 128**0.5  # of one number
        torch.testing.assert_close(found / scale, expected / scale, atol=1e-4, rtol=0)
    dlibs = import_recognizer("onnx", options | {"window": "dlib"}, path).place("portrait")
    cosines = torch.cosine_similarity(embed_views(dlibs, orl_store, rows), embed_views(ours, orl_store, rows))
    assert cosines.max() < 0.99  # another window, other templates


# The published weights


def test_the_published_file_is_the_manifests(published_file):
    assert file_sha256(published_file) == MANIFEST["mobilefacenet"].sha256
    assert Path(published_file).stat().st_size == MANIFEST["mobilefacenet"].size
    facts = recognizer_facts(import_recognizer("mobilefacenet", {}, published_file))
    assert (facts["dimension"], facts["parameters"]) == (128, 999_552)
    assert facts["gives_gradients"] and facts["embeds_images"]


@torch.no_grad()
def test_photos_and_their_plain_views_give_nearly_the_same_templates(published_file, orl_store):
    """A reconstruction is a plain view, of which its window is cut; a photo's is sampled from the context crop at once."""
    recognizer = import_recognizer("mobilefacenet", {}, published_file).requires_grad_(False).place("portrait")
    rows = range(len(orl_store))
    photos = embed_views(recognizer, orl_store, rows)
    views = recognizer(orl_store.views(rows, recognizer.view_size))
    whole = recognizer(orl_store.views(rows, 112)[:, :, :, 8:104])  # as if its window had been cut already
    assert torch.cosine_similarity(photos, views).min() > 0.99
    assert torch.cosine_similarity(photos, whole).max() < 0.9


@torch.no_grad()
def test_in_its_window_it_knows_people_and_in_dlibs_it_knows_them_less(published_file, orl_store):
    """ORL's first four people, five photos each: how far the similarities of one person lie above those of two."""

    def separation(**options):
        recognizer = import_recognizer("mobilefacenet", options, published_file).place("portrait")
        templates = torch.nn.functional.normalize(embed_views(recognizer, orl_store, range(len(orl_store))))
        cosines, people = (templates @ templates.T).numpy(), orl_store.identities(range(len(orl_store)))
        first, second = np.triu_indices(len(people), 1)
        same = people[first] == people[second]
        genuine, others = cosines[first, second][same], cosines[first, second][~same]
        return genuine.min() - others.max(), genuine.mean() - others.mean()

    least, mean = separation()
    assert least > 0 and mean > 0.5  # every pair of one person above every pair of two
    assert separation(window="dlib")[1] < mean - 0.1
