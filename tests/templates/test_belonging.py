"""Templates that are not what they seem: each change is told on dlib's own, and nothing said of unseen faces' own."""

from itertools import islice

import numpy as np
import pytest
import torch

from dfd.decoder.base import FLOOR
from dfd.faces.store import MIRROR, PLAIN, FaceStore
from dfd.photos.archives import write_photos
from dfd.photos.datasets import orl_photos
from dfd.photos.synthetic import synthetic_photos
from dfd.recognizers.registry import import_recognizer
from dfd.templates.belonging import CAUSES, Axes, doubts, rounding, statistics
from dfd.templates.embedding import embed_views
from dfd.templates.linear import soft_whitening

GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def dlib():
    return import_recognizer("dlib-resnet", {}, "dlib-face-recognition").place("portrait").requires_grad_(False)


def stored(to_store, folder, photos) -> FaceStore:
    write_photos(folder / "photos.tar", photos)
    to_store(folder / "photos.tar", folder / "faces.h5", geometry="portrait", shares={"test": 1.0})
    return FaceStore(folder / "faces.h5")


@pytest.fixture(scope="module")
def training(dlib, to_store, tmp_path_factory):
    """(statistics, axes) of the templates of 300 generated faces, plain and mirrored."""
    faces = stored(to_store, tmp_path_factory.mktemp("training"), synthetic_photos(300, seed=1))
    rows = np.arange(len(faces))
    templates = torch.cat([embed_views(dlib, faces, rows, view) for view in (PLAIN, MIRROR)])
    axes = Axes(*soft_whitening(templates, FLOOR))
    return statistics(templates, axes), axes


@pytest.fixture(scope="module")
def unseen(dlib, to_store, tmp_path_factory) -> torch.Tensor:
    """Templates of 40 real faces of ORL, 10 people: another camera than the training's."""
    photos = (photo for photo in islice(orl_photos(), 100) if int(photo[0].rpartition("/")[2].partition(".")[0]) <= 4)
    faces = stored(to_store, tmp_path_factory.mktemp("unseen"), photos)
    return embed_views(dlib, faces, np.arange(len(faces)))


def causes(templates, training, stored=None) -> list[str]:
    templates = np.asarray(templates, np.float32)
    found = doubts(templates, *training, rounding(templates, stored))
    assert all(doubt.cause in CAUSES and "\n" not in str(doubt) for doubt in found)
    return [doubt.cause for doubt in found]


def test_statistics_are_those_of_the_templates(training):
    numbers, _ = training
    assert 512 < numbers["n"] <= 600 and numbers["norm"]["low"] < numbers["norm"]["mean"] < numbers["norm"]["high"]
    assert 1.2 < numbers["norm"]["mean"] < 1.6 and 0.3 < numbers["distance"]["low"] < numbers["distance"]["high"] < 1.5
    assert "distance" not in statistics(torch.randn(99, 3), None)
    assert "distance" not in statistics(torch.randn(99, 128), training[1])  # which the axes would fit too well


def test_unseen_faces_own_templates_are_not_doubted(training, unseen):
    assert len(unseen) >= 38
    assert causes(unseen, training) == [] and causes(unseen[:4], training) == []  # of ten people, of one
    assert all(causes(template[None], training) == [] for template in unseen)


CHANGES = {
    "L2-normalised": (lambda e: e / e.norm(dim=1, keepdim=True), "normalised"),
    "times 10": (lambda e: 10 * e, "scaled"),
    "a third": (lambda e: e / 3, "scaled"),
    "negated": (lambda e: -e, "negated"),
    "negated and doubled": (lambda e: -2 * e, "negated"),
    "permuted": (lambda e: e[:, torch.randperm(128, generator=GENERATOR)], "other"),
    "backwards": (lambda e: e.flip(1), "other"),
    "random": (lambda e: torch.randn(e.shape, generator=GENERATOR), "other"),
    "random, of the right length": (lambda e: 1.4 / 128**0.5 * torch.randn(e.shape, generator=GENERATOR), "other"),
    "int8": (lambda e: (127 * e / e.abs().max()).round(), "whole"),
    "int8, put back": (lambda e: (127 * e / e.abs().max()).round() * (e.abs().max() / 127), "rounded"),
    "float16": (lambda e: e.half(), "rounded"),
    "bfloat16": (lambda e: e.bfloat16().float(), "rounded"),
    "five decimals": (lambda e: (e.double() * 1e5).round() / 1e5, "rounded"),
    "three decimals": (lambda e: (e.double() * 1e3).round() / 1e3, "rounded"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("count", [1, 40])
def test_every_change_is_told(training, unseen, change, count):
    changed, cause = CHANGES[change]
    assert causes(changed(unseen[:count]), training)[:1] == [cause]


def test_the_evidence_and_the_remedy_are_said(training, unseen):
    text = str(doubts((unseen / unseen.norm(dim=1, keepdim=True)).numpy(), *training, None)[0])
    assert (
        "L2-normalised" in text and "multiply them by 1.4" in text and "norms 1 ±" in text and "in training 1.4" in text
    )
    assert "scaled by about 10" in str(doubts((10 * unseen).numpy(), *training, None)[0]).replace("9.9", "10").replace(
        "10.1", "10"
    )
    said = [rounding(np.round(unseen.numpy(), digits)).told(training[1]) for digits in (5, 1)]
    assert "5 decimals" in said[0] and "bears" in said[0] and "bears" not in said[1]
    assert rounding(unseen.half().float().numpy()).told(None) == "they were rounded to float16"


def levels(e: torch.Tensor, step: torch.Tensor | float, zero: float = 0.0) -> torch.Tensor:
    return ((e - zero) / step).round() * step + zero


ROUNDINGS = {
    "float16": (lambda e: e.half().float(), "float16"),
    "bfloat16": (lambda e: e.bfloat16().float(), "bfloat16"),
    "four decimals": (lambda e: (e.double() * 1e4).round().div(1e4).float(), "4 decimals"),
    "two decimals in float16": (lambda e: (e * 100).round().div(100).half().float(), ""),  # or eight bits: few levels are left
    "eight bits": (lambda e: levels(e, e.abs().max() / 127), "eight bits"),
    "eight bits of a 128th": (lambda e: levels(e, 1 / 128), "eight bits"),
    "eight bits, affine": (lambda e: levels(e, (e.max() - e.min()) / 255, e.min()), "eight bits"),
    "eight bits in float16": (lambda e: levels(e, e.abs().max() / 127).half().float(), "eight bits"),
    "a scale for each row": (lambda e: levels(e, e.abs().amax(1, keepdim=True) / 127), "eight bits, with a scale for each row,"),
    "a scale for each column": (lambda e: levels(e, e.abs().amax(0) / 127), "eight bits, with a scale for each column,"),
}  # fmt: skip


@pytest.mark.parametrize("how", ROUNDINGS)
def test_the_noise_is_that_of_the_rounding(unseen, how):
    round_, name = ROUNDINGS[how]
    found = rounding(round_(unseen).numpy())
    assert name in found.name
    assert found.noise == pytest.approx(float((round_(unseen) - unseen).double().square().mean()), rel=0.25)
    assert rounding(unseen.numpy()) is None


def test_single_odd_rows_hide_no_rounding(unseen):
    rounded = unseen.half().float()
    expected = rounding(rounded.numpy()).noise
    for odd in (
        torch.zeros(128),
        torch.full((128,), 0.1),
        1000 * rounded[0],
        torch.full((128,), 65504.0).put(torch.tensor([3]), torch.ones(1)),
    ):
        found = rounding(torch.cat([rounded, odd.half().float()[None]]).numpy())
        assert found.name == "float16" and found.noise == pytest.approx(expected, rel=0.2)


def test_an_axis_that_a_decoder_leaves_out_is_restored_to_the_mean():
    axes = Axes(torch.zeros(2), torch.diag(torch.tensor([1.0, 0.0])), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(axes.restored(torch.ones(1, 2), 1.0), torch.tensor([[0.5, 0.0]]))


def test_restored_templates_are_the_posterior_mean():
    """Against the formula in template space, C (C + σ² I)⁻¹; nothing happens without noise, all ends at the mean with much."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.logspace(-2, 0, 6)[:, None] * torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    templates = torch.randn(5000, 6, generator=generator) @ mix + 2
    axes = Axes(*soft_whitening(templates, FLOOR))
    noise = 1e-3
    noisy = templates + noise**0.5 * torch.randn(5000, 6, generator=generator)
    covariance = np.cov(templates.double().numpy().T, bias=True)
    gain = covariance @ np.linalg.inv(covariance + noise * np.eye(6))
    mean = templates.double().numpy().mean(0)
    expected = mean + (noisy.double().numpy() - mean) @ gain.T
    np.testing.assert_allclose(axes.restored(noisy, noise), expected, atol=1e-4)
    assert (axes.restored(noisy, noise) - templates).square().mean() < 0.8 * (noisy - templates).square().mean()
    torch.testing.assert_close(axes.restored(noisy, 0.0), noisy, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(axes.restored(noisy, 1e9), axes.mean.expand(5000, -1), rtol=0, atol=1e-3)
    np.testing.assert_allclose(axes.distances(noisy, noise), axes.distances(axes.restored(noisy, noise)), rtol=1e-2)


def test_single_bad_rows_are_named(training, unseen):
    templates = unseen.clone()
    templates[[3, 9]] *= 100
    found = {doubt.cause: str(doubt) for doubt in doubts(templates.numpy(), *training, None)}
    assert found.keys() == {"outliers"} and "rows 3, 9 lie far" in found["outliers"]


def test_a_decoder_of_normalised_templates_says_what_is_not_normalised(unseen):
    normal = unseen / unseen.norm(dim=1, keepdim=True)
    training = statistics(normal, None), None
    assert causes(normal, training) == [] and causes(unseen, training) == ["unnormalised"]


def test_the_type_in_the_file_tells_float16_too(training, unseen):
    assert causes(unseen.half().float(), training, np.dtype(np.float16)) == ["rounded"]
