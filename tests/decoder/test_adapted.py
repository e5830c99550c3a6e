"""A decoder behind an adapter: its images, its file, and what does not fit."""

import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.decoder.adapted import adapted
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import axes
from dfd.decoder.registry import build_decoder, decode, load_decoder, save_decoder
from dfd.templates.adapters import Adapter, fit_adapter

CPU = torch.device("cpu")
D, K, SIZE = 9, 6, 14
OPTIONS = {"size": SIZE, "hidden": 8, "rank": 4, "channels": 8, "axes": 3}


def templates(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + 1


def decoder(**header) -> Decoder:
    torch.manual_seed(0)
    made = build_decoder("residual", K, OPTIONS).eval()
    made.set_statistics(templates(50, K), torch.rand(3, SIZE, SIZE))
    torch.nn.init.normal_(made.skip[-1].weight)
    made.config = {"architecture": "residual", "dimension": K, "options": OPTIONS, "people": ["ab"], **header}
    return made


def adapter(**source) -> Adapter:
    found = fit_adapter(templates(30, D), templates(30, K, 1), np.arange(30).astype(str), axes(decoder()))
    found.config |= {
        "from": {"name": "theirs", "dimension": D, **source},
        "to": {"recognizer": "resnet", "weights_sha256": "aa", "dimension": K},
    }
    return found


def test_it_is_the_adapter_then_the_decoder():
    inner, map_ = decoder(), adapter()
    both = adapted(inner, map_)
    assert (both.dimension, both.size) == (D, SIZE) and torch.equal(both.mean_face, inner.mean_face)
    theirs = templates(5, D, 2)
    assert torch.equal(decode(both, theirs), decode(inner, map_(theirs)))
    torch.testing.assert_close(decode(both, 7 * theirs), decode(both, theirs), atol=1e-5, rtol=0)


def test_a_file_gives_it_back_as_any_decoder(tmp_path):
    both = adapted(decoder(), adapter())
    save_decoder(tmp_path / "a.safetensors", both, both.config)
    loaded = load_decoder(tmp_path / "a.safetensors", CPU)
    assert torch.equal(decode(loaded, templates(5, D)), decode(both, templates(5, D)))
    assert loaded.config == both.config and loaded.dimension == D


def test_its_header_tells_whose_templates_it_takes_and_who_was_seen():
    header = {"recognizer": "resnet", "weights_sha256": "aa", "layer": "template", "training_templates": {"n": 3}}
    config = adapted(decoder(**header), adapter()).config
    assert config["recognizer"] == "theirs" and config["people"] == ["ab"] and config["dimension"] == D
    assert not {"weights_sha256", "layer", "training_templates"} & config.keys()
    assert adapted(decoder(**header), adapter(weights_sha256="cc")).config["weights_sha256"] == "cc"


def test_what_does_not_fit_is_one_line():
    with pytest.raises(DfdError, match="takes those with bb"):
        adapted(decoder(weights_sha256="bb"), adapter())
    wide = Adapter(torch.zeros(K + 1, D), torch.zeros(K + 1), adapter().config)
    with pytest.raises(DfdError, match=f"templates of {K + 1} numbers, and the decoder takes {K}"):
        adapted(decoder(), wide)


def test_a_decoder_that_takes_numbers_as_they_are_has_no_space():
    assert axes(build_decoder("linear", K, {"size": SIZE})) is None
    whole = axes(decoder())
    torch.testing.assert_close(whole(templates(50, K)).mean(0), torch.zeros(K, dtype=torch.float64), atol=1e-4, rtol=0)
