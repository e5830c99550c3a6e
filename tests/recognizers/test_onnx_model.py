"""ONNX models built here against the same network in torch; what cannot be a recognizer; gradients are refused."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from ruamel.yaml import YAML
from torch import nn

from dfd.core.errors import DfdError
from dfd.faces.geometry import seen_window, views
from dfd.recognizers import onnx_model
from dfd.recognizers.onnx_model import read_onnx
from dfd.recognizers.registry import import_recognizer, load_recognizer, recognizer_facts, save_recognizer
from dfd.templates.embedding import embed_images
from dfd.templates.store import TemplateStore

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
FLOAT, HALF, BYTES = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


class Small(nn.Module):
    """The reference: what `small_model` writes, fed pixels as they are."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.dense = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Linear(6, 5)

    @torch.no_grad()
    def forward(self, x):
        maps = self.conv(x).relu()
        return self.dense(maps.mean((2, 3))), maps


def small_model(
    batch="N", height=16, width=16, kind=FLOAT, channels_last=False, names=("template", "maps"), inputs=("image",)
):
    """The network as ONNX; its second output is the first convolution's map, N × 6 × H/2 × W/2."""
    network, dtype = Small(), np.float16 if kind == HALF else np.float32
    weights = [parameter.detach().numpy().astype(dtype) for parameter in network.parameters()]
    initializers = [
        numpy_helper.from_array(w, name) for w, name in zip(weights, ("kernel", "bias", "matrix", "shift"), strict=True)
    ]
    first, nodes = inputs[0], []
    if kind == BYTES:
        nodes.append(helper.make_node("Cast", [first], ["floats"], to=FLOAT))
        first = "floats"
    if channels_last:
        nodes.append(helper.make_node("Transpose", [first], ["first"], perm=[0, 3, 1, 2]))
        first = "first"
    if len(inputs) == 2:
        nodes.append(helper.make_node("Add", [first, inputs[1]], ["sum"]))
        first = "sum"
    nodes += [
        helper.make_node("Conv", [first, "kernel", "bias"], ["before"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["before"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "shift"], ["template"], transB=1),
    ]
    shape = [batch, height, width, 3] if channels_last else [batch, 3, height, width]
    out = HALF if kind == HALF else FLOAT
    shapes = {"template": [batch, 5], "maps": [batch, 6, None, None]}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info(name, out, shapes[name]) for name in names],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save(path, model, **how) -> str:
    onnx.save(model, path, **how)
    return str(path)


def images(count=5, side=16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def arcface(x):
    return (x * 255 - 127.5) / 127.5


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("batch", ["N", None, 1, 2, 7])
@torch.no_grad()
def test_templates_are_torchs(tmp_path, batch, channels_last):
    """Free or fixed batches, the last one filled up; NCHW or NHWC; size and layer as the model states them."""
    path = save(tmp_path / "small.onnx", small_model(batch, channels_last=channels_last))
    recognizer = import_recognizer("onnx", {}, path)
    assert (recognizer.size, recognizer.layer, recognizer.dimension) == ((16, 16), "template", 5)
    template, maps = Small()(arcface(images()))
    for found in (recognizer(images()), embed_images(recognizer, images())):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, template, atol=1e-5, rtol=0)
    found = recognizer.activations(images(), ["maps", "template"])
    torch.testing.assert_close(found["maps"], maps.flatten(1), atol=1e-5, rtol=0)
    other = import_recognizer("onnx", {"layer": "maps"}, path)
    torch.testing.assert_close(other(images()), maps.flatten(1), atol=1e-5, rtol=0)
    larger = torch.nn.functional.interpolate(images(side=40), (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(recognizer(images(side=40)), recognizer(larger))


@torch.no_grad()
def test_preprocessing_is_what_the_options_say(tmp_path):
    path, x = save(tmp_path / "small.onnx", small_model()), images()
    mean, deviation = torch.tensor([123.7, 116.3, 103.5]), torch.tensor([58.4, 57.1, 57.4])
    options = {"mean": mean.tolist(), "scale": (1 / deviation).tolist()}
    expected = (x * 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    torch.testing.assert_close(import_recognizer("onnx", options, path)(x), Small()(expected)[0], atol=1e-5, rtol=0)
    options = {"mean": 0.0, "scale": 1 / 255, "bgr": True}
    torch.testing.assert_close(import_recognizer("onnx", options, path)(x), Small()(x.flip(1))[0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_other_types_of_input(tmp_path):
    half = import_recognizer("onnx", {}, save(tmp_path / "half.onnx", small_model(kind=HALF)))(images())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, Small()(arcface(images()))[0], atol=5e-3, rtol=0)
    path = save(tmp_path / "bytes.onnx", small_model(kind=BYTES))
    grey = import_recognizer("onnx", {"mean": 0.0, "scale": 1.0}, path)(images())
    torch.testing.assert_close(grey, Small()((images() * 255).round())[0], atol=1e-3, rtol=1e-5)
    with pytest.raises(DfdError, match=r"bytes\.onnx: its input image takes grey levels.*mean: 0\.0 and scale: 1\.0"):
        import_recognizer("onnx", {}, path)


def test_the_size_is_the_models_or_else_the_options(tmp_path):
    stated, free = (save(tmp_path / f"{s}.onnx", small_model(height=s, width=s)) for s in (16, None))
    assert import_recognizer("onnx", {"size": 16}, stated).size == (16, 16)
    assert import_recognizer("onnx", {}, free).size == (112, 112)
    assert import_recognizer("onnx", {"size": 24}, free).size == (24, 24)
    assert import_recognizer("onnx", {"size": [24, 20]}, free).size == (24, 20)
    half = save(tmp_path / "half.onnx", small_model(height=20, width="W"))
    assert import_recognizer("onnx", {}, half).size == (20, 20)
    assert import_recognizer("onnx", {"size": [20, 12]}, half).size == (20, 12)
    with pytest.raises(
        DfdError, match=r"16\.onnx: its input image has the shape N × 3 × 16 × 16, but the option `size` is 32"
    ):
        import_recognizer("onnx", {"size": 32}, stated)
    with pytest.raises(DfdError, match=r"× 20 × W, but the option `size` is 12 × 20; leave it out, or correct it"):
        import_recognizer("onnx", {"size": [12, 20]}, half)


@torch.no_grad()
@pytest.mark.parametrize("channels_last", [False, True])
def test_an_input_that_is_not_square(tmp_path, channels_last):
    """MobileFaceNet's 112 × 96: images of any other shape are brought to it, never the other way round."""
    path = save(tmp_path / "tall.onnx", small_model(height=112, width=96, channels_last=channels_last))
    for options in ({}, {"size": [112, 96]}):
        recognizer = import_recognizer("onnx", options, path)
        assert recognizer.size == (112, 96) and recognizer.dimension == 5
        tall = torch.rand(3, 3, 112, 96, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(recognizer(tall), Small()(arcface(tall))[0], atol=1e-5, rtol=0)
    assert import_recognizer("onnx", {"layer": "maps"}, path).dimension == 6 * 56 * 48
    for size, said in (([96, 112], "96 × 112"), (112, "112"), (96, "96")):
        with pytest.raises(
            DfdError, match=rf"tall\.onnx: its input image has .*112 × 96.*, but the option `size` is {said};"
        ):
            import_recognizer("onnx", {"size": size}, path)
    recognizer = import_recognizer("onnx", {}, path).place("portrait")
    faces = torch.rand(2, 3, 140, 140, generator=torch.Generator().manual_seed(3))
    window = views(faces, seen_window("arcface", (112, 96), "portrait"), (112, 96), 140, 1.0)
    torch.testing.assert_close(recognizer(faces), Small()(arcface(window))[0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_saved_recognizer_is_whole_and_its_bytes_are_always_the_same(tmp_path):
    """With the weights in a file beside the model, as PyTorch's exporter leaves them, and that file gone afterwards."""
    model, folder = small_model(), tmp_path / "exported"
    folder.mkdir()
    whole = save(tmp_path / "whole.onnx", model)
    onnx.save(
        small_model(), folder / "small.onnx", save_as_external_data=True, location="small.onnx.data", size_threshold=0
    )
    paths = [tmp_path / name for name in ("a.safetensors", "b.safetensors", "c.safetensors")]
    for path, source in zip(paths, (folder / "small.onnx", folder / "small.onnx", whole), strict=True):
        save_recognizer(path, import_recognizer("onnx", {}, str(source)), "onnx", {})
    shutil.rmtree(folder)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded, another = (load_recognizer(path, CPU, "portrait") for path in (paths[0], paths[2]))
    torch.testing.assert_close(loaded.embed(images()), Small()(arcface(images()))[0], atol=1e-5, rtol=0)
    assert torch.equal(loaded.embed(images()), another.embed(images())) and torch.equal(
        loaded(images()), another(images())
    )
    assert (loaded.size, loaded.layer, loaded.dimension) == ((16, 16), "template", 5) and not loaded.training
    assert list(loaded.parameters()) == []


def external(folder, location):
    """A model whose weights lie, by its own account, at `location`."""
    onnx.save(small_model(), folder / "small.onnx", save_as_external_data=True, location="small.data", size_threshold=0)
    model = onnx.load(folder / "small.onnx", load_external_data=False)
    for entry in (
        entry for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    ):
        entry.value = location
    return save(folder / "small.onnx", model)


def test_external_data_that_is_missing_or_lies_elsewhere(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(DfdError, match=r"small\.onnx: its external data is missing; put the file gone\.data beside it"):
        import_recognizer("onnx", {}, external(folder, "gone.data"))
    shutil.copy(folder / "small.data", tmp_path / "small.data")
    for location in ("../small.data", str(tmp_path / "small.data")):
        with pytest.raises(
            DfdError, match=r"small\.onnx: refused: its external data .*small\.data lies outside its folder"
        ):
            import_recognizer("onnx", {}, external(folder, location))
    (folder / "link.data").symlink_to(tmp_path / "small.data")
    with pytest.raises(DfdError, match=r"refused: its external data link\.data lies outside"):
        import_recognizer("onnx", {}, external(folder, "link.data"))
    path = external(folder, "small.data")
    (folder / "small.data").write_bytes((folder / "small.data").read_bytes()[:50])
    with pytest.raises(DfdError, match=r"small\.onnx: its external data cannot be read"):
        import_recognizer("onnx", {}, path)


def test_models_larger_than_a_message_are_refused(tmp_path, monkeypatch):
    path = external(tmp_path, "small.data")
    sizes = [(tmp_path / name).stat().st_size for name in ("small.onnx", "small.data")]
    monkeypatch.setattr(onnx_model, "LARGEST", sum(sizes))
    assert read_onnx(path)
    for limit in (sum(sizes) - 1, sizes[0] - 1):
        monkeypatch.setattr(onnx_model, "LARGEST", limit)
        with pytest.raises(
            DfdError, match=r"small\.onnx: 0\.0 GB with its external data; .* more than 2 GB is not supported"
        ):
            read_onnx(path)


def reshaped(path, columns=-1):
    """A model whose output mixes the images of a batch, 1 × 5N, or fails for more than one, 1 × 5."""
    model = small_model()
    model.graph.node[-1].output[0] = "rows"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, columns]), "shape"))
    model.graph.node.append(helper.make_node("Reshape", ["rows", "shape"], ["template"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].ClearField("dim_value")
    return save(path, model)


def unknown_operator(path):
    model = small_model()
    model.graph.node[1].op_type = "Frobnicate"
    return save(path, model)


def grey_only(path):
    model = small_model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    return save(path, model)


def flat_input(path):
    given, template = (
        helper.make_tensor_value_info(n, FLOAT, s) for n, s in (("image", ["N", 3, 16]), ("template", ["N", 48]))
    )
    graph = helper.make_graph([helper.make_node("Flatten", ["image"], ["template"])], "flat", [given], [template])
    return save(path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def labels_input(path):
    model = small_model()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    model.graph.node.insert(0, helper.make_node("Cast", ["image"], ["floats"], to=FLOAT))
    model.graph.node[1].input[0] = "floats"
    return save(path, model)


@torch.no_grad()
@pytest.mark.parametrize("columns", [-1, 5])
def test_a_model_that_is_made_for_one_image_unsaid_gets_one_at_a_time(tmp_path, caplog, columns):
    caplog.set_level("INFO")
    recognizer = import_recognizer("onnx", {}, reshaped(tmp_path / "small.onnx", columns))
    assert "it runs on one at a time" in caplog.text
    torch.testing.assert_close(recognizer(images()), Small()(arcface(images()))[0], atol=1e-5, rtol=0)
    caplog.clear()
    import_recognizer("onnx", {}, save(tmp_path / "whole.onnx", small_model()))
    assert not caplog.text


@torch.no_grad()
def test_a_template_does_not_depend_on_the_rest_of_its_batch(tmp_path):
    """With the normalisation of a trained network in it."""
    model = small_model()
    rng = np.random.default_rng(0)
    for name in ("gain", "offset", "running_mean", "running_var"):
        model.graph.initializer.append(numpy_helper.from_array(rng.uniform(0.5, 1.5, 6).astype(np.float32), name))
    model.graph.node[1].input[0] = "normalised"
    node = helper.make_node(
        "BatchNormalization", ["before", "gain", "offset", "running_mean", "running_var"], ["normalised"]
    )
    model.graph.node.insert(1, node)
    recognizer = import_recognizer("onnx", {}, save(tmp_path / "normalised.onnx", model))
    templates = recognizer(images(64))
    for row in (0, 63):
        torch.testing.assert_close(recognizer(images(64)[row : row + 1])[0], templates[row], atol=1e-5, rtol=1e-5)


# mistake -> (what writes the file, options, message)
MISTAKES = {
    "no model": (lambda path: path.write_bytes(b"no ONNX model" * 9), {}, "not an ONNX model"),
    "an empty file": (lambda path: path.write_bytes(b""), {}, "not an ONNX model .it has no graph"),
    "cut short": (lambda path: path.write_bytes(small_model().SerializeToString()[:300]), {}, "not an ONNX model"),
    "two inputs": (
        lambda path: save(path, small_model(inputs=("image", "mask"))),
        {},
        "one input, the images; this model has image, mask",
    ),
    "an unknown layer": (
        lambda path: save(path, small_model()),
        {"layer": "fc7"},
        r"no output fc7 of numbers; there are template \(tensor\(float\)\), maps",
    ),
    "not square, and turned": (
        lambda path: save(path, small_model(height=112, width=96)),
        {"size": [96, 112]},
        "N × 3 × 112 × 96, but the option `size` is 96 × 112",
    ),
    "one channel": (grey_only, {}, "N × 1 × 16 × 16; .* three channels"),
    "three dimensions": (flat_input, {}, "N × 3 × 16; a recognizer takes images"),
    "labels": (labels_input, {}, r"its input image is a tensor\(int64\); supported are tensor\(float\)"),
    "an unknown operator": (unknown_operator, {}, "not a model that onnxruntime can run .*Frobnicate"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_no_recognizer_is_one_line_that_names_the_file(tmp_path, capfd, mistake):
    write, options, message = MISTAKES[mistake]
    write(tmp_path / "bad.onnx")
    with pytest.raises(DfdError, match=rf"bad\.onnx: .*{message}") as raised:
        import_recognizer("onnx", options, str(tmp_path / "bad.onnx"))
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")  # onnxruntime says nothing besides


@pytest.mark.parametrize(
    "options",
    [
        {"size": size}
        for size in (0, -16, 16.0, True, "large", "16", [16], [16, 16, 16], [16, 0], [16, 16.0], [16, "16"])
    ]
    + [{"tap": "conv1"}, {"mean": [1.0, 2.0]}, {"depth": 3}],
)
def test_wrong_options_are_errors_for_the_user(tmp_path, options):
    with pytest.raises(DfdError) as raised:
        import_recognizer("onnx", options, save(tmp_path / "small.onnx", small_model()))
    assert "\n" not in str(raised.value)


def test_gradients_are_refused_never_zero(tmp_path):
    recognizer = import_recognizer("onnx", {}, save(tmp_path / "small.onnx", small_model()))
    assert not recognizer.gives_gradients and recognizer.embeds_images
    x = images().requires_grad_()
    for compute in (recognizer, lambda x: recognizer.activations(x, ["maps"])):
        with pytest.raises(DfdError, match="no gradients"):
            compute(x)
    with pytest.raises(DfdError, match="no gradients"):
        recognizer(x * 2)  # an image that depends on what is learned
    with pytest.raises(DfdError, match=r"no perceptual features; name another recognizer as `perceptual`"):
        recognizer.perceptual(images())
    with torch.no_grad():
        assert torch.equal(recognizer(x), recognizer(images()))
    assert not recognizer(images()).requires_grad


def test_the_facts(tmp_path):
    recognizer = import_recognizer("onnx", {}, save(tmp_path / "small.onnx", small_model()))
    facts = recognizer_facts(recognizer)
    assert facts["dimension"] == 5 and facts["parameters"] == sum(p.numel() for p in Small().parameters())
    assert facts["gives_gradients"] is False and facts["embeds_images"] is True
    assert "perceptual" in facts["left_out_note"] and "parameters_note" not in facts
    assert abs(facts["weights_bytes"] - (tmp_path / "small.onnx").stat().st_size) < 100
    ours = recognizer_facts(import_recognizer("dlib-resnet", {}, "dlib-face-recognition"))
    assert ours["parameters"] == 5_607_488 and ours["gives_gradients"] is True and "left_out_note" not in ours


# As stages


@pytest.fixture
def project(orl_store, tmp_path, monkeypatch):
    """A folder with params.yaml, faces and an ONNX model; and a function that runs a stage in it."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    monkeypatch.chdir(tmp_path)
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["device"] = "cpu"
    params["recognizers"]["mine"] = {"architecture": "onnx"}
    params["import_recognizer"]["mine"] = {"weights": "small.onnx"}
    params["variants"]["vgg-mine"] = {"template": "vgg", "perceptual": "mine"}
    with open(tmp_path / "params.yaml", "w", encoding="utf-8") as file:
        yaml.dump(params, file)
    save(tmp_path / "small.onnx", small_model(batch=2))
    (tmp_path / "data/faces").mkdir(parents=True)
    for suffix in (".h5", ".parquet"):
        shutil.copy(orl_store.path.with_suffix(suffix), tmp_path / "data/faces")
    return lambda stage, *arguments: importlib.import_module(f"stages.{stage}").main(*arguments)


def test_the_stages_take_it(project, orl_store, tmp_path):
    project("import_recognizer", "mine")
    facts = json.loads((tmp_path / "metrics/import_recognizer/mine.json").read_text(encoding="utf-8"))
    assert facts["dimension"] == 5 and facts["gives_gradients"] is False
    (tmp_path / "small.onnx").unlink()
    project("embed", "orl", "mine")
    store = TemplateStore(tmp_path / "data/templates/orl/mine.h5", orl_store)
    window = seen_window("arcface", (16, 16), "portrait")  # the default of both
    expected = Small()(arcface(orl_store.views(range(len(orl_store)), 16, window)))[0]
    torch.testing.assert_close(store.template[:], expected, atol=1e-5, rtol=0)
    assert store.attributes["layer"] == "template"
    # No faces of `synthetic` are here: it is refused before they are looked for.
    with pytest.raises(
        DfdError, match=r"variants\.vgg-mine\.perceptual: mine .* no gradients.*name another recognizer"
    ):
        project("train_decoder", "vgg-mine")
