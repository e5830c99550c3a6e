"""What could not be computed: as metrics, as a table, as a file."""

import pytest

from dfd.core.left_out import LeftOut, left_out_metrics, told_apart

WHY = LeftOut("left out: no gradients")


def test_metrics_are_null_with_the_reason_beside_them():
    assert WHY.metrics("orl") == {"orl": None, "orl_note": WHY.reason}
    assert WHY.metrics("value", "n", note="tar") == {"value": None, "n": None, "tar_note": WHY.reason}
    assert WHY.metrics(note="perceptual") == {"perceptual_note": WHY.reason}
    with pytest.raises(IndexError):
        WHY.metrics()


def test_it_is_found_again_among_metrics():
    assert LeftOut.among({"threshold": None} | WHY.metrics("value", note="threshold"), "threshold") == WHY
    assert LeftOut.among({"threshold": 0.5}, "threshold") is None


def test_a_table_has_its_columns_and_no_rows():
    table = WHY.table(["epoch", "loss"])
    assert list(table) == ["epoch", "loss"] and table.empty


def test_a_file_is_found_again_and_results_are_none(tmp_path):
    assert LeftOut.read(tmp_path / "nothing") is None
    (tmp_path / "decoder.safetensors").write_bytes(b"")
    assert LeftOut.read(tmp_path) is None
    WHY.write(tmp_path / "other")
    assert LeftOut.read(tmp_path / "other") == WHY


def test_folders_with_results_are_told_from_the_others(tmp_path):
    folders = {name: str(tmp_path / name) for name in ("there", "missing")}
    WHY.write(folders["missing"])
    kept, missing = told_apart(folders)
    assert kept == {"there": folders["there"]} and missing == {"missing": WHY}
    assert left_out_metrics(missing) == {"left_out": {"missing": {"left_out_note": WHY.reason}}}
    assert left_out_metrics({}) == {}


def test_its_text_is_the_reason():
    assert f"orl: {WHY}" == "orl: left out: no gradients"
