"""PSNR and SSIM against formulas written here with NumPy and SciPy; LPIPS against the lpips package called directly."""

import math
import socket
import subprocess
import sys
import time

import lpips
import numpy as np
import pytest
import torch
import torchvision
from scipy.ndimage import gaussian_filter

from dfd.core.artefacts import file_sha256
from dfd.measures import quality
from dfd.measures.quality import Lpips, load_lpips, psnr, ssim, to_8bit

MEASURES = {"psnr": psnr, "ssim": ssim}


@pytest.fixture
def faces() -> tuple[torch.Tensor, torch.Tensor]:
    """Four smooth images (4, 3, 40, 48) in [0, 1], and themselves with noise that grows from image to image."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 5, 6, generator=generator)
    targets = torch.nn.functional.interpolate(coarse, (40, 48), mode="bilinear")
    noise = torch.randn(targets.shape, generator=generator) * torch.tensor([0.01, 0.05, 0.1, 0.3]).view(4, 1, 1, 1)
    return targets + noise, targets


def numpy_8bit(images: torch.Tensor) -> np.ndarray:
    return np.round(np.clip(images.numpy().astype(np.float64), 0, 1) * 255) / 255


def numpy_psnr(images: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    return 10 * np.log10(1 / ((numpy_8bit(images) - numpy_8bit(targets)) ** 2).mean((1, 2, 3)))


def numpy_ssim(images: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """Wang et al. (2004), equation 13, with an 11×11 Gaussian window and reflected borders."""

    def local(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, sigma=(0, 0, 1.5, 1.5), truncate=3.5, mode="mirror")

    x, y = numpy_8bit(images), numpy_8bit(targets)
    mx, my = local(x), local(y)
    vx, vy, vxy = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean((1, 2, 3))


def test_8bit_rounds_to_the_nearest_level_and_clips():
    values = torch.tensor([-0.3, 0.0, 0.4 / 255, 0.6 / 255, 127.4 / 255, 1.0, 1.7])
    torch.testing.assert_close(to_8bit(values) * 255, torch.tensor([0.0, 0, 0, 1, 127, 255, 255]))


@pytest.mark.parametrize("measure, reference", [(psnr, numpy_psnr), (ssim, numpy_ssim)])
def test_agrees_with_an_independent_formula(faces, measure, reference):
    np.testing.assert_allclose(measure(*faces).numpy(), reference(*faces), atol=2e-4)


@pytest.mark.parametrize("levels", [1, 10, 100, 255])
def test_psnr_of_a_constant_difference(levels):
    black = torch.zeros(2, 3, 16, 16)
    expected = torch.full((2,), 20 * math.log10(255 / levels))
    torch.testing.assert_close(psnr(black + levels / 255, black), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("a, b", [(0, 255), (1, 3), (51, 102), (200, 201), (128, 128)])
def test_ssim_of_constant_images(a, b):
    x, y = a / 255, b / 255
    expected = (2 * x * y + 0.01**2) / (x**2 + y**2 + 0.01**2)
    value = ssim(torch.full((1, 3, 16, 16), x), torch.full((1, 3, 16, 16), y))
    torch.testing.assert_close(value, torch.tensor([expected], dtype=torch.float32), atol=5e-4, rtol=0)


def test_identical_images(faces):
    _, targets = faces
    assert psnr(targets, targets).isposinf().all()
    torch.testing.assert_close(ssim(targets, targets), torch.ones(4))
    invisible = targets + 1e-6 * (to_8bit(targets) - targets).sign()  # rounds to the same picture file
    assert psnr(invisible, targets).isposinf().all()


@pytest.mark.parametrize("name", MEASURES)
def test_ranges_order_and_symmetry(faces, name):
    measure, (images, targets) = MEASURES[name], faces
    values = measure(images, targets)
    assert values.shape == (4,)
    assert values.isfinite().all()
    assert (values.diff() < 0).all()  # more noise is worse
    torch.testing.assert_close(values, measure(targets, images))
    assert ssim(1 - to_8bit(targets), targets).min() >= -1
    assert ssim(1 - to_8bit(targets), targets).max() < 0.5
    assert psnr(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", MEASURES)
def test_a_batch_gives_what_its_images_give(faces, name):
    measure, (images, targets) = MEASURES[name], faces
    alone = torch.cat([measure(images[[i]], targets[[i]]) for i in range(4)])
    torch.testing.assert_close(measure(images, targets), alone, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("name", MEASURES)
def test_refuses_what_would_broadcast(faces, name):
    images, targets = faces
    with pytest.raises(ValueError, match="must be alike"):
        MEASURES[name](images, targets[:1])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty torch.hub cache's checkpoints folder (not made yet), and a machine without network."""

    def unreachable(*_, **__):
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def alexnet_file(tmp_path_factory):
    """A file in the published format: random features, and for the classifier, which LPIPS ignores, one zero each."""
    generator, state = torch.Generator().manual_seed(0), {}
    with torch.device("meta"):
        names = torchvision.models.alexnet().state_dict()
    for name, like in names.items():
        scale = (2 / like[0].numel()) ** 0.5  # He et al.: activations keep their size
        features = name.startswith("features.")
        state[name] = (
            torch.randn(like.shape, generator=generator) * scale if features else torch.zeros(1).expand(like.shape)
        )
    path = tmp_path_factory.mktemp("alexnet") / "alexnet-owt-7be5be79.pth"
    torch.save(state, path)
    return path, file_sha256(path)


def test_the_trunk_is_torchvisions():
    assert torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url == quality.TRUNK_URL


def test_importing_the_measures_does_not_wait_for_torchvision():
    code = "import sys, dfd.measures.quality; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_lpips_without_its_trunk(cache):
    note = load_lpips("cpu").reason
    assert "alexnet-owt-7be5be79.pth" in note
    assert "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in note
    assert str(cache) in note
    assert not list(cache.iterdir())


def test_lpips_does_not_wait_for_a_silent_server(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(quality, "TRUNK_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/alexnet-owt-0.pth")
        monkeypatch.setattr(quality, "TIMEOUT", 0.2)
        started, before = time.monotonic(), socket.getdefaulttimeout()
        note = load_lpips("cpu").reason
    assert "alexnet-owt-0.pth" in note
    assert time.monotonic() - started < 5
    assert socket.getdefaulttimeout() == before


def test_lpips_refuses_other_weights_under_the_name(cache, tmp_path, monkeypatch):
    cache.mkdir(parents=True)
    (cache / "alexnet-owt-7be5be79.pth").write_bytes(b"half a download")
    note = load_lpips("cpu").reason
    assert "delete it" in note

    (cache / "alexnet-owt-7be5be79.pth").unlink()
    (tmp_path / "alexnet-owt-7be5be79.pth").write_bytes(b"from a server that lies")
    monkeypatch.setattr(quality, "TRUNK_URL", (tmp_path / "alexnet-owt-7be5be79.pth").as_uri())
    note = load_lpips("cpu").reason
    assert "could not be downloaded" in note
    assert not list(cache.iterdir())


def test_lpips_note_names_the_home_folder_as_everybody_s(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    note = load_lpips("cpu").reason
    assert "~/hub/checkpoints" in note and str(tmp_path) not in note


def test_lpips_is_the_package_s_own(cache, alexnet_file, monkeypatch, faces, capsys, recwarn):
    path, sha256 = alexnet_file
    cache.mkdir(parents=True)
    (cache / path.name).symlink_to(path)
    monkeypatch.setattr(quality, "TRUNK_SHA256", sha256[:8])
    before = torch.get_rng_state()
    measure = load_lpips("cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert not capsys.readouterr().out and not recwarn.list

    images, targets = (to_8bit(x) for x in faces)
    values = measure(images, targets)
    assert values.shape == (4,) and not values.requires_grad
    assert (values > 0).all()
    assert torch.equal(measure(targets, targets), torch.zeros(4))
    torch.testing.assert_close(measure(images, targets, batch=3), values)
    torch.testing.assert_close(measure(images[[2]], targets[[2]]), values[[2]])
    torch.testing.assert_close(measure(*faces), values)  # rounded first
    with pytest.raises(ValueError, match="must be alike"):
        measure(images, targets[:1])

    with pytest.warns(UserWarning):  # torchvision's, on the package's way of asking for weights
        package = lpips.LPIPS(net="alex", version="0.1", verbose=False)
    with torch.no_grad():
        expected = package(2 * images - 1, 2 * targets - 1)
    torch.testing.assert_close(values, expected[:, 0, 0, 0])


def test_lpips_downloads_into_the_cache(cache, alexnet_file, monkeypatch):
    path, sha256 = alexnet_file
    monkeypatch.setattr(quality, "TRUNK_URL", path.as_uri())
    monkeypatch.setattr(quality, "TRUNK_SHA256", sha256[:8])
    assert isinstance(load_lpips("cpu"), Lpips)
    assert [file.name for file in cache.iterdir()] == [path.name]
