"""A recognizer's window: cut exactly, alike from photos and from plain views, and part of what is saved and trained."""

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from dfd.core.errors import DfdError
from dfd.faces.examples import Examples
from dfd.faces.geometry import ARCFACE, seen_window
from dfd.faces.store import MIRROR
from dfd.learning.objectives import Distil
from dfd.learning.recognizers import train_recognizer
from dfd.learning.settings import RecognizerTraining
from dfd.learning.training import Conditions
from dfd.recognizers.base import Recognizer
from dfd.recognizers.registry import build_recognizer, import_recognizer, load_recognizer, save_recognizer
from dfd.templates.embedding import embed_crops, embed_images, embed_views

CPU = torch.device("cpu")
VGG = {"size": 32, "width": 0.05, "normalise": True}


class Pixels(Recognizer):
    """A recognizer whose template is what it is shown."""

    def __init__(self, size, window):
        super().__init__(size, "pixels", "pixels", (0.0, 0.0, 0.0), 1 / 255, window)

    def _layers(self, x):
        yield "pixels", x


def noise(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_a_placed_recognizer_sees_its_window_of_a_plain_view():
    """Of a portrait of 240 pixels dlib's window is 200, 19 below the middle."""
    recognizer, faces = Pixels(200, "dlib"), noise(2, 240, 240)
    assert recognizer.place("portrait") is recognizer and recognizer.size == (200, 200)
    torch.testing.assert_close(recognizer(faces), faces[:, :, 39:239, 20:220].flatten(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        recognizer.place("aligned")(noise(2, 200, 200)), noise(2, 200, 200).flatten(1), atol=1e-4, rtol=0
    )
    whole = Pixels(200, "box").place("box")(noise(2, 200, 200))
    torch.testing.assert_close(whole, noise(2, 200, 200).flatten(1), atol=1e-4, rtol=0)


def test_until_it_is_placed_what_it_is_shown_is_its_window():
    recognizer = Pixels((12, 10), "arcface")
    assert recognizer.seen is None and recognizer.view_size == 12
    assert torch.equal(recognizer(noise(2, 12, 10)), recognizer.embed(noise(2, 12, 10)))
    resized = torch.nn.functional.interpolate(noise(2, 30, 30), (12, 10), mode="bilinear", antialias=True)
    torch.testing.assert_close(recognizer(noise(2, 30, 30)), recognizer.embed(resized))


@pytest.mark.parametrize(
    "size, window, geometry, side",
    [
        (150, "dlib", "portrait", 180),
        (150, "dlib", "aligned", 150),
        (112, "arcface", "portrait", 125),  # 112 · 1.2 / 1.0745
        ((112, 96), "arcface", "portrait", 125),
        (160, "box", "box", 160),
    ],
)
def test_a_plain_view_of_its_view_size_has_its_pixels(size, window, geometry, side):
    assert Pixels(size, window).place(geometry).view_size == side


def test_a_window_that_cannot_be_had_is_refused_before_any_work():
    recognizer = Pixels(112, "arcface")
    with pytest.raises(DfdError, match="leaves the plain view"):
        recognizer.place("aligned")
    assert recognizer.seen is None


def test_the_window_passes_gradients():
    faces = noise(1, 120, 120).requires_grad_()
    Pixels(100, "dlib").place("portrait")(faces).sum().backward()
    touched = (faces.grad != 0).any(1)[0]
    assert touched[20:119, 11:109].all() and not touched[:18].any() and not touched[:, :8].any()


# Photos and reconstructions


@torch.no_grad()
def test_photos_and_their_plain_views_give_nearly_the_same_templates(orl_store):
    """Photos are sampled from the context crop at once; a reconstruction is a plain view, of which a window is cut."""
    recognizer = import_recognizer("dlib-resnet", {}, "dlib-face-recognition").requires_grad_(False).place("portrait")
    rows = range(len(orl_store))
    photos = embed_views(recognizer, orl_store, rows)
    views = embed_images(recognizer, orl_store.views(rows, recognizer.view_size))
    assert torch.cosine_similarity(photos, views).min() > 0.99
    distances = torch.cdist(views, photos)
    assert distances.argmin(1).tolist() == list(rows) and distances.diagonal().max() < 0.3  # dlib's threshold is 0.6
    whole = recognizer.embed(orl_store.views(rows, 150))  # without its window, what it sees is smaller and higher
    assert (whole - photos).norm(dim=1).mean() > 2 * (views - photos).norm(dim=1).mean()


@torch.no_grad()
def test_a_perturbed_photo_is_perturbed_before_its_window_is_cut(orl_store):
    recognizer, rows = Pixels(40, "dlib").place("portrait"), [0, 7]
    plain, mirrored = (embed_views(recognizer, orl_store, rows, *view).view(2, 3, 40, 40) for view in ((), (MIRROR,)))
    torch.testing.assert_close(mirrored, plain.flip(3), atol=1e-4, rtol=0)
    left = np.array([[1.0, 0, 0.25], [0, 1, 0]])  # of the plain view, not of the window
    seen = orl_store.views(rows, 40, [[1, 0, 0.25], [0, 1, 0]] @ np.vstack([recognizer.seen, [0, 0, 1]]))
    torch.testing.assert_close(embed_views(recognizer, orl_store, rows, left), seen.flatten(1), atol=1e-4, rtol=0)
    crops = embed_crops(recognizer, orl_store, orl_store.crops(rows), left)
    torch.testing.assert_close(crops, seen.flatten(1), atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_photos_window_is_sampled_from_real_pixels_beyond_the_plain_view(orl_store):
    """Moved by half a view, it still shows the context crop where a plain view would have ended."""
    recognizer = Pixels(100, "dlib").place("portrait")
    crops = torch.rand(orl_store.crops([0]).shape, generator=torch.Generator().manual_seed(0))
    moved = embed_crops(recognizer, orl_store, crops, np.array([[1.0, 0, 0.5], [0, 1, 0]])).view(3, 100, 100)
    assert moved.diff(dim=1)[:, :, -20:].abs().mean() > 0.05 and moved.diff(dim=2)[:, :, -20:].abs().mean() > 0.05


# Points of one's own


@pytest.fixture(scope="module")
def points() -> list[list[float]]:
    """ArcFace's, in an input of 32 pixels, as params.yaml gives them."""
    scaled = ((np.array(ARCFACE) + 0.5) * 32 / 112 - 0.5).round(6).tolist()
    return YAML(typ="safe", pure=True).load(f"window: {scaled}")["window"]


def test_a_recognizer_with_points_of_its_own_is_trained_saved_and_loaded(orl_store, points, tmp_path):
    torch.manual_seed(0)
    options = VGG | {"window": points}
    recognizer = build_recognizer("vgg16", options).place("portrait")
    np.testing.assert_allclose(recognizer.seen, seen_window("arcface", (32, 32), "portrait"), atol=1e-5)
    rows = range(len(orl_store))
    targets = torch.randn(len(rows), 6, generator=torch.Generator().manual_seed(0))
    examples = Examples(orl_store, rows, recognizer.view_size, targets, targets, memory_gb=1.0)
    assert next(iter(examples.batches(examples.shuffled(), 4)))[2].shape[2:] == (36, 36)  # 32 · 1.2 / 1.0745
    settings = RecognizerTraining(
        objective="distil", margin=0.5, arcface_scale=32, epochs=6, triplet_epochs=0, triplet_margin=0.2, batch_size=10,
        learning_rate=2e-3,
    )  # fmt: skip
    head, conditions = Distil(recognizer.dimension, targets), Conditions(CPU, "float32", 0, 1.0)
    history = train_recognizer(recognizer, head, examples, settings, conditions)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    save_recognizer(tmp_path / "r.safetensors", recognizer, "vgg16", options)
    loaded = load_recognizer(tmp_path / "r.safetensors", CPU, "portrait")
    assert loaded.window == points and np.array_equal(loaded.seen, recognizer.seen)
    torch.testing.assert_close(
        embed_views(loaded, orl_store, rows), embed_views(recognizer, orl_store, rows), atol=1e-4, rtol=1e-4
    )
    with pytest.raises(DfdError, match=r"r\.safetensors: its window \(its own points\) leaves the plain view"):
        load_recognizer(tmp_path / "r.safetensors", CPU, "aligned")


def test_published_weights_may_be_given_another_window():
    options = {"window": (np.array(ARCFACE) * 150 / 112).tolist()}
    recognizer = import_recognizer("dlib-resnet", options, "dlib-face-recognition").place("portrait")
    assert recognizer.view_size == round(150 * 1.2 / 1.0745)
    plain = import_recognizer("dlib-resnet", {}, "dlib-face-recognition").place("portrait")
    with torch.no_grad():
        assert torch.equal(recognizer.embed(noise(1, 150, 150)), plain.embed(noise(1, 150, 150)))
        assert not torch.allclose(recognizer(noise(1, 180, 180)), plain(noise(1, 180, 180)), atol=1e-3)


MISTAKES = {"unknown": "archface", "four points": ARCFACE[:4], "words": [["a", "b"]] * 5, "no window": None}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_file_with_an_impossible_window_is_named(mistake, tmp_path):
    options = VGG | {"window": MISTAKES[mistake]}
    save_recognizer(tmp_path / "r.safetensors", build_recognizer("vgg16", options), "vgg16", options)
    with pytest.raises(DfdError, match=r"r\.safetensors: `window`: ") as raised:
        load_recognizer(tmp_path / "r.safetensors", CPU, "portrait")
    assert "\n" not in str(raised.value)
