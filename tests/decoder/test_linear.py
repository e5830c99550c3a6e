"""The linear decoder against scikit-learn's ridge regression."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from dfd.decoder import linear
from dfd.decoder.linear import fit_linear_decoder
from dfd.faces.examples import Examples
from dfd.templates.linear import STRENGTHS

SIZE = 10


@pytest.fixture(scope="module")
def examples(synthetic_store):
    """(training, validation), the templates being 2×2 pixels of the face and noise."""
    n = len(synthetic_store)
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    plain = synthetic_store.views(range(n), 2)
    templates, mirrored = (torch.cat([50 * x.flatten(1) + 7, noise], 1) for x in (plain, plain.flip(3)))
    training = Examples(synthetic_store, synthetic_store.rows("train"), SIZE, templates, mirrored, 1.0)
    return training, Examples(synthetic_store, synthetic_store.rows("validation"), SIZE, templates, None, 1.0)


def arrays(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """All templates (N, D) and all pixels (N, 3·SIZE²) in [0, 1]."""
    _, templates, images = examples.__getitems__(list(range(len(examples))))
    return templates.numpy(), images.flatten(1).numpy() / 255


@pytest.mark.parametrize("batch", [512, 7])
def test_it_is_scikit_learns_ridge_at_the_strength_it_chose(examples, batch, monkeypatch):
    monkeypatch.setattr(linear, "BATCH", batch)
    decoder, fit = fit_linear_decoder(*examples, SIZE)
    x, y = arrays(examples[0])
    assert fit.n == len(x) == 2 * len(examples[0].rows)  # mirrored faces are training data too
    alpha = len(x) * fit.strength * x.var(0, dtype=np.float64).mean()
    reference = Ridge(alpha=alpha, solver="svd").fit(x.astype(np.float64), y)
    unseen, truth = arrays(examples[1])
    images = decoder(torch.from_numpy(unseen)).detach()
    assert images.shape == (len(unseen), 3, SIZE, SIZE)
    np.testing.assert_allclose(images.flatten(1), reference.predict(unseen), atol=1e-4)
    residual = ((images.flatten(1).numpy() - truth) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
    assert fit.r2 == pytest.approx(1 - residual, abs=1e-3)
    assert 0.2 < fit.r2 < 1  # templates of pixels do say something of pixels


def test_it_keeps_the_mean_face_and_the_mean_template(examples):
    decoder, _ = fit_linear_decoder(*examples, SIZE)
    x, y = arrays(examples[0])
    np.testing.assert_allclose(decoder.mean_face.flatten(), y.mean(0), atol=1e-6)
    np.testing.assert_allclose(decoder.template_mean, x.mean(0), rtol=1e-5)
    # least squares with an intercept: the mean template decodes to the mean face
    np.testing.assert_allclose(decoder(decoder.template_mean[None])[0].detach(), decoder.mean_face, atol=1e-4)
    torch.testing.assert_close(decoder.mean_face, decoder.mean_face.flip(2), atol=1e-6, rtol=0)


def test_templates_that_say_nothing_decode_to_the_mean_face(examples):
    training, validation = copy.copy(examples[0]), copy.copy(examples[1])
    for part in (training, validation):
        part.targets = torch.randn(part.targets.shape, generator=torch.Generator().manual_seed(len(part)))
    decoder, fit = fit_linear_decoder(training, validation, SIZE)
    assert fit.strength == max(STRENGTHS) and fit.r2 < 0.05
    torch.testing.assert_close(decoder(validation.targets)[0].detach(), decoder.mean_face, atol=0.05, rtol=0)

