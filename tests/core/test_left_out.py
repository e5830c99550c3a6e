"""Notes in place of results."""

from dfd.core.left_out import left_out, write_left_out


def test_a_note_is_found_again_and_results_are_none(tmp_path):
    assert left_out(tmp_path / "nothing") is None
    (tmp_path / "decoder.safetensors").write_bytes(b"")
    assert left_out(tmp_path) is None
    write_left_out(tmp_path / "other", "left out: no gradients")
    assert left_out(tmp_path / "other") == "left out: no gradients"
