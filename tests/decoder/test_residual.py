"""The residual decoder: where it starts, its sizes, and real templates as people store them."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from torch import nn

from dfd.decoder.base import NOISE
from dfd.decoder.provenance import restored
from dfd.decoder.registry import decode
from dfd.decoder.residual import COARSE, ResidualBlock, ResidualDecoder
from dfd.faces.examples import Examples, mean_face
from dfd.recognizers.registry import import_recognizer
from dfd.studies.equivariance.perturbations import perturbations
from dfd.templates.embedding import embed_views
from dfd.templates.linear import STRENGTHS

SIZE = 56


def examples(
    store, split: str, templates: torch.Tensor, mirrored: torch.Tensor | None = None, size: int = SIZE
) -> Examples:
    return Examples(store, store.rows(split), size, templates, mirrored, 1.0)


@pytest.fixture(scope="module")
def taught(synthetic_store):
    """(training, validation), the templates being 2×2 pixels of the face and noise, also of mirrored ones."""
    noise = torch.randn(len(synthetic_store), 3, generator=torch.Generator().manual_seed(0))
    plain = synthetic_store.views(range(len(synthetic_store)), 2)
    templates, mirrored = (torch.cat([50 * x.flatten(1) + 7, noise], 1) for x in (plain, plain.flip(3)))
    return examples(synthetic_store, "train", templates, mirrored), examples(synthetic_store, "validation", templates)


def arrays(part: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """All templates (N, D) and all faces (N, 3, SIZE, SIZE) in [0, 1]."""
    _, templates, images = part.__getitems__(list(range(len(part))))
    return templates, images.float() / 255


def coarse(images: torch.Tensor) -> np.ndarray:
    """(N, 3·28²): means over blocks of 2 × 2 pixels and their surroundings, as antialiased shrinking takes them."""
    return F.interpolate(images, (COARSE, COARSE), mode="bilinear", antialias=True).flatten(1).double().numpy()


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_before_any_training_it_is_the_ridge_regression_of_coarse_pictures_enlarged(taught, axes):
    """scikit-learn's, of noisy whitened templates and their products: noise of variance NOISE² along coordinates is like so
    many more faces of the mean, and adds NOISE² · ‖W‖² to the validation error of their weights W."""
    training, validation = taught
    decoder = ResidualDecoder(training.targets.shape[1], SIZE, hidden=16, rank=64, channels=16, axes=axes)
    decoder.learn_statistics(training, validation)
    decoder.eval()
    mean = mean_face(training)
    (templates, images), (unseen, truth) = map(arrays, taught)
    with torch.no_grad():
        x, others = (decoder.whitening(part).double().numpy() for part in (templates, unseen))
    y, wanted = coarse(images - mean), coarse(truth - mean)
    pairs = [(i, j) for i in range(axes) for j in range(i, axes)]
    noise = np.r_[np.full(x.shape[1], NOISE**2), np.zeros(len(pairs))]
    x, others = (np.c_[part, *(part[:, i] * part[:, j] for i, j in pairs)] for part in (x, others))
    deviations = np.linalg.svd(training.targets.double().numpy() - training.targets.double().numpy().mean(0))[1]
    held = [0.05 * (deviations[i] * deviations[j] / deviations[0] ** 2) ** 0.5 for i, j in pairs]
    scales = np.r_[np.ones(x.shape[1] - len(pairs)), held]
    centred, more = (x - x.mean(0)) * scales, np.diag(np.sqrt(len(x) * noise)) * scales
    best = np.inf
    for strength in STRENGTHS:
        penalty = len(x) * strength * (x.var(0) * scales**2 + noise * scales**2).mean()
        ridge = Ridge(alpha=penalty, solver="svd", fit_intercept=False)
        ridge.fit(np.r_[centred, more], np.r_[y - y.mean(0), np.zeros((len(more), y.shape[1]))])
        predicted = ridge.predict((others - x.mean(0)) * scales) + y.mean(0)
        error = ((predicted - wanted) ** 2).sum(1).mean() + (noise * (ridge.coef_ * scales) ** 2).sum()
        if error < best:
            best, found = error, predicted
    pictures = torch.from_numpy(found).float().view(-1, 3, COARSE, COARSE)
    expected = mean + F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", align_corners=False)
    with torch.no_grad():
        torch.testing.assert_close(decoder(unseen), expected, atol=2e-4, rtol=0)
    assert (expected - mean).std() > 0.02  # the templates do say something
    torch.testing.assert_close(decoder.mean_face, mean)


def test_what_it_learns_of_examples_is_not_drawn_at_random(taught):
    states = []
    for seed in (0, 1):
        torch.manual_seed(2)
        decoder = ResidualDecoder(taught[0].targets.shape[1], SIZE, hidden=16, rank=8, channels=16, axes=2)
        torch.manual_seed(seed)
        decoder.learn_statistics(*taught)
        assert decoder.training and decoder.whitening.training
        states.append(decoder.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_block_starts_as_the_identity_and_learns():
    x = torch.randn(4, 6, 5, 5)
    block = ResidualBlock(6)
    assert torch.equal(block(x), x)
    (block(x) - 1).square().mean().backward()
    assert block.layers[-1].weight.grad.abs().max() > 0


# size -> pixels of the first map, of the skip's pictures, of the last block
SIZES = {
    7: (7, 7, 7), 13: (13, 13, 13), 14: (7, 14, 14), 26: (13, 26, 26), 52: (13, 26, 52), 56: (7, 28, 28), 64: (8, 16, 32),
    112: (7, 28, 56), 128: (8, 16, 64), 208: (13, 26, 104), 224: (7, 28, 112),
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size):
    first, skip, last = SIZES[size]
    decoder = ResidualDecoder(5, size, hidden=8, rank=4, channels=16, axes=2).eval()
    shapes = []
    decoder.convolutions.register_forward_hook(
        lambda module, inputs, output: shapes.append((inputs[0].shape, output.shape))
    )
    assert decoder(torch.randn(2, 5)).shape == (2, 3, size, size)
    assert (shapes[0][0][-1], decoder.coarse, shapes[0][1][-1]) == (first, skip, last)
    assert isinstance(decoder.to_rgb, nn.Sequential) == (size >= 56)


def test_from_112_pixels_the_last_doubling_is_a_pixel_shuffle():
    """Four maps of a colour, interleaved: pixel (2i + a, 2j + b) is that of map 2a + b at (i, j)."""
    decoder = ResidualDecoder(5, 112, hidden=8, rank=4, channels=16, axes=2).eval()
    convolution, shuffle = decoder.to_rgb
    assert isinstance(shuffle, nn.PixelShuffle) and convolution.out_channels == 12
    with torch.no_grad():
        convolution.bias.copy_(torch.arange(12.0) / 12)
        image = decoder(torch.zeros(1, 5))[0] - decoder.mean_face
    for colour in range(3):
        for a in range(2):
            for b in range(2):
                part = image[colour, a::2, b::2]
                torch.testing.assert_close(part, torch.full((56, 56), (4 * colour + 2 * a + b) / 12), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "channels, widths", [(80, [80, 80, 40, 20]), (16, [16] * 4), (8, [8] * 4), (256, [256, 256, 128, 64])]
)
def test_channels_halve_but_not_below_16(channels, widths):
    decoder = ResidualDecoder(5, 112, hidden=8, rank=4, channels=channels, axes=2)
    blocks = [module for module in decoder.convolutions if isinstance(module, ResidualBlock)]
    assert [block.layers[0].num_features for block in blocks] == widths


# Templates as people store them


@pytest.fixture(scope="module")
def stored(synthetic_store):
    """(training, validation) of dlib's templates: more views of the faces than a template has numbers, that few photos tell
    much of them; along the smallest axes such templates vary by less than float16 can say."""
    recognizer = import_recognizer("dlib-resnet", {}, "dlib-face-recognition").requires_grad_(False).place("portrait")
    views = [view for name, view in perturbations(12, 0.06, [0.9, 1.1]).items() if name in VIEWS]
    assert len(views) == len(VIEWS)
    parts = []
    for split in ("train", "validation"):
        rows = synthetic_store.rows(split)
        part = copy.copy(examples(synthetic_store, split, torch.zeros(len(synthetic_store), 1)))
        part.targets = torch.cat([embed_views(recognizer, synthetic_store, rows, view) for view in views])
        part.images = torch.cat([(255 * synthetic_store.views(rows, SIZE, view)).round().byte() for view in views])
        part.rows = np.arange(len(part.images))
        parts.append(part)
    return parts


VIEWS = (
    *("rotate-24", "rotate-12", "rotate+12", "rotate+24", "rotate-36", "rotate+36", "rotate-48", "rotate+48"),
    *("translate-left", "translate-right", "translate-up", "translate-down", "scale-0.9", "scale-1.1"),
)
STORAGE = {
    "float16": lambda templates: templates.half().float(),
    "five decimals": lambda templates: (templates * 1e5).round() / 1e5,
    "four decimals": lambda templates: (templates * 1e4).round() / 1e4,
    "int8": lambda templates: (templates * 127 / templates.abs().max()).round() * templates.abs().max() / 127,
}


def grey_levels_moved(decoder, templates: torch.Tensor, read_back: torch.Tensor) -> float:
    """By how much storage moves the decoded pictures, root mean square, of 255."""
    plain, rounded = (decode(decoder, part) for part in (templates, read_back))
    return 255 * float((plain - rounded).square().mean().sqrt())


# storage -> grey levels
@pytest.mark.parametrize("how, most", {"float16": 4, "five decimals": 0.5, "four decimals": 4, "int8": 9}.items())
def test_templates_that_were_rounded_decode_alike_once_they_are_restored(stored, how, most):
    training, validation = stored
    decoder = ResidualDecoder(128, SIZE, hidden=16, rank=64, channels=16, axes=2).eval()
    decoder.learn_statistics(training, validation)
    assert 255 * float(decode(decoder, validation.targets).std(0).mean()) > 20  # faces do differ
    rounded = STORAGE[how](validation.targets)
    moved = grey_levels_moved(decoder, validation.targets, restored(decoder, rounded))
    assert 0 < moved < most
    if how == "int8":
        assert moved < grey_levels_moved(decoder, validation.targets, rounded) / 2
