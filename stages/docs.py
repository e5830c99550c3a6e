"""Write this run's tables into README.md and docs/results.md; what their text says around them stays: read it again.

These files are no outs: a word changed in their text would make dvc.lock stale. Without outs DVC takes nothing from its
run cache, so that this runs whenever a number changes, back to an earlier one too.
"""

from dfd.core.artefacts import read_json
from dfd.params import load_params
from dfd.reporting.blocks import fill, headline, quality, verification
from dfd.reporting.tables import read_metrics
from stages import log, run


def main() -> None:
    params = load_params()
    photos, evaluated = read_metrics("preprocess", params.datasets), read_metrics("evaluate", params.decoders)
    verified = read_metrics("verify", params.recognizers)
    lfw = read_json("docs/results/lfw.json")
    fill(
        {
            "README.md": {"headline": headline(params.roles.verification, evaluated, verified, lfw)},
            "docs/results.md": {
                "quality": quality(photos, evaluated, params.variants, params.roles.decoders),
                "verification": verification(params.roles.verification, verified),
            },
        }
    )
    log.info("README.md and docs/results.md hold this run's tables")


if __name__ == "__main__":
    run(main)
