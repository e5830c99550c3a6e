"""The tables, from metrics as the stages write them."""

import pandas as pd
import pytest

from dfd.reporting.tables import (
    key_table,
    markdown_table,
    quality_table,
    verification_table,
    view2_table,
    with_interval,
)


def interval(mean: float, **more) -> dict:
    return {"mean": mean, "ci95_low": mean - 0.125, "ci95_high": mean + 0.125} | more


def quality(mean: float) -> dict:
    return {
        "n_faces": 80,
        "n_identities": 8,
        "psnr": interval(mean, linear=15.5, quadratic=15.7, mean_face=14.0),
        "ssim": interval(0.5, linear=0.4, mean_face=0.3),
        "lpips": dict.fromkeys(("mean", "ci95_low", "ci95_high", "linear", "mean_face")) | {"lpips_note": "none"},
        "acceptance": {"type_1": rate(0.5), "type_2": dict.fromkeys(("value", "ci95_low", "ci95_high"))},
        "cosine": {"vgg": interval(0.7), "resnet": interval(0.6)},
    }


def rate(value: float, key: str = "value") -> dict:
    return {key: value, "ci95_low": value - 0.01, "ci95_high": value + 0.01, "far": 0.001, "hits": 8, "pairs": 10}


def verification() -> dict:
    def summary(tar):
        return {
            "tar_at_far_0.001": rate(tar),
            "tar_at_far_0.01": rate(tar + 0.05),
            "eer": rate(0.02),
            "auc": rate(0.99),
        }

    perturbed = {
        "without": summary(0.6),
        "with": summary(0.7),
        "difference": {f"tar_at_far_{far}": rate(0.1, "difference") for far in ("0.001", "0.01")},
    }
    conditions = {condition: perturbed for condition in ("rotated", "translated", "scaled")}
    return {"n_faces": 80, "n_identities": 8, "original": {"without": summary(0.9)}} | conditions


@pytest.mark.parametrize(
    "value, arguments, text",
    [
        (interval(16.214), {}, "16.21 [16.09, 16.34]"),
        (interval(0.5), {"digits": 1, "factor": 100}, "50.0 [37.5, 62.5]"),
        (rate(0.5), {"key": "value"}, "0.50 [0.49, 0.51]"),
        ({"mean": 2.0, "ci95_low": None, "ci95_high": None}, {}, "2.00"),
        ({"mean": 0.0, "ci95_low": 0.0, "ci95_high": 0.0}, {}, "0.00 [0.00, 0.00]"),
        ({"mean": None, "lpips_note": "no network"}, {}, "–"),
        ({}, {}, "–"),
    ],
)
def test_a_number_with_its_interval(value, arguments, text):
    assert with_interval(value, **arguments) == text


def test_the_table_of_qualities():
    metrics = {
        "vgg-vgg": {"orl": quality(16.5)},
        "resnet-vgg": {"orl": quality(17.0)},
        "other": {"synthetic": quality(1.0)},
    }
    table = quality_table(metrics, "orl")
    assert table["variant"].tolist() == ["vgg-vgg", "resnet-vgg"]
    assert table["PSNR (dB)"].tolist() == ["16.50 [16.38, 16.62]", "17.00 [16.88, 17.12]"]
    assert table.loc[0, ["linear", "quadratic", "mean face", "LPIPS"]].tolist() == ["15.50", "15.70", "14.00", "–"]
    assert table.loc[0, ["accepted I (%)", "accepted II (%)"]].tolist() == ["50.0 [49.0, 51.0]", "–"]
    assert table.loc[0, "SSIM"] == "0.500 [0.375, 0.625]"
    assert [column for column in table if "cosine" in column] == ["cosine (vgg)", "cosine (resnet)"]
    assert not table.isna().any().any()


def test_the_table_of_verification():
    table = verification_table({"vgg": verification(), "resnet": verification()})
    assert table["recognizer"].tolist() == ["vgg"] * 4 + ["resnet"] * 4
    assert table["condition"].tolist() == ["original", "rotated", "translated", "scaled"] * 2
    assert table["without"].tolist()[:2] == ["90.0 [89.0, 91.0]", "60.0 [59.0, 61.0]"]
    assert table["with"].tolist()[:2] == ["–", "70.0 [69.0, 71.0]"]
    assert table["with − without"].tolist()[:2] == ["–", "10.0 [9.0, 11.0]"]
    assert table["EER without"].tolist()[0] == "2.0 [1.0, 3.0]"
    assert verification_table({"vgg": verification()}, far="0.01").loc[1, "without"] == "65.0 [64.0, 66.0]"


def test_what_was_left_out_is_a_dash_or_no_row():
    null = {"rotated": None, "translated": None, "scaled": None, "rotated_note": "templates alone"}
    table = verification_table({"mine": verification() | null, "none": null | {"original": None}})
    assert table["condition"].tolist() == ["original", "rotated", "translated", "scaled"] * 2
    assert table["without"].tolist() == ["90.0 [89.0, 91.0]", *["–"] * 7] and not table.isna().any().any()
    metrics = {"mine-vgg": {"orl": None, "orl_note": "no templates"}, "vgg-vgg": {"orl": quality(16.5)}}
    assert quality_table(metrics, "orl")["variant"].tolist() == ["vgg-vgg"]


def test_a_table_as_markdown():
    table = pd.DataFrame({"a": [1, "x"], "b (%)": ["–", 2.5]}, index=[7, 8])
    assert markdown_table(table) == "| a | b (%) |\n| --- | --- |\n| 1 | – |\n| x | 2.5 |"


def test_the_key_table_has_a_row_for_each_data_set_and_decoder():
    metrics = {"vgg-vgg": {"orl": quality(16.5), "synthetic": quality(17)}, "other": {"synthetic": None}}
    table = key_table(metrics, ["orl", "synthetic"])
    assert table["data set"].tolist() == ["orl", "synthetic"] and table["decoder"].tolist() == ["vgg-vgg"] * 2
    assert table.loc[0, ["people", "PSNR (dB)", "of the mean face"]].tolist() == ["8", "16.50 [16.38, 16.62]", "14.00"]
    assert table.loc[0, ["SSIM", "SAR I (%)", "SAR II (%)"]].tolist() == [
        "0.500 [0.375, 0.625]",
        "50.0 [49.0, 51.0]",
        "–",
    ]


def test_view_2_has_a_row_for_each_recognizer_that_has_it():
    folds = {"tar": {"mean": 0.93, "standard_error": 0.004}, "far": {"mean": 0.001, "standard_error": 0.0}}
    data = {
        "n_pairs": 6000,
        "n_folds": 10,
        "failures": {"pairs": 3},
        "accuracy": {"mean": 0.98912, "standard_error": 0.0015},
        "tar_at_far_0.001": rate(0.95) | {"folds": folds},
        "eer": rate(0.012),
        "auc": rate(0.99),
    }
    table = view2_table({"a": {"view2": data}, "b": {"view2": {"accuracy": None, "view2_note": "left out"}}, "c": {}})
    [row] = table.to_dict("records")
    assert row["recognizer"] == "a" and row["pairs"] == "6,000 in 10 folds" and row["without a face"] == 3
    assert row["accuracy"] == "98.91 ± 0.15" and row["by folds"] == "93.00 ± 0.40"
    assert row["TAR at 0.1 % FAR, pooled"] == "95.00 [94.00, 96.00]" and row["EER"] == "1.20 [0.20, 2.20]"
