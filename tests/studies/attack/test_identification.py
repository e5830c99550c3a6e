"""The softmax layer against scikit-learn on the same features, and where its gradients go."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dfd.studies.attack.identification import IdentificationHead, fit_identification


def people(count: int, photos: int, noise: float = 0.3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.arange(count).repeat_interleave(photos)
    centres = torch.randn(count, 12, generator=generator)
    return 5 + centres[codes] + noise * torch.randn(len(codes), 12, generator=generator), codes


@pytest.mark.parametrize("count", [2, 3, 7])
def test_probabilities_are_scikit_learn_s(count):
    templates, codes = people(count, 4)
    units = (templates / templates.norm(dim=1, keepdim=True)).double().numpy()
    units -= units.mean(0)
    units /= units.std()  # its mean is 0: the root mean square
    reference = LogisticRegression(max_iter=5000).fit(units, codes)
    head = fit_identification(templates, codes)
    np.testing.assert_allclose(head(templates).softmax(1), reference.predict_proba(units), atol=1e-3)
    assert head(templates).shape == (len(codes), count)


def test_it_knows_people_again():
    templates, codes = people(10, 8)
    known = torch.arange(len(codes)) % 2 == 0
    head = fit_identification(templates[known], codes[known])
    assert (head(templates[~known]).argmax(1) == codes[~known]).float().mean() > 0.95


def test_the_length_of_a_template_does_not_matter():
    templates, codes = people(4, 4)
    head = fit_identification(templates, codes)
    torch.testing.assert_close(head(templates), head(7 * templates))


def test_templates_have_gradients_and_weights_have_none():
    templates, codes = people(4, 4)
    head = fit_identification(templates, codes)
    templates.requires_grad_()
    head(templates).square().sum().backward()
    assert (templates.grad != 0).any(1).all()
    assert all(not weight.requires_grad and weight.grad is None for weight in head.parameters())


def test_equal_templates_equal_head():
    templates, codes = people(5, 4)
    first, second = (fit_identification(templates, codes).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_templates_without_spread_give_finite_logits():
    head = fit_identification(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    assert head(torch.ones(2, 3)).isfinite().all()


@pytest.mark.parametrize("codes", [[0, 0, 0], [0, 2, 2], [1, 1, 2]])
def test_people_are_numbered_and_at_least_two(codes):
    with pytest.raises(ValueError, match="numbered"):
        fit_identification(torch.rand(3, 4), torch.tensor(codes))


def test_a_fresh_head_has_the_shape():
    assert IdentificationHead(6, 3)(torch.rand(2, 6)).shape == (2, 3)
