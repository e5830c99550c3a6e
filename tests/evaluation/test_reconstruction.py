"""What `evaluate` reports, against the same figures computed by hand."""

import numpy as np
import pytest
import torch

from dfd.core.artefacts import write_json
from dfd.evaluation.reconstruction import evaluate
from dfd.recognizers.base import Recognizer
from dfd.rendering.report import quality_table

N, SIDE = 8, 16
IDENTITIES = np.array(["anna", "anna", "ben", "clara", "dan", "dan", "eve", "fred"])
NO_LPIPS = (None, "its network is not here")


class Corners(Recognizer):
    """A recognizer whose template is some of the face's pixels, at half the resolution."""

    def __init__(self, first: int, count: int):
        super().__init__(SIDE // 2, "pixels", "pixels", (127.5,) * 3, 1 / 127.5, window="box")
        self.some = slice(first, first + count)

    def _layers(self, x):
        yield "pixels", x.flatten(1)[:, self.some]


RECOGNIZERS = {"top": Corners(0, 40), "bottom": Corners(100, 60)}


def noise(seed: int) -> torch.Tensor:
    return torch.rand(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def originals() -> torch.Tensor:
    ramp = torch.linspace(0.2, 0.8, SIDE).expand(N, 3, SIDE, SIDE)
    return (ramp + 0.1 * noise(0)).clamp(0, 1)


@pytest.fixture
def images(originals) -> dict[str, torch.Tensor]:
    return {
        "decoder": (originals + 0.1 * (noise(1) - 0.5)).clamp(0, 1),
        "mean_face": originals.mean(0, keepdim=True).expand(N, -1, -1, -1),
        "linear": (originals + 0.3 * (noise(2) - 0.5)).clamp(0, 1),
    }


def run(originals, images, lpips=NO_LPIPS, identities=IDENTITIES, samples=200) -> dict:
    templates = {name: recognizer(originals) for name, recognizer in RECOGNIZERS.items()}
    return evaluate(originals, images, identities, RECOGNIZERS, templates, lpips, samples, np.random.default_rng(0))


def psnr(images: torch.Tensor, originals: torch.Tensor) -> list[float]:
    """In dB, of each 8-bit image."""
    values = []
    for image, original in zip(images.numpy(), originals.numpy(), strict=True):
        difference = np.rint(255 * image.astype(float)) - np.rint(255 * original.astype(float))
        values.append(10 * np.log10(255**2 / (difference**2).mean()))
    return values


def cosine(recognizer: Recognizer, images: torch.Tensor, originals: torch.Tensor) -> np.ndarray:
    a, b = recognizer(images).double().numpy(), recognizer(originals).double().numpy()
    return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


def test_psnr_and_its_baselines_are_means_over_images(originals, images):
    metrics = run(originals, images)
    values = {source: np.array(psnr(image, originals)) for source, image in images.items()}
    assert metrics["psnr"]["mean"] == pytest.approx(values["decoder"].mean(), rel=1e-5)
    assert metrics["psnr"]["linear"] == pytest.approx(values["linear"].mean(), rel=1e-5)
    assert metrics["psnr"]["mean_face"] == pytest.approx(values["mean_face"].mean(), rel=1e-5)
    difference = (values["decoder"] - values["linear"]).mean()
    assert metrics["psnr"]["minus_linear"]["mean"] == pytest.approx(difference, rel=1e-4)
    assert (metrics["n_faces"], metrics["n_identities"]) == (8, 6)


def test_cosines_are_those_of_the_templates(originals, images):
    metrics = run(originals, images)
    assert set(metrics["cosine"]) == set(RECOGNIZERS)
    for name, recognizer in RECOGNIZERS.items():
        for source, key in (("decoder", "mean"), ("linear", "linear"), ("mean_face", "mean_face")):
            expected = cosine(recognizer, images[source], originals).mean()
            assert metrics["cosine"][name][key] == pytest.approx(expected, abs=1e-5)
    assert metrics["cosine"]["top"]["mean"] != metrics["cosine"]["bottom"]["mean"]


def test_a_better_reconstruction_is_better_in_everything(originals, images):
    metrics = run(originals, images)
    measures = [metrics["psnr"], metrics["ssim"], *metrics["cosine"].values()]
    for measure in measures:
        assert measure["ci95_low"] < measure["mean"] < measure["ci95_high"]
        assert measure["minus_linear"]["ci95_low"] > 0
        assert measure["mean"] > measure["linear"]


def test_lpips_is_null_with_a_note_where_it_cannot_be_had(originals, images):
    lpips = run(originals, images)["lpips"]
    assert lpips.pop("lpips_note") == "its network is not here"
    assert set(lpips) >= {"mean", "ci95_low", "ci95_high", "mean_face", "linear"}
    assert all(value is None for value in lpips.values())


def test_lpips_is_the_networks_distance_where_it_can(originals, images):
    def network(some, others):
        return (some - others).abs().mean((1, 2, 3))

    lpips = run(originals, images, lpips=(network, None))["lpips"]
    for source, key in (("decoder", "mean"), ("linear", "linear"), ("mean_face", "mean_face")):
        assert lpips[key] == pytest.approx(float(network(images[source], originals).mean()), rel=1e-5)
    assert "lpips_note" not in lpips and lpips["minus_linear"]["ci95_high"] < 0


def test_the_cosine_is_null_under_a_recognizer_that_embeds_no_images(originals, images, tmp_path, monkeypatch):
    full = run(originals, images)
    monkeypatch.setattr(RECOGNIZERS["bottom"], "embeds_images", False, raising=False)
    metrics = run(originals, images)
    cosine = metrics["cosine"]["bottom"]
    assert "precomputed" in cosine.pop("cosine_note")
    assert set(cosine) == {"mean", "ci95_low", "ci95_high", "mean_face", "linear"} and set(cosine.values()) == {None}
    assert metrics["psnr"] == full["psnr"] and metrics["cosine"]["top"]["mean"] == full["cosine"]["top"]["mean"]
    write_json(tmp_path / "metrics.json", metrics)
    assert quality_table({"a": {"orl": metrics}}, "orl").loc[0, "cosine (bottom)"] == "–"


@pytest.mark.parametrize("source", ["decoder", "linear", "mean_face"])
def test_an_identical_reconstruction_is_null_with_a_note(originals, images, source, tmp_path):
    images[source] = images[source].clone()
    images[source][3] = originals[3]
    metrics = run(originals, images)
    psnr = metrics["psnr"]
    assert psnr["mean"] is psnr["ci95_low"] is psnr["ci95_high"] is psnr["linear"] is psnr["mean_face"] is None
    assert "infinite" in psnr["psnr_note"]
    assert metrics["ssim"]["mean"] is not None
    write_json(tmp_path / "metrics.json", metrics)  # it refuses NaN and infinity
    assert quality_table({"vgg-vgg": {"orl": metrics}}, "orl").loc[0, "PSNR (dB)"] == "–"


def test_all_identical(originals, images, tmp_path):
    metrics = run(originals, dict.fromkeys(images, originals))
    assert metrics["psnr"]["mean"] is None
    assert metrics["ssim"]["mean"] == pytest.approx(1) and metrics["ssim"]["minus_linear"]["mean"] == 0
    # The mean face stands for every face: only its first copy is embedded.
    assert [metrics["cosine"]["top"][key] for key in ("mean", "linear")] == pytest.approx([1, 1])
    write_json(tmp_path / "metrics.json", metrics)


def test_one_identity_has_no_interval(originals, images, tmp_path):
    metrics = run(originals, images, identities=np.array(["anna"] * N))
    assert metrics["n_identities"] == 1 and metrics["psnr"]["mean"] is not None
    assert metrics["psnr"]["ci95_low"] is None and metrics["psnr"]["ci95_note"]
    write_json(tmp_path / "metrics.json", metrics)


def test_equal_generators_give_equal_intervals(originals, images):
    assert run(originals, images) == run(originals, images)
