"""What `evaluate` reports, against the same figures computed by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut
from dfd.decoder.registry import build_decoder, decode
from dfd.measures.acceptance import unattacked
from dfd.measures.estimates import People
from dfd.recognizers.base import Recognizer
from dfd.reporting.tables import quality_table
from dfd.studies.reconstruction.evaluation import (
    Judge,
    Reconstructions,
    evaluate,
    reconstructions,
    stored_reconstructions,
)
from dfd.studies.reconstruction.noise import noise as fine_detail
from dfd.templates.storage import FORMATS

N, SIDE = 8, 16
IDENTITIES = np.array(["anna", "anna", "ben", "clara", "dan", "dan", "eve", "fred"])
NO_LPIPS = LeftOut("its network is not here")
SOURCES = {"decoder": "mean", "linear": "linear", "quadratic": "quadratic", "mean_face": "mean_face"}


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
        "quadratic": (originals + 0.2 * (noise(3) - 0.5)).clamp(0, 1),
    }


def run(originals, images, lpips=NO_LPIPS, identities=IDENTITIES, far=0.2, attempts=None, stored=None, seed=0) -> dict:
    """By default all faces are attempts, and all but the first are decoded from stored templates, exactly as
    otherwise."""
    templates = {name: recognizer(originals) for name, recognizer in RECOGNIZERS.items()}
    judges = {
        name: Judge(RECOGNIZERS[name], template, unattacked(template.numpy(), identities, far))
        for name, template in templates.items()
    }
    stored_faces = np.arange(1, N)
    attempts, stored = (
        np.arange(N) if attempts is None else attempts,
        stored or {"float16": images["decoder"][stored_faces]},
    )
    people = People(identities, 200, seed)
    faces = Reconstructions(originals, images, people, attempts, stored, stored_faces, "portrait")
    return evaluate(faces, judges, "top", lpips)


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
    for source, key in SOURCES.items():
        assert metrics["psnr"][key] == pytest.approx(values[source].mean(), rel=1e-5)
    for reference in ("linear", "quadratic"):
        difference = (values["decoder"] - values[reference]).mean()
        assert metrics["psnr"][f"minus_{reference}"]["mean"] == pytest.approx(difference, rel=1e-4)
    assert (metrics["n_faces"], metrics["n_identities"]) == (8, 6)


def test_cosines_are_those_of_the_templates(originals, images):
    metrics = run(originals, images)
    assert set(metrics["cosine"]) == set(RECOGNIZERS)
    for name, recognizer in RECOGNIZERS.items():
        for source, key in SOURCES.items():
            expected = cosine(recognizer, images[source], originals).mean()
            assert metrics["cosine"][name][key] == pytest.approx(expected, abs=1e-5)
    assert metrics["cosine"]["top"]["mean"] != metrics["cosine"]["bottom"]["mean"]


def accepts(name: str, threshold: float, image: torch.Tensor, photo: torch.Tensor) -> bool:
    return cosine(RECOGNIZERS[name], image[None], photo[None])[0] >= threshold


@pytest.mark.parametrize("attempts", [np.arange(N), np.array([0, 1, 3, 4])])
def test_acceptance_and_transfer_are_what_loops_count(images, attempts):
    """By the recognizer that is attacked, and by the other, each at the threshold of its own system, of all faces."""
    persons = noise(0)
    for photo, same in ((1, 0), (5, 4)):
        persons[photo] = 0.7 * persons[same] + 0.3 * persons[photo]
    originals = 0.3 + 0.5 * persons
    images["decoder"] = (originals + 0.7 * (noise(1) - 0.5)).clamp(0, 1)
    metrics = run(originals, images, attempts=attempts)
    assert list(metrics["transfer"]) == ["bottom"]
    shares = []
    for name, found in (("top", metrics["acceptance"]), ("bottom", metrics["transfer"]["bottom"])):
        assert found["unattacked"] == unattacked(RECOGNIZERS[name](originals).numpy(), IDENTITIES, 0.2)
        threshold = found["unattacked"]["threshold"]
        same = [accepts(name, threshold, images["decoder"][i], originals[i]) for i in attempts]
        other = [
            accepts(name, threshold, images["decoder"][i], originals[j])
            for i in attempts
            for j in attempts
            if i != j and IDENTITIES[i] == IDENTITIES[j]
        ]
        for kind, expected in (("type_1", same), ("type_2", other)):
            share = found[kind]
            assert (share["accepted"], share["n"]) == (sum(expected), len(expected))
            assert (
                share["value"] == pytest.approx(np.mean(expected))
                and share["ci95_low"] <= share["value"] <= share["ci95_high"]
            )
            shares.append(share["value"])
    assert len(set(shares)) > 1  # some, and not all


def test_every_set_of_images_is_embedded_once(originals, images, monkeypatch):
    """A recognizer costs more than all else here."""
    seen = dict.fromkeys(RECOGNIZERS, 0)
    for name, recognizer in RECOGNIZERS.items():
        embed = recognizer.embed

        def counting(windows, name=name, embed=embed):
            seen[name] += len(windows)
            return embed(windows)

        monkeypatch.setattr(recognizer, "embed", counting)
    run(originals, images, stored={"a": images["decoder"][1:], "b": images["linear"][1:]})
    once = (
        N + 3 * N + 1
    )  # the photos, here in the test, and by the decoder, the linear and the quadratic one; one mean face
    assert seen == {"top": once + 2 * (N - 1), "bottom": once}


def test_noise_is_of_the_decoders_images(originals, images):
    metrics = run(originals, images)
    assert metrics["noise"] == fine_detail(images["decoder"], originals) != fine_detail(images["linear"], originals)


def test_storage_is_measured_on_its_faces(originals, images):
    """Against the exact template's reconstructions of the same faces, the first being none of these."""
    stored = {
        "coarse": (images["decoder"][1:] + 1.2 * (noise(4)[1:] - 0.5)).clamp(0, 1),
        "exact": images["decoder"][1:],
    }
    metrics = run(originals, images, stored=stored)
    exact = np.array(psnr(images["decoder"][1:], originals[1:]))
    threshold = metrics["acceptance"]["unattacked"]["threshold"]
    for name, image in stored.items():
        found, values = metrics["storage"][name], np.array(psnr(image, originals[1:]))
        assert found["psnr"]["value"] == pytest.approx(values.mean(), rel=1e-5) and found["psnr"]["n"] == N - 1
        assert found["psnr"]["minus_exact"]["mean"] == pytest.approx((values - exact).mean(), rel=1e-4)
        expected = [accepts("top", threshold, *pair) for pair in zip(image, originals[1:], strict=True)]
        assert found["type_1"]["value"] == pytest.approx(np.mean(expected)) and found["type_1"]["n"] == N - 1
        assert "minus_exact" in found["type_1"] and found["type_1"]["ci95_low"] <= found["type_1"]["value"]
    coarse, same = metrics["storage"].values()
    assert coarse["psnr"]["minus_exact"]["ci95_high"] < 0 and coarse["type_1"]["minus_exact"]["mean"] < 0
    assert same["psnr"]["minus_exact"]["mean"] == same["type_1"]["minus_exact"]["mean"] == 0


def test_without_a_threshold_there_is_no_acceptance(originals, images, tmp_path):
    """Everybody has one photo. What needs no threshold is as ever."""
    metrics = run(originals, images, identities=np.array(list("abcdefgh")))
    for found in (metrics["acceptance"], metrics["transfer"]["bottom"]):
        assert found["unattacked"]["value"] is found["unattacked"]["threshold"] is None
        for kind in ("type_1", "type_2"):
            assert found[kind]["value"] is None and "no person has two photos" in found[kind]["acceptance_note"]
    storage = metrics["storage"]["float16"]
    assert (
        storage["psnr"]["value"] > 0
        and storage["type_1"]["value"] is None
        and storage["type_1"]["minus_exact"]["mean"] is None
    )
    assert "no person has two photos" in storage["type_1"]["acceptance_note"]
    write_json(tmp_path / "metrics.json", metrics)


def decoders(size: int) -> dict:
    torch.manual_seed(size)
    built = {
        "linear": build_decoder("linear", 6, {"size": size}),
        "quadratic": build_decoder("quadratic", 6, {"size": size, "axes": 2}),
    }
    for decoder in built.values():
        decoder.mean_face.uniform_(-0.2, 1.2)
        decoder.affine.bias.data.uniform_(0, 1)
    return {name: decoder.requires_grad_(False).eval() for name, decoder in built.items()}


@pytest.mark.parametrize("size", [8, 14, 28])
def test_baselines_are_measured_at_the_decoders_own_size(size):
    """Fitted at 14 pixels: enlarged bilinearly, or averaged."""
    decoder, closed_form, templates = (
        decoders(size)["linear"],
        decoders(14),
        torch.randn(5, 6, generator=torch.Generator().manual_seed(0)),
    )
    found = reconstructions(decoder, closed_form, templates)
    assert {name: tuple(image.shape) for name, image in found.items()} == dict.fromkeys(SOURCES, (5, 3, size, size))
    torch.testing.assert_close(found["decoder"], decode(decoder, templates), rtol=0, atol=0)
    expected = {name: decode(baseline, templates) for name, baseline in closed_form.items()}
    expected["mean_face"] = closed_form["linear"].mean_face.clamp(0, 1).expand(5, -1, -1, -1)
    for name, image in expected.items():
        if size == 14:
            torch.testing.assert_close(found[name], image, rtol=0, atol=0)
        elif size == 28:
            torch.testing.assert_close(found[name], F.interpolate(image, size, mode="bilinear"))
        else:  # the mean colour stays, which picking every second pixel would change
            torch.testing.assert_close(found[name].mean((2, 3)), image.mean((2, 3)), rtol=0, atol=0.02)
        assert 0 <= found[name].min() and found[name].max() <= 1


def test_stored_templates_are_those_of_the_whole_file():
    """int8 has one scale for all templates of a file, also where only some of its faces are decoded."""
    decoder, templates = decoders(8)["linear"], torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    found = stored_reconstructions(decoder, templates, np.array([0, 1]))  # the largest number is in row 3
    assert set(found) == set(FORMATS)
    for name, read_back in FORMATS.items():
        torch.testing.assert_close(found[name], decode(decoder, read_back(templates))[[0, 1]])
    assert not torch.allclose(found["int8"], decode(decoder, FORMATS["int8"](templates[[0, 1]])))


def test_stored_templates_are_restored_before_they_are_decoded():
    torch.manual_seed(0)
    mix = torch.linalg.qr(torch.randn(6, 6)).Q
    large, small = torch.randn(300, 4) @ mix[:4], 1e-3 * torch.randn(300, 2) @ mix[4:]  # which drowns in int8's noise
    templates = large + small
    decoder = build_decoder("residual", 6, {"size": 14, "hidden": 8, "rank": 4, "channels": 16, "axes": 3}).eval()
    decoder.set_statistics(templates, torch.full((3, 14, 14), 0.5))
    decoder.skip[-1].weight.data.normal_(std=0.1)
    exact = decode(decoder, large)  # what int8 can tell of them
    found = stored_reconstructions(decoder, templates, np.arange(300))["int8"]
    picked = stored_reconstructions(decoder, templates, np.array([5, 7]))["int8"]  # restored by the whole file too
    torch.testing.assert_close(picked, found[[5, 7]])
    plain = decode(decoder, FORMATS["int8"](templates))
    assert (found - exact).square().mean() < (plain - exact).square().mean() / 10


def test_a_better_reconstruction_is_better_in_everything(originals, images):
    metrics = run(originals, images)
    measures = [metrics["psnr"], metrics["ssim"], *metrics["cosine"].values()]
    for measure in measures:
        assert measure["ci95_low"] < measure["mean"] < measure["ci95_high"]
        assert measure["minus_linear"]["ci95_low"] > 0 and measure["minus_quadratic"]["ci95_low"] > 0
        assert measure["mean"] > measure["quadratic"] > measure["linear"]


def test_lpips_is_null_with_a_note_where_it_cannot_be_had(originals, images):
    lpips = run(originals, images)["lpips"]
    assert lpips.pop("lpips_note") == "its network is not here"
    assert set(lpips) >= {"mean", "ci95_low", "ci95_high", "mean_face", "linear", "quadratic"}
    assert all(value is None for value in lpips.values())


def test_lpips_is_the_networks_distance_where_it_can(originals, images):
    def network(some, others):
        return (some - others).abs().mean((1, 2, 3))

    lpips = run(originals, images, lpips=network)["lpips"]
    for source, key in SOURCES.items():
        assert lpips[key] == pytest.approx(float(network(images[source], originals).mean()), rel=1e-5)
    assert "lpips_note" not in lpips and lpips["minus_linear"]["ci95_high"] < 0


@pytest.mark.parametrize("blind", ["top", "bottom"])
def test_a_recognizer_that_embeds_no_images(originals, images, blind, tmp_path, monkeypatch):
    full = run(originals, images)
    monkeypatch.setattr(RECOGNIZERS[blind], "embeds_images", False, raising=False)
    metrics = run(originals, images)
    cosine = metrics["cosine"][blind]
    assert "precomputed" in cosine.pop("cosine_note")
    assert set(cosine) == {"mean", "ci95_low", "ci95_high", *SOURCES} - {"decoder"} and set(cosine.values()) == {None}
    seeing = ({"top", "bottom"} - {blind}).pop()
    assert metrics["psnr"] == full["psnr"] and metrics["cosine"][seeing] == full["cosine"][seeing]
    if blind == "top":  # the one that is attacked
        assert metrics["acceptance"]["unattacked"] == full["acceptance"]["unattacked"]
        stored = metrics["storage"]["float16"]["type_1"]
        for share in (metrics["acceptance"]["type_1"], metrics["acceptance"]["type_2"], stored):
            assert share["value"] is None and "precomputed" in share["acceptance_note"]
        assert metrics["transfer"] == full["transfer"]
    else:
        assert metrics["transfer"] == {} and metrics["acceptance"] == full["acceptance"]
    write_json(tmp_path / "metrics.json", metrics)
    assert quality_table({"a": {"orl": metrics}}, "orl").loc[0, f"cosine ({blind})"] == "–"


@pytest.mark.parametrize("source", SOURCES)
def test_an_identical_reconstruction_is_null_with_a_note(originals, images, source, tmp_path):
    images[source] = images[source].clone()
    images[source][3] = originals[3]
    metrics = run(originals, images)
    psnr = metrics["psnr"]
    assert psnr["mean"] is psnr["ci95_low"] is psnr["ci95_high"] is psnr["linear"] is psnr["quadratic"] is None
    if source == "decoder":
        stored = metrics["storage"]["float16"]["psnr"]
        assert stored["value"] is None and "infinite" in stored["psnr_note"]
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


def test_equal_seeds_give_equal_intervals(originals, images):
    assert run(originals, images) == run(originals, images)
    assert run(originals, images)["psnr"]["ci95_low"] != run(originals, images, seed=1)["psnr"]["ci95_low"]


def test_the_face_alone_is_measured_in_the_aligned_window(originals, images):
    """Noise outside dlib's window, in the portrait's margin, costs the plain view and not the face."""
    margin = torch.ones(SIDE, SIDE, dtype=torch.bool)
    margin[2:, 1:-1] = False  # the window is 13.3 of 16 pixels: 1.3 from either side, 2.6 from above, 0.1 from below
    spoilt = images | {"decoder": torch.where(margin, noise(5), originals), "linear": originals * 0.99}
    spoilt["decoder"][:, :, SIDE // 2, SIDE // 2] += 0.01  # no infinite PSNR
    metrics = run(originals, spoilt)
    assert metrics["psnr"]["mean"] < 20 < metrics["face"]["psnr"]["mean"]
    assert set(metrics["face"]) == {"psnr", "ssim"} and metrics["face"]["ssim"]["mean"] > 0.99
