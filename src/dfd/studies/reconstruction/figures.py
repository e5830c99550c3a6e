"""Pictures and tables of decoders that are compared: a grid of faces, a long table, figures with intervals."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfd.core.artefacts import write_table
from dfd.core.left_out import LeftOut
from dfd.measures.quality import psnr
from dfd.rendering.curves import bar_figure
from dfd.rendering.grids import image_grid

UNITS = {"psnr": "PSNR, dB", "ssim": "SSIM"}  # the measures that are drawn
MINUS = ("minus", "minus_low", "minus_high")


def draw_comparison(
    folder: str | Path,
    title: str,
    reference: str,
    metrics: Mapping[str, dict],
    pictures: Mapping[str, tuple[torch.Tensor, Mapping[str, torch.Tensor]]],
    missing: Mapping[str, LeftOut],
    histories: Mapping[str, str],
) -> None:
    """Write into a folder: measures.csv and figures of the metrics of `compare` by data set, the grid faces.png, and
    training.csv, from the histories' files by decoder. What cannot be drawn, for want of decoders, is not.

    pictures: see `comparison_grid`. missing: decoders that could not be learned.
    """
    folder = Path(folder)
    comparison_figures(folder, comparison_table(metrics, reference), title, reference)
    if pictures:
        comparison_grid(folder / "faces.png", title, pictures, missing)
    if histories:
        tables = [pd.read_csv(file).assign(decoder=name) for name, file in histories.items()]
        write_table(folder / "training.csv", pd.concat(tables))


def comparison_grid(
    path: str | Path,
    title: str,
    pictures: Mapping[str, tuple[torch.Tensor, Mapping[str, torch.Tensor]]],
    missing: Iterable[str],
) -> None:
    """Draw originals above each decoder's reconstructions, PSNR in dB below them; a missing decoder is a grey row.

    pictures: by data set, the originals (N, 3, S, S) and the reconstructions by decoder, alike; every data set has the same.
    """
    originals = torch.cat([images for images, _ in pictures.values()])
    columns = [dataset for dataset, (images, _) in pictures.items() for _ in images]
    starts = np.cumsum([0] + [len(images) for images, _ in pictures.values()])[:-1].tolist()
    rows, captions = [("original", originals)], [[""] * len(originals)]
    for name in next(iter(pictures.values()))[1]:
        images = torch.cat([decoded[name] for _, decoded in pictures.values()])
        rows.append((name, images))
        captions.append([f"{value:.2f}" for value in psnr(images, originals).tolist()])
    for name in missing:
        rows.append((name, [None] * len(originals)))
        captions.append([""] * len(originals))
    image_grid(path, rows, columns, title, captions, groups=starts)


def comparison_table(metrics: Mapping[str, dict], reference: str) -> pd.DataFrame:
    """Long form of the metrics of `compare` by data set: dataset, decoder, measure, mean, low, high, and the paired
    difference from the reference with its interval (minus, minus_low, minus_high); NaN for null.
    """
    rows = []
    for dataset, values in metrics.items():
        for decoder, measures in values["decoders"].items():
            for measure, estimate in measures.items():
                row = {"dataset": dataset, "decoder": decoder, "measure": measure}
                row |= {"mean": estimate["mean"], "low": estimate["ci95_low"], "high": estimate["ci95_high"]}
                minus = estimate.get(f"minus_{reference}", {})
                row |= {
                    name: minus.get(key) for name, key in zip(MINUS, ("mean", "ci95_low", "ci95_high"), strict=True)
                }
                rows.append(row)
    numbers = ["mean", "low", "high", *MINUS]
    return pd.DataFrame(rows, columns=["dataset", "decoder", "measure", *numbers]).astype(dict.fromkeys(numbers, float))


def comparison_figures(folder: str | Path, table: pd.DataFrame, title: str, reference: str) -> None:
    """Write measures.csv, and for PSNR and SSIM <measure>.png; where decoders differ from a reference also
    <measure>-minus-<reference>.png, of the paired differences.
    """
    folder = Path(folder)
    write_table(folder / "measures.csv", table)
    for measure, unit in UNITS.items():
        measured = table[table["measure"] == measure]
        values = measured.rename(columns={"decoder": "group", "dataset": "series", "mean": "value"})
        if values["value"].notna().any():
            bar_figure(folder / f"{measure}.png", values[values["value"].notna()], title, unit)
        differences = measured[["decoder", "dataset", *MINUS]].dropna(subset="minus")
        if len(differences):
            differences.columns = ["group", "series", "value", "low", "high"]
            bar_figure(
                folder / f"{measure}-minus-{reference}.png", differences, title, f"{unit}, minus that of {reference}"
            )


def draw_acceptance(path: str | Path, acceptance: Mapping, title: str) -> None:
    """Draw the shares that `attack_summary` found, `decoders`, type I and II, in per cent; nothing where it found none."""
    rows = [
        (name, {"type_1": "type I (same photo)", "type_2": "type II (other photos)"}[kind], *_percent(share))
        for name, kinds in acceptance.get("decoders", {}).items()
        for kind, share in kinds.items()
        if share["value"] is not None
    ]
    if rows:
        table = pd.DataFrame(rows, columns=["group", "series", "value", "low", "high"])
        bar_figure(path, table.astype({"value": float, "low": float, "high": float}), title, "accepted, %")


def _percent(share: Mapping) -> list[float | None]:
    return [None if share[key] is None else 100 * share[key] for key in ("value", "ci95_low", "ci95_high")]
