"""Objectives against closed forms and NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from dfd.learning.objectives import OBJECTIVES, ArcFace, Distil, Softmax, Triplet


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


TEMPLATES = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 2, 1, 1, 3, 0])


def numpy_arcface(templates, centres, labels, margin: float, scale: float) -> np.ndarray:
    """Deng et al., Eq. 3, face by face, through angles from arctan2 rather than arccos."""
    losses = []
    for template, label in zip(templates.double().numpy(), labels.tolist(), strict=True):
        logits = []
        for index, centre in enumerate(centres.detach().double().numpy()):
            a, b = template / np.linalg.norm(template), centre / np.linalg.norm(centre)
            angle = 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
            widened = angle + margin * (index == label)
            beyond = np.cos(angle) - margin * np.sin(margin)  # the authors' code, where the cosine would rise again
            logits.append(scale * (np.cos(widened) if widened < np.pi else beyond))
        losses.append(-log_softmax(logits)[label])
    return np.array(losses)


def test_softmax():
    objective = Softmax(5, 4)
    logits = (TEMPLATES @ objective.head.weight.T + objective.head.bias).detach().double().numpy()
    expected = -log_softmax(logits, axis=1)[np.arange(6), LABELS]
    np.testing.assert_allclose(objective(TEMPLATES, LABELS).detach(), expected, rtol=1e-5)
    torch.nn.init.zeros_(objective.head.weight)
    torch.nn.init.zeros_(objective.head.bias)
    np.testing.assert_allclose(objective(TEMPLATES, LABELS).detach(), np.log(4), rtol=1e-6)


def test_arcface_without_a_margin_is_a_softmax_of_cosines():
    objective = ArcFace(5, 4, margin=0.0, scale=16.0)
    cosines = torch.nn.functional.cosine_similarity(TEMPLATES[:, None], objective.centres[None], dim=2)
    expected = torch.nn.functional.cross_entropy(16 * cosines, LABELS, reduction="none")
    torch.testing.assert_close(objective(TEMPLATES, LABELS), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("margin", [0.0, 0.3, 0.5, 1.5])
@pytest.mark.parametrize("scale", [1.0, 32.0])
def test_arcface(margin, scale):
    objective = ArcFace(5, 4, margin, scale)
    expected = numpy_arcface(TEMPLATES, objective.centres, LABELS, margin, scale)
    np.testing.assert_allclose(objective(TEMPLATES, LABELS).detach(), expected, rtol=1e-3, atol=1e-3)


def test_arcface_ignores_lengths_and_has_gradients_at_its_extremes():
    objective = ArcFace(5, 4, 0.5, 32.0)
    torch.testing.assert_close(objective(TEMPLATES * 7, LABELS), objective(TEMPLATES, LABELS), rtol=1e-4, atol=1e-4)
    centre = objective.centres[0].detach()
    templates = torch.stack([centre, -centre]).requires_grad_()  # the true angle is 0, and π
    objective(templates, torch.tensor([0, 0])).sum().backward()
    assert torch.isfinite(templates.grad).all() and torch.isfinite(objective.centres.grad).all()


def test_a_wider_true_angle_never_costs_less():
    """The other centre stands at a right angle to everything, so the true angle alone decides."""
    objective = ArcFace(3, 2, 0.5, 8.0)
    with torch.no_grad():
        objective.centres.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1]]))
    angles = torch.deg2rad(torch.arange(1.0, 180, 3))
    templates = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], 1)
    losses = objective(templates, torch.zeros(len(angles), dtype=torch.long)).detach()
    assert (losses.diff() > 0).all()


def test_arcface_has_no_rest_opposite_to_every_centre():
    """There all cosines are −1: held at −1 as well, the true one would cost ln(classes) only and give no gradient."""
    objective = ArcFace(3, 4, 0.5, 32.0)
    with torch.no_grad():
        objective.centres.copy_(torch.tensor([1.0, 0, 0]) + 1e-3 * torch.randn(4, 3))
    loss = objective(torch.tensor([[-1.0, 0, 0.1]]), torch.tensor([0]))
    assert loss.item() > 2 * np.log(4)
    loss.sum().backward()
    assert objective.centres.grad.norm() > 0.1


def test_distil_is_zero_at_the_perfect_head():
    teacher = TEMPLATES[:, :3] @ torch.randn(3, 4) * 20 + 100
    objective = Distil(3, teacher)
    standardised = (teacher - teacher.mean(0)) / teacher.var(0, unbiased=False).mean().sqrt()
    assert standardised.square().mean() == pytest.approx(1, rel=1e-5)
    design = torch.cat([TEMPLATES[:, :3], torch.ones(6, 1)], 1).double()
    solution = torch.linalg.lstsq(design, standardised.double()).solution.float()
    with torch.no_grad():
        objective.head.weight.copy_(solution[:3].T)
        objective.head.bias.copy_(solution[3])
    assert objective(TEMPLATES[:, :3], teacher).max() < 1e-8
    with torch.no_grad():
        objective.head.weight.zero_()
        objective.head.bias.zero_()
    losses = objective(TEMPLATES[:, :3], teacher).detach()
    torch.testing.assert_close(losses, standardised.square().mean(1))
    assert losses.mean() == pytest.approx(1, rel=1e-5)  # of a head that knows nothing


def unit(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], 1)


def test_triplet_by_hand():
    """Squared distance of unit vectors at angle α: 2 − 2 cos α."""
    templates = unit(0, 60, 90, 180, 270) * torch.tensor([1.0, 3, 0.5, 2, 9])[:, None]  # lengths do not matter
    labels = torch.tensor([0, 0, 0, 1, 2])
    # face: farthest of its own, nearest of the others
    # 0°: 90° (2), 270° (2); 60°: 0° (1), 180° (3); 90°: 0° (2), 180° (2); the last two have no other face
    torch.testing.assert_close(Triplet(0.5)(templates, labels), torch.tensor([0.5, 0, 0.5, 0, 0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(Triplet(2.5)(templates, labels), torch.tensor([2.5, 0.5, 2.5, 0, 0]), atol=1e-5, rtol=0)


def test_triplet_of_a_face_alone_costs_nothing():
    losses = Triplet(2.5)(unit(0, 5, 180), torch.tensor([0, 1, 1]))  # however near another identity lies
    assert losses[0] == 0 and (losses[1:] > 0).all()


def test_triplet_against_loops():
    templates, labels = torch.randn(20, 6), torch.arange(20) % 6
    points = torch.nn.functional.normalize(templates)
    expected = []
    for i in range(20):
        distances = [
            (float((points[i] - points[j]).square().sum()), labels[i] == labels[j]) for j in range(20) if j != i
        ]
        farthest = max(distance for distance, same in distances if same)
        nearest = min(distance for distance, same in distances if not same)
        expected.append(max(0.0, farthest - nearest + 0.2))
    torch.testing.assert_close(Triplet(0.2)(templates, labels), torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_triplet_of_one_identity_costs_nothing_and_is_finite():
    templates = torch.randn(4, 3, requires_grad=True)
    losses = Triplet(0.2)(templates, torch.zeros(4, dtype=torch.long))
    losses.sum().backward()
    assert (losses == 0).all() and torch.isfinite(templates.grad).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_per_face_and_has_gradients(objective):
    settings = SimpleNamespace(margin=0.5, arcface_scale=32.0)
    targets = torch.randn(6, 7) if objective == "distil" else LABELS
    module = OBJECTIVES[objective](settings, 5, targets)
    templates = TEMPLATES.clone().requires_grad_()
    losses = module(templates, targets)
    assert losses.shape == (6,) and (losses >= 0).all()
    torch.testing.assert_close(module(templates[2:4], targets[2:4]), losses[2:4])
    losses.mean().backward()
    assert templates.grad.abs().min(1).values.max() > 0
    assert all(parameter.grad.abs().max() > 0 for parameter in module.parameters())
