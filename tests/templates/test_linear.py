"""Ridge regression against scikit-learn, and what must hold however the data arrive."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from dfd.templates import linear
from dfd.templates.linear import STRENGTHS, LinearMap, Moments, fit_ridge, whitening

D, K = 7, 4


def data(n: int, seed: int = 0, noise: float = 0.5, d: int = D) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated inputs of unequal scale far from zero, and a noisy affine function of them."""
    truth = np.random.default_rng(99)
    mix, weight, bias = truth.normal(size=(d, d)), truth.normal(size=(d, K)), truth.normal(size=K) * 5
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d)) * np.linspace(0.1, 3, d) @ mix + 10
    y = x @ weight + bias + noise * random.normal(size=(n, K))
    return torch.from_numpy(x), torch.from_numpy(y)


def moments(x: torch.Tensor, y: torch.Tensor, parts: int = 1) -> Moments:
    total = Moments(x.shape[1], y.shape[1])
    for a, b in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
        total.add(a, b)
    return total


def sklearn_fit(x: torch.Tensor, y: torch.Tensor, strength: float) -> Ridge:
    """λ is relative to the inputs' mean variance, and ours is a mean over rows where scikit-learn's is a sum."""
    alpha = len(x) * strength * x.var(0, unbiased=False).mean().item()
    return Ridge(alpha=alpha, solver="svd").fit(x.numpy(), y.numpy())


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("n", [50, 5])
def test_a_given_strength_is_scikit_learns_ridge(strength, n):
    x, y = data(n)
    test_x, test_y = data(40, seed=1)
    fit = fit_ridge(moments(x, y), moments(test_x, test_y), (strength,))
    reference = sklearn_fit(x, y, strength)
    np.testing.assert_allclose(fit.map.weight, reference.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fit.map.bias, reference.intercept_, rtol=1e-4, atol=1e-3)
    expected = r2_score(test_y, reference.predict(test_x.numpy()), multioutput="variance_weighted")
    assert fit.r2 == pytest.approx(expected, abs=1e-6)
    assert (fit.n, fit.strength) == (n, strength)
    assert fit.map.weight.dtype == fit.map.bias.dtype == torch.float32
    np.testing.assert_allclose(fit.map(test_x.float()), reference.predict(test_x.numpy()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n, noise", [(400, 0.5), (30, 2.0), (9, 5.0), (5, 0.5)])
def test_the_strength_with_the_best_held_out_score_is_chosen(n, noise):
    (x, y), (test_x, test_y) = data(n, noise=noise), data(60, seed=1, noise=noise)
    fit = fit_ridge(moments(x, y), moments(test_x, test_y))
    scores = {
        strength: r2_score(test_y, sklearn_fit(x, y, strength).predict(test_x.numpy()), multioutput="variance_weighted")
        for strength in STRENGTHS
    }
    assert fit.r2 == pytest.approx(max(scores.values()), abs=1e-6)
    assert scores[fit.strength] == pytest.approx(max(scores.values()), abs=1e-6)


def test_noise_asks_for_a_stronger_penalty():
    strengths = [
        fit_ridge(moments(*data(12, noise=noise)), moments(*data(200, seed=1, noise=noise))).strength
        for noise in (0.0, 20.0)
    ]
    assert strengths[0] < strengths[1]


@pytest.mark.parametrize("parts", [2, 7, 50])
def test_rows_in_parts_are_rows_at_once(parts):
    (x, y), held_out = data(50), moments(*data(30, seed=1))
    whole, streamed = (fit_ridge(moments(x.float(), y.float(), p), held_out) for p in (1, parts))
    torch.testing.assert_close(streamed.map.weight, whole.map.weight)
    torch.testing.assert_close(streamed.map.bias, whole.map.bias)
    assert streamed.r2 == pytest.approx(whole.r2) and streamed.n == whole.n == 50


@pytest.mark.parametrize("outputs", [1, 3, K])
def test_outputs_in_runs_are_outputs_at_once(outputs, monkeypatch):
    def fitted():
        return fit_ridge(moments(*data(9, noise=5.0)), moments(*data(60, seed=1, noise=5.0)))

    whole = fitted()
    monkeypatch.setattr(linear, "OUTPUTS", outputs)
    parts = fitted()
    torch.testing.assert_close(parts.map.weight, whole.map.weight)
    torch.testing.assert_close(parts.map.bias, whole.map.bias)
    assert parts.strength == whole.strength and parts.r2 == pytest.approx(whole.r2, abs=1e-12)


@pytest.mark.parametrize("floor, kept", [(linear.NOISE, 1.0), (1e-4, 0.0)])
@pytest.mark.parametrize("rows", [7, 50, 1000])
def test_whitened_templates_have_unit_variance_along_axes_above_the_floor(rows, floor, kept, monkeypatch):
    monkeypatch.setattr(linear, "ROWS", rows)
    templates = data(200)[0].float()
    faint = 5e-3 * torch.randn(200, 1, generator=torch.Generator().manual_seed(5))
    templates = torch.cat([templates, templates[:, :1], faint], 1)  # an axis without variance, and one of little
    mean, matrix = whitening(templates, floor)
    white = ((templates - mean) @ matrix).double()
    expected = torch.diag(torch.tensor([1.0] * D + [kept, 0.0], dtype=torch.float64))
    torch.testing.assert_close(white.T @ white / len(white), expected, atol=2e-3, rtol=0)


def test_an_affine_map_is_recovered():
    x, _ = data(60)
    weight, bias = torch.randn(K, D, dtype=torch.float64), torch.randn(K, dtype=torch.float64)
    y = x @ weight.T + bias
    fit = fit_ridge(moments(x[:40], y[:40]), moments(x[40:], y[40:]), STRENGTHS)
    torch.testing.assert_close(fit.map.weight, weight.float(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fit.map.bias, bias.float(), atol=1e-3, rtol=1e-3)
    assert fit.r2 == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("strengths", [STRENGTHS, (0.0,)])
def test_fewer_rows_than_inputs(strengths):
    x, y = data(10, d=40)
    fit = fit_ridge(moments(x, y), moments(*data(30, seed=1, d=40)), strengths)
    assert torch.isfinite(fit.map.weight).all() and torch.isfinite(fit.map.bias).all() and np.isfinite(fit.r2)
    assert fit.r2 <= 1
    if strengths == STRENGTHS:
        expected = sklearn_fit(x, y, fit.strength).coef_
    else:  # without a penalty: of all maps through the ten points the one with the smallest weights
        expected = (torch.linalg.pinv(x - x.mean(0)) @ (y - y.mean(0))).T
    np.testing.assert_allclose(fit.map.weight, expected, rtol=1e-3, atol=1e-4)


def test_an_input_without_variance_has_no_weight():
    x, y = data(50)
    x[:, 2] = 5.0
    fit = fit_ridge(moments(x, y), moments(x, y), (1e-6,))
    assert fit.map.weight[:, 2].abs().max() < 1e-4


def test_constant_held_out_targets_have_no_r2_to_speak_of():
    x, y = data(50)
    constant = torch.full((30, K), 3.0, dtype=torch.float64)
    fit = fit_ridge(moments(x, y), moments(data(30, seed=1)[0], constant))
    assert fit.r2 <= 0 and torch.isfinite(fit.map.weight).all()
    fit = fit_ridge(moments(x, torch.full((50, K), 3.0)), moments(data(30, seed=1)[0], constant))
    assert fit.r2 <= 1 and fit.map.weight.abs().max() < 1e-6
    torch.testing.assert_close(fit.map.bias, torch.full((K,), 3.0))


def test_constant_inputs_give_the_mean():
    _, y = data(50)
    x = torch.full((50, D), 2.0)
    fit = fit_ridge(moments(x, y), moments(x, y))
    torch.testing.assert_close(fit.map(x[:1])[0], y.mean(0).float())
    assert fit.r2 == pytest.approx(0, abs=1e-9)


def test_without_rows_there_is_no_fit():
    full, empty = moments(*data(10)), Moments(D, K)
    for pair in ((full, empty), (empty, full)):
        with pytest.raises(ValueError, match="rows"):
            fit_ridge(*pair)


def test_a_map_is_affine():
    linear = LinearMap(torch.tensor([[1.0, 2], [3, 4], [5, 6]]), torch.tensor([10.0, 20, 30]))
    torch.testing.assert_close(linear(torch.tensor([[1.0, 1], [0, -1]])), torch.tensor([[13.0, 27, 41], [8, 16, 24]]))


def test_the_scale_with_the_best_held_out_score_is_chosen():
    """Inputs scaled before scikit-learn's ridge, the weights scaled afterwards; an input of scale 0 gets no weight."""
    (x, y), (test_x, test_y) = data(12, noise=3.0), data(60, seed=1, noise=3.0)
    scales = [torch.ones(D), torch.tensor([1, 0.1, 3, 0, 1, 0.5, 2]), torch.tensor([0.1, 0.2, 0.5, 1, 1, 1, 1])]
    best = -np.inf
    for scale in scales:
        for strength in STRENGTHS:
            reference = sklearn_fit(x * scale, y, strength)
            predicted = reference.predict((test_x * scale).numpy())
            r2 = r2_score(test_y, predicted, multioutput="variance_weighted")
            if r2 > best:
                best, weight, chosen = r2, reference.coef_ * scale.numpy(), strength
    fit = fit_ridge(moments(x, y), moments(test_x, test_y), scales=scales)
    assert fit.r2 == pytest.approx(best, abs=1e-6) and fit.strength == chosen
    np.testing.assert_allclose(fit.map.weight, weight, rtol=1e-4, atol=1e-5)
    alone = fit_ridge(moments(x, y), moments(test_x, test_y), scales=scales[1:2])
    assert (alone.map.weight[:, 3] == 0).all() and alone.r2 <= fit.r2
