"""Gather the run's curves, tables and pictures: plots/roc.csv, the summary figures and one page with everything."""

import pandas as pd

from dfd.core.artefacts import write_table
from dfd.core.left_out import LeftOut
from dfd.findings.common import names_of
from dfd.findings.rule import findings
from dfd.params import load_params
from dfd.rendering.curves import bar_figure, left_out_figure, loss_figure, roc_figure
from dfd.reporting.chapters import LEAD, evaluated_on, inversion, judged_claims, run_chapters
from dfd.reporting.page import write_page
from dfd.reporting.tables import read_metrics
from dfd.studies.claims import every_claim
from stages import log, run


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
        left_out_figure("plots/roc.png", LeftOut(f"No recognizer has pairs to compare on {params.roles.verification}"))
    loss_figure("plots/losses.png", {name: pd.read_csv(f"plots/train_decoder/{name}.csv") for name in params.variants})

    quality = read_metrics("evaluate", params.decoders)
    verification = read_metrics("verify", params.recognizers)
    trained = {name: quality[name] for name in params.variants}
    evaluated = evaluated_on(quality, params.datasets, params.roles.verification)
    if any(values.get(name) for values in trained.values() for name in evaluated):
        bar_figure(
            "plots/psnr.png", _psnr(trained, evaluated), "PSNR of the reconstructions, mean and 95 % interval", "dB"
        )
    else:
        left_out_figure("plots/psnr.png", LeftOut("No variant was evaluated on any data set"))

    studies = {
        stage: read_metrics(stage, params.recognizers)
        for stage in ("occlude", "attack", "cluster", "aggregate", "disentangle")
    }
    inverted = read_metrics("invert", params.decoders)
    others = [name for name in params.datasets if name != params.roles.verification]
    judged = findings(
        every_claim(names_of(params.experiments)),
        studies | {"verify": verification, "invert": inverted},
        params.roles.verification,
        others,
    )
    chapters = {"Key figures": [], "Findings": judged_claims(judged)}
    chapters |= run_chapters(quality, verification, evaluated, params.evaluate.far)
    chapters["What templates give away"] = inversion(inverted, params.roles.verification)
    write_page("plots/report.html", "Deep Face Decoder", LEAD, chapters)
    log.info("wrote plots/report.html with %d chapters", len(chapters))


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
