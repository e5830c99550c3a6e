"""What templates give away, as tables, from metrics as `invert` writes them."""

from dfd.reporting.inversion import inversion_tables


def share(value: float | None) -> dict:
    return {"value": value, "ci95_low": value and value - 0.1, "ci95_high": value and value + 0.1}


def mean(value: float) -> dict:
    return {"mean": value, "ci95_low": value - 1, "ci95_high": value + 1}


def rates(first: float, second: float | None) -> dict:
    return {"type_1": share(first), "type_2": share(second)}


METRICS = {
    "transfer": {
        "a": {"self_judged": True, "fmr_0.01": rates(0.9, 0.8), "fmr_0.001": rates(0.7, 0.6)},
        "b": {"self_judged": False, "fmr_0.01": rates(0.5, None), "fmr_0.001": {"fmr_note": "too few"}},
    },
    "sources": {
        "decoder": {"psnr": mean(15), "ssim": mean(2), "sar": {"a": rates(0.7, 0.6), "b": rates(0.3, 0.2)}},
        "nearest": {"psnr": mean(11), "ssim": mean(1.5), "sar": {"a": rates(0.2, 0.1), "b": rates(0.3, 0.2)}},
    },
    "regions": {"eyes": {"psnr_minus_mean_face": mean(3)}, "rest": {"psnr_minus_mean_face": mean(0.5)}},
    "spread": {"within_two": {"mean": 0.9, "ci95_low": 0.8, "ci95_high": 0.95}},
}
FURTHER = {
    "attributes": {
        "n_male": 3,
        "gender": {"chance": 0.9, "photo": {"balanced": share(0.8)}, "decoder": {"balanced": share(0.7)}},
        "smile": {"chance": None, "probe": None, "photo": None, "probe_note": "too few"},
        "age": {"chance": 9.04, "photo": mean(2), "probe": mean(6), "decoder": mean(12), "nearest": mean(10)},
    },
    "protections": {
        "protections_note": "none",
        "8-bits": {"tar": share(0.9), "unaware": rates(0.8, 0.7), "aware": rates(0.6, 0.5)},
    },
    "unlinkability": {"biohash": {"bins_10": {"value": 0.009, "chance": 0.005}}},
    "refinement": {
        "steps": 20,
        "psnr": {"after": {"minus_before": mean(-2)}},
        "a": {"before": rates(0.9, 0.5), "after": rates(0.9, 0.8)},
    },
}


def test_a_row_for_each_decoder_and_what_it_is_compared_with():
    (_, _, judged), (_, _, sources), (_, _, regions) = inversion_tables({"d": METRICS})
    assert judged["judge"].tolist() == ["a *", "b"]
    assert judged["II at 1 % FMR"].tolist() == ["80.0 [70.0, 90.0]", "–"] and judged["I at 0.1 % FMR"].iloc[1] == "–"
    assert sources["source"].tolist() == ["decoder", "nearest"]
    assert sources["SAR II (%)"].tolist() == ["60.0 [50.0, 70.0]", "10.0 [0.0, 20.0]"]  # by the decoded recognizer
    assert regions.loc[0, ["eyes", "within 2 sd (%)"]].tolist() == ["3.00 [2.00, 4.00]", "90.0 [80.0, 95.0]"]


def test_what_was_measured_on_one_data_set_alone_has_tables_there():
    found = {heading: table for heading, _, table in inversion_tables({"d": METRICS | FURTHER})}
    assert len(found) == 6
    attributes = found["Attributes"].set_index("attribute")
    assert attributes["reconstruction"].tolist() == ["70.0 [60.0, 80.0]", "–", "12.0 [11.0, 13.0]"]
    assert attributes["chance"].tolist() == ["50.0", "50.0", "9.0"] and attributes.loc["gender", "probe"] == "–"
    assert found["What helps"].iloc[0].tolist()[1:] == [
        "8-bits", "90.0 [80.0, 100.0]", "70.0 [60.0, 80.0]", "50.0 [40.0, 60.0]"
    ]  # fmt: skip
    last = found["Unlinkability, and the worst case"].iloc[0]
    assert last["D_sys, biohash"] == "0.009 (chance 0.005)"
    assert last["SAR II by a"] == "50.0 [40.0, 60.0] → 80.0 [70.0, 90.0]"


def test_nothing_measured_gives_no_table():
    assert inversion_tables({}) == []
