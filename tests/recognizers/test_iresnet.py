"""IResNet against a plain writing of insightface's published forward, from the names in its state dict."""

import pytest
import torch
import torch.nn.functional as F

from dfd.core.errors import DfdError
from dfd.recognizers.iresnet import IResNet
from dfd.recognizers.registry import import_recognizer

BLOCKS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}


def random_state(depth: int, widths=(4, 4, 8, 16, 32), template=32, side=7) -> dict[str, torch.Tensor]:
    """A state dict with the published names, in 1/16 of the published channels."""
    generator, state = torch.Generator().manual_seed(depth), {}

    def uniform(low, high, n):
        return torch.rand(n, generator=generator) * (high - low) + low

    def conv(name, inputs, outputs, kernel):
        weight = torch.randn(outputs, inputs, kernel, kernel, generator=generator)
        state[f"{name}.weight"] = weight * (1 / (inputs * kernel**2)) ** 0.5

    def norm(name, channels):
        state[f"{name}.weight"], state[f"{name}.bias"] = uniform(0.5, 1, channels), uniform(-0.3, 0.3, channels)
        state[f"{name}.running_mean"], state[f"{name}.running_var"] = (
            uniform(-0.5, 0.5, channels),
            uniform(0.5, 2, channels),
        )
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", 3, widths[0], 3)
    norm("bn1", widths[0])
    state["prelu.weight"] = uniform(0.1, 0.5, widths[0])
    for stage, count in enumerate(BLOCKS[depth], start=1):
        inputs, outputs = widths[stage - 1], widths[stage]
        for block in range(count):
            name = f"layer{stage}.{block}"
            norm(f"{name}.bn1", inputs)
            conv(f"{name}.conv1", inputs, outputs, 3)
            norm(f"{name}.bn2", outputs)
            state[f"{name}.prelu.weight"] = uniform(0.1, 0.5, outputs)
            conv(f"{name}.conv2", outputs, outputs, 3)
            norm(f"{name}.bn3", outputs)
            if block == 0:
                conv(f"{name}.downsample.0", inputs, outputs, 1)
                norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    norm("bn2", widths[-1])
    state["fc.weight"] = torch.randn(template, widths[-1] * side**2, generator=generator) * 0.02
    state["fc.bias"] = uniform(-0.3, 0.3, template)
    norm("features", template)
    return state


def published_forward(x, state, depth):
    def norm(y, name):
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(y, *(state[f"{name}.{kind}"] for kind in kinds), eps=1e-5)

    def conv(y, name, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(y, weight, None, stride, padding=weight.shape[-1] // 2)

    found = {"conv1": conv(x, "conv1")}
    found["prelu"] = x = F.prelu(norm(found["conv1"], "bn1"), state["prelu.weight"])
    for stage, count in enumerate(BLOCKS[depth], start=1):
        for block in range(count):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 else 1
            y = norm(conv(norm(x, f"{name}.bn1"), f"{name}.conv1"), f"{name}.bn2")
            y = norm(conv(F.prelu(y, state[f"{name}.prelu.weight"]), f"{name}.conv2", stride), f"{name}.bn3")
            x = y + (norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1") if block == 0 else x)
        found[f"layer{stage}"] = x
    found["bn2"] = x = norm(x, "bn2")
    found["fc"] = F.linear(x.flatten(1), state["fc.weight"], state["fc.bias"])
    found["template"] = norm(found["fc"], "features")
    return found


def written(path, state) -> str:
    torch.save(state, path)
    return str(path)


@torch.no_grad()
@pytest.mark.parametrize("depth", BLOCKS)
def test_it_computes_what_insightfaces_does(tmp_path, depth):
    state = random_state(depth)
    path = written(tmp_path / "backbone.pth", state)
    recognizer = import_recognizer("iresnet", {"depth": depth, "width": 1 / 16}, path)
    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    expected = published_forward((images - 0.5) / 0.5, state, depth)
    found = recognizer.activations(images, expected)
    for name, activation in expected.items():
        torch.testing.assert_close(found[name], activation, rtol=1e-3, atol=1e-4 * float(activation.abs().max()))
    assert expected["layer4"].shape[2:] == (7, 7) and recognizer.head is None
    torch.testing.assert_close(recognizer(images), found["template"])


@pytest.mark.parametrize(("depth", "parameters"), [(50, 43_590_848), (100, 65_156_160)])
def test_it_is_the_published_one(depth, parameters):
    with torch.device("meta"):
        recognizer = IResNet(depth=depth).eval()
    expected, inputs = 9 * 3 * 64 + 3 * 64, 64
    for channels, count in zip((64, 128, 256, 512), BLOCKS[depth], strict=True):
        expected += 10 * inputs * channels + 9 * channels**2 + 2 * inputs + 7 * channels  # with a projected shortcut
        expected += (count - 1) * (18 * channels**2 + 7 * channels)
        inputs = channels
    expected += 2 * 512 + (512 * 7 * 7 + 1) * 512 + 2 * 512
    assert sum(parameter.numel() for parameter in recognizer.parameters()) == expected == parameters
    x = torch.empty(1, 3, 112, 112, device="meta")
    shapes = {name: tuple(y.shape[1:]) for name, y in recognizer._layers(x)}
    assert shapes["layer3"] == (256, 14, 14) and shapes["layer4"] == (512, 7, 7) and shapes["template"] == (512,)


def test_what_does_not_fit_is_named(tmp_path):
    path = written(tmp_path / "backbone.pth", random_state(50))
    for options, message in (
        ({"depth": 100, "width": 1 / 16}, r"backbone\.pth do not fit iresnet.*lacks layer2\.4\.bn1\.weight"),
        ({"width": 1 / 8}, r"backbone\.pth do not fit iresnet.*conv1\.weight is 4×3×3×3 in it and 8×3×3×3"),
        ({"depth": 34}, "depth of 50 or 100, not 34"),
        ({"size": 15}, "16 or more, not 15"),
    ):
        with pytest.raises(DfdError, match=message):
            import_recognizer("iresnet", options, path)
