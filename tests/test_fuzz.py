"""A part of what tests/fuzz.py tries: values that nobody means, and damaged files."""

import random
import sys

import pytest
from damage import damages
from fuzzing import guarded, read_values
from ruamel.yaml import YAML
from small_project import ROOT

from dfd.faces.store import FaceStore

FINE = ("ok", "told")


def test_values_that_nobody_means_are_refused_in_one_line():
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tried = list(read_values(values, 400, random.Random(1)))
    assert not [(name, outcome) for _, name, outcome in tried if outcome.kind not in FINE]
    assert {outcome.kind for *_, outcome in tried} == set(FINE)


@pytest.mark.skipif(sys.platform != "linux", reason="it forks")
@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_damaged_faces_are_told_and_end(suffix, orl_store, tmp_path):
    for other in (".h5", ".parquet"):
        (tmp_path / f"faces{other}").write_bytes(orl_store.path.with_suffix(other).read_bytes())

    def read():
        store = FaceStore(tmp_path / "faces.h5")
        store.crops(range(len(store)))

    kinds = set()
    for number, damaged in enumerate(damages(orl_store.path.with_suffix(suffix).read_bytes())):
        (tmp_path / f"faces{suffix}").write_bytes(damaged)
        outcome = guarded(read, 20)
        assert outcome.kind in FINE, (number, outcome)
        kinds.add(outcome.kind)
    assert "told" in kinds
