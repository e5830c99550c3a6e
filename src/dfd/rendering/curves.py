"""Curves and intervals as PNG, with matplotlib's objects (no pyplot, no display); equal input gives equal bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, MaxNLocator

from dfd.core.artefacts import replacing
from dfd.core.left_out import LeftOut

# Okabe and Ito (2008), "Color Universal Design": told apart with every common colour blindness. Yellow comes last: it
# is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442", "#8C564B")

MAPS = {"without": "-", "with": "--"}  # of the linear map M, see dfd.templates
SPLITS = {"train": ("-", "o"), "validation": ("--", "x")}  # line, and the mark of a single epoch
# One colour per term in every loss figure, whichever terms a variant is trained with.
TERMS = (
    "total",
    "pixel",
    "gradient",
    "perceptual",
    "local_pixel",
    "local_gradient",
    "local_perceptual",
    "chroma",
    "identity",
)
OPERATING_POINTS = {1e-3: "0.1 %", 1e-2: "1 %"}  # the FARs at which the tables state the TAR

DPI = 100
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.handlelength": 2.6,  # long enough to show a dash
}


def roc_figure(
    path: str | Path,
    table: pd.DataFrame,
    title: str,
    panel: str = "recognizer",
    colour: str = "condition",
    line: str = "map",
    lines: Mapping[str, str] = MAPS,
    y_label: str = "TAR",
) -> None:
    """Draw ROC curves: a panel, a colour and a line for each value in the columns `panel`, `colour` and `line`.

    By default one panel per recognizer, a colour per condition, solid without the linear map and dashed with it.
    table: long form with these columns, far in (0, 1] and tar in [0, 1]. lines: matplotlib's styles by what the column
    `line` holds. Panels and colours follow the order in the table. Raises ValueError for a FAR outside (0, 1] or a
    value that has no style.
    """
    require_columns(table, (panel, colour, line, "far", "tar"))
    if not table["far"].between(0, 1, inclusive="right").all():
        raise ValueError("a FAR lies outside (0, 1]: it has no place on the log axis")
    present = [name for name in lines if name in set(table[line])]
    if unknown := sorted(set(table[line]) - set(lines)):
        raise ValueError(f"{line} is {', '.join(map(str, unknown))}, not one of {', '.join(lines)}")
    colours = colours_of(table[colour].unique())
    names = table[panel].unique()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 3.8 * len(names) + 1.4, 4.4), dpi=DPI, layout="constrained")
        panels = figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            for (kind, mark), curve in table[table[panel] == name].groupby([colour, line], sort=False):
                curve = curve.sort_values(["far", "tar"])
                # Steps, as between two thresholds there is no other operating point; a straight line on a log axis
                # would invent some.
                style = {"color": colours[kind], "linestyle": lines[mark], "drawstyle": "steps-post"}
                axes.plot(curve["far"], curve["tar"], **style)
            _roc_axes(axes, name, table["far"].min())
        panels[0].set_ylabel(y_label)
        figure.suptitle(title)
        handles = [Line2D([], [], color=shade, label=kind) for kind, shade in colours.items()]
        if len(present) > 1:
            handles += [
                Line2D([], [], color="#444444", linestyle=lines[name], label=f"{name} {line}") for name in present
            ]
        figure.legend(handles=handles, loc="outside right center")
        save_figure(figure, path)


def _roc_axes(panel: Axes, recognizer: str, smallest: float) -> None:
    panel.set_title(recognizer, pad=18)  # above the labels of the operating points
    panel.set_xscale("log")
    panel.set_xlim(min(smallest, 0.1), 1)
    panel.set_ylim(0, 1.01)
    panel.set_xlabel("FAR")
    for far, label in OPERATING_POINTS.items():
        if far > smallest:
            panel.axvline(far, color="#777777", linewidth=0.8, linestyle=":")
            panel.annotate(label, (far, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center", fontsize=9)


class PlainLog(LogFormatter):
    """Labels the ticks that matplotlib chooses to label on a log axis, but with plain numbers: 0.2, not 2·10⁻¹."""

    def __call__(self, x, pos=None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def loss_figure(path: str | Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Draw the losses over the epochs, one panel per variant: solid on train, dashed on validation, a colour per term.

    tables: by variant, with the columns epoch, split (`train` or `validation`) and one per loss term (of TERMS, any of
    them may be absent). The axis is logarithmic: a term that is zero has no place on it. Raises ValueError for no
    variant, a missing column or an unknown split.
    """
    if not tables:
        raise ValueError("there is no variant to draw the losses of")
    columns = min(len(tables), 3)
    lines = -(-len(tables) // columns)
    colours = dict(zip(TERMS, PALETTE))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 3.9 * columns + 1.7, 0.6 + 3.2 * lines), dpi=DPI, layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for panel, (variant, table) in zip(panels, tables.items()):
            require_columns(table, ("epoch", "split"))
            if unknown := sorted(set(table["split"]) - set(SPLITS)):
                raise ValueError(f"{variant}: split is {', '.join(map(str, unknown))}, not train or validation")
            for split, curve in table.groupby("split"):
                curve = curve.sort_values("epoch")
                for term in (term for term in TERMS if term in table):
                    line, mark = SPLITS[split]
                    style = {"color": colours[term], "linestyle": line, "marker": mark if len(curve) == 1 else None}
                    panel.plot(curve["epoch"], curve[term], **style)
            panel.set_title(variant)
            panel.set_yscale("log", nonpositive="mask")
            panel.yaxis.set_major_formatter(PlainLog())
            panel.yaxis.set_minor_formatter(PlainLog(minor_thresholds=(2, 0.4)))
            panel.xaxis.set_major_locator(MaxNLocator(7, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1))
            panel.set_xlabel("epoch")
        for panel in panels[::columns]:
            panel.set_ylabel("loss")
        for panel in panels[len(tables) :]:
            panel.set_axis_off()
        present = [term for term in TERMS if any(term in table for table in tables.values())]
        handles = [Line2D([], [], color=colours[term], label=term.replace("_", " ")) for term in present]
        handles += [Line2D([], [], color="#444444", linestyle=line, label=split) for split, (line, _) in SPLITS.items()]
        figure.legend(handles=handles, loc="outside right center")
        save_figure(figure, path)


def bar_figure(path: str | Path, table: pd.DataFrame, title: str, unit: str) -> None:
    """Draw values with their 95 % intervals: a line per group, downwards, and a dot with a bar per series.

    table: long form with the columns group, series, value, low and high (the interval's ends, NaN where it has none);
    at most one row per group and series. unit: the label of the value's axis. Raises ValueError for an empty table, a
    missing column or a repeated row.
    """
    require_columns(table, ("group", "series", "value", "low", "high"))
    if table.duplicated(["group", "series"]).any():
        raise ValueError("a group has more than one value of a series")
    groups, colours = list(table["group"].unique()), colours_of(table["series"].unique())
    step = min(0.8 / len(colours), 0.25)  # of the unit distance between two groups
    height = 1.3 + max(0.42 * len(groups), 0.17 * len(groups) * len(colours))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.0, height), dpi=DPI, layout="constrained")
        panel = figure.subplots()
        for number, (series, colour) in enumerate(colours.items()):
            rows = table[table["series"] == series]
            y = [groups.index(group) + (number - (len(colours) - 1) / 2) * step for group in rows["group"]]
            # Dots, not bars: a bar's length means something only where the axis starts at zero.
            panel.plot(rows["value"], y, "o", markersize=5, color=colour, label=series)
            draw_intervals(panel, y, rows, colour, horizontal=True)
        panel.set_yticks(range(len(groups)), groups)
        panel.set_ylim(len(groups) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.xaxis.set_major_locator(MaxNLocator(6))  # so that labels as long as −0.125 stay apart
        panel.grid(False, axis="y")
        for edge in range(1, len(groups)):
            panel.axhline(edge - 0.5, color="#e4e4e4", linewidth=0.8)
        panel.set_xlabel(f"{unit} (bars: 95 % interval)" if table["low"].notna().any() else unit)
        figure.suptitle(title)
        if len(colours) > 1:
            figure.legend(loc="outside right center")
        save_figure(figure, path)


def count_figure(
    path: str | Path, table: pd.DataFrame, title: str, labels: Mapping[str, str], x_label: str, log: bool = True
) -> None:
    """Draw measures against a number, a panel per measure and a colour per series; bars are 95 % intervals.

    table: long form with the columns series, measure, count, value, low and high (NaN for no interval). labels: the
    measures to draw, each with the label of its axis. log: whether the axis of the counts is logarithmic; each has its
    tick. Series are set apart a little, so that their bars do not hide one another. Raises ValueError for an empty table
    or a missing column.
    """
    require_columns(table, ("series", "measure", "count", "value", "low", "high"))
    colours, counts = colours_of(table["series"].unique()), sorted(table["count"].unique())
    margin = 0.04 * (counts[-1] - counts[0])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.8 + 3.8 * len(labels) + 1.4, 3.8), dpi=DPI, layout="constrained")
        panels = figure.subplots(1, len(labels), squeeze=False)[0]
        for panel, (measure, label) in zip(panels, labels.items(), strict=True):
            for number, (series, colour) in enumerate(colours.items()):
                rows = table[(table["series"] == series) & (table["measure"] == measure)].sort_values("count")
                apart = number - (len(colours) - 1) / 2
                x = rows["count"] * 1.03**apart if log else rows["count"] + 0.2 * margin * apart
                panel.plot(x, rows["value"], "o-", markersize=4, color=colour)
                draw_intervals(panel, x, rows, colour)
            panel.set_xscale("log" if log else "linear")
            panel.set_xticks(counts, [f"{count:g}" for count in counts])
            panel.set_xticks([], minor=True)
            panel.set_xlim(
                *((counts[0] / 1.15, counts[-1] * 1.15) if log else (counts[0] - margin, counts[-1] + margin))
            )
            panel.set_xlabel(x_label)
            panel.set_ylabel(label)
        figure.suptitle(title)
        handles = [Line2D([], [], color=colour, marker="o", label=series) for series, colour in colours.items()]
        figure.legend(handles=handles, loc="outside right center")
        save_figure(figure, path)


def left_out_figure(path: str | Path, left_out: LeftOut) -> None:
    """Say why, where a figure would be that has nothing to show."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 1.2), dpi=DPI)
        figure.text(0.5, 0.5, left_out.reason, ha="center", va="center", color="#444444")
        save_figure(figure, path)


def draw_intervals(panel, places: Sequence[float], rows: pd.DataFrame, colour: str, horizontal: bool = False) -> None:
    """Draw bars from low to high: a bootstrap's percentiles need not have the value between them."""
    middle, half = (rows["low"] + rows["high"]) / 2, (rows["high"] - rows["low"]) / 2
    if horizontal:
        panel.errorbar(middle, places, xerr=half, fmt="none", capsize=3, color=colour)
    else:
        panel.errorbar(places, middle, yerr=half, fmt="none", capsize=2, color=colour)


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ValueError for a table that lacks a column, or is empty."""
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"the table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if table.empty:
        raise ValueError("the table is empty: there is nothing to draw")


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in order; where the palette is too short, steps of viridis, as colour-blind-safe."""
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE))
    steps = matplotlib.colormaps["viridis"].resampled(len(names)).colors
    return {name: matplotlib.colors.to_hex(colour) for name, colour in zip(names, steps, strict=True)}


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure whole; equal figures give equal bytes."""
    with replacing(path) as temporary:
        # Without its default metadata the file does not change with matplotlib's version alone.
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
