"""Pictures and tables of one decoder as an attack."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import write_table
from dfd.core.left_out import LeftOut
from dfd.measures.acceptance import Attempts
from dfd.measures.verification import Pairs
from dfd.rendering.curves import bar_figure, left_out_figure, roc_figure
from dfd.rendering.grids import image_grid, spread
from dfd.rendering.planes import plane_figure
from dfd.studies.inversion.attack_rate import rate_curve
from dfd.studies.inversion.protecting import trade_off
from dfd.studies.inversion.sources import DECODER, judges_table
from dfd.studies.inversion.spread import Ensemble, spread_grid
from dfd.studies.inversion.study import Study, Trial

# column of `rate_curve` -> what it is; fnmr is drawn as what is left of 1
CURVES = {
    "fnmr": "photos of the person (1 − FNMR)",
    "type_1": "type I (same photo)",
    "type_2": "type II (other photos)",
}


def draw(folder: Path, study: Study, trial: Trial, metrics: Mapping, title: str) -> None:
    """Write into a folder all that is drawn of a trial and its metrics."""
    draw_curves(folder, curves_table(trial.pairs, trial.tried[DECODER]), f"{title}: what is accepted as the person")
    judges = f"{title}: who takes its reconstructions for the person, at a FMR of {100 * study.far:g} %"
    draw_judges(folder / "judges.png", metrics["transfer"], study.far, judges)
    picks = spread(trial.whose, study.settings.shown)
    faces = trial.originals[picks], trial.images[DECODER][picks], study.spread
    spread_grid(folder / "spread.png", *faces, f"{title}: what a template leaves open")
    draw_sources(folder / "sources.png", study, trial, f"{title}, beside other ways")
    if "none" in metrics.get("protections", {}):
        protected = f"{title}: recognition and faces that protections leave, at a FMR of {100 * study.far:g} %"
        draw_protections(folder, metrics["protections"], protected)


def draw_sources(path: str | Path, study: Study, trial: Trial, title: str) -> None:
    """Draw some photos of a trial, and what each source gives of them."""
    picks = spread(trial.whose, study.settings.shown)
    rows = [("photo", trial.originals[picks])] + [(name, image[picks]) for name, image in trial.images.items()]
    image_grid(path, rows, None, title)


def draw_ensembles(folder: str | Path, study: Study, trial: Trial, ensembles: Mapping[str, Ensemble]) -> None:
    """Draw <name>.png of each decoder with several trainings: what these differ by, and what the first misses."""
    picks = spread(trial.whose, study.settings.shown)
    for name, ensemble in ensembles.items():
        parts = trial.originals[picks], ensemble.images[picks], ensemble.spread[picks]
        title = f"{name}: what trainings from {ensemble.metrics['n_trainings']} seeds leave open"
        spread_grid(Path(folder, f"{name}.png"), *parts, title, "what trainings differ by")


def curves_table(pairs: Mapping[str, Pairs], tried: Mapping[str, Attempts]) -> pd.DataFrame:
    """`rate_curve` of each judge in long form: columns recognizer, far, threshold, condition (see CURVES), tar."""
    parts = []
    for judge, attempts in tried.items():
        wide = rate_curve(pairs[judge], attempts).assign(fnmr=lambda table: 1 - table["fnmr"])
        for column, condition in CURVES.items():
            part = wide[["fmr", "threshold"]].assign(recognizer=judge, condition=condition, tar=wide[column])
            parts.append(part.rename(columns={"fmr": "far"}))
    columns = ["recognizer", "condition", "far", "tar", "threshold"]
    return pd.concat(parts or [pd.DataFrame(columns=columns)])[columns].dropna()


def draw_curves(folder: Path, table: pd.DataFrame, title: str) -> None:
    """Write curves.csv and curves.png."""
    write_table(folder / "curves.csv", table)
    if len(table):
        lines = {"": "-"}
        roc_figure(
            folder / "curves.png", table.assign(line=""), title, line="line", lines=lines, y_label="share accepted"
        )
    else:
        left_out_figure(folder / "curves.png", LeftOut("There is no threshold, or nothing that could be tried"))


def draw_judges(path: Path, row: Mapping[str, Mapping], fmr: float, title: str) -> None:
    """Draw a row of the transfer matrix."""
    table = judges_table(row, fmr)
    if len(table):
        bar_figure(path, table, title, "accepted, %")
    else:
        left_out_figure(path, LeftOut(f"No recognizer has a threshold at a FMR of {fmr:g}"))


def draw_protections(folder: Path, metrics: Mapping[str, Mapping], title: str) -> None:
    """Write protections.csv and protections.png: the recognition that is left against the faces that are left."""
    table = trade_off(metrics)
    write_table(folder / "protections.csv", table)
    if len(table):
        numbers = table.columns[2:]
        table = table.assign(**{name: 100 * table[name] for name in numbers})
        labels = "TAR of the protected system, %", "faces accepted as another photo, %"
        plane_figure(folder / "protections.png", table, title, *labels)
    else:
        left_out_figure(folder / "protections.png", LeftOut("Nothing to compare: no threshold, or no second photos"))
