"""The decoders in closed form against scikit-learn's ridge regression, on its own polynomial features."""

import copy

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures

from dfd.decoder import closed_form
from dfd.decoder.closed_form import LinearDecoder, QuadraticDecoder, fit
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


def fitted(examples, decoder: LinearDecoder | None = None):
    decoder = decoder or LinearDecoder(examples[0].targets.shape[1], SIZE)
    return decoder, fit(decoder, *examples)


@pytest.mark.parametrize("batch", [512, 7])
def test_it_is_scikit_learns_ridge_at_the_strength_it_chose(examples, batch, monkeypatch):
    monkeypatch.setattr(closed_form, "BATCH", batch)
    decoder, found = fitted(examples)
    x, y = arrays(examples[0])
    assert found.n == len(x) == 2 * len(examples[0].rows)  # mirrored faces are training data too
    alpha = len(x) * found.strength * x.var(0, dtype=np.float64).mean()
    reference = Ridge(alpha=alpha, solver="svd").fit(x.astype(np.float64), y)
    unseen, truth = arrays(examples[1])
    images = decoder(torch.from_numpy(unseen)).detach()
    assert images.shape == (len(unseen), 3, SIZE, SIZE)
    np.testing.assert_allclose(images.flatten(1), reference.predict(unseen), atol=1e-4)
    residual = ((images.flatten(1).numpy() - truth) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
    assert found.r2 == pytest.approx(1 - residual, abs=1e-3)
    assert 0.2 < found.r2 < 1  # templates of pixels do say something of pixels


@pytest.mark.parametrize("decoder", [None, QuadraticDecoder(15, SIZE, axes=3)], ids=["linear", "quadratic"])
def test_it_keeps_the_mean_face(examples, decoder):
    decoder, _ = fitted(examples, decoder)
    _, y = arrays(examples[0])
    np.testing.assert_allclose(decoder.mean_face.flatten(), y.mean(0), atol=1e-6)


def test_the_mean_template_decodes_to_the_mean_face(examples):
    """Least squares with an intercept."""
    decoder, _ = fitted(examples)
    x, _ = arrays(examples[0])
    np.testing.assert_allclose(decoder(torch.from_numpy(x.mean(0))[None])[0].detach(), decoder.mean_face, atol=1e-4)
    torch.testing.assert_close(decoder.mean_face, decoder.mean_face.flip(2), atol=1e-6, rtol=0)


def test_templates_that_say_nothing_decode_to_the_mean_face(examples):
    training, validation = copy.copy(examples[0]), copy.copy(examples[1])
    for part in (training, validation):
        part.targets = torch.randn(part.targets.shape, generator=torch.Generator().manual_seed(len(part)))
    decoder, found = fitted((training, validation))
    assert found.strength == max(STRENGTHS) and found.r2 < 0.05
    torch.testing.assert_close(decoder(validation.targets)[0].detach(), decoder.mean_face, atol=0.05, rtol=0)


def test_quadratic_features_are_scikit_learns(examples):
    decoder = QuadraticDecoder(examples[0].targets.shape[1], SIZE, axes=4)
    templates = examples[0].targets
    decoder.set_statistics(templates, torch.rand(3, SIZE, SIZE))
    features = decoder.features(templates).double().numpy()
    white = PCA(whiten=True).fit(templates.double().numpy()).transform(templates.double().numpy())
    white *= np.sqrt(len(white) / (len(white) - 1)) * np.sign((white * features[:, : white.shape[1]]).sum(0))
    np.testing.assert_allclose(features[:, : white.shape[1]], white, atol=1e-2)
    products = PolynomialFeatures(2, include_bias=False).fit_transform(features[:, :4])[:, 4:]
    np.testing.assert_allclose(features[:, white.shape[1] :], products, atol=1e-4)


def test_the_quadratic_decoder_learns_products_that_the_linear_one_cannot(examples):
    training, validation = copy.copy(examples[0]), copy.copy(examples[1])
    generator = torch.Generator().manual_seed(0)
    for part in (training, validation):  # how bright a face is, is the product of two coordinates
        part.targets = torch.randn(len(part), 3, generator=generator)
        light = (128 + 40 * part.targets[:, 0] * part.targets[:, 1]).clamp(0, 255).byte()
        part.images = light[: len(part.rows), None, None, None].expand(-1, 3, SIZE, SIZE)
        part.targets = torch.cat([part.targets[: len(part.rows)]] * (len(part) // len(part.rows)))
    linear, quadratic = (
        fitted((training, validation), d)[1].r2 for d in (LinearDecoder(3, SIZE), QuadraticDecoder(3, SIZE, 3))
    )
    assert linear < 0.2 and quadratic > 0.9


def test_the_scales_are_those_with_which_scikit_learns_ridge_tells_most_of_the_validation_faces(examples):
    """Products held back less or more, coordinates whitened or not: the best of eight, each at its best strength."""
    decoder, found = fitted(examples, QuadraticDecoder(examples[0].targets.shape[1], SIZE, axes=4))
    (x, y), (unseen, truth) = arrays(examples[0]), arrays(examples[1])
    features, others = (decoder.features(torch.from_numpy(part)).double().numpy() for part in (x, unseen))
    total = ((truth - truth.mean(0)) ** 2).sum()
    best, choices = -np.inf, [scale.double().numpy() for scale in decoder.scales()]
    for scale in choices:
        scaled = features * scale
        for strength in STRENGTHS:
            reference = Ridge(alpha=len(x) * strength * scaled.var(0).mean(), solver="svd").fit(scaled, y)
            images = reference.predict(others * scale)
            r2 = 1 - ((images - truth) ** 2).sum() / total
            if r2 > best:
                best, expected, chosen = r2, images, scale
    assert len(choices) == 8 and found.r2 == pytest.approx(best, abs=1e-5)
    np.testing.assert_allclose(decoder(torch.from_numpy(unseen)).detach().flatten(1), expected, atol=1e-3)
    assert chosen.min() < 1  # here holding back helps


def test_without_axes_only_the_whitened_template_is_left(examples):
    templates = examples[0].targets
    decoder = QuadraticDecoder(templates.shape[1], SIZE, axes=0)
    decoder.set_statistics(templates, torch.rand(3, SIZE, SIZE))
    features = decoder.features(templates).double()
    assert features.shape == templates.shape
    torch.testing.assert_close(
        features.T @ features / len(features), torch.eye(features.shape[1]).double(), atol=1e-3, rtol=0
    )
