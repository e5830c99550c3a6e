"""Hold what the paper's text claims from its experiments against this run's metrics: effect, interval, verdict."""

from pathlib import Path

from dfd.core.artefacts import read_json, write_json
from dfd.findings.common import names_of
from dfd.findings.rule import findings
from dfd.findings.tables import write_findings
from dfd.params import load_params
from dfd.studies.claims import every_claim
from stages import log, run

STAGES = (
    *("backbones", "recognizer_loss", "template_layer", "competitors", "ablation", "verify", "map_gains"),
    *("occlude", "attack", "cluster", "aggregate", "disentangle", "invert"),
)


def main() -> None:
    params = load_params()
    known = {
        *params.recognizers,
        *params.decoders,
        *params.datasets,
        "variants",
    }  # files of former ones stay where they are
    metrics = {
        stage: {
            file.stem: read_json(file) for file in sorted(Path("metrics", stage).glob("*.json")) if file.stem in known
        }
        for stage in STAGES
    }
    main_dataset = params.roles.verification
    others = [dataset for dataset in params.datasets if dataset != main_dataset]
    judged = findings(every_claim(names_of(params.experiments)), metrics, main_dataset, others)
    write_json("metrics/findings.json", judged)
    write_findings("plots/findings", "docs/findings.md", judged)
    log.info(
        "%d claims: %s", len(judged["claims"]), ", ".join(f"{count} {name}" for name, count in judged["counts"].items())
    )


if __name__ == "__main__":
    run(main)
