"""The rows of all decoders together: who takes whose reconstructions for the person, and identity beside fidelity."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

ENDS = ("value", "ci95_low", "ci95_high")
PLANE = ["label", "series", "x", "x_low", "x_high", "y", "y_low", "y_high"]


def transfer_table(metrics: Mapping[str, Mapping], dataset: str, fmr: float, kind: str) -> pd.DataFrame:
    """The transfer matrix on a data set, for `matrix_figure`: a row per decoder, a column per judge, `marked` where it judges
    reconstructions of its own templates. metrics: of the stages `invert` and `rivals`, by decoder. kind: `type_1` or `type_2`."""
    rows = [
        (decoder, judge, *_numbers(rates[f"fmr_{fmr:g}"][kind], ENDS), rates["self_judged"])
        for decoder, results in metrics.items()
        for judge, rates in (results.get(dataset) or {}).get("transfer", {}).items()
        if rates[f"fmr_{fmr:g}"][kind]["value"] is not None
    ]
    return pd.DataFrame(rows, columns=["row", "column", "value", "low", "high", "marked"])


def plane_table(metrics: Mapping[str, Mapping], dataset: str) -> pd.DataFrame:
    """Identity and fidelity, for `plane_figure`: by decoder and what it is compared with, SSIM as x, type II by the recognizer
    whose templates were decoded as y; the series is that recognizer.

    metrics: of `invert` and of `rivals`, by decoder. What other sources give is the same for all decoders of a recognizer of
    one size: it is named once.
    """
    rows: dict = {}
    for decoder, results in metrics.items():
        measured = results.get(dataset) or {}
        decoded = next((name for name, rates in measured.get("transfer", {}).items() if rates["self_judged"]), None)
        for source, values in measured.get("sources", {}).items():
            label = decoder if source == "decoder" else f"{source} ({decoded})"
            rate = values["sar"].get(decoded, {}).get("type_2", {"value": None})
            if rate["value"] is not None and values["ssim"]["mean"] is not None:
                numbers = _numbers(values["ssim"], ("mean", *ENDS[1:])) + _numbers(rate, ENDS)
                rows.setdefault(label, (label, decoded, *numbers))
    return pd.DataFrame(list(rows.values()), columns=PLANE).astype(dict.fromkeys(PLANE[2:], float))


def _numbers(estimate: Mapping, names: tuple[str, ...]) -> list[float]:
    return [np.nan if estimate[name] is None else estimate[name] for name in names]
