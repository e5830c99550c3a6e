"""A decoder learns on from templates as an attacker has them, and leaves the one that it was as it is."""

import pytest
import torch

from dfd.decoder.registry import build_decoder
from dfd.recognizers.registry import build_recognizer
from dfd.studies.inversion.fine_tuning import NO_LOSS, Tuning, fine_tuned, loss_of

SIZE = 16
NONE = dict.fromkeys(
    ("pixel", "gradient", "local_pixel", "local_gradient", "local_perceptual", "chroma", "identity"), 0.0
)
FEATURES = NONE | {"perceptual": 1.0, "local": False, "perceptual_share": 1.0, "features": "raw"}
LOSS = FEATURES | {"pixel": 1.0, "gradient": 1.0, "identity": 0.2}


@pytest.fixture
def recognizer():
    torch.manual_seed(0)
    return build_recognizer("vgg16", {"size": 32, "width": 0.05, "layer": "fc7", "tap": "conv2_2"}).requires_grad_(
        False
    )


@pytest.fixture
def decoder(recognizer):
    torch.manual_seed(1)
    decoder = build_decoder("linear", recognizer.dimension, {"size": SIZE})
    decoder.config = {"loss": LOSS}
    return decoder.requires_grad_(False).eval()


def test_it_comes_nearer_to_the_faces_and_the_same_again(recognizer, decoder):
    templates, faces = torch.randn(40, recognizer.dimension), torch.rand(40, 3, SIZE, SIZE)
    tuning = Tuning(loss_of(decoder, recognizer), lambda batch: faces[batch], 30)
    before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    state = torch.random.get_rng_state()
    first, again = (fine_tuned(decoder, templates, templates, tuning, 0) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    error = lambda network: float((network(templates) - faces).square().mean())
    assert error(first) < 0.9 * error(decoder) and error(first) == error(again)
    assert all(torch.equal(tensor, before[name]) for name, tensor in decoder.state_dict().items())
    assert not any(weight.requires_grad for weight in first.parameters())


def test_it_learns_with_its_own_losses_but_without_features(recognizer, decoder):
    assert set(loss_of(decoder, recognizer).weights) >= {"pixel", "identity"}
    assert not [term for term in loss_of(decoder, recognizer).weights if "perceptual" in term]
    recognizer.gives_gradients = False
    assert "identity" not in loss_of(decoder, recognizer).weights


@pytest.mark.parametrize("header", [{}, {"loss": FEATURES}])
def test_a_decoder_of_unknown_losses_or_of_features_alone_is_left_out(recognizer, decoder, header):
    decoder.config = header
    assert loss_of(decoder, recognizer) == NO_LOSS
