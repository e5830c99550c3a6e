"""State dicts of others: Oxford's ports against their published forward, and files that would run code."""

import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dfd.core.errors import DfdError
from dfd.recognizers.pytorch_files import (
    OXFORD_OPTIONS,
    WRAPPERS,
    read_oxford_resnet50,
    read_oxford_vgg16,
    read_state,
    under_prefix,
)
from dfd.recognizers.registry import PREPROCESSING, build_recognizer, import_recognizer


def random_state(shapes, bias=True, seed=0):
    """A state dict of {layer: kernel shape, or (channels,) for a normalisation}."""
    generator, state = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes.items():
        uniform = lambda low, high, n=shape[0]: torch.rand(n, generator=generator) * (high - low) + low
        if len(shape) == 1:
            state |= {f"{name}.weight": uniform(0.5, 1.5), f"{name}.bias": uniform(-0.3, 0.3)}
            state |= {f"{name}.running_mean": uniform(-0.5, 0.5), f"{name}.running_var": uniform(1e-5, 2)}
        else:
            fan = torch.tensor(shape[1:]).prod()
            state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5
            if bias or name == "classifier":
                state[f"{name}.bias"] = uniform(-0.3, 0.3)
    return state


VGG_LAYERS = ["11", "12", "21", "22", "31", "32", "33", "41", "42", "43", "51", "52", "53"]


def vgg_state():
    shapes, channels = {}, 3
    for (stage, index), width in zip(VGG_LAYERS, (4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32), strict=True):
        shapes[f"conv{stage}_{index}"] = (width, channels, 3, 3)
        channels = width
    return random_state(shapes | {"fc6": (256, 4 * 32), "fc7": (256, 256), "fc8": (11, 256)})


def oxford_vgg16(x, state):
    """The published forward of `vgg_face_dag`, of RGB grey levels less their mean."""
    found = {}
    for stage, index in VGG_LAYERS:
        name = f"conv{stage}_{index}"
        x = found[name] = F.relu(F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1))
        if stage + index in ("12", "22", "33", "43", "53"):
            x = F.max_pool2d(x, 2, 2)
    x = x.flatten(1)
    for name, ours in (("fc6", "fc6"), ("fc7", "fc7"), ("fc8", "logits")):
        found[ours] = F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])
        x = F.relu(found[ours])
    return found


def resnet_state():
    shapes, channels = {"conv1_7x7_s2": (4, 3, 7, 7), "conv1_7x7_s2_bn": (4,)}, 4
    for stage, blocks, inner in ((2, 3, 4), (3, 4, 8), (4, 6, 16), (5, 3, 32)):
        for block in range(1, blocks + 1):
            parts = {"1x1_reduce": (inner, channels, 1, 1), "3x3": (inner, inner, 3, 3)}
            parts |= {"1x1_increase": (4 * inner, inner, 1, 1)}
            if block == 1:
                parts |= {"1x1_proj": (4 * inner, channels, 1, 1)}
            for part, shape in parts.items():
                name = f"conv{stage}_{block}_{part}"
                shapes |= {name: shape, f"{name}_bn": shape[:1]}
            channels = 4 * inner
    return random_state(shapes | {"classifier": (11, channels, 1, 1)}, bias=False)


def oxford_resnet50(x, state):
    """The published forward of `resnet50_ft_dag`: conv1 pads 3 on all sides, the max-pooling rounds up, epsilon 1e-5."""

    def unit(y, name, stride=1, padding=0):
        y = F.conv2d(y, state[f"{name}.weight"], None, stride, padding)
        kinds = ("running_mean", "running_var", "weight", "bias")
        return y, F.batch_norm(y, *(state[f"{name}_bn.{kind}"] for kind in kinds), eps=1e-5)

    found = {}
    found["conv1"], x = unit(x, "conv1_7x7_s2", stride=2, padding=3)
    x = F.max_pool2d(F.relu(x), 3, 2, padding=0, ceil_mode=True)
    for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
        for block in range(1, blocks + 1):
            name, stride = f"conv{stage}_{block}", 2 if block == 1 and stage > 2 else 1
            y = F.relu(unit(x, f"{name}_1x1_reduce", stride)[1])
            found[f"{name}_3x3"], y = unit(y, f"{name}_3x3", padding=1)
            y = unit(F.relu(y), f"{name}_1x1_increase")[1]
            found[name] = x = F.relu(y + (unit(x, f"{name}_1x1_proj", stride)[1] if block == 1 else x))
    found["avg_pool"] = x.mean((2, 3))
    found["logits"] = F.conv2d(
        x.mean((2, 3), keepdim=True), state["classifier.weight"], state["classifier.bias"]
    ).flatten(1)
    return found


def written(path, content) -> str:
    torch.save(content, path)
    return str(path)


@torch.no_grad()
def assert_same(recognizer, mean, forward, state):
    images = torch.rand(2, 3, *recognizer.size, generator=torch.Generator().manual_seed(1))
    expected = forward(images * 255 - torch.tensor(mean).view(1, 3, 1, 1), state)
    found = recognizer.activations(images, expected)
    for name, activation in expected.items():
        torch.testing.assert_close(found[name], activation, rtol=1e-3, atol=1e-4 * float(activation.abs().max()))


@pytest.mark.parametrize("convolutional", [False, True])
def test_vgg16_computes_what_oxfords_does(tmp_path, convolutional):
    state = vgg_state()
    content = dict(state)
    if convolutional:  # as in the Caffe network: fc6 is a convolution over the whole map
        content["fc6.weight"] = content["fc6.weight"].view(256, 32, 2, 2)
    options = {"size": 64, "width": 1 / 16} | OXFORD_OPTIONS["vgg16"]
    recognizer = import_recognizer("vgg16", options, written(tmp_path / "vgg_face_dag.pth", content))
    assert_same(recognizer, (129.186279296875, 104.76238250732422, 93.59396362304688), oxford_vgg16, state)


@pytest.mark.parametrize("side", [64, 72])
def test_resnet50_computes_what_oxfords_does(tmp_path, side):
    state = resnet_state()
    options = {"size": side, "width": 1 / 16} | OXFORD_OPTIONS["resnet50"]
    recognizer = import_recognizer("resnet50", options, written(tmp_path / "resnet50_ft_dag.pth", state))
    assert_same(recognizer, (131.0912, 103.8827, 91.4953), oxford_resnet50, state)


def test_options_that_oxfords_files_want_are_missed_aloud(tmp_path, caplog):
    path = written(tmp_path / "resnet50_ft_dag.pth", resnet_state())
    options = {"size": 64, "width": 1 / 16}
    import_recognizer("resnet50", options | OXFORD_OPTIONS["resnet50"], path)
    assert not caplog.records
    import_recognizer("resnet50", options | {"bgr": False}, path)
    assert "resnet50_ft_dag.pth" in caplog.text and "'padding': 'caffe'" in caplog.text and "'bgr'" not in caplog.text


def test_an_unknown_padding_is_named():
    with pytest.raises(DfdError, match="tensorflow or caffe does, not as same"):
        build_recognizer("resnet50", {"padding": "same"})


def test_what_does_not_fit_is_named(tmp_path):
    vgg, resnet = (
        written(tmp_path / name, state) for name, state in (("v.pth", vgg_state()), ("r.pth", resnet_state()))
    )
    small = {"size": 64, "width": 1 / 16}
    with pytest.raises(DfdError, match=r"v\.pth: its conv1_1\.weight is not one"):
        read_oxford_resnet50(vgg)
    with pytest.raises(DfdError, match=r"r\.pth: its conv1_7x7_s2\.weight is not one"):
        import_recognizer("vgg16", small, resnet)
    with pytest.raises(DfdError, match=r"v\.pth do not fit vgg16.*conv1_1\.weight is 4×3×3×3 in it and 8×3×3×3"):
        import_recognizer("vgg16", small | {"width": 1 / 8}, vgg)
    incomplete = {name: tensor for name, tensor in resnet_state().items() if name != "conv3_1_3x3_bn.running_var"}
    with pytest.raises(DfdError, match=r"i\.pth do not fit resnet50.*lacks blocks\.3_1\.spatial_norm\.running_var"):
        import_recognizer("resnet50", small, written(tmp_path / "i.pth", incomplete))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".bin"])
def test_the_weights_of_a_checkpoint_are_read_from_beside_its_epoch(tmp_path, wrapper, suffix):
    state = vgg_state()
    for content in (state, {"epoch": 68, wrapper: state}, {wrapper: state, "lr": 0.1, "history": [1.0, 2.0]}):
        found = read_state(written(tmp_path / f"a{suffix}", content))
        assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)
    options = {"size": 64, "width": 1 / 16} | OXFORD_OPTIONS["vgg16"]
    import_recognizer("vgg16", options, written(tmp_path / "b.pth", {"epoch": 1, wrapper: state}))


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "model.backbone."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_prefix_is_no_part_of_the_names(tmp_path, caplog, prefix, suffix):
    """As of DataParallel, of Lightning (which keeps its classifier beside the network), of Hugging Face's files."""
    small = {"size": 32, "width": 1 / 16}
    recognizer = build_recognizer("iresnet", small)
    content = {
        f"{prefix}{name}": tensor for name, tensor in recognizer.state_dict().items() if name not in PREPROCESSING
    }
    path = tmp_path / f"weights{suffix}"
    write = save_file if suffix == ".safetensors" else torch.save
    write(content, path)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(import_recognizer("iresnet", small, str(path))(images), recognizer(images))
    assert not caplog.text
    write(content | {"head.kernel": torch.ones(3)}, path)
    if prefix:
        torch.testing.assert_close(import_recognizer("iresnet", small, str(path))(images), recognizer(images))
        assert f"under {prefix} are taken; left out: head.kernel" in caplog.text
    else:
        with pytest.raises(DfdError, match=r"it has head\.kernel, which the network lacks"):
            import_recognizer("iresnet", small, str(path))


def test_a_prefix_of_oxfords_layers_too(tmp_path):
    state = {f"module.{name}": tensor for name, tensor in vgg_state().items()}
    assert read_oxford_vgg16(written(tmp_path / "v.pth", state))["head.weight"].shape == (11, 256)


def test_a_half_empty_file_keeps_its_names(tmp_path):
    names = ["conv1.weight", "conv2.weight", "conv3.weight"]
    state = {"layer1.0.conv1.weight": torch.ones(1), "conv2.weight": torch.ones(1)}
    assert under_prefix(state, names) == state and under_prefix({}, names) == {}


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0])
def test_weights_that_give_no_templates_are_refused(tmp_path, value):
    recognizer = build_recognizer("iresnet", small := {"size": 32, "width": 1 / 16})
    state = {name: tensor for name, tensor in recognizer.state_dict().items() if name not in PREPROCESSING}
    for name in ("fc.weight", "fc.bias"):
        state[name] = torch.full_like(state[name], value)
    with pytest.raises(DfdError, match=r"w\.pth(: damaged, NaN or infinity in fc\.weight|, shown noise: )"):
        import_recognizer("iresnet", small, written(tmp_path / "w.pth", state))


class Code:
    """Unpickled with trust, it creates a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, zipped):
    path, target = tmp_path / "bad.pth", tmp_path / "ran"
    torch.save(vgg_state() | {"fc8.weight": Code(target)}, path, _use_new_zipfile_serialization=zipped)
    for read in (read_state, read_oxford_vgg16, read_oxford_resnet50):
        with pytest.raises(DfdError, match=r"bad\.pth: refused.*state_dict"):
            read(path)
    path.write_bytes(pickle.dumps(Code(target), protocol=2))
    with pytest.raises(DfdError, match=r"bad\.pth: refused"):
        read_state(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())  # it would have
    assert target.exists()


def test_a_whole_pickled_module_is_refused(tmp_path):
    with pytest.raises(DfdError, match=r"bad\.pth: refused.*state_dict"):
        read_state(written(tmp_path / "bad.pth", torch.nn.Linear(2, 2)))


def test_other_files_are_named(tmp_path):
    path = tmp_path / "bad.pth"
    whole = Path(written(tmp_path / "good.pth", vgg_state())).read_bytes()
    for data in (b"", b"no weights", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DfdError, match=r"bad\.pth: (not a PyTorch file|refused: damaged)"):
            read_state(path)
    wrapped = ({"epoch": 3, "theirs": vgg_state()}, {"epoch": 3, "state_dict": {}}, {"net_state_dict": {"epoch": 3}})
    for content in ({}, torch.zeros(3), [torch.zeros(3)], *wrapped):
        with pytest.raises(DfdError, match=r"bad\.pth: not a state dict"):
            read_state(written(path, content))
