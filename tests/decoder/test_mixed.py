"""The mix of a network with a decoder in closed form: endpoints, the best share in closed form, and its file."""

import pytest
import torch

from dfd.decoder.closed_form import LinearDecoder
from dfd.decoder.mixed import MixedDecoder
from dfd.decoder.registry import build_decoder, load_decoder, save_decoder
from dfd.faces.examples import Examples

SIZE, DIMENSION = 14, 5
OPTIONS = {
    "size": SIZE, "width": 1.0, "hidden": 8, "channels": [4, 4, 4, 4, 4], "dropout": 0.0, "normalise": "none", "output": "linear",
}  # fmt: skip


@pytest.fixture
def mixed():
    torch.manual_seed(0)
    decoder = MixedDecoder(build_decoder("inverted-vgg", DIMENSION, OPTIONS), LinearDecoder(DIMENSION, SIZE))
    return decoder.eval().requires_grad_(False)


def test_share_leads_from_the_closed_form_to_the_network(mixed):
    templates = torch.randn(3, DIMENSION)
    mixed.share.fill_(0)
    torch.testing.assert_close(mixed(templates), mixed.closed_form(templates))
    mixed.share.fill_(1)
    torch.testing.assert_close(mixed(templates), mixed.network(templates))


def test_chosen_share_has_the_least_squared_error_of_all(mixed, synthetic_store):
    rows = synthetic_store.rows("train")
    templates = torch.randn(len(synthetic_store), DIMENSION)
    examples = Examples(synthetic_store, rows, SIZE, templates, None, 1.0)
    images = examples.images.float() / 255
    with torch.no_grad():  # a network that is the truth beyond the linear decoder, overdone: the best share lies inside
        mixed.closed_form.affine.bias.copy_((images.mean(0) * 0.5).flatten())
        mixed.network.mean_face.copy_(images.mean(0) * 1.5)
    found = mixed.choose_share(examples)
    chosen = found["share"]

    def error(share: float) -> float:
        mixed.share.fill_(share)
        return float((mixed(templates[rows]) - images).square().mean())

    grid = torch.linspace(0, 1, 101)
    assert chosen == pytest.approx(float(grid[torch.tensor([error(float(s)) for s in grid]).argmin()]), abs=0.01)
    assert 0.05 < chosen < 0.95
    for name, share in (("closed_form", 0.0), ("network", 1.0), ("mixed", chosen)):
        assert found[name] == pytest.approx(255**2 * error(share), rel=1e-4)


def test_a_mixed_decoder_comes_back_from_its_file(mixed, tmp_path):
    mixed.share.fill_(0.25)
    config = {
        "architecture": "inverted-vgg", "dimension": DIMENSION, "options": OPTIONS,
        "mix": {"architecture": "linear", "options": {"size": SIZE}},
    }  # fmt: skip
    save_decoder(tmp_path / "d.safetensors", mixed, config)
    templates = torch.randn(3, DIMENSION)
    loaded = load_decoder(tmp_path / "d.safetensors", torch.device("cpu"))
    torch.testing.assert_close(loaded(templates), mixed(templates))
