"""docs/settings.md: every setting is in it, with what it may be now."""

import re
from pathlib import Path

from fuzzing import leaves
from ruamel.yaml import YAML

from dfd.params import Params
from dfd.ranges import page, rows

ROOT = Path(__file__).parents[1]


def test_the_page_is_in_step():
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == page(), "dfd ranges > docs/settings.md"


def test_every_setting_of_params_is_in_it():
    known = [re.compile(re.sub("<name>|[^.]+ / [^.]+", "[^.]+", key).replace(".[", r"\.[")) for key, _ in rows(Params)]
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for place, value in leaves(values):
        key = ".".join(map(str, place))
        inside = ("options", "loss") if not key.startswith("loss.") else ()  # of an architecture; those of `loss`
        if isinstance(value, dict) or isinstance(place[-1], int) or set(place[:-1]) & set(inside):
            continue
        assert any(pattern.fullmatch(key) for pattern in known), key


def test_ranges_are_told_in_words():
    words = dict(rows(Params))
    assert words["faces.size"] == "a whole number from 16 to 1,024"
    assert words["evaluate.far"] == "a number from 1e-09 below 1"
    assert words["processes"] == "a whole number from 1 to 1,024 or `auto`"
    assert words["faces.detection_sides"] == "a list of 2: a whole number from 24 to 4,096"
    assert words["experiments.recognizer_loss.train"] == "a number from 0.01 to 0.99, or left out"
    assert words["datasets.<name>.split.train / validation / test"] == "a number from 0 to 1"
