"""Adapters against closed forms and scikit-learn's ridge; who is fitted on, who judges; files."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.linear_model import Ridge

from dfd.core.errors import DfdError
from dfd.templates import adapters
from dfd.templates.adapters import FOLDS, STRENGTHS, Adapter, fit_adapter, load_adapter, save_adapter
from dfd.templates.belonging import Axes
from dfd.templates.linear import soft_whitening

CPU = torch.device("cpu")
D, K = 9, 6


def pairs(n: int, noise: float, d: int = D, k: int = K, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Templates of unit length, noisy affine functions of them, of unequal variances, far from zero; three a person."""
    truth = torch.Generator().manual_seed(99)
    weight, bias = (
        torch.randn(k, d, generator=truth) * torch.linspace(0.1, 3, k)[:, None],
        5 * torch.randn(k, generator=truth),
    )
    random = torch.Generator().manual_seed(seed)
    x = F.normalize(torch.randn(n, d, generator=random) + 0.5, dim=1)
    y = x @ weight.T + bias + noise * torch.randn(n, k, generator=random)
    return x, y, np.array([f"person {number // 3}" for number in range(n)])


def space(y: torch.Tensor) -> Axes:
    return Axes(*soft_whitening(y, 1e-4))


@pytest.mark.parametrize("n, d", [(60, D), (30, 20)])
def test_an_exact_linear_relation_is_recovered(n, d):
    x, y, people = pairs(n, 0.0, d)
    adapter = fit_adapter(x, y, people, space(y))
    assert adapter.config["cosine_whitened"] > 0.999 and adapter.config["strength"] == STRENGTHS[0]
    unseen, expected, _ = pairs(200, 0.0, d, seed=1)
    assert (adapter(unseen) - expected).abs().max() < 0.02 * (expected - expected.mean(0)).abs().max()


def test_templates_of_any_length_are_mapped_alike():
    x, y, people = pairs(90, 0.3)
    lengths = torch.logspace(-3, 3, 90)[:, None]
    fitted, stretched = fit_adapter(x, y, people, space(y)), fit_adapter(lengths * x, y, people, space(y))
    torch.testing.assert_close(stretched.weight, fitted.weight, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fitted(lengths * x), fitted(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("d", [D, 120])  # more rows than inputs, and fewer
def test_but_for_its_length_the_map_is_scikit_learns_ridge(d):
    x, y, people = pairs(90, 0.5, d)
    adapter = fit_adapter(x, y, people, space(y))
    alpha = len(x) * adapter.config["strength"] * x.double().var(0, unbiased=False).mean().item()
    expected = Ridge(alpha=alpha, solver="svd").fit(x.double().numpy(), y.double().numpy())
    weight = torch.from_numpy(expected.coef_).float()
    stretch = (adapter.weight * weight).sum() / weight.square().sum()
    torch.testing.assert_close(adapter.weight, stretch * weight, atol=1e-3 * float(weight.abs().max()), rtol=1e-3)
    torch.testing.assert_close(adapter(x).mean(0), y.mean(0), atol=1e-3, rtol=1e-3)


def test_what_cannot_be_told_does_not_draw_to_the_mean():
    """Half of the targets' variance is noise: least squares alone would spread over 0.7 of what it should."""
    x, y, people = pairs(900, 0.0)
    y = y + (y.var(0).mean().sqrt()) * torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    whole = space(y)
    adapter = fit_adapter(x, y, people, whole)
    unseen, _, _ = pairs(900, 0.0, seed=1)
    spread = whole(adapter(unseen)).square().sum(1).mean().sqrt() / whole(y).square().sum(1).mean().sqrt()
    assert spread == pytest.approx(1, abs=0.03)


def test_the_targets_of_mirrored_photos_are_averaged_in():
    x, y, people = pairs(90, 0.5)
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(5))
    whole = space(y)
    adapter = fit_adapter(x, y + noise, people, whole, mirrored=y - noise)
    # What is learned is y itself; judged are the photos' own templates.
    mean = y.double().mean(0).float()
    torch.testing.assert_close(adapter(x).mean(0), mean, atol=1e-3, rtol=1e-3)
    assert not torch.equal(adapter.weight, fit_adapter(x, y + noise, people, whole).weight)


def test_nobody_is_fitted_on_and_judged(monkeypatch):
    x, y, people = pairs(90, 0.5)
    seen = []
    ridge = adapters._Ridge

    class Recording(ridge):
        def __init__(self, rows, targets):
            seen.append({tuple(row) for row in rows.tolist()})
            super().__init__(rows, targets)

    monkeypatch.setattr(adapters, "_Ridge", Recording)
    fit_adapter(x, y, people, space(y))
    rows = [tuple(row) for row in F.normalize(x.double(), dim=1).tolist()]
    assert len(seen) == FOLDS + 1 and len(seen[-1]) == 90
    judged = []
    for fitted in seen[:-1]:
        taught = {person for row, person in zip(rows, people) if row in fitted}
        others = {person for row, person in zip(rows, people) if row not in fitted}
        assert taught and others and not taught & others
        judged += others
    assert sorted(judged) == sorted(set(people))  # each in one fold


def test_the_figures_are_of_people_it_was_not_fitted_on():
    """Templates that have nothing to do with one another: whatever is fitted, unseen people's cosine is about 0."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 50, generator=generator), torch.randn(60, K, generator=generator)
    adapter = fit_adapter(x, y, np.arange(60).astype(str), space(y))
    assert abs(adapter.config["cosine_whitened"]) < 0.25
    assert (adapter.config["n_pairs"], adapter.config["n_people"]) == (60, 60)


@pytest.mark.parametrize("photos", [(19, 1), (1, 19)])
def test_two_people_are_enough(photos):
    x, y, _ = pairs(20, 0.1)
    adapter = fit_adapter(x, y, np.repeat(["a", "b"], photos))
    assert torch.isfinite(adapter(x)).all()


def test_axes_that_the_space_leaves_out_stay_at_the_mean():
    x, y, people = pairs(60, 0.1)
    whole = space(y)
    matrix = whole.matrix.clone()
    matrix[:, -1] = 0
    left_out = fit_adapter(x, y, people, Axes(whole.mean, matrix, whole.variances))
    assert torch.isfinite(left_out.weight).all()
    assert whole(left_out(x))[:, -1].abs().max() < 1e-3


def changed(templates: torch.Tensor, row: int, value: float) -> torch.Tensor:
    templates = templates.clone()
    templates[row] = value
    return templates


X, Y, PEOPLE = pairs(30, 0.1)
REFUSED = {
    "too few": ((X[:19], Y[:19], PEOPLE[:19]), "19 pairs of templates are too few: an adapter needs 20"),
    "one person": ((X, Y, np.repeat("anna", 30)), "all 30 pairs are of one person"),
    "NaN": (
        (changed(X, 3, torch.nan), Y, PEOPLE),
        "other system's templates: .* finite numbers; 1 are not, first that of row 3",
    ),
    "infinite targets": ((X, changed(Y, 3, torch.inf), PEOPLE), "recognizer's templates: .* finite numbers; 1 are not"),
    "alike": ((X[:1].expand(30, D), Y, PEOPLE), "all of its 30 templates are the same"),
    "targets alike": ((X, Y[:1].expand(30, K), PEOPLE), "recognizer's templates: all of its 30 templates are the same"),
    "zero": ((changed(X, 3, 0.0), Y, PEOPLE), "1 of its templates hold nothing but one number"),
    "no pairs": ((X, Y[:29], PEOPLE), "30 templates of the other system and 29"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_fitted_is_refused(reason):
    arguments, message = REFUSED[reason]
    with pytest.raises(DfdError, match=message) as raised:
        fit_adapter(*arguments)
    assert "\n" not in str(raised.value)


SOURCE, TARGET = {"name": "theirs"}, {"decoder": "resnet-identity", "recognizer": "resnet", "weights_sha256": "ab" * 32}


def saved(path) -> Adapter:
    adapter = fit_adapter(X, Y, PEOPLE, space(Y))
    save_adapter(path, adapter, SOURCE, TARGET)
    return adapter


def test_a_file_gives_the_adapter_back(tmp_path):
    adapter = saved(tmp_path / "a.safetensors")
    saved(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_adapter(tmp_path / "a.safetensors", CPU)
    assert torch.equal(loaded(X), adapter(X)) and loaded.config == adapter.config and loaded.dimension == D
    assert loaded.config["from"] == {"name": "theirs", "dimension": D} and loaded.config["to"] == {
        **TARGET,
        "dimension": K,
    }
    assert {"format", "n_pairs", "n_people", "strength", "cosine", "cosine_whitened"} < loaded.config.keys()


def test_another_file_is_one_clear_line(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(DfdError, match="no such adapter; `dfd adapt`"):
        load_adapter(path, CPU)
    adapter = saved(path)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(DfdError, match="not a weights file"):
        load_adapter(path, CPU)
    save_file({"weight": torch.zeros(2, 2)}, path, metadata={"config": '{"architecture": "linear"}'})
    with pytest.raises(DfdError, match="not an adapter"):
        load_adapter(path, CPU)
    for weight, message in ((adapter.weight[:, 1:], "damaged"), (adapter.weight * torch.nan, "damaged")):
        broken = Adapter(weight.contiguous(), adapter.bias, adapter.config)
        adapters.save_module(path, broken, adapter.config)
        with pytest.raises(DfdError, match=message):
            load_adapter(path, CPU)
    adapters.save_module(path, adapter, adapter.config | {"format": 2})
    with pytest.raises(DfdError, match="format is 2.*update the project"):
        load_adapter(path, CPU)
