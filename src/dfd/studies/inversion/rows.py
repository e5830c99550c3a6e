"""The rows of all decoders together: who takes whose reconstructions for the person, and identity beside fidelity."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

ENDS = ("value", "ci95_low", "ci95_high")
PLANE = ["label", "series", "x", "x_low", "x_high", "y", "y_low", "y_high"]


def transfer_table(metrics: Mapping[str, Mapping], dataset: str, fmr: float, kind: str) -> pd.DataFrame:
    """The transfer matrix on a data set, for `matrix_figure`: a row per decoder, a column per judge, `marked` where it judges
    reconstructions of its own templates. metrics: of the stage `invert`, by decoder. kind: `type_1` or `type_2`."""
    rows = [
        (decoder, judge, *_numbers(rates[f"fmr_{fmr:g}"][kind], ENDS), rates["self_judged"])
        for decoder, results in metrics.items()
        for judge, rates in (results.get(dataset) or {}).get("transfer", {}).items()
        if rates[f"fmr_{fmr:g}"][kind]["value"] is not None
    ]
    return pd.DataFrame(rows, columns=["row", "column", "value", "low", "high", "marked"])


def plane_table(
    metrics: Mapping[str, Mapping], competitors: Mapping[str, Mapping], dataset: str, judges: Mapping[str, str]
) -> pd.DataFrame:
    """Identity and fidelity, for `plane_figure`: by decoder and what it is compared with, SSIM as x, type II by the recognizer
    whose templates were decoded as y; the series is that recognizer.

    metrics: of `invert`, by decoder; judges: by decoder that recognizer. competitors: of the stage `competitors`, by variant;
    they are tried on other faces of the same people, and their SSIM is there under `dataset`. What other sources give is the
    same for all decoders of a recognizer of one size: it is named once.
    """
    rows: dict = {}
    for decoder, results in metrics.items():
        for source, measured in ((results.get(dataset) or {}).get("sources", {})).items():
            label = decoder if source == "decoder" else f"{source} ({judges[decoder]})"
            rate = measured["sar"].get(judges[decoder], {}).get("type_2", {"value": None})
            if rate["value"] is not None and measured["ssim"]["mean"] is not None:
                numbers = _numbers(measured["ssim"], ("mean", *ENDS[1:])) + _numbers(rate, ENDS)
                rows.setdefault(label, (label, judges[decoder], *numbers))
    for variant, results in competitors.items():
        for name, measures in (results.get(dataset) or {}).get("decoders", {}).items():
            rate = results.get("acceptance", {}).get("decoders", {}).get(name, {}).get("type_2", {"value": None})
            if name not in (*metrics, "ours") and rate["value"] is not None and measures["ssim"]["mean"] is not None:
                numbers = _numbers(measures["ssim"], ("mean", *ENDS[1:])) + _numbers(rate, ENDS)
                rows[f"{name} ({variant})"] = (f"{name} ({variant})", judges[variant], *numbers)
    return pd.DataFrame(list(rows.values()), columns=PLANE).astype(dict.fromkeys(PLANE[2:], float))


def _numbers(estimate: Mapping, names: tuple[str, ...]) -> list[float]:
    return [np.nan if estimate[name] is None else estimate[name] for name in names]
