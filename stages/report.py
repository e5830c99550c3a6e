"""Gather the run's curves, tables and pictures: plots/roc.csv, the summary figures and one page with everything."""

import pandas as pd

from dfd.findings.common import names_of
from dfd.findings.rule import findings
from dfd.params import load_params
from dfd.rendering.curves import loss_figure
from dfd.reporting.chapters import LEAD, evaluated_on, inversion, judged_claims, run_chapters
from dfd.reporting.page import write_page
from dfd.reporting.summary import draw_psnr, draw_roc
from dfd.reporting.tables import read_metrics
from dfd.studies.claims import every_claim
from stages import log, run


def main() -> None:
    params = load_params()
    dataset = params.roles.verification
    draw_roc("plots", [pd.read_csv(f"plots/verify/{name}.csv") for name in params.recognizers], dataset)
    loss_figure("plots/losses.png", {name: pd.read_csv(f"plots/train_decoder/{name}.csv") for name in params.variants})

    quality = read_metrics("evaluate", params.decoders)
    verification = read_metrics("verify", params.recognizers)
    evaluated = evaluated_on(quality, params.datasets, dataset)
    draw_psnr("plots/psnr.png", {name: quality[name] for name in params.variants}, evaluated)

    studies = {
        stage: read_metrics(stage, params.recognizers)
        for stage in ("occlude", "attack", "cluster", "aggregate", "disentangle")
    }
    inverted = read_metrics("invert", params.decoders)
    others = [name for name in params.datasets if name != dataset]
    claims, metrics = every_claim(names_of(params.experiments)), studies | {"verify": verification, "invert": inverted}
    chapters = {"Key figures": [], "Findings": judged_claims(findings(claims, metrics, dataset, others))}
    chapters |= run_chapters(quality, verification, evaluated, params.evaluate.far)
    chapters["What templates give away"] = inversion(inverted, dataset)
    write_page("plots/report.html", "Deep Face Decoder", LEAD, chapters)
    log.info("wrote plots/report.html with %d chapters", len(chapters))


if __name__ == "__main__":
    run(main)
