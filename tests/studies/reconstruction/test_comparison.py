"""Decoders side by side: means, paired differences, notes."""

import numpy as np
import pytest
import torch

from dfd import project
from dfd.core.left_out import LeftOut
from dfd.measures.estimates import People
from dfd.measures.quality import psnr, ssim
from dfd.recognizers.base import Recognizer
from dfd.studies.reconstruction.comparison import Comparison, against, compare, compared, measured

PEOPLE = np.repeat([f"p{i}" for i in range(6)], 2)


class Flat(Recognizer):
    """Embeds an image as its mean colour."""

    def __init__(self):
        super().__init__(16, "colour", "colour", (0.0, 0.0, 0.0), 1 / 255, window="box")

    def _layers(self, x):
        yield "colour", x.mean((2, 3))


class Blind(Flat):
    embeds_images = False


def faces(seed: int) -> torch.Tensor:
    return torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def summary(images: dict, reference="a", recognizers=None) -> dict:
    references = against(images, reference)
    return compare(faces(0), images, People(PEOPLE, 200, 0), recognizers or {}, LeftOut("no network"), references)


def test_means_and_paired_differences():
    images = {"a": (faces(0) + 0.1 * faces(1)), "b": (faces(0) + 0.2 * faces(2))}
    found = summary(images)
    assert (found["n_faces"], found["n_identities"]) == (12, 6)
    for measure, function in {"psnr": psnr, "ssim": ssim}.items():
        values = {name: function(image, faces(0)).numpy() for name, image in images.items()}
        a, b = (found["decoders"][name][measure] for name in "ab")
        assert a["mean"] == pytest.approx(values["a"].mean()) and "minus_a" not in a
        expected = People(PEOPLE, 200, 0).difference(values["b"], values["a"]).metrics()
        assert b["minus_a"] == expected
        assert b["minus_a"]["mean"] == pytest.approx(b["mean"] - a["mean"], abs=1e-6)
        assert a["ci95_low"] < a["mean"] < a["ci95_high"]
    assert found == summary(images)


def width(interval: dict) -> float:
    return interval["ci95_high"] - interval["ci95_low"]


def test_pairing_pays():
    """Decoders that err alike on the same faces: their difference is surer than either's mean."""
    alike = faces(0) + 0.1 * faces(1)
    a, b = (summary({"a": alike, "b": alike + 0.01 * faces(2)})["decoders"][name]["psnr"] for name in "ab")
    assert width(b["minus_a"]) < width(b) / 5 and width(b["minus_a"]) < width(a) / 5


def test_a_network_that_is_missing_gives_null_and_a_note():
    lpips = summary({"a": faces(1)})["decoders"]["a"]["lpips"]
    assert lpips == {"mean": None, "ci95_low": None, "ci95_high": None, "lpips_note": "no network"}


def test_lpips_is_measured_where_its_network_is_given():
    values = measured(faces(1), faces(0), {}, lambda images, targets: (images - targets).abs().mean((1, 2, 3)))
    assert list(values) == ["psnr", "ssim", "lpips"] and values["lpips"].shape == (12,)


def test_cosines_by_every_recognizer_that_embeds_images():
    originals = faces(0)
    recognizers = {"flat": (Flat(), originals.mean((2, 3))), "blind": (Blind(), originals.mean((2, 3)))}
    values = measured(faces(1), originals, recognizers, None)
    assert list(values) == ["psnr", "ssim", "cosine-flat"]
    a, b = faces(1).mean((2, 3)), originals.mean((2, 3))
    torch.testing.assert_close(
        torch.from_numpy(values["cosine-flat"]), (a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1), atol=1e-6, rtol=1e-5
    )


def test_a_recognizer_that_embeds_no_images_is_a_note():
    found = summary({"a": faces(1)}, recognizers={"blind": (Blind(), torch.zeros(12, 3))})["decoders"]["a"][
        "cosine-blind"
    ]
    assert found["mean"] is None and "precomputed" in found["cosine_note"]


def test_a_missing_reference_is_a_note():
    found = summary({"b": faces(1)}, reference="a")["decoders"]["b"]["psnr"]
    assert found["minus_a"]["mean"] is None and "a was left out" in found["minus_a"]["difference_note"]


def test_an_infinite_psnr_is_a_note():
    found = summary({"a": faces(1), "b": faces(0)})["decoders"]["b"]
    assert found["psnr"]["mean"] is None and "psnr_note" in found["psnr"]
    assert found["psnr"]["minus_a"]["mean"] is None and "difference_note" in found["psnr"]["minus_a"]
    assert found["ssim"]["mean"] == pytest.approx(1)


def test_one_face_each_still_has_intervals():
    values = {"a": {"psnr": np.arange(5.0)}, "b": {"psnr": np.arange(5.0) + 1}}
    found = compared(values, People(list("abcde"), 100, 0), against("ab", "a"))["b"]["psnr"]["minus_a"]
    assert (found["mean"], found["ci95_low"], found["ci95_high"]) == (1, 1, 1)


def test_differences_from_several_references():
    values = {name: {"psnr": shift + np.arange(4.0)} for name, shift in {"a": 0, "b": 1, "c": 5}.items()}
    found = compared(values, People(range(4), 50, 0), against(values, "a", "c"))
    differences = {
        name: {key: found[name]["psnr"][key]["mean"] for key in found[name]["psnr"] if key.startswith("minus_")}
        for name in values
    }
    assert differences == {"a": {"minus_c": -5}, "b": {"minus_a": 1, "minus_c": -4}, "c": {"minus_a": 5}}


def test_a_comparison_on_a_store(orl_store):
    rows = orl_store.rows("test")[:10]
    images = {"a": orl_store.views(rows, 14), "b": orl_store.views(rows, 14) * 0.9}
    templates = {"flat": images["a"].mean((2, 3))}
    comparison = Comparison({"flat": Flat()}, LeftOut("none"), against(images, "a"), 50, 0, size=14, pictured=2)
    metrics = comparison.add(project.Tested(orl_store, rows, leaked=1), templates, images)
    assert comparison.metrics == {"orl": metrics} and metrics["n_faces"] == 10 and metrics["leaked_identities"] == 1
    assert metrics["decoders"]["b"]["ssim"]["minus_a"]["mean"] < 0
    originals, pictures = comparison.pictures["orl"]
    assert torch.equal(originals, images["a"][[0, 5]]) and torch.equal(pictures["b"], images["b"][[0, 5]])


def test_several_trainings_count_as_their_mean_with_the_noise_between_them():
    single = {"a": faces(0) + 0.1 * faces(1), "b": faces(0) + 0.2 * faces(2)}
    assert summary({name: [image] for name, image in single.items()}) == summary(single)
    several = {
        "a": [faces(0) + 0.1 * faces(seed) for seed in (1, 2, 3)],
        "b": [faces(0) + s * faces(4) for s in (0.1, 0.3, 0.2)],
    }
    found = summary({name: iter(images) for name, images in several.items()})
    values = {name: np.stack([psnr(image, faces(0)).numpy() for image in images]) for name, images in several.items()}
    for name, own in values.items():
        psnrs = found["decoders"][name]["psnr"]
        assert psnrs["mean"] == pytest.approx(own.mean())
    single = summary({"b": several["b"][0]}, reference="b")["decoders"]["b"]["psnr"]
    assert width(found["decoders"]["b"]["psnr"]) > 10 * width(single)  # its trainings differ far more than faces do
    difference = found["decoders"]["b"]["psnr"]["minus_a"]
    assert difference == People(PEOPLE, 200, 0).difference(values["b"], values["a"]).metrics()
    assert (found["n_faces"], found["n_identities"]) == (12, 6)


def test_one_trainings_pictures_are_held_at_a_time_and_the_firsts_are_shown(orl_store):
    rows, decoded = orl_store.rows("test")[:10], []
    views = orl_store.views(rows, 14)

    def trainings(name: str):
        for factor in (0.9, 0.8, 0.7):
            decoded.append((name, factor))
            yield views * factor

    comparison = Comparison({}, LeftOut("none"), against("ab", "a"), 50, 0, size=14, pictured=2)
    images = {name: trainings(name) for name in "ab"}
    assert not decoded
    metrics = comparison.add(project.Tested(orl_store, rows, leaked=0), {}, images)
    assert decoded == [(name, factor) for name in "ab" for factor in (0.9, 0.8, 0.7)]
    _, pictures = comparison.pictures["orl"]
    assert torch.equal(pictures["a"], (views * 0.9)[[0, 5]]) and set(pictures) == {"a", "b"}
    assert metrics["decoders"]["b"]["psnr"]["minus_a"]["mean"] == 0
