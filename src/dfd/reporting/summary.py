"""The figures that sum a run up: verification of all recognizers, reconstructions of all variants."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import write_table
from dfd.core.left_out import LeftOut
from dfd.rendering.curves import bar_figure, left_out_figure, roc_figure


def draw_roc(folder: str | Path, curves: Sequence[pd.DataFrame], dataset: str) -> None:
    """Write roc.csv and roc.png of all recognizers' curves, which may be empty."""
    roc = pd.concat([curve for curve in curves if len(curve)] or curves)
    write_table(Path(folder, "roc.csv"), roc)
    if len(roc):
        roc_figure(Path(folder, "roc.png"), roc, f"Verification on {dataset}, one face of each pair perturbed")
    else:
        left_out_figure(Path(folder, "roc.png"), LeftOut(f"No recognizer has pairs to compare on {dataset}"))


def draw_psnr(path: str | Path, quality: Mapping[str, dict], datasets: Sequence[str]) -> None:
    """Draw what `psnr_table` makes of the metrics of `evaluate` by variant."""
    table = psnr_table(quality, datasets)
    if len(table):
        bar_figure(path, table, "PSNR of the reconstructions, mean and 95 % interval", "dB")
    else:
        left_out_figure(path, LeftOut("No variant was evaluated on any data set"))


def psnr_table(quality: Mapping[str, dict], datasets: Sequence[str]) -> pd.DataFrame:
    """The PSNR of decoders' reconstructions beside the linear decoder and the mean face, for `bar_figure`."""
    rows = []
    for variant, values in quality.items():
        for dataset in (name for name in datasets if values.get(name)):
            psnr = values[dataset]["psnr"]
            group = f"{variant}, {dataset}"
            rows.append((group, "decoder", psnr["mean"], psnr["ci95_low"], psnr["ci95_high"]))
            rows += [
                (group, name, psnr[key], None, None) for name, key in (("linear", "linear"), ("mean face", "mean_face"))
            ]
    table = pd.DataFrame(rows, columns=["group", "series", "value", "low", "high"])
    return table.astype({"value": float, "low": float, "high": float})
