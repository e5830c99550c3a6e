"""Attacks against foolbox on a small network, and against closed forms on a linear one."""

import eagerpy
import foolbox
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dfd.studies.attack.attacks import ATTACKS, apart, cross_entropy, cw_l2, descended, gradient_sign, margin, steps

CLASSES, SIDE = 5, 8
SIGNED = [name for name in ATTACKS if name != "cw-l2"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(6, 3, SIDE, SIDE, generator=generator())


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.fixture
def network() -> nn.Module:
    """Smooth, so that it makes no difference on which side of a kink two implementations step."""
    layers = [nn.Conv2d(3, 6, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 9, CLASSES)]
    network = nn.Sequential(*layers).eval()
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.4, generator=generator(weight.numel()))
    return network


class Linear(nn.Module):
    """Logits W·x."""

    def __init__(self, classes: int = CLASSES):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, 3 * SIDE**2, generator=generator(3)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weight.T


def options(name: str) -> dict:
    return {"iterations": 50, "searches": 4, "initial": 1.0} if name == "cw-l2" else {"epsilon": 6}


# Losses


def test_margin_is_the_lead_of_the_best_other_cut_off_at_the_confidence():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    targets = torch.tensor([0, 1, 2])
    assert margin(logits, targets, 10).tolist() == [-1, 2, 1]
    assert margin(logits, targets, 0.5).tolist() == [-0.5, 2, 1]
    assert margin(logits, targets).tolist() == [0, 2, 1]
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(margin(logits, targets, 0.5).sum(), logits)
    assert gradient.tolist() == [[0, 0, 0], [1, -1, 0], [1, 0, -1]]


def test_cross_entropy_is_the_target_s():
    logits = torch.tensor([[0.0, 2.0]])
    assert cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(torch.tensor(2.0).exp().add(1).log().item())


@pytest.mark.parametrize("epsilon, count", [(0.5, 1), (1, 2), (4, 5), (8, 10), (16, 20), (32, 36)])
def test_the_number_of_steps(epsilon, count):
    assert steps(epsilon) == count


# Closed forms on a linear network


def test_tfgsm_on_two_classes_is_the_sign_of_the_difference_of_their_weights(images):
    model, targets = Linear(2), torch.tensor([0, 1, 0, 1, 0, 1])
    towards = (model.weight[targets] - model.weight[1 - targets]).sign().view_as(images).detach()
    attacked = ATTACKS["tfgsm"](model, images, targets, epsilon=5)
    torch.testing.assert_close(attacked, images + 5 / 255 * towards)
    for name in SIGNED:  # on a linear network all agree, unless the target is reached on the way
        best = ATTACKS[name](model, images, targets, epsilon=5, **({"confidence": 1e6} if "cw" in name else {}))
        torch.testing.assert_close(best, attacked)


def test_tcw_steps_from_the_best_other_class_to_the_target(images, targets):
    model = Linear()
    logits = model(images)
    others = logits.scatter(1, targets[:, None], -torch.inf).argmax(1)
    assert (logits.argmax(1) != targets).any()
    towards = (model.weight[targets] - model.weight[others]).sign().view_as(images)
    towards[logits.argmax(1) == targets] = 0  # reached already, by κ = 0
    torch.testing.assert_close(ATTACKS["tcw"](model, images, targets, epsilon=3), (images + 3 / 255 * towards).detach())


@pytest.mark.parametrize("confidence", [0.0, 2.0])
def test_cw_l2_comes_near_to_the_distance_of_the_margin(confidence):
    """On two classes it is (lead + κ) / ‖w_other − w_target‖."""
    model, images = Linear(2), 0.4 + 0.2 * torch.rand(6, 3, SIDE, SIDE, generator=generator(5))
    targets = 1 - model(images).argmax(1)
    lead = margin(model(images), targets, torch.inf).detach()
    distance = (lead + confidence) / (model.weight[0] - model.weight[1]).norm().detach()
    attacked = cw_l2(model, images, targets, confidence, searches=7, iterations=200, initial=0.1)
    noise = (attacked - images).flatten(1).norm(dim=1)
    assert (noise > 0.995 * distance).all() and (noise < 1.03 * distance).all()
    assert (margin(model(attacked), targets, torch.inf) <= -confidence).all()


def test_cw_l2_searches_c_tenfold_until_it_succeeds_then_by_halves():
    """On two classes c has to reach 2·lead / ‖w_other − w_target‖²: less noise than that of the margin costs less."""
    model, images = Linear(2), 0.4 + 0.2 * torch.rand(1, 3, SIDE, SIDE, generator=generator(5))
    target = 1 - model(images).argmax(1)
    lead = margin(model(images), target, torch.inf).item()
    least = 2 * lead / (model.weight[0] - model.weight[1]).square().sum().item()
    weights: list[float] = []

    def watched(x):
        logits = model(x)
        logits.register_hook(
            lambda gradient: weights.append(-gradient[0, target].item() / least)
        )  # c, or 0 once reached
        return logits

    cw_l2(watched, images, target, searches=6, iterations=300, initial=0.015 * least)
    tried = [weight for weight in dict.fromkeys(round(weight, 4) for weight in weights) if weight]
    assert tried == pytest.approx([0.015, 0.15, 1.5, 0.825, 1.1625, 0.9938], abs=2e-4)


# Against foolbox


def by_foolbox(attack, network, images, targets, epsilon=None) -> torch.Tensor:
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.TargetedMisclassification(eagerpy.astensor(targets).raw)
    return attack(model, images, criterion, epsilons=epsilon)[1]


@pytest.mark.parametrize("epsilon", [1, 6, 40])
def test_tfgsm_is_foolbox_s_first_step(network, images, targets, epsilon):
    reference = foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=epsilon / 255, steps=1, random_start=False)
    expected = by_foolbox(reference, network, images, targets, epsilon / 255)
    torch.testing.assert_close(ATTACKS["tfgsm"](network, images, targets, epsilon=epsilon), expected)


@pytest.mark.parametrize("epsilon", [1, 6, 20])
def test_itfgsm_is_foolbox_s_basic_iterative_attack(network, images, targets, epsilon):
    reference = foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=1 / 255, steps=steps(epsilon), random_start=False)
    expected = by_foolbox(reference, network, images, targets, epsilon / 255)
    torch.testing.assert_close(ATTACKS["itfgsm"](network, images, targets, epsilon=epsilon), expected)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_cw_l2_finds_as_little_noise_as_foolbox(network, images, confidence):
    targets = (network(images).argmax(1) + torch.arange(6) % 4 + 1) % CLASSES  # nobody is there yet
    settings = {"confidence": confidence, "initial_const": 0.1, "abort_early": False}
    reference = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=6, steps=150, stepsize=0.01, **settings)
    expected = (by_foolbox(reference, network, images, targets) - images).flatten(1).norm(dim=1)
    attacked = cw_l2(network, images, targets, confidence, searches=6, iterations=150, initial=0.1)
    noise = (attacked - images).flatten(1).norm(dim=1)
    assert (network(attacked).argmax(1) == targets).all() and expected.min() > 0.01
    torch.testing.assert_close(noise, expected, rtol=0.03, atol=2e-3)


# What holds for all


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_reach_targets_and_stay_valid_images(name, network, targets):
    images = torch.rand(6, 3, SIDE, SIDE, generator=generator(7)).round(decimals=1)  # some pixels are 0 or 1
    before = network(images).softmax(1).gather(1, targets[:, None])
    attacked = ATTACKS[name](network, images, targets, **options(name))
    after = network(attacked).softmax(1).gather(1, targets[:, None])
    assert attacked.shape == images.shape and attacked.dtype == torch.float32 and not attacked.requires_grad
    assert (attacked >= 0).all() and (attacked <= 1).all()
    assert (after >= before - 1e-3).all() and (after > before).any()
    if name in SIGNED:
        assert (attacked - images).abs().max() <= 6 / 255 + 1e-6


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_else_is_changed_and_no_other_gradient_is_kept(name, network, images, targets):
    network.requires_grad_(True)
    kept, aims = images.clone(), targets.clone()
    with torch.no_grad():  # they ask for gradients themselves
        first = ATTACKS[name](network, images, targets, **options(name))
    assert torch.equal(images, kept) and torch.equal(targets, aims) and not images.requires_grad
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(first, ATTACKS[name](network, images, targets, **options(name)))


@pytest.mark.parametrize("name", SIGNED)
def test_an_image_is_attacked_alike_alone_and_in_a_batch(name, network, images, targets):
    together = ATTACKS[name](network, images, targets, **options(name))
    alone = [ATTACKS[name](network, images[i : i + 1], targets[i : i + 1], **options(name)) for i in range(len(images))]
    torch.testing.assert_close(together, torch.cat(alone))


def test_iterated_noise_is_less_and_reaches_more_than_one_step(network, targets):
    images = torch.rand(60, 3, SIDE, SIDE, generator=generator(8))
    many = targets.repeat(10)
    for once, iterated in (("tfgsm", "itfgsm"), ("tcw", "itcw")):
        one, more = (ATTACKS[name](network, images, many, epsilon=12) for name in (once, iterated))
        reached = [(network(attacked).argmax(1) == many).sum() for attacked in (one, more)]
        assert reached[1] >= reached[0] > 0
        assert (more - images).square().mean() < (one - images).square().mean()


def test_itcw_leaves_an_image_that_has_reached_its_target(network, images):
    targets = network(images).argmax(1)
    assert torch.equal(ATTACKS["itcw"](network, images, targets, epsilon=8), images)
    assert not torch.equal(ATTACKS["itcw"](network, images, targets, epsilon=8, confidence=50.0), images)


def test_cw_l2_returns_what_it_could_not_attack_as_it_was(images, targets):
    def constant(x):  # the target never leads
        return 0 * x.flatten(1)[:, :CLASSES] + F.one_hot((targets + 1) % CLASSES, CLASSES)

    assert torch.equal(cw_l2(constant, images, targets, iterations=5, searches=2), images)

    def tied(x):
        return 0 * x.flatten(1)[:, :CLASSES]

    assert torch.equal(cw_l2(tied, images, targets, iterations=5, searches=2), images)


def test_cw_l2_moves_pixels_at_the_ends_of_the_range():
    model = Linear(2)
    images = (model.weight[0] > model.weight[1]).float().view(1, 3, SIDE, SIDE).detach()  # 0 and 1 only
    target = torch.tensor([1])
    attacked = cw_l2(model, images, target, iterations=400, searches=1, initial=100.0)
    assert model(attacked).argmax(1) == 1 and (attacked != images).float().mean() > 0.9


def test_a_search_ends_early_and_finds_the_same(network, images, targets):
    calls = []

    def counted(x):
        calls.append(len(x))
        return network(x)

    reached = network(images).argmax(1)  # nothing to do: the loss stays at 0
    assert torch.allclose(cw_l2(counted, images, reached, iterations=100, searches=2), images, atol=1e-3)
    assert len(calls) < 2 * 100


def test_descended_steps_against_the_direction_and_is_cut_off():
    images = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(descended(images, torch.ones(3), 51), torch.tensor([0.0, 0.3, 0.8]))
    torch.testing.assert_close(descended(images, -torch.ones(3), 51), torch.tensor([0.2, 0.7, 1.0]))


# Pairs


def test_apart_is_the_sign_of_the_cosine_s_gradient(images):
    """d cos(Wx, e)/dx = Wᵀ(ê − cos·û)/‖Wx‖."""
    model, other = Linear(16), torch.randn(6, 16, generator=generator(9))
    template = model(images).detach()
    unit, cosine = F.normalize(template), F.cosine_similarity(template, other)
    expected = (F.normalize(other) - cosine[:, None] * unit) @ model.weight.detach()
    direction = apart(model, images, other)
    assert (direction == expected.sign().view_as(images)).float().mean() > 0.99
    pushed = F.cosine_similarity(model(descended(images, direction, 4)), other)
    assert (pushed < cosine).all() and model.weight.grad is None


def test_gradient_sign_has_three_values():
    sign = gradient_sign(lambda x: (x[:, :2] * torch.tensor([2.0, -3.0])).sum(1), torch.rand(4, 3))
    assert sign.tolist() == [[1, -1, 0]] * 4
