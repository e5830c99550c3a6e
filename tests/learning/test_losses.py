"""Eq. 2-5 against the same sums written out in numpy, on images as the paper has them: 0-255, mean subtracted."""

import math

import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.learning import losses
from dfd.learning.losses import (
    TERMS,
    ReconstructionLoss,
    balanced_gain,
    chroma_loss,
    gradient_loss,
    identity_loss,
    local_padded,
    local_window,
    perceptual_loss,
    pixel_loss,
)
from dfd.learning.settings import Loss
from dfd.recognizers.base import Recognizer

MEAN = (93.5940, 104.7624, 129.1863)  # VGGFace's, blue first
N, SIDE = 3, 28
CERTAIN = TERMS[:-1]  # without the identity, which is drawn at random
ONES = dict.fromkeys(CERTAIN, 1.0) | {"identity": 0.0}
LOCAL = [term for term in TERMS if term.startswith("local_")]


class Seen(Recognizer):
    """A φ whose feature is what its preprocessing makes of an image, and which keeps what it was given."""

    def __init__(self, scale: float = 1.0):
        super().__init__(SIDE, "preprocessed", "preprocessed", MEAN, scale, window="box", bgr=True)
        self.inputs = []

    def _layers(self, x):
        self.inputs.append(x)
        yield "preprocessed", x


def faces(seed: int = 0, side: int = SIDE, n: int = N) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def grey_levels(images: torch.Tensor) -> np.ndarray:
    """Blue, green, red, 0-255, minus their means."""
    return images.double().numpy()[:, ::-1] * 255 - np.array(MEAN)[:, None, None]


def mean_square(values: np.ndarray) -> np.ndarray:
    """Per image, by explicit loops over channels and rows."""
    means = []
    for image in values:
        total, count = 0.0, 0
        for channel in image:
            for row in channel:
                total, count = total + sum(value * value for value in row.tolist()), count + len(row)
        means.append(total / count)
    return np.array(means)


def numpy_gradient(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    down = mean_square(np.diff(images, axis=2) - np.diff(targets, axis=2))
    return down + mean_square(np.diff(images, axis=3) - np.diff(targets, axis=3))


def numpy_window(images: np.ndarray) -> np.ndarray:
    """28 = 224 / 8: from 62 / 8, rounded, on both sides."""
    return images[:, :, 8:20, 8:20]


def numpy_padded(images: np.ndarray) -> np.ndarray:
    padded = np.zeros_like(images)
    padded[:, :, 8:20, 8:20] = images[:, :, 8:20, 8:20]
    return padded


NUMPY = {
    "pixel": lambda a, b: mean_square(a - b),
    "gradient": numpy_gradient,
    "perceptual": lambda a, b: mean_square(a - b),  # Seen's features are the mean-subtracted images
    "local_pixel": lambda a, b: mean_square(numpy_window(a) - numpy_window(b)),
    "local_gradient": lambda a, b: numpy_gradient(numpy_window(a), numpy_window(b)),
    "local_perceptual": lambda a, b: mean_square(numpy_padded(a) - numpy_padded(b)),
    "chroma": lambda a, b: numpy_gradient(a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)),
}


@pytest.mark.parametrize("term", CERTAIN)
def test_a_term_is_its_equation_written_out(term):
    images, targets = faces(0), faces(1)
    value = ReconstructionLoss(Seen(), ONES).terms(images, targets, None)[term]
    assert value.shape == (N,) and value.dtype == torch.float32
    np.testing.assert_allclose(value, NUMPY[term](grey_levels(images), grey_levels(targets)), rtol=1e-5)


def test_the_perceptual_loss_of_any_features():
    features, targets = torch.randn(4, 5, 3, 2), torch.randn(4, 5, 3, 2)
    np.testing.assert_allclose(perceptual_loss(features, targets), mean_square((features - targets).numpy()), rtol=1e-5)


@pytest.mark.parametrize("term", CERTAIN)
def test_equal_images_cost_nothing_and_others_something(phi, term):
    loss = ReconstructionLoss(phi, ONES)
    torch.testing.assert_close(loss.terms(faces(), faces(), None)[term], torch.zeros(N))
    assert (loss.terms(faces(0), faces(1), None)[term] > 0).all()


@pytest.mark.parametrize("d", [0.0, 0.1, -0.5, 1.0])
def test_a_constant_difference_has_no_gradient(d):
    images = torch.full((N, 3, SIDE, SIDE), 0.5)
    torch.testing.assert_close(pixel_loss(images + d, images), torch.full((N,), (255 * d) ** 2))
    torch.testing.assert_close(gradient_loss(images + d, images), torch.zeros(N))


def test_a_ramp_has_its_slope_squared_in_each_direction():
    flat = torch.zeros(1, 3, SIDE, SIDE)
    across = (torch.arange(SIDE) * 2 / 255).expand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(gradient_loss(across, flat), torch.tensor([4.0]))
    torch.testing.assert_close(gradient_loss(across.mT, flat), torch.tensor([4.0]))
    torch.testing.assert_close(gradient_loss(across + across.mT, flat), torch.tensor([8.0]))


def test_grey_differences_have_no_chroma():
    """However rough they are; nor has a tint that is the same everywhere."""
    images = faces(0)
    torch.testing.assert_close(chroma_loss(images + faces(1)[:, :1], images), torch.zeros(N), atol=1e-6, rtol=0)
    tint = torch.tensor([0.3, -0.1, 0.2])[:, None, None]
    torch.testing.assert_close(chroma_loss(images + tint, images), torch.zeros(N), atol=1e-6, rtol=0)


def test_of_a_red_ramp_two_thirds_are_chroma():
    """Red alone differs by s: its share of the mean over RGB, s/3, is grey, so that (2s/3)² + 2·(s/3)² = 2s²/3 remain of s²."""
    flat, red = torch.zeros(1, 3, SIDE, SIDE), torch.tensor([1.0, 0, 0])[:, None, None]
    ramp = red * (torch.arange(SIDE) * 3 / 255).expand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(gradient_loss(ramp, flat), torch.tensor([3.0]))
    torch.testing.assert_close(chroma_loss(ramp, flat), torch.tensor([2.0]))
    torch.testing.assert_close(chroma_loss(ramp.mT, flat), torch.tensor([2.0]))


def test_each_image_has_its_own_value():
    images, targets = faces(0), faces(1)
    alone = [pixel_loss(images[[i]], targets[[i]]) + gradient_loss(images[[i]], targets[[i]]) for i in range(N)]
    torch.testing.assert_close(pixel_loss(images, targets) + gradient_loss(images, targets), torch.cat(alone))


@pytest.mark.parametrize("side, window", [(224, (62, 162)), (56, (16, 40)), (64, (18, 46)), (112, (31, 81))])
def test_the_window_is_the_papers_and_is_centred(side, window):
    first, end = window
    images = faces(side=side, n=2)
    assert torch.equal(local_window(images), images[:, :, first:end, first:end])
    assert first == side - end and (end - first) / side == pytest.approx(100 / 224, abs=1.01 / side)
    padded = local_padded(images, torch.zeros(3, 1, 1))
    assert torch.equal(local_window(padded), local_window(images))
    assert padded.count_nonzero() == local_window(images).count_nonzero()


def test_the_padding_is_exactly_zero_where_phi_sees_it(phi):
    images = faces()
    for network in (Seen(), Seen(0.017), phi):
        padded = local_padded(images, network.mean_colour)
        preprocessed = (padded[:, network.channels] * 255 - network.mean) * network.scale
        outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
        outside[8:20, 8:20] = False
        assert preprocessed[:, :, outside].abs().max() < 1e-4 * network.scale
        assert (preprocessed[:, :, ~outside] != 0).all()


def test_the_local_perceptual_term_ignores_what_is_outside(phi):
    images, elsewhere = faces(0), faces(1)
    elsewhere[:, :, 8:20, 8:20] = images[:, :, 8:20, 8:20]
    terms = ReconstructionLoss(phi, ONES).terms(images, elsewhere, None)
    assert all(terms[term].abs().max() == 0 for term in LOCAL)
    assert all(terms[term].min() > 0 for term in CERTAIN if term not in LOCAL)


SECTION = ONES | {"local": True, "perceptual_share": 1.0, "features": "raw"}


@pytest.mark.parametrize(
    "changes, dropped",
    [
        ({}, []),
        ({"local": False}, LOCAL),
        ({"pixel": 0.0}, ["pixel"]),
        ({"local": False, "perceptual": 0.0}, [*LOCAL, "perceptual"]),
    ],
)
def test_params_without_a_term_do_not_compute_it(changes, dropped):
    network = Seen()
    loss = ReconstructionLoss(network, Loss(**SECTION | changes).weights())
    assert list(loss.terms(faces(0), faces(1), None)) == [term for term in CERTAIN if term not in dropped]
    assert len(network.inputs) == 2 * sum("perceptual" in term for term in loss.weights)


def test_without_any_term_there_is_no_loss():
    with pytest.raises(DfdError, match="loss"):
        ReconstructionLoss(Seen(), Loss(**SECTION | dict.fromkeys(TERMS, 0.0)).weights())


def test_the_total_is_the_weighted_sum_of_the_means():
    weights = {term: 0.5 + index for index, term in enumerate(CERTAIN)}
    loss = ReconstructionLoss(Seen(), weights, gain=0.3, share=0.5)
    terms = loss.terms(faces(0), faces(1), None)
    expected = sum(weights[term] * terms[term].double().mean() for term in CERTAIN)
    torch.testing.assert_close(loss.total(terms).double(), expected)
    assert loss.total(terms).shape == ()


@pytest.mark.parametrize("n, share, seen", [(5, 1.0, 5), (5, 0.5, 3), (4, 0.25, 1), (5, 0.25, 2), (1, 0.01, 1)])
def test_phi_sees_a_share_of_the_batch_rounded_up(n, share, seen):
    network = Seen()
    images, targets = faces(0, n=n), faces(1, n=n)
    terms = ReconstructionLoss(network, ONES, share=share).terms(images, targets, None)
    assert seen == math.ceil(n * share) and {len(x) for x in network.inputs} == {seen}
    whole = ReconstructionLoss(Seen(), ONES).terms(images, targets, None)
    for term in CERTAIN:
        torch.testing.assert_close(terms[term], whole[term][: seen if "perceptual" in term else n])


def test_the_gain_multiplies_the_perceptual_terms_alone(phi):
    plain, gained = (ReconstructionLoss(phi, ONES, gain).terms(faces(0), faces(1), None) for gain in (1.0, 7.0))
    for term in CERTAIN:
        torch.testing.assert_close(gained[term], plain[term] * (7 if "perceptual" in term else 1))


def test_balanced_features_vary_as_much_as_the_pixels(phi):
    images = faces(n=6)
    assert balanced_gain(Seen(0.01), images) == pytest.approx(1e4, rel=1e-4)
    for network in (Seen(0.1), phi):
        features = network.perceptual(images).double().numpy()
        variance = ((features - features.mean(0)) ** 2).mean()
        pixels = grey_levels(images)
        pixels = ((pixels - pixels.mean(0)) ** 2).mean()
        assert balanced_gain(network, images) * variance == pytest.approx(pixels, rel=1e-4)


@pytest.mark.parametrize("term", CERTAIN)
def test_the_gradient_reaches_the_image_and_stops_at_phi(phi, term):
    images, targets = faces(0).requires_grad_(), faces(1)
    loss = ReconstructionLoss(phi, dict.fromkeys(TERMS, 0.0) | {term: 1.0})
    loss.total(loss.terms(images, targets, None)).backward()
    assert torch.isfinite(images.grad).all() and (images.grad.abs().amax((1, 2, 3)) > 0).all()
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in phi.parameters())
    outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
    outside[8:20, 8:20] = False
    assert (images.grad[:, :, outside].abs().max() == 0) == (term in LOCAL)


# The identity: what a recognizer makes of the reconstruction


def test_identity_is_the_cosine_from_1_in_grey_levels():
    a, b = torch.randn(5, 7), torch.randn(5, 7)
    x, y = a.double().numpy(), b.double().numpy()
    cosines = [p @ q / math.sqrt((p @ p) * (q @ q)) for p, q in zip(x, y, strict=True)]
    np.testing.assert_allclose(identity_loss(a, b), [65025 * (1 - cosine) for cosine in cosines], rtol=1e-4, atol=0.1)
    torch.testing.assert_close(identity_loss(a, 3 * a), torch.zeros(5), atol=0.02, rtol=0)
    torch.testing.assert_close(identity_loss(a, -0.1 * a), torch.full((5,), 2 * 255.0**2))
    torch.testing.assert_close(
        identity_loss(torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 2]])), torch.tensor([255.0**2])
    )


IDENTITY = dict.fromkeys(TERMS, 0.0) | {"identity": 1.0}


@pytest.fixture
def still(monkeypatch):
    """Without jitter."""
    monkeypatch.setattr(losses, "jittered", lambda images, recognizer: images)


def cosine_loss(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    a, b = a.double().numpy(), b.double().numpy()
    return 65025 * (1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


def test_the_attacked_recognizer_is_to_give_the_decoded_templates(still):
    attacked, templates = Seen(), torch.randn(N, 3 * SIDE**2)
    terms = ReconstructionLoss(phi_that_nobody_asks(), IDENTITY, identity=attacked).terms(faces(0), faces(1), templates)
    assert list(terms) == ["identity"] and len(attacked.inputs) == 1  # the faces themselves are not embedded
    np.testing.assert_allclose(terms["identity"], cosine_loss(attacked.embed(faces(0)), templates), rtol=1e-4)


def test_another_recognizer_is_to_see_the_face(still):
    """Whatever the decoded templates are: they may be of another length."""
    other = Seen()
    loss = ReconstructionLoss(phi_that_nobody_asks(), IDENTITY, identity=other, white_box=False)
    terms = loss.terms(faces(0), faces(1), torch.randn(N, 5))
    np.testing.assert_allclose(terms["identity"], cosine_loss(other.embed(faces(0)), other.embed(faces(1))), rtol=1e-4)
    np.testing.assert_allclose(loss.terms(faces(0), faces(0), torch.randn(N, 5))["identity"], 0, atol=0.1)


@pytest.mark.parametrize("white_box", [True, False])
def test_the_identity_is_of_the_last_share_of_the_batch(still, white_box):
    n, share = 5, 0.4
    recognizer, templates = Seen(), torch.randn(n, 3 * SIDE**2)
    images, targets = faces(0, n=n).requires_grad_(), faces(1, n=n)
    terms = ReconstructionLoss(Seen(), IDENTITY, share=share, identity=recognizer, white_box=white_box).terms(
        images, targets, templates
    )
    wanted = templates if white_box else recognizer.embed(targets)
    expected = cosine_loss(recognizer.embed(images.detach()), wanted)
    np.testing.assert_allclose(terms["identity"].detach(), expected[-2:], rtol=1e-4)
    terms["identity"].sum().backward()
    assert (images.grad.abs().amax((1, 2, 3)) > 0).tolist() == [False] * 3 + [True] * 2


def test_the_identity_is_of_jittered_views(monkeypatch):
    given = []
    monkeypatch.setattr(losses, "jittered", lambda images, recognizer: given.append((images, recognizer)) or 1 - images)
    recognizer, images = Seen(), faces(0)
    terms = ReconstructionLoss(Seen(), IDENTITY, identity=recognizer, white_box=False).terms(
        images, faces(1), torch.zeros(N, 5)
    )
    assert (
        torch.equal(given[0][0], images) and given[0][1] is recognizer and len(given) == 1
    )  # the original is seen plainly
    np.testing.assert_allclose(
        terms["identity"], cosine_loss(recognizer.embed(1 - images), recognizer.embed(faces(1))), rtol=1e-4
    )


def test_its_gradient_reaches_the_image_and_stops_at_the_recognizer(phi):
    images = faces(0).requires_grad_()
    loss = ReconstructionLoss(phi_that_nobody_asks(), IDENTITY, identity=phi, white_box=False)
    loss.total(loss.terms(images, faces(1), torch.zeros(N, 5))).backward()
    assert torch.isfinite(images.grad).all() and (images.grad.abs().amax((1, 2, 3)) > 0).all()
    assert all(parameter.grad is None for parameter in phi.parameters())


def test_no_identity_without_a_recognizer_that_has_gradients():
    blind = Seen()
    blind.gives_gradients = False
    for recognizer in (None, blind):
        with pytest.raises(DfdError, match="loss.identity"):
            ReconstructionLoss(Seen(), IDENTITY, identity=recognizer)
        assert "identity" not in ReconstructionLoss(Seen(), ONES, identity=recognizer).weights  # nobody asks for it


def phi_that_nobody_asks() -> Recognizer:
    network = Seen()
    network.perceptual = None
    return network
