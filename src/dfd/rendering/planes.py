"""Two measures against each other, and one of two things: points in a plane, numbers in a matrix; as PNG."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy.optimize import linear_sum_assignment

from dfd.rendering.curves import DPI, STYLE, colours_of, draw_intervals, require_columns, save_figure


def plane_figure(path: str | Path, table: pd.DataFrame, title: str, x_label: str, y_label: str) -> None:
    """Draw points of a plane with the 95 % intervals of both measures, a colour per series; the points of one label are joined
    and named at the right, in the colour of the last of them, from which a line leads to the name; no two of these lines cross.

    table: long form with the columns label, series, x, x_low, x_high, y, y_low and y_high (NaN for no interval). Raises
    ValueError for an empty table or a missing column.
    """
    require_columns(table, ("label", "series", "x", "x_low", "x_high", "y", "y_low", "y_high"))
    colours, labels = colours_of(table["series"].unique()), list(table["label"].unique())
    low, high = table[["y", "y_low"]].min().min(), table[["y", "y_high"]].max().max()
    margin = 0.05 * (high - low) or 0.05
    with matplotlib.rc_context(STYLE | {"lines.linewidth": 1.0}):
        figure = Figure(figsize=(9.0, max(4.4, 1.2 + 0.26 * len(labels))), dpi=DPI, layout="constrained")
        panel = figure.subplots()
        for series, colour in colours.items():
            rows = table[table["series"] == series]
            for name, other in (("x", "y"), ("y", "x")):
                ends = rows.rename(columns={f"{name}_low": "low", f"{name}_high": "high"})
                draw_intervals(panel, rows[other], ends, colour, horizontal=name == "x")
            panel.plot(rows["x"], rows["y"], "o", markersize=6, color=colour, markeredgecolor="white", zorder=3)
        last = table.drop_duplicates("label", keep="last").sort_values("y")
        # Names stand apart, however near the points lie, and each is led to its own.
        step = (high - low + 2 * margin) / max(len(labels), 8)
        places = np.array(last["y"], dtype=float)
        for i in range(1, len(places)):
            places[i] = max(places[i], places[i - 1] + step)
        if len(places) and places[-1] > high + margin:
            places[-1] = high + margin
            for i in range(len(places) - 2, -1, -1):
                places[i] = min(places[i], places[i + 1] - step)
        panel.set_ylim(min(low, places.min()) - margin, max(high, places.max()) + margin)
        panel.set_xlim(panel.get_xlim())  # settled, as the names below are led to from the points' places in the panel
        transform = panel.get_yaxis_transform()
        # Straight lines whose lengths have the smallest sum do not cross, and still do not where the layout stretches them.
        points = panel.transData.transform(last[["x", "y"]])
        ends = transform.transform(np.column_stack([np.full(len(places), 1.03), places]))
        _, order = linear_sum_assignment(np.linalg.norm(points[:, None] - ends, axis=2))
        for (_, row), place in zip(last.iterrows(), places[order], strict=True):
            joined = table.loc[table["label"] == row["label"], ["x", "y"]].T.to_numpy()
            panel.plot(*joined, color="#bbbbbb", linewidth=0.8, zorder=1)
            panel.annotate(
                row["label"],
                (row["x"], row["y"]),
                (1.03, place),
                textcoords=transform,
                va="center",
                color=colours[row["series"]],
                fontsize=9,
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6, "relpos": (0, 0.5)},
                zorder=1,  # below the points
            )
        panel.set_xlabel(x_label)
        panel.set_ylabel(y_label)
        figure.suptitle(title)
        if len(colours) > 1:
            handles = [
                Line2D([], [], color=colour, marker="o", linestyle="", label=name) for name, colour in colours.items()
            ]
            panel.legend(handles=handles, loc="best")
        save_figure(figure, path)


def matrix_figure(path: str | Path, table: pd.DataFrame, title: str, x_label: str, y_label: str) -> None:
    """Draw shares in [0, 1] as per cents in the cells of a matrix, with their 95 % intervals; marked ones have a frame.

    table: long form with the columns row, column, value, low and high (NaN for no interval) and marked (bool); a cell that is
    not there stays empty. Rows and columns follow the order in the table. Raises ValueError for an empty table, a missing
    column or a repeated cell.
    """
    require_columns(table, ("row", "column", "value", "low", "high", "marked"))
    if table.duplicated(["row", "column"]).any():
        raise ValueError("a cell has more than one value")
    rows, columns = list(table["row"].unique()), list(table["column"].unique())
    with matplotlib.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(3.0 + 1.5 * len(columns), 1.6 + 0.62 * len(rows)), dpi=DPI, layout="constrained")
        panel = figure.subplots()
        values = np.full((len(rows), len(columns)), np.nan)
        for cell in table.itertuples():
            y, x = rows.index(cell.row), columns.index(cell.column)
            values[y, x] = cell.value
            ink = "white" if cell.value > 0.55 else "black"
            interval = "" if np.isnan(cell.low) else f"\n[{100 * cell.low:.0f}, {100 * cell.high:.0f}]"
            panel.text(x, y, f"{100 * cell.value:.0f} %{interval}", ha="center", va="center", color=ink, fontsize=9)
            if cell.marked:
                corner = (x - 0.48, y - 0.47)
                panel.add_patch(Rectangle(corner, 0.96, 0.94, fill=False, edgecolor="#D55E00", linewidth=2))
        panel.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        panel.set_xticks(range(len(columns)), columns)
        panel.set_yticks(range(len(rows)), rows)
        panel.tick_params(length=0)
        panel.set_xlabel(x_label)
        panel.set_ylabel(y_label)
        figure.suptitle(title)
        save_figure(figure, path)
