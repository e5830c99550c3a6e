"""Gather the run's curves, tables and pictures: plots/roc.csv, the summary figures and one page with everything."""

from pathlib import Path

import pandas as pd

from dfd.core.artefacts import write_table
from dfd.params import load_params
from dfd.rendering.curves import bar_figure, loss_figure, note_figure, roc_figure
from dfd.reporting.page import write_report
from dfd.reporting.tables import quality_table, read_metrics, verification_table, view2_table
from stages import log, run

FOLDERS = (
    "reconstruct",
    "occlude",
    "attack",
    "cluster",
    "aggregate",
    "disentangle",
)  # of the pictures that other stages drew


def main() -> None:
    params = load_params()
    curves = [pd.read_csv(f"plots/verify/{name}.csv") for name in params.recognizers]
    roc = pd.concat([curve for curve in curves if len(curve)] or curves)
    write_table("plots/roc.csv", roc)
    if len(roc):
        roc_figure(
            "plots/roc.png", roc, f"Verification on {params.roles.verification}, one face of each pair perturbed"
        )
    else:
        note_figure("plots/roc.png", f"No recognizer has pairs to compare on {params.roles.verification}")
    loss_figure("plots/losses.png", {name: pd.read_csv(f"plots/train_decoder/{name}.csv") for name in params.variants})

    quality, verification = read_metrics("evaluate", params.variants), read_metrics("verify", params.recognizers)
    evaluated = [name for name in params.datasets if any(values.get(name) for values in quality.values())]
    if evaluated:
        bar_figure(
            "plots/psnr.png", _psnr(quality, evaluated), "PSNR of the reconstructions, mean and 95 % interval", "dB"
        )
    else:
        note_figure("plots/psnr.png", "No variant was evaluated on any data set")

    sections = [(f"Reconstructions of {name}", quality_table(quality, name)) for name in evaluated]
    sections.append(("Verification: TAR (%) at 0.1 % FAR", verification_table(verification)))
    if len(table := view2_table(verification)):
        sections.append(("LFW, view 2", table))
    perturbed = {name: values.get("view2_perturbed", {}) for name, values in verification.items()}
    if perturbed := {name: values for name, values in perturbed.items() if "original" in values}:
        sections.append(
            ("View 2, pairs of people nobody learned from: TAR (%) at 0.1 % FAR", verification_table(perturbed))
        )
    pictures = ["plots/psnr.png", "plots/roc.png", "plots/losses.png"]
    pictures += [picture for folder in FOLDERS for picture in sorted(Path("plots", folder).rglob("*.png"))]
    sections += [(Path(picture).relative_to("plots").with_suffix("").as_posix(), Path(picture)) for picture in pictures]
    write_report("plots/report.html", "Deep Face Decoder", sections)
    log.info("wrote plots/report.html with %d figures", len(pictures))


def _psnr(quality: dict[str, dict], datasets: list[str]) -> pd.DataFrame:
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


if __name__ == "__main__":
    run(main)
