"""Notes in place of results."""

from dfd.core.left_out import left_out, left_out_metrics, told_apart, write_left_out


def test_a_note_is_found_again_and_results_are_none(tmp_path):
    assert left_out(tmp_path / "nothing") is None
    (tmp_path / "decoder.safetensors").write_bytes(b"")
    assert left_out(tmp_path) is None
    write_left_out(tmp_path / "other", "left out: no gradients")
    assert left_out(tmp_path / "other") == "left out: no gradients"


def test_folders_with_results_are_told_from_notes(tmp_path):
    folders = {name: str(tmp_path / name) for name in ("there", "missing")}
    write_left_out(folders["missing"], "left out: no photos")
    kept, notes = told_apart(folders)
    assert kept == {"there": folders["there"]} and notes == {"missing": "left out: no photos"}
    assert left_out_metrics(notes) == {"left_out": {"missing": {"left_out_note": "left out: no photos"}}}
    assert left_out_metrics({}) == {}
