"""Files laid out as rcmalli's, and their networks against NumPy's arithmetic of what Keras computes."""

import zipfile

import h5py
import numpy as np
import pytest
import torch
from keras_files import VGG_LAYERS, random_layers, resnet_layers, vgg_layers, write, write_numbered

from dfd.core.errors import DfdError
from dfd.recognizers.keras_vggface import read_keras_resnet50, read_keras_vgg16
from dfd.recognizers.registry import import_recognizer, load_recognizer, save_recognizer

# The reference: channels last, float64, Keras' names. `weights` is {layer: {kernel, bias, gamma, ...}}.


def conv(x, weights, stride=1, same=True):
    """TensorFlow's convolution of (N, H, W, C); "same" padding puts the odd pixel at the end."""
    kernel = weights["kernel"].astype(np.float64)
    k = kernel.shape[0]
    if same:
        total = [max((-(-side // stride) - 1) * stride + k - side, 0) for side in x.shape[1:3]]
        x = np.pad(x, ((0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel, optimize=True) + weights.get("bias", 0)


def batch_norm(x, weights):
    scale = weights["gamma"] / np.sqrt(weights["moving_variance"].astype(np.float64) + 1e-3)
    return (x - weights["moving_mean"]) * scale + weights["beta"]


def max_pool(x, size, stride):
    """ "valid": what is left over at the end is dropped."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return windows.max((-2, -1))


def relu(x):
    return np.maximum(x, 0)


def dense(x, weights):
    return x @ weights["kernel"].astype(np.float64) + weights["bias"]


def keras_vgg16(x, weights):
    found = {}
    for a, b in VGG_LAYERS:
        x = found[f"conv{a}_{b}"] = relu(conv(x, weights[f"conv{a}_{b}"]))
        if a + b in ("12", "22", "33", "43", "53"):
            x = max_pool(x, 2, 2)
    if "fc6" in weights:
        x = found["fc6"] = dense(x.reshape(len(x), -1), weights["fc6"])
        x = found["fc7"] = dense(relu(x), weights["fc7"])
        found["logits"] = dense(relu(x), weights["fc8"])
    return found


def keras_resnet50(x, weights):
    found = {"conv1": conv(x, weights["conv1/7x7_s2"], stride=2)}
    x = max_pool(relu(batch_norm(found["conv1"], weights["conv1/7x7_s2/bn"])), 3, 2)
    for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
        for block in range(1, blocks + 1):
            name, stride = f"conv{stage}_{block}", 2 if block == 1 and stage > 2 else 1

            def unit(y, part, **how):
                return batch_norm(conv(y, weights[part], **how), weights[f"{part}/bn"])

            y = relu(unit(x, f"{name}_1x1_reduce", stride=stride, same=False))
            found[f"{name}_3x3"] = conv(y, weights[f"{name}_3x3"])
            y = relu(unit(y, f"{name}_3x3"))
            y = unit(y, f"{name}_1x1_increase")
            x = relu(y + (unit(x, f"{name}_1x1_proj", stride=stride, same=False) if block == 1 else x))
            found[name] = x
    found["avg_pool"] = x.mean((1, 2))
    if "classifier" in weights:
        found["logits"] = dense(found["avg_pool"], weights["classifier"])
    return found


def images(side):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def as_keras(x, mean):
    """BGR grey levels minus the mean, channels last."""
    return x.double().permute(0, 2, 3, 1).numpy()[..., ::-1] * 255 - np.array(mean)


@torch.no_grad()
def assert_same(recognizer, x, expected):
    found = recognizer.activations(x, expected)
    for name, activation in expected.items():
        activation = np.moveaxis(activation, -1, 1)
        assert found[name].shape == activation.shape, name
        assert np.abs(found[name].numpy() - activation).max() < 2e-4 * np.abs(activation).max(), name


VGG_OPTIONS = {"size": 64, "width": 1 / 16}  # fits the helper's files
VGG_MEAN, RESNET_MEAN = (93.5940, 104.7624, 129.1863), (91.4953, 103.8827, 131.0912)
WHOLE = {"root": "model_weights", "style": 3}
LAYOUTS = {
    "weights of Keras 2": lambda path, layers: write(path, layers),
    "weights of Keras 1": lambda path, layers: write(path, layers, style=1),
    "a whole model": lambda path, layers: write(path, layers, root="model_weights"),
    "split names": lambda path, layers: write(path, layers, split=True),
    "a whole model of Keras 3": lambda path, layers: write(path, layers, **WHOLE, separator="_"),
    "another sign for the slash": lambda path, layers: write(path, layers, **WHOLE, separator="-"),
    "weights of Keras 3": lambda path, layers: write_numbered(path, layers),
    "an archive of Keras 3": lambda path, layers: write_numbered(path.with_suffix(".keras"), layers, archive=True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vgg16_computes_what_keras_does(tmp_path, layout):
    layers = vgg_layers()
    path = LAYOUTS[layout](tmp_path / "vgg.h5", layers)
    recognizer = import_recognizer("vgg16", VGG_OPTIONS, str(path))
    expected = keras_vgg16(as_keras(images(64), VGG_MEAN), layers)
    assert_same(recognizer, images(64), expected)
    assert recognizer.dimension == 256 and recognizer.head.out_features == 11


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_resnet50_computes_what_keras_does(tmp_path, layout, side):
    layers = resnet_layers()
    path = LAYOUTS[layout](tmp_path / "resnet.h5", layers)
    recognizer = import_recognizer("resnet50", {"size": side, "width": 1 / 16}, str(path))
    expected = keras_resnet50(as_keras(images(side), RESNET_MEAN), layers)
    assert len(expected) == 1 + 2 * 16 + 2
    assert_same(recognizer, images(side), expected)


def test_files_without_top(tmp_path):
    layers = vgg_layers(top=False)
    path = str(write(tmp_path / "vgg.h5", layers))
    recognizer = import_recognizer("vgg16", VGG_OPTIONS | {"top": False, "layer": "conv5-avg"}, path)
    assert recognizer.head is None and recognizer.dimension == 32
    assert_same(recognizer, images(64), keras_vgg16(as_keras(images(64), VGG_MEAN), layers))
    with pytest.raises(DfdError, match=r"vgg\.h5 do not fit vgg16.*lacks fc6"):
        import_recognizer("vgg16", VGG_OPTIONS, path)
    with pytest.raises(DfdError, match="no layer fc7"):
        import_recognizer("vgg16", VGG_OPTIONS | {"top": False}, path)
    layers = resnet_layers(top=False)
    path = write(tmp_path / "resnet.h5", layers)
    recognizer = import_recognizer("resnet50", {"size": 64, "width": 1 / 16}, str(path))
    assert recognizer.head is None
    assert_same(recognizer, images(64), keras_resnet50(as_keras(images(64), RESNET_MEAN), layers))


@torch.no_grad()
def test_the_classifier_is_saved_and_loaded(tmp_path):
    recognizer = import_recognizer("vgg16", VGG_OPTIONS, str(write(tmp_path / "vgg.h5", vgg_layers())))
    save_recognizer(tmp_path / "vgg.safetensors", recognizer, "vgg16", VGG_OPTIONS)
    loaded = load_recognizer(tmp_path / "vgg.safetensors", torch.device("cpu"), "portrait")
    assert torch.equal(loaded.head.weight, recognizer.head.weight) and not loaded.head.weight.requires_grad
    for name in ("fc7", "logits"):
        expected = recognizer.activations(images(64), [name])[name]
        torch.testing.assert_close(loaded.activations(images(64), [name])[name], expected, rtol=1e-4, atol=1e-2)


def resized(layers, name, kind, shape):
    layers[name][kind] = np.zeros(shape, np.float32)
    return layers


def renamed(layers, old, new):
    return {new if name == old else name: weights for name, weights in layers.items()}


MISFITS = {
    "another architecture": (resnet_layers, "bad.h5: its layer conv1/7x7_s2 is not one"),
    "an unknown layer": (lambda: renamed(vgg_layers(), "conv5_1", "conv6_1"), "bad.h5: its layer conv6_1"),
    "an unknown weight": (
        lambda: resized(vgg_layers(), "conv2_1", "depth", 3),
        "layer conv2_1 has an unknown weight .*depth",
    ),
    "a missing layer": (
        lambda: {k: v for k, v in vgg_layers().items() if k != "conv3_2"},
        "bad.h5 .*lacks .*conv3_2.weight",
    ),
    "another width": (
        lambda: resized(vgg_layers(), "conv3_2", "kernel", (3, 3, 16, 5)),
        "bad.h5 .*conv3_2.weight is 5×16×3×3",
    ),
    "another size": (lambda: vgg_layers(side=7), "bad.h5 .*fc6.weight is 256×1568 in it and 256×128"),
    "a map that is not square": (
        lambda: resized(vgg_layers(), "fc6", "kernel", (96, 256)),
        "bad.h5: the layer fc6 is 96×256",
    ),
    "another rank": (
        lambda: resized(vgg_layers(), "fc7", "kernel", (2, 2, 2)),
        "bad.h5: the weight of layer fc7 is 2×2×2",
    ),
    "another classifier": (
        lambda: resized(vgg_layers(), "fc8", "kernel", (7, 11)),
        "classifier in .*bad.h5 does not fit",
    ),
    "words": (lambda: vgg_layers() | {"fc7": {"kernel": np.array([b"code"])}}, "layer fc7 has an unknown weight"),
}


@pytest.mark.parametrize("mistake", MISFITS)
def test_what_does_not_fit_is_named_with_its_layer(tmp_path, mistake):
    layers, message = MISFITS[mistake]
    with pytest.raises(DfdError, match=message):
        import_recognizer("vgg16", VGG_OPTIONS, str(write(tmp_path / "bad.h5", layers())))


def test_a_network_with_more_layers_is_refused(tmp_path):
    """SENet-50's file holds all that ResNet-50 needs, and more."""
    layers = resnet_layers() | random_layers({"conv2_1_1x1_down": (1, 1, 16, 1)})
    with pytest.raises(DfdError, match=r"bad\.h5: its layer conv2_1_1x1_down"):
        read_keras_resnet50(write(tmp_path / "bad.h5", layers))


def test_numbered_layers_without_names_are_refused(tmp_path):
    """As TensorFlow's own Keras writes .weights.h5: guessing by order would mix up ResNet's layers."""
    path = write_numbered(tmp_path / "vgg.weights.h5", vgg_layers(), named=False)
    with pytest.raises(DfdError, match=r'vgg\.weights\.h5: its conv2d has no name .* model\.save\("x\.h5"\)'):
        import_recognizer("vgg16", VGG_OPTIONS, str(path))
    layers = resnet_layers()
    del layers["conv2_1_3x3/bn"]["gamma"]  # which of the four is missing, nothing tells
    with pytest.raises(DfdError, match=r"bad\.h5: the layer conv2_1_3x3_bn has an unknown weight"):
        read_keras_resnet50(write_numbered(tmp_path / "bad.h5", layers))
    with pytest.raises(DfdError, match=r"bad\.h5: its layer conv6_1"):
        read_keras_vgg16(write_numbered(tmp_path / "bad.h5", renamed(vgg_layers(), "conv5_1", "conv6_1")))


def test_damaged_archives_are_named(tmp_path):
    path = write_numbered(tmp_path / "vgg.keras", vgg_layers(), archive=True)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(DfdError, match=r"vgg\.keras: not an HDF5 file of Keras"):
        read_keras_vgg16(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(DfdError, match=r"vgg\.keras: not an HDF5 file of Keras.*model\.weights\.h5"):
        read_keras_vgg16(path)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "bad.h5"
    whole = write(tmp_path / "vgg.h5", vgg_layers()).read_bytes()
    for data in (b"", b"no HDF5", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DfdError, match=r"bad\.h5: not an HDF5 file of Keras"):
            read_keras_vgg16(path)
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(DfdError, match=r"bad\.h5: not an HDF5 file of Keras.*layer_names"):
        read_keras_vgg16(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1_1"]
    with pytest.raises(DfdError, match=r"bad\.h5: not an HDF5 file of Keras.*conv1_1"):
        read_keras_vgg16(path)
