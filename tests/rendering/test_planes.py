"""Points in a plane and numbers in a matrix: what is drawn, and what is refused."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from dfd.rendering import planes
from dfd.rendering.planes import matrix_figure, plane_figure

NAN = np.nan


@pytest.fixture
def points() -> pd.DataFrame:
    rows = [
        ("none", "unaware", 97, 95, 99, 92, 88, 96),
        ("hash", "aware", 90, 86, 94, 0, NAN, NAN),
        ("bits", "unaware", 96.5, 94, 98, 0, 0, 9),
        ("bits", "aware", 96.5, 94, 98, 91, 87, 95),
    ]
    return pd.DataFrame(rows, columns=["label", "series", "x", "x_low", "x_high", "y", "y_low", "y_high"])


@pytest.fixture
def drawn(monkeypatch):
    figures = []
    monkeypatch.setattr(planes, "save_figure", lambda figure, path: figures.append(figure))
    return figures


def test_every_label_is_named_once_and_apart(points, drawn):
    many = pd.concat([points.assign(label=points["label"] + str(i), y=points["y"] + i / 10) for i in range(6)])
    plane_figure("any.png", many, "title", "x", "y")
    (panel,) = drawn[0].axes
    places = sorted(text.xyann[1] for text in panel.texts)
    assert {text.get_text() for text in panel.texts} == set(many["label"]) and len(places) == 18
    assert min(np.diff(places)) > 0.9 * (places[-1] - places[0]) / 30
    assert panel.get_xlabel() == "x" and panel.get_ylim()[0] <= places[0] and places[-1] <= panel.get_ylim()[1]


def test_no_two_lines_to_names_cross(drawn):
    """Of the points of a study: many decoders give nobody away, at several fidelities, and few do."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"label": [f"decoder {i}" for i in range(30)], "series": ["a", "b"] * 15})
    table = table.assign(x=rng.normal(0.3, 0.05, 30), y=np.where(np.arange(30) < 26, rng.uniform(0, 0.03, 30), 0.8))
    plane_figure("any.png", table.assign(x_low=NAN, x_high=NAN, y_low=NAN, y_high=NAN), "title", "x", "y")
    (panel,) = drawn[0].axes
    left, right = panel.get_xlim()
    lines = [(text.xy, (left + text.xyann[0] * (right - left), text.xyann[1])) for text in panel.texts]
    assert not [(one, other) for one, other in combinations(lines, 2) if crossing(*one, *other)]
    assert crossing((0, 0), (1, 1), (0, 1), (1, 0)) and not crossing((0, 0), (1, 0), (0, 1), (1, 1))


def crossing(a, b, c, d) -> bool:
    """Whether the segments ab and cd cross: each has the other's ends on both its sides."""
    side = lambda p, q, r: np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))
    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def test_cells_hold_per_cents_and_marks(drawn):
    rows = [("a", "x", 0.934, 0.88, 0.96, True), ("a", "y", 0.0, NAN, NAN, False), ("b", "y", 0.5, 0.4, 0.6, True)]
    table = pd.DataFrame(rows, columns=["row", "column", "value", "low", "high", "marked"])
    matrix_figure("any.png", table, "title", "seen by", "decoder")
    (panel,) = drawn[0].axes
    assert [text.get_text() for text in panel.texts] == ["93 %\n[88, 96]", "0 %", "50 %\n[40, 60]"]
    assert len(panel.patches) == 2 and np.isnan(panel.images[0].get_array().filled(NAN)[1, 0])
    with pytest.raises(ValueError, match="more than one value"):
        matrix_figure("any.png", pd.concat([table, table]), "title", "", "")


def test_equal_input_gives_equal_bytes(points, tmp_path):
    for name in ("a.png", "b.png"):
        plane_figure(tmp_path / name, points, "title", "x", "y")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("figure", [plane_figure, matrix_figure])
def test_empty_and_foreign_tables_are_refused(figure, tmp_path):
    for table in (pd.DataFrame({"label": [1]}), pd.DataFrame(columns=["row"])):
        with pytest.raises(ValueError, match="lacks"):
            figure(tmp_path / "a.png", table, "title", "x", "y")
    assert not list(tmp_path.iterdir())
