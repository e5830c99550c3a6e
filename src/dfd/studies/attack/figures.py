"""The figures on adversarial attacks (paper, Figs. 12 and 13), drawn as the other grids and curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import write_table
from dfd.rendering.curves import bar_figure, count_figure, roc_figure
from dfd.rendering.grids import image_grid
from dfd.studies.attack.settings import Attacks
from dfd.studies.attack.study import Outcomes
from dfd.studies.attack.targeted import BEFORE, Shown, targeted_table
from dfd.studies.attack.verification import roc_curves, tar_over_epsilon


def draw(
    folder: Path, outcomes: Outcomes, settings: Attacks, variants: Sequence[str], recognizer: str, dataset: str
) -> None:
    """Write into a folder all tables and pictures of an attacked recognizer's outcomes."""
    table = targeted_table(outcomes.identification["targeted"])
    write_table(folder / "targeted.csv", table)
    title = f"Photos of {dataset}, attacked to be identified by {recognizer} as another"
    attack_bars(folder / "targeted.png", table, title)
    title = f"Identified by {recognizer}, with its probability"
    attack_grid(folder / "grid.png", outcomes.columns, settings.epsilon, title)

    table = roc_curves(outcomes.pairs, settings.epsilon)
    write_table(folder / "roc.csv", table)
    title = f"Verification by {recognizer} on {dataset}, ε = {settings.epsilon:g} grey levels"
    attack_roc(folder / "roc.png", table, variants, title)
    table = tar_over_epsilon(outcomes.verification, settings.every_epsilon)
    write_table(folder / "epsilon.csv", table)
    title = f"Verification by {recognizer} on {dataset}, one face of each pair attacked"
    attack_strength(folder / "epsilon.png", table, title)


def attack_grid(path: str | Path, columns: Mapping[str, Shown], epsilon: float, title: str) -> None:
    """Draw one photo under each attack: the images, their noise from −ε (black) to ε (white), their reconstructions.

    columns: by title; the first and the last hold no noise. Captions say who is identified, with which probability.
    """
    drawn = list(columns.values())
    amplified = [None if c.noise is None else 0.5 + c.noise * 255 / (2 * epsilon) for c in drawn]
    rows = [("image", [c.image for c in drawn]), (f"its noise, black to white: ±{epsilon:g} grey levels", amplified)]
    captions = [[c.identified[BEFORE] for c in drawn], [None] * len(drawn)]
    for variant in drawn[0].decoded:
        rows.append((f"decoded by {variant}", [c.decoded[variant] for c in drawn]))
        captions.append([c.identified[variant] for c in drawn])
    image_grid(path, rows, list(columns), title, captions, groups=[1, len(drawn) - 1])


def attack_bars(path: str | Path, table: pd.DataFrame, title: str) -> None:
    """Draw how often the target and the true identity are predicted; table: as `targeted_table` makes it."""
    names = table["attack"] + [", not decoded" if d == BEFORE else f", {d}" for d in table["decoding"]]
    bars = pd.DataFrame(
        {"group": names, "series": table["predicted"].str.replace("_", " "), "value": table["share"]}
        | {"low": table["ci95_low"], "high": table["ci95_high"]}
    )
    bar_figure(path, bars, title, "share of the attacked photos predicted as")


def attack_roc(path: str | Path, table: pd.DataFrame, variants: Sequence[str], title: str) -> None:
    """Draw the ROC curves of originals and attacked faces: a panel per variant, dashed where it decodes the second face.

    table: columns attack, decoding (`before` or a variant), far, tar.
    """
    panels = []
    for name in variants or ["not decoded"]:
        panel = table[table["decoding"].isin([BEFORE, name])].assign(variant=name)
        panels.append(panel.assign(decoding=panel["decoding"].where(panel["decoding"] == BEFORE, "after")))
    lines = {BEFORE: "-", "after": "--"}
    roc_figure(path, pd.concat(panels), title, panel="variant", colour="attack", line="decoding", lines=lines)


def attack_strength(path: str | Path, table: pd.DataFrame, title: str) -> None:
    """Draw TAR over ε; table: as `tar_over_epsilon` makes it."""
    series = ["not decoded" if name == BEFORE else f"decoded by {name}" for name in table["decoding"]]
    columns = {"epsilon": "count", "tar": "value", "ci95_low": "low", "ci95_high": "high"}
    curves = table.rename(columns=columns).assign(series=series, measure="tar")
    count_figure(path, curves, title, {"tar": "TAR at 0.1 % FAR"}, "ε of the FGSM (grey levels)", log=False)
