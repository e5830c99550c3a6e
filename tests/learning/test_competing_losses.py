"""The competing decoders' losses: closed forms, ranges, gradients, and SSIM against the evaluation's own."""

import pytest
import torch
import torch.nn.functional as F

from dfd.learning.competing_losses import (
    CompetingLoss,
    absolute_loss,
    feature_scale,
    identity_loss,
    ssim_loss,
)
from dfd.learning.phases import PHASES, without_features
from dfd.measures.quality import ssim


def images(seed: int, n: int = 3, size: int = 32) -> torch.Tensor:
    smooth = F.interpolate(
        torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)), (size, size), mode="bilinear"
    )
    return (smooth * 255).round() / 255  # as the evaluation rounds them


def test_absolute_loss_is_the_mean_distance():
    a, b = images(0), images(1)
    expected = [(a[i] - b[i]).abs().sum() / a[i].numel() for i in range(3)]
    torch.testing.assert_close(absolute_loss(a, b), torch.stack(expected))
    torch.testing.assert_close(absolute_loss(a, a + 0.25), torch.full((3,), 0.25))


def test_ssim_loss_is_the_evaluations_ssim():
    torch.testing.assert_close(ssim_loss(images(0), images(1)), 1 - ssim(images(0), images(1)), atol=1e-5, rtol=0)


def test_ssim_loss_by_its_formula():
    """Every pixel's window by hand: a Gaussian of σ 1.5 over 11 pixels, the images reflected at their borders."""
    line = torch.exp(-torch.arange(-5.0, 6).square() / (2 * 1.5**2))
    window = (torch.outer(line, line) / line.sum() ** 2)[..., None, None, :, :]
    a, b = images(2, 1, 24), images(3, 1, 24)
    p, q = (F.pad(image, (5, 5, 5, 5), mode="reflect").double().unfold(2, 11, 1).unfold(3, 11, 1) for image in (a, b))

    def mean(values):
        return (values * window).sum((-1, -2))

    cov, var_p, var_q = mean(p * q) - mean(p) * mean(q), mean(p * p) - mean(p) ** 2, mean(q * q) - mean(q) ** 2
    top = (2 * mean(p) * mean(q) + 0.01**2) * (2 * cov + 0.03**2)
    similarity = top / ((mean(p) ** 2 + mean(q) ** 2 + 0.01**2) * (var_p + var_q + 0.03**2))
    assert similarity.shape == a.shape
    assert float(ssim_loss(a, b)) == pytest.approx(1 - float(similarity.mean()), abs=1e-4)


@pytest.mark.parametrize("low, high", [(0.2, 0.2), (0.2, 0.6), (0.0, 1.0)])
def test_ssim_loss_of_flat_images_in_closed_form(low, high):
    a, b = torch.full((1, 3, 32, 32), low), torch.full((1, 3, 32, 32), high)
    expected = 1 - (2 * low * high + 0.01**2) / (low**2 + high**2 + 0.01**2)
    assert float(ssim_loss(a, b)) == pytest.approx(expected, abs=1e-3)


def test_ssim_loss_keeps_its_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        half = ssim_loss(images(0), images(1))
    assert torch.equal(half, ssim_loss(images(0), images(1)))


def test_identity_loss_is_the_squared_chord():
    a, b = torch.randn(5, 7), torch.randn(5, 7)
    chord = (a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)).square().sum(1)
    torch.testing.assert_close(identity_loss(a, b), chord)
    torch.testing.assert_close(identity_loss(a, -3 * a), torch.full((5,), 4.0))


@pytest.mark.parametrize("architecture, phase", [(name, phase) for name, phases in PHASES.items() for phase in phases])
def test_every_phase_has_a_loss_per_face_and_gradients(architecture, phase, phi):
    loss = CompetingLoss(phi, PHASES[architecture][phase])
    guess, targets = images(0).requires_grad_(), images(1)
    terms = loss.terms(guess, targets, None)
    assert list(terms) == list(PHASES[architecture][phase])
    assert all(value.shape == (3,) and (value >= 0).all() for value in terms.values())
    total = loss.total(terms)
    expected = sum(weight * terms[term].mean() for term, weight in PHASES[architecture][phase].items())
    torch.testing.assert_close(total, expected)
    total.backward()
    assert guess.grad.isfinite().all() and (guess.grad.abs().amax((1, 2, 3)) > 0).all()
    same = loss.terms(targets, targets, None)
    assert all(value.abs().max() < 1e-5 for value in same.values())


def test_the_published_weights():
    assert PHASES["residual-deconvolution"] == {
        "all": {"absolute": 1, "ssim": 0.75, "perceptual": 0.02, "identity": 0.025}
    }
    assert list(PHASES["nbnet"]) == ["pixel", "perceptual"]
    assert PHASES["nbnet"]["pixel"] == {"absolute": 1} and PHASES["nbnet"]["perceptual"] == {"perceptual": 1}


def test_each_term_alone_is_what_its_function_gives(phi):
    a, b = images(0), images(1)
    terms = CompetingLoss(phi, PHASES["residual-deconvolution"]["all"], scale=3.0).terms(a, b, None)
    torch.testing.assert_close(terms["absolute"], absolute_loss(a, b))
    torch.testing.assert_close(terms["ssim"], ssim_loss(a, b))
    torch.testing.assert_close(
        terms["perceptual"], 3 * (phi.perceptual(a) - phi.perceptual(b)).square().mean((1, 2, 3))
    )
    torch.testing.assert_close(terms["identity"], identity_loss(phi(a), phi(b)))


def test_scaled_features_of_unrelated_faces_differ_by_two(phi):
    faces = images(5, 64)
    scale = feature_scale(phi, faces)
    features = phi.perceptual(faces)
    apart = [(features[i] - features[j]).square().mean() for i in range(64) for j in range(i)]
    assert scale * float(torch.stack(apart).mean()) == pytest.approx(2, rel=0.05)


def test_without_features_needs_no_phi():
    for architecture, phases in PHASES.items():
        kept = without_features(phases)
        assert kept and all(set(weights) <= {"absolute", "ssim"} for weights in kept.values()), architecture
        for weights in kept.values():
            CompetingLoss(None, weights).terms(images(0), images(1), None)
