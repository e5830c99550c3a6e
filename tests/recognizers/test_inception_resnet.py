"""Inception-ResNet-v1 against facenet-pytorch's own forward."""

import pytest
import torch
from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1

from dfd.core.errors import DfdError
from dfd.recognizers.registry import import_recognizer, load_recognizer, save_recognizer


@pytest.fixture(scope="module")
def published() -> InceptionResnetV1:
    """facenet-pytorch's network, with weights and statistics that matter, and a classifier."""
    torch.manual_seed(0)
    network = InceptionResnetV1(pretrained=None, classify=True, num_classes=7).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def path(published, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "20180402-114759-vggface2.pt"
    torch.save(published.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def recognizer(path):
    return import_recognizer("inception-resnet-v1", {}, path).requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))


def test_templates_and_logits_equal_facenets(published, recognizer, images):
    standardised = (images * 255 - 127.5) / 128
    logits = published(standardised)
    published.classify = False
    templates = published(standardised)
    published.classify = True
    assert (templates[0] - templates[1]).norm() > 1e-2
    found = recognizer.activations(images, ["template", "logits"])
    torch.testing.assert_close(found["template"], templates, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["logits"], logits, rtol=1e-4, atol=1e-4 * float(logits.abs().max()))
    torch.testing.assert_close(recognizer(images), templates, rtol=1e-4, atol=1e-5)
    assert recognizer.dimension == 512


def test_layers_are_its_modules(published, recognizer, images):
    seen = {}
    names = [name for name, _ in published.named_children() if name not in ("dropout", "logits")]
    hooks = [
        published.get_submodule(name).register_forward_hook(lambda _, __, y, name=name: seen.update({name: y}))
        for name in names
    ]
    published((images * 255 - 127.5) / 128)
    for hook in hooks:
        hook.remove()
    layers = dict(recognizer._layers((images * 255 - 127.5) / 128))
    assert list(layers) == [*names, "template", "logits"]
    for name in names:
        torch.testing.assert_close(layers[name].flatten(1), seen[name].flatten(1), rtol=1e-3, atol=1e-3)
    assert layers["repeat_1"].shape[1:] == (256, 17, 17) and recognizer.perceptual(images).shape == (2, 256, 17, 17)
    assert sum(p.numel() for n, p in recognizer.named_parameters() if not n.startswith("head.")) == 23_482_624


def test_the_classifier_is_saved_and_loaded(recognizer, images, tmp_path):
    save_recognizer(tmp_path / "f.safetensors", recognizer, "inception-resnet-v1", {})
    loaded = load_recognizer(tmp_path / "f.safetensors", torch.device("cpu"), "portrait")
    assert torch.equal(loaded.head.weight, recognizer.head.weight) and loaded.head.out_features == 7
    torch.testing.assert_close(loaded.embed(images[:1]), recognizer.embed(images[:1]), rtol=1e-3, atol=1e-5)


def test_what_does_not_fit_is_named(published, path, tmp_path):
    bad = tmp_path / "bad.pt"
    state = published.state_dict()
    torch.save({name: tensor for name, tensor in state.items() if name != "last_bn.running_var"}, bad)
    with pytest.raises(DfdError, match=r"bad\.pt do not fit inception-resnet-v1.*lacks last_bn\.running_var"):
        import_recognizer("inception-resnet-v1", {}, str(bad))
    torch.save(state | {"last_linear.weight": torch.zeros(128, 1792)}, bad)
    with pytest.raises(DfdError, match=r"bad\.pt .*last_linear\.weight is 128×1792 in it and 512×1792"):
        import_recognizer("inception-resnet-v1", {}, str(bad))
    with pytest.raises(DfdError, match=r"vggface2\.pt do not fit iresnet"):
        import_recognizer("iresnet", {"width": 1 / 16}, path)
