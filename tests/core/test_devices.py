"""Devices and precisions by name."""

import pytest
import torch

from dfd.core import devices
from dfd.core.devices import autocast, float32, pick_device, profits_from_bfloat16
from dfd.core.errors import DfdError

CPU = torch.device("cpu")


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_takes_the_best_there_is(no_accelerator, monkeypatch):
    assert pick_device("auto") == pick_device("cpu") == CPU
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == pick_device("mps").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto").type == "cuda" and pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DfdError, match="device: cuda:2 is not available"):
        pick_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "gpu", "", "meta", "cpu:x", "cpu:7", "xpu"])
def test_an_absent_device_is_named(no_accelerator, name):
    with pytest.raises(DfdError, match=f"device: {name} is not available"):
        pick_device(name)


@pytest.mark.parametrize("precision, expected", [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_precision_asked_for_is_computed_in(precision, expected):
    x = torch.ones(4, 4)
    with autocast(CPU, precision):
        assert (x @ x).dtype == expected
    assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize("profits", [True, False])
def test_auto_is_bfloat16_where_the_device_profits(monkeypatch, profits):
    monkeypatch.setattr(devices, "profits_from_bfloat16", lambda device: profits)
    with autocast(CPU, "auto"):
        assert (torch.ones(4, 4) @ torch.ones(4, 4)).dtype == (torch.bfloat16 if profits else torch.float32)


ASKED = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


@pytest.mark.parametrize("present", [*ASKED, None])
def test_a_cpu_profits_if_it_has_instructions_for_it(monkeypatch, present):
    for name in ASKED:
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == present, raising=False)
    assert profits_from_bfloat16(CPU) == (present is not None)
    assert not profits_from_bfloat16(torch.device("mps"))


def test_a_cpu_that_cannot_be_asked_does_not_profit(monkeypatch):
    for name in ASKED:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not profits_from_bfloat16(CPU)


def test_float32_within_bfloat16():
    x = torch.ones(4, 4)
    with autocast(CPU, "bfloat16"):
        with float32(CPU):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16
    with float32(torch.device("meta")):  # where there is no autocast
        assert (x.to("meta") @ x.to("meta")).dtype == torch.float32
