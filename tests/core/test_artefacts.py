"""Outs are written whole or not at all, equal inputs give equal bytes, and foreign files are named."""

import errno
import hashlib
import json
import os

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dfd.core.artefacts import (
    file_sha256,
    read_json,
    read_module,
    replacing,
    save_module,
    shortened,
    write_json,
    write_table,
)
from dfd.core.errors import DfdError

CONFIG = {"architecture": "x", "options": {"b": 1, "a": [1.5, "é"]}}


def test_a_finished_block_moves_its_file_into_place(tmp_path):
    path = tmp_path / "new" / "folder" / "out.csv"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".csv"
        temporary.write_text("done")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "done" and os.listdir(path.parent) == ["out.csv"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failed_block_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "out.csv"
    path.write_text("older")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text(encoding="utf-8") == "older" and os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(f"Unable to write (errno = 28, error message = '{os.strerror(errno.ENOSPC)}')"),  # HDF5's way
        PermissionError(errno.EACCES, "Permission denied"),
    ],
)
def test_a_full_or_forbidden_disk_is_explained(tmp_path, error):
    with pytest.raises(DfdError, match=r"out\.h5.*disk space"), replacing(tmp_path / "out.h5"):
        raise error
    assert os.listdir(tmp_path) == []


def test_a_table_has_six_digits_and_no_index(tmp_path):
    write_table(
        tmp_path / "new" / "a.csv", pd.DataFrame({"name": ["é", "b"], "value": [1 / 3, 12345678.0]}, index=[7, 8])
    )
    assert (tmp_path / "new" / "a.csv").read_text(encoding="utf-8") == "name,value\né,0.333333\nb,1.23457e+07\n"


def test_a_file_in_the_place_of_a_folder_is_explained(tmp_path):
    (tmp_path / "metrics").write_text("")
    with pytest.raises(DfdError, match="metrics"):
        write_json(tmp_path / "metrics" / "a.json", {})
    (tmp_path / "b.json").mkdir()
    with pytest.raises(DfdError, match="b.json"):
        write_json(tmp_path / "b.json", {})
    assert sorted(os.listdir(tmp_path)) == ["b.json", "metrics"]


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    for name in (os.fsdecode(b"\xc3\xa9" * 125 + b".json"), "x" * 255):  # é's bytes, in ASCII's locale too
        write_json(tmp_path / name, {"a": 1})
    assert sorted(len(os.fsencode(path.name)) for path in tmp_path.iterdir()) == [255, 255]
    with pytest.raises(DfdError, match="could not be written.*shorten its name"):
        write_json(tmp_path / ("x" * 256), {"a": 1})


def test_a_shortened_name_is_told_from_its_like():
    assert shortened("anna.jpg", 100) == "anna.jpg" and shortened("é" * 50, 100) == "é" * 50
    long = [shortened("é" * 60 + end, 100) for end in ("a", "b")]
    assert long[0] != long[1] and all(name.startswith("é" * 45 + "-") and len(name.encode()) <= 100 for name in long)


def test_file_sha256(tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "x").write_bytes(data)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()


# Metrics


def test_metrics_are_rounded_numbers_and_notes(tmp_path):
    values = {"a": {"psnr": 16.123456789, "n": 3, "ok": True}, "none": None, "none_note": "why", 7: 1e-12 / 3}
    write_json(tmp_path / "m.json", values)
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    expected = {"a": {"psnr": 16.1235, "n": 3, "ok": True}, "none": None, "none_note": "why", "7": 3.33333e-13}
    assert json.loads(text) == expected
    assert text.endswith("}\n") and isinstance(json.loads(text)["a"]["n"], int)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, 2], (1,), torch.tensor(1.0)])
def test_what_is_no_metric_is_refused_by_its_key(tmp_path, value):
    with pytest.raises(ValueError, match=r"m\.json\.a\.b"):
        write_json(tmp_path / "m.json", {"a": {"b": value}})
    assert os.listdir(tmp_path) == []


# Weights


def module(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"\xff\xfe", b"[" * 10_000, b'{\n<<<<<<< HEAD\n"a": 1\n=======\n"a": 2\n>>>>>>> theirs\n}']
)
def test_metrics_that_are_damaged_or_half_merged_are_told(tmp_path, content):
    path = tmp_path / "metrics.json"
    write_json(path, {"a": {"b": 0.5}})
    assert read_json(path) == {"a": {"b": 0.5}}
    path.write_bytes(content)
    with pytest.raises(DfdError, match="metrics.json: not JSON as it was written .* written anew"):
        read_json(path)


def test_a_module_is_read_back_with_its_config(tmp_path):
    save_module(tmp_path / "w.safetensors", module(), CONFIG)
    config, state = read_module(tmp_path / "w.safetensors")
    assert config == CONFIG and state.keys() == module().state_dict().keys()
    for name, tensor in module().state_dict().items():
        assert torch.equal(state[name], tensor) and state[name].dtype == tensor.dtype


def test_equal_modules_give_equal_bytes(tmp_path):
    for name, seed, config in (("a", 0, CONFIG), ("b", 0, dict(reversed(CONFIG.items()))), ("c", 1, CONFIG)):
        save_module(tmp_path / name, module(seed), config)
    first, second, third = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second and first != third


def test_missing_and_foreign_weights_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(DfdError, match=r"w\.safetensors: no such"):
        read_module(path)
    save_module(path, module(), CONFIG)
    whole = path.read_bytes()
    for content in (b"", b"something else" * 100, whole[: len(whole) // 2], whole[:20]):
        path.write_bytes(content)
        with pytest.raises(DfdError, match=r"w\.safetensors: not a weights file"):
            read_module(path)
    for metadata in (None, {"format": "pt"}, {"config": "{"}):
        save_file({"x": torch.zeros(1)}, path, metadata=metadata)
        with pytest.raises(DfdError, match=r"w\.safetensors: not a weights file"):
            read_module(path)
