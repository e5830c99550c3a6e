"""The rule of the verdicts, by closed forms."""

from math import inf

import pytest

from dfd.core.left_out import LeftOut
from dfd.findings.rule import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Claim,
    Missing,
    above,
    findings,
    judged,
    look_up,
    minus,
    negated,
    number,
    together,
    verdict,
)
from dfd.measures.estimates import Estimate


def effect(low, high, value=None) -> Estimate:
    return Estimate((low + high) / 2 if value is None else value, low, high)


def claim(low, high, effects, **options) -> Claim:
    return Claim("text", "where", "a minus b", "dB", low, high, effects, **options)


@pytest.mark.parametrize(
    "low, high, claimed, expected",
    [
        (0.1, 0.3, (0, inf), HOLDS),
        (-0.1, 0.3, (0, inf), UNDECIDED),
        (-0.3, -0.1, (0, inf), FAILS),
        (-0.3, 0.0, (0, inf), FAILS),  # the range is open: nothing above 0 is left
        (-0.3, -0.1, (-inf, 0), HOLDS),
        (-0.3, 0.1, (-inf, 0), UNDECIDED),
        (0.1, 0.3, (-inf, 0), FAILS),
        (-0.3, 0.4, (-0.5, 0.5), HOLDS),  # alike within a margin, though not equal
        (0.2, 0.4, (-0.5, 0.5), HOLDS),  # a difference that is there, and does not matter
        (0.4, 0.6, (-0.5, 0.5), UNDECIDED),
        (-0.9, 0.9, (-0.5, 0.5), UNDECIDED),
        (0.5, 0.9, (-0.5, 0.5), FAILS),
        (-0.9, -0.6, (-0.5, 0.5), FAILS),
        (-0.04, 0.2, (-0.05, inf), HOLDS),  # no worse than
        (-0.2, -0.06, (-0.05, inf), FAILS),
        (0.1, 0.1, (0, inf), UNDECIDED),  # resampling saw nothing vary
        (None, None, (0, inf), UNDECIDED),
    ],
)
def test_the_verdict_is_where_the_interval_lies(low, high, claimed, expected):
    assert verdict(Estimate(0.1, low, high), *claimed) == expected


def test_a_claim_about_several_things():
    assert together([HOLDS, HOLDS]) == HOLDS
    assert together([HOLDS, UNDECIDED]) == together([UNDECIDED]) == together([]) == UNDECIDED
    assert together([HOLDS, UNDECIDED, FAILS]) == FAILS


def test_the_part_that_decides_gives_the_effect():
    parts = {"a": effect(1, 3), "b": effect(0.5, 1), "c": effect(2, 9)}
    found = judged(claim(0, inf, lambda m, d: parts), {}, "orl")
    assert (found["verdict"], found["part"], found["effect"], found["ci95_low"]) == (HOLDS, "b", 0.75, 0.5)
    assert {name: part["verdict"] for name, part in found["parts"].items()} == dict.fromkeys("abc", HOLDS)
    parts["d"] = effect(-9, 3)  # further from the range than the next, but open
    assert judged(claim(0, inf, lambda m, d: parts), {}, "orl")["part"] == "d"
    parts["e"] = effect(-2, -1)
    found = judged(claim(0, inf, lambda m, d: parts), {}, "orl")
    assert (found["verdict"], found["part"]) == (FAILS, "e")
    one = judged(claim(0, inf, lambda m, d: {"only": effect(1, 2)}), {}, "orl")
    assert one["verdict"] == HOLDS and "parts" not in one and "part" not in one


def test_a_missing_part_leaves_a_claim_undecided():
    parts = {"there": effect(1, 2), "missing": Estimate(None, left_out=LeftOut("no network"))}
    found = judged(claim(0, inf, lambda m, d: parts), {}, "orl")
    assert (found["verdict"], found["effect"], found["effect_note"], found["part"]) == (
        UNDECIDED,
        None,
        "no network",
        "missing",
    )
    parts["there"] = effect(-2, -1)  # one that fails decides, whatever is missing
    assert judged(claim(0, inf, lambda m, d: parts), {}, "orl")["effect"] == -1.5


def test_nothing_at_all_is_null_with_a_note():
    def missing(metrics, dataset):
        raise Missing("left out: no photos")

    for effects, note in ((missing, "left out: no photos"), (lambda m, d: {}, "there is nothing to be compared")):
        found = judged(claim(0, inf, effects), {}, "orl")
        assert (found["effect"], found["ci95_low"], found["verdict"], found["effect_note"]) == (
            None,
            None,
            UNDECIDED,
            note,
        )
    narrow = judged(claim(0, inf, lambda m, d: {"a": effect(1, 1)}), {}, "orl")
    assert narrow["verdict"] == UNDECIDED and "no width" in narrow["effect_note"]


METRICS = {
    "verify": {
        "vgg": {
            "difference": {"difference": 0.1, "ci95_low": 0.0, "ci95_high": 0.3},
            "eer": {"value": 0.2, "ci95_low": None, "ci95_high": None, "ci95_note": "too few identities"},
            "lpips": {"mean": None, "ci95_low": None, "ci95_high": None, "lpips_note": "no network"},
            "rotated": None,
            "rotated_note": "it embeds no images",
            "words": {"text": 1},
        },
        "resnet": {"mean": 3, "ci95_low": 2, "ci95_high": 4},
    },
    "attack": {"minus_before": {"tar": {"value": 1, "ci95_low": 0, "ci95_high": 2}}},
}


def test_numbers_are_found_with_their_intervals_and_notes():
    assert number(METRICS, "verify", "vgg", "difference") == Estimate(0.1, 0.0, 0.3, paired=True)
    assert number(METRICS, "verify", "vgg", "eer") == Estimate(0.2, left_out=LeftOut("too few identities"))
    assert number(METRICS, "verify", "resnet") == Estimate(3, 2, 4)
    assert number(METRICS, "attack", "minus_before", "tar") == Estimate(1, 0, 2, paired=True)
    for path, note in {
        ("verify", "vgg", "lpips"): "no network",
        ("verify", "vgg", "lpips", "minus_global"): "no network",
        ("verify", "vgg", "rotated", "difference"): "it embeds no images",
        ("verify", "senet"): "no verify/senet among the metrics",
        ("cluster", "vgg"): "no cluster among the metrics",
        ("verify", "vgg", "words"): "no number",
    }.items():
        with pytest.raises(Missing, match=note):
            number(METRICS, *path)
    assert look_up(METRICS, "verify", "resnet", "mean") == 3


def test_the_arithmetic_of_effects():
    assert (
        negated(Estimate(1, 0, 3, paired=True)) == Estimate(-1, -3, 0, paired=True) and negated(Estimate(1)).low is None
    )
    assert above(Estimate(0.75, 0.5, 1.0), 0.5) == Estimate(0.25, 0.0, 0.5)
    assert minus(Estimate(5, 4, 7), Estimate(1, 0, 2)) == Estimate(4, 2, 7, paired=False)
    unsure = minus(Estimate(5, 4, 7), Estimate(1, left_out=LeftOut("one person")))
    assert unsure == Estimate(4, paired=False, left_out=LeftOut("one person"))


@pytest.mark.parametrize("paired, words", [(None, "of the measure"), (True, "paired"), (False, "outer")])
def test_how_the_interval_was_made_is_told(paired, words):
    found = judged(claim(0, inf, lambda m, d: {"a": effect(1, 2)._replace(paired=paired)}), {}, "orl")
    assert found["interval"] == words


def test_the_range_in_words():
    def words(low, high):
        return claim(low, high, None).range

    assert words(0, inf) == "above 0" and words(-inf, 0) == "below 0" and words(-0.5, 0.5) == "within ±0.5"
    assert words(-0.05, inf) == "above −0.05" and words(-1, 2) == "from −1 to 2"


def test_findings_count_verdicts_and_name_other_data_sets():
    values = {"orl": effect(1, 2), "synthetic": effect(-2, -1)}

    def of(metrics, dataset):
        if dataset not in values:
            raise Missing("no faces")
        return {"x": values[dataset]}

    claims = {"a": claim(0, inf, of, by_dataset=True), "b": claim(0, inf, lambda m, d: {"x": effect(-1, 1)})}
    found = findings(claims, {}, "orl", ["synthetic", "other"])
    assert found["counts"] == {HOLDS: 1, FAILS: 0, UNDECIDED: 1}
    a, b = found["claims"].values()
    assert (a["claim"], a["where"], a["claimed"], a["dataset"], a["verdict"]) == (
        "text",
        "where",
        "above 0",
        "orl",
        HOLDS,
    )
    assert list(a["also"]) == ["synthetic"] and a["also"]["synthetic"]["verdict"] == FAILS and "also" not in b
