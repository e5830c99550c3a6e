"""Gather the run's curves, tables and pictures: plots/roc.csv, the summary figures and one page with everything."""

import json
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import replacing
from dfd.params import load_params
from dfd.rendering.curves import bar_figure, loss_figure, roc_figure
from dfd.rendering.report import quality_table, verification_table, write_report
from stages import log, run

FOLDERS = ("reconstruct", "occlude", "cluster", "aggregate")  # of the pictures that other stages drew


def main() -> None:
    params = load_params()
    roc = pd.concat([pd.read_csv(f"plots/verify/{name}.csv") for name in params.recognizers])
    with replacing("plots/roc.csv") as temporary:
        roc.to_csv(temporary, index=False, float_format="%.6g")
    roc_figure("plots/roc.png", roc, f"Verification on {params.roles.verification}, one face of each pair perturbed")
    loss_figure("plots/losses.png", {name: pd.read_csv(f"plots/train_decoder/{name}.csv") for name in params.variants})

    quality = {name: _metrics(f"evaluate/{name}") for name in params.variants}
    verification = {name: _metrics(f"verify/{name}") for name in params.recognizers}
    evaluated = [name for name in params.datasets if all(name in values for values in quality.values())]
    bar_figure("plots/psnr.png", _psnr(quality, evaluated), "PSNR of the reconstructions, mean and 95 % interval", "dB")

    sections = [(f"Reconstructions of {name}", quality_table(quality, name)) for name in evaluated]
    sections.append(("Verification: TAR (%) at 0.1 % FAR", verification_table(verification)))
    pictures = ["plots/psnr.png", "plots/roc.png", "plots/losses.png"]
    pictures += [picture for folder in FOLDERS for picture in sorted(Path("plots", folder).glob("*.png"))]
    sections += [(Path(picture).stem, Path(picture)) for picture in pictures]
    write_report("plots/report.html", "Deep Face Decoder", sections)
    log.info("wrote plots/report.html with %d figures", len(pictures))


def _metrics(name: str) -> dict:
    return json.loads(Path(f"metrics/{name}.json").read_text())


def _psnr(quality: dict[str, dict], datasets: list[str]) -> pd.DataFrame:
    rows = []
    for variant, values in quality.items():
        for dataset in datasets:
            psnr = values[dataset]["psnr"]
            group = f"{variant}, {dataset}"
            rows.append((group, "decoder", psnr["mean"], psnr["ci95_low"], psnr["ci95_high"]))
            rows += [(group, name, psnr[key], None, None) for name, key in (("linear", "linear"), ("mean face", "mean_face"))]
    table = pd.DataFrame(rows, columns=["group", "series", "value", "low", "high"])
    return table.astype({"value": float, "low": float, "high": float})


if __name__ == "__main__":
    run(main)
