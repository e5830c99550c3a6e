"""The decoders' rows together, of metrics as the stages write them."""

import numpy as np

from dfd.studies.inversion.rows import plane_table, transfer_table


def rate(value: float | None) -> dict:
    return {"value": value, "ci95_low": None, "ci95_high": value}


def found(own: str, other: str, accepted: float) -> dict:
    transfer = {own: {"self_judged": True, "fmr_0.001": {"type_2": rate(accepted)}}}
    transfer[other] = {"self_judged": False, "fmr_0.001": {"type_2": rate(None)}}
    ssim = {"mean": 0.5, "ci95_low": 0.4, "ci95_high": 0.6}
    source = {"ssim": ssim, "sar": {own: {"type_2": rate(accepted)}}}
    return {"orl": {"transfer": transfer, "sources": {"decoder": source, "nearest": source}}, "synthetic": None}


METRICS = {"a": found("vgg", "resnet", 0.2), "b": found("resnet", "vgg", 0.9), "c": found("resnet", "vgg", 0.8)}


def test_the_matrix_has_what_is_not_null_and_marks_the_diagonal():
    table = transfer_table(METRICS, "orl", 0.001, "type_2")
    assert table[["row", "column", "value"]].to_numpy().tolist() == [
        ["a", "vgg", 0.2],
        ["b", "resnet", 0.9],
        ["c", "resnet", 0.8],
    ]
    assert table["marked"].all() and np.isnan(table["low"]).all()
    assert transfer_table(METRICS, "synthetic", 0.001, "type_2").empty


def test_the_plane_names_baselines_once_and_rivals_too():
    rival = found("vgg", "resnet", 0.1)
    del rival["orl"]["sources"]["nearest"]
    table = plane_table(METRICS | {"nbnet (a)": rival}, "orl")
    assert table["label"].tolist() == ["a", "nearest (vgg)", "b", "nearest (resnet)", "c", "nbnet (a)"]
    assert table.set_index("label").loc["nbnet (a)", ["series", "x", "y"]].tolist() == ["vgg", 0.5, 0.1]
    assert plane_table(METRICS, "synthetic").empty
