"""The door for Python users: artefacts by name, and photos in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

import dfd
from dfd.core.errors import DfdError
from dfd.core.paths import DECODER, FACES, RECOGNIZER, TEMPLATES
from dfd.decoder.registry import build_decoder, decode, save_decoder
from dfd.photos.archives import write_photos
from dfd.photos.datasets import orl_photos
from dfd.photos.detection import Detector
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.templates.embedding import embed_faces
from dfd.templates.store import write_templates

ROOT = Path(__file__).parents[1]
VGG = {"size": 32, "width": 0.05, "normalise": True}
SIZE = 28


@pytest.fixture(scope="module")
def project(tmp_path_factory, to_store) -> Path:
    """A folder as the pipeline leaves it: three photos of ORL, a recognizer, their templates, a decoder."""
    folder = tmp_path_factory.mktemp("project")
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["device"] = "cpu"
    params["recognizers"]["vgg"]["options"] = VGG
    params["decoder"] = {"architecture": "linear", "size": SIZE, "options": {}}
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        yaml.dump(params, file)
    torch.manual_seed(0)
    vgg = build_recognizer("vgg16", VGG)
    save_recognizer(folder / RECOGNIZER.format("vgg"), vgg, "vgg16", VGG)
    decoder = build_decoder("linear", vgg.dimension, {"size": SIZE})
    torch.nn.init.normal_(decoder.affine.weight, std=0.01)
    config = {"architecture": "linear", "dimension": vgg.dimension, "options": {"size": SIZE}}
    save_decoder(folder / DECODER.format("vgg-resnet"), decoder, config)
    photos = dict(zip(range(3), orl_photos(), strict=False))
    write_photos(folder / "orl.tar", photos.values())
    (folder / "data/faces").mkdir(parents=True)
    detector = Detector(tuple(params["faces"]["detection_sides"]), params["faces"]["min_face"], torch.device("cpu"))
    to_store(folder / "orl.tar", folder / FACES.format("orl"), size=112, shares={"test": 1.0}, detector=detector)
    (folder / "1.pgm").write_bytes(photos[0][1])
    return folder


@pytest.fixture
def workspace(project, monkeypatch):
    monkeypatch.chdir(project)
    workspace = dfd.Workspace()
    faces = workspace.faces("orl")
    template, _ = embed_faces(workspace.recognizer("vgg"), faces)
    write_templates(TEMPLATES.format("orl", "vgg"), faces, template.numpy(), None, {"recognizer": "vgg"})
    return workspace


def test_a_photo_in_memory_gives_nearly_the_template_that_the_pipeline_stores(workspace):
    """Nearly: the pipeline keeps crops as JPEG, and samples twice."""
    stored = workspace.templates("orl", "vgg").template[:]
    template = workspace.template("1.pgm", "vgg")
    centred = stored - stored.mean(0)
    cosines = torch.nn.functional.cosine_similarity(template - stored.mean(0), centred)
    assert template.shape == stored.shape[1:] and cosines[0] > 0.9 and cosines.argmax() == 0


def test_a_photo_is_a_path_an_image_or_an_array(workspace):
    image = Image.open("1.pgm")
    face = workspace.face(image)
    assert face.shape == (3, 112, 112) and 0 <= face.min() and face.max() <= 1
    assert torch.equal(workspace.face("1.pgm"), face) and torch.equal(workspace.face(Path("1.pgm")), face)
    assert torch.equal(workspace.face(np.asarray(image.convert("RGB"))), face)
    assert workspace.face(image, 40).shape == (3, 40, 40)
    stored = workspace.faces("orl").views([0], 112)[0]
    assert (face - stored).abs().mean() < 0.02


def test_reconstruct_decodes_the_template(workspace, project):
    decoder = workspace.decoder("vgg-resnet")
    expected = decode(decoder, workspace.template("1.pgm", "vgg")[None])[0]
    decoder.config |= {"recognizer": "vgg"}
    assert torch.equal(workspace.reconstruct("1.pgm", "vgg-resnet"), expected) and expected.std() > 0


@pytest.mark.parametrize(
    "photo, message",
    [
        (np.full((60, 60, 3), 128, np.uint8), "the photo: no-face"),
        (np.zeros((60, 60), np.uint8), r"the photo: an array is to be uint8 \(H, W, 3\), RGB, not uint8 \(60, 60\)"),
        (np.zeros((60, 60, 3)), "the photo: an array is to be uint8"),
        ("nobody.jpg", "nobody.jpg: No such file"),
        ("params.yaml", "params.yaml: not-an-image"),
    ],
)
def test_what_is_no_photo_of_a_face_is_one_line(workspace, photo, message):
    with pytest.raises(DfdError, match=message):
        workspace.face(photo)


def test_files_that_were_made_with_other_settings_are_refused(workspace):
    """What the pipeline has not written anew since params.yaml changed."""
    decoder = {"architecture": "linear", "size": 2 * SIZE, "options": {}}
    for changes, message in (
        ({"decoder": decoder}, r"dvc repro train_decoder@vgg-resnet.*: size is 28 in it, 56 in params"),
        (
            {"decoder": decoder | {"architecture": "quadratic", "options": {"axes": 3}}},
            "a file of the architecture linear, not of quadratic",
        ),
    ):
        params = workspace.params.model_validate(workspace.params.model_dump(exclude_unset=True) | changes)
        with pytest.raises(DfdError, match=message):
            dfd.Workspace(params).decoder("vgg-resnet")
    vgg = {"architecture": "vgg16", "options": VGG | {"layer": "conv5-avg"}}
    params = workspace.params.model_dump(exclude_unset=True)
    params["recognizers"]["vgg"] = vgg
    with pytest.raises(DfdError, match="layer is not set in it, conv5-avg in params"):
        dfd.Workspace(workspace.params.model_validate(params)).pair("vgg-resnet")


def test_unknown_names_are_told(workspace):
    for opening in (lambda: workspace.faces("x"), lambda: workspace.templates("x", "vgg")):
        with pytest.raises(DfdError, match="datasets has no x; there are synthetic, orl"):
            opening()
    with pytest.raises(DfdError, match="recognizers has no x"):
        workspace.templates("orl", "x")
    with pytest.raises(AttributeError, match="no attribute workspace_"):
        dfd.workspace_  # noqa: B018
