"""PFRNet: the moment losses in closed form, gradients, and gender that is a known direction."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dfd.core.errors import DfdError
from dfd.studies.disentangling.pfrnet import (
    HISTORY,
    SOURCES,
    Faces,
    PFRNet,
    fit,
    loss_terms,
    matching_loss,
    modified,
    moment_gaps,
    parts,
    separating_loss,
    too_few,
    train,
    varying_axes,
)

D = 24


def templates(count: int, seed: int, shift: float = 1.5, scale: float = 0.01) -> Faces:
    """Normal templates, of tiny scale, in which gender is a shift along one direction."""
    generator = torch.Generator().manual_seed(seed)
    male = torch.rand(count, generator=generator) < 0.6
    direction = torch.nn.functional.normalize(torch.ones(D), dim=0)
    x = torch.randn(count, D, generator=generator) + (male.float() * 2 - 1)[:, None] * shift * direction
    return Faces(scale * x + 0.3, male, None)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    net = PFRNet(D, D, attribute_size=4, hidden=32)
    net.set_statistics(templates(1500, 0).templates)
    history = train(net, templates(1500, 0), templates(300, 1), **SETTINGS, generator=torch.Generator().manual_seed(0))
    return net, history


SETTINGS = {"steps": 200, "batch_size": 100, "learning_rate": 2e-3, "weight": 0.01}


def test_moment_gaps_in_closed_form():
    male = torch.tensor([True, True, False, False])
    part = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    first, second = moment_gaps(part, male)
    assert first.item() == pytest.approx(2.0**2)  # means (2, 0) and (0, 0)
    assert second.item() == pytest.approx(5.0**2 + 1.0**2)  # of the squares: (5, 0) and (0, 1)
    assert matching_loss(part, male).item() == pytest.approx(30)
    assert separating_loss(part, male).item() == pytest.approx(np.exp(-4) + np.exp(-26))


def test_moment_gaps_as_numpy_computes_them():
    part, male = np.random.default_rng(0).normal(size=(50, 7)), np.arange(50) % 3 == 0
    first, second = moment_gaps(torch.from_numpy(part), torch.from_numpy(male))
    for power, found in ((1, first), (2, second)):
        gap = (part[male] ** power).mean(0) - (part[~male] ** power).mean(0)
        assert found.item() == pytest.approx((gap**2).sum())


def test_equal_classes_match_and_are_not_separated():
    part = torch.randn(5, 3).repeat(2, 1)
    male = torch.arange(10) < 5
    assert matching_loss(part, male) == 0 and separating_loss(part, male) == 2


@pytest.mark.parametrize("term", ["reconstruction", "matching", "separating"])
def test_a_gradient_reaches_every_parameter_that_a_term_concerns(term):
    torch.manual_seed(0)
    net, found = PFRNet(D, D, 4, 16), templates(40, 0)
    net.set_statistics(found.templates)
    loss_terms(net, found.templates, found.male)[term].backward()
    concerned = {"reconstruction": "", "matching": "identity", "separating": "attribute"}[term]
    for name, parameter in net.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        # A bias before batch normalisation is taken away again: its gradient is rounding.
        if not (name.startswith(("identity", "attribute")) and name.endswith("2.bias")):
            assert reached == name.startswith(concerned), name


def test_the_parts_join_to_a_template():
    net = PFRNet(D, D, 4, 16).eval()
    x = templates(6, 0).templates
    net.set_statistics(x)
    identity, attribute = net.split(x)
    assert identity.shape == (6, D - 4) and attribute.shape == (6, 4)
    assert torch.equal(net(x), net.join(identity, attribute)) and net(x).shape == x.shape
    assert list(parts(net, x)) == ["whole", "identity", "attribute"]


def test_the_scale_of_templates_does_not_matter():
    terms = []
    for scale in (1e-4, 1.0, 100.0):
        torch.manual_seed(0)
        net, found = PFRNet(D, D, 4, 16), templates(200, 0, scale=scale)
        net.set_statistics(found.templates)
        terms.append([term.item() for term in loss_terms(net, found.templates, found.male).values()])
    assert np.allclose(terms[0], terms[1], rtol=1e-2) and np.allclose(terms[1], terms[2], rtol=1e-2)


def probe(net, part: str, seen: Faces, unseen: Faces) -> float:
    x, y = (parts(net, faces.templates)[part].numpy() for faces in (seen, unseen))
    x, y = (x - x.mean(0)) / x.std(0), (y - x.mean(0)) / x.std(0)
    model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(x, seen.male.numpy())
    right, male = model.predict(y) == unseen.male.numpy(), unseen.male.numpy()
    return (right[male].mean() + right[~male].mean()) / 2


def test_gender_along_a_known_direction_goes_to_the_attribute_part(trained):
    net, seen, unseen = trained[0], templates(1500, 0), templates(1500, 2)
    assert probe(net, "whole", seen, unseen) > 0.9
    assert probe(net, "attribute", seen, unseen) > 0.9
    assert probe(net, "identity", seen, unseen) < 0.6


def test_templates_come_back_and_means_replace_parts(trained):
    net, unseen = trained[0], templates(500, 2)
    changed = modified(net, unseen.templates)
    kinds = [f"{part}-{source}" for part in ("attribute", "identity") for source in SOURCES]
    assert list(changed) == ["unmodified", *kinds]
    error = (changed["unmodified"] - unseen.templates).var() / unseen.templates.var()
    assert error < 0.1
    direction = torch.nn.functional.normalize(torch.ones(D), dim=0)
    side = {kind: ((x - 0.3) @ direction / 0.01).numpy() for kind, x in changed.items()}
    assert side["attribute-female"].mean() < -0.8 and side["attribute-male"].mean() > 0.8
    assert abs(side["attribute-both"].mean()) < 0.5
    attribute = net.split(unseen.templates)[1]
    assert torch.allclose(changed["identity-male"], net.join(net.identity_means[1].expand(500, -1), attribute))


def test_the_midpoint_ignores_how_many_there_are_of_each():
    net, found = PFRNet(D, D, 4, 16).eval(), templates(100, 0)
    net.set_statistics(found.templates)
    net.set_means(found.templates, found.male)
    attribute = net.split(found.templates)[1].detach()
    assert torch.allclose(net.attribute_means[0], attribute[~found.male].mean(0), atol=1e-6)
    assert torch.allclose(net.attribute_means[1], attribute[found.male].mean(0), atol=1e-6)
    assert torch.allclose(net.attribute_means[2], net.attribute_means[:2].mean(0), atol=1e-6)


def test_training_is_deterministic_and_keeps_the_best():
    runs, few = [], SETTINGS | {"steps": 30}
    for _ in range(2):
        torch.manual_seed(0)
        net = PFRNet(D, D, 4, 8)
        net.set_statistics(templates(200, 0).templates)
        history = train(net, templates(200, 0), templates(100, 1), **few, generator=torch.Generator().manual_seed(0))
        runs.append((history, net))
    (history, net), (repeated, again) = runs
    assert list(history) == list(HISTORY) and not history.isna().any().any() and history.equals(repeated)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    validation = templates(100, 1)
    terms = loss_terms(net, validation.templates, validation.male)
    total = terms["reconstruction"] + 0.01 * (terms["matching"] + terms["separating"])
    assert total.item() == pytest.approx(history.loc[history["split"] == "validation", "total"].min(), rel=1e-5)


def test_mirrored_faces_are_learned_from():
    plain, mirrored = templates(60, 0), templates(60, 5).templates
    histories = []
    for found in (plain, plain._replace(mirrored=mirrored)):
        torch.manual_seed(0)
        net = PFRNet(D, D, 4, 8)
        net.set_statistics(plain.templates)
        histories.append(
            train(
                net, found, plain, steps=10, batch_size=20, learning_rate=1e-3, weight=0.01, generator=torch.Generator()
            )
        )
    assert not histories[0].equals(histories[1])


@pytest.mark.parametrize("asked, used", [(4, 4), (D // 2, D // 2), (1000, D // 2)])
def test_an_attribute_part_that_is_cut_down_is_told(asked, used):
    settings = SimpleNamespace(attribute_size=asked, hidden=8, **SETTINGS | {"steps": 10})
    seen = templates(200, 0)
    net, _, metrics = fit(settings, seen.templates, seen, templates(50, 1), seed=0)
    assert net.config["attribute_size"] == metrics["attribute_size"] == used
    note = f"{asked} would be more than half of the {D} axes" if asked > used else None
    assert metrics.get("attribute_size_note") == note


def test_bad_input_is_named():
    for size in (0, D, D + 1):
        with pytest.raises(DfdError, match=r"disentangling\.attribute_size"):
            PFRNet(D, D, size)
    with pytest.raises(DfdError, match="equal"):
        PFRNet(D, D, 4).set_statistics(torch.ones(10, D))
    net = PFRNet(D, D, 4).eval()
    constant = templates(50, 0).templates
    constant[:, 3] = 7  # a number that never varies
    net.set_statistics(constant)
    assert net.whiten(constant).isfinite().all() and net.whiten(constant).abs().max() < 100
    assert torch.allclose(net(constant)[:, 3], constant[:, 3], atol=1e-4)


def test_whitening_is_undone_along_the_axes_that_vary():
    # Standard deviations from 1 to 10^-1.75 are above the floor, the rest below.
    deviations = torch.cat([torch.logspace(0, -1.75, D - 4), torch.tensor([3e-3, 1e-3, 1e-4, 0])])
    x = torch.randn(400, D, generator=torch.Generator().manual_seed(0)) * deviations + 5
    axes = varying_axes(x)
    assert axes == D - 4
    net = PFRNet(D, axes, 4)
    net.set_statistics(x)
    white = net.whiten(x)
    assert white.shape == (400, axes) and torch.allclose(white.T @ white / 400, torch.eye(axes), atol=1e-3)
    restored = white @ net.colouring + net.mean
    assert ((restored - x)[:, :axes].std(0) < 0.1 * deviations[:axes]).all()
    assert torch.allclose(restored[:, D - 2 :], x.mean(0)[D - 2 :].expand(400, -1), atol=2e-3)


def test_it_starts_by_restoring_templates_with_the_classes_apart_in_one_axis():
    torch.manual_seed(0)
    net, found = PFRNet(D, D, 4, 16).eval(), templates(300, 0)
    net.set_statistics(found.templates)
    net.start(found.templates, found.male)
    white = net.whiten(found.templates)
    assert (net.whiten(net(found.templates)) - white).var() < 0.05
    identity, attribute = (part[0].linear.weight.detach() for part in (net.identity, net.attribute))
    rotation = torch.cat([identity, attribute])
    assert torch.allclose(rotation @ rotation.T, torch.eye(D), atol=1e-5)
    gap = white[found.male].mean(0) - white[~found.male].mean(0)
    assert torch.allclose(identity @ gap, torch.zeros(D - 4), atol=1e-4)
    assert (attribute @ gap).norm().item() == pytest.approx(gap.norm().item(), rel=1e-4)


@pytest.mark.parametrize("male, female, enough", [(10, 10, True), (9, 40, False), (40, 0, False), (0, 0, False)])
def test_too_few_of_one_class_is_a_reason(male, female, enough):
    labels, plenty = torch.arange(male + female) < male, torch.arange(20) < 10
    reason = too_few(labels, plenty)
    assert (reason is None) == enough
    if not enough:
        assert f"{male} male and {female} female training faces" in reason
    assert "validation" in too_few(torch.arange(60) < 30, torch.ones(10, dtype=torch.bool))
