import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.render.converter.vega import VegaConverter
from dvc_render import VegaRenderer
from PIL import Image

from dfd.core.left_out import LeftOut
from dfd.rendering import curves
from dfd.rendering.curves import (
    PALETTE,
    TERMS,
    bar_figure,
    count_figure,
    left_out_figure,
    loss_figure,
    roc_figure,
)

TEMPLATES = Path(__file__).parents[2] / ".dvc" / "plots"


def roc(curves, recognizers=("vgg",), far=(0.0005, 0.01, 1.0)):
    """A ROC table of flat curves: (condition, map) -> TAR."""
    return pd.DataFrame(
        [
            {"recognizer": recognizer, "condition": condition, "map": name, "far": x, "tar": tar, "threshold": 1 - x}
            for recognizer in recognizers
            for (condition, name), tar in curves.items()
            for x in far
        ]
    )


def losses(epochs=5, **terms):
    return pd.DataFrame(
        [
            {"epoch": epoch, "split": split} | {term: start * 0.9**epoch for term, start in terms.items()}
            for split in ("train", "validation")
            for epoch in range(1, epochs + 1)
        ]
    )


def bars(groups, series, **changes):
    rows = [{"group": g, "series": s, "value": 0.5, "low": 0.4, "high": 0.7} | changes for g in groups for s in series]
    return pd.DataFrame(rows)


def counts(values, measures=("eer", "tar"), **changes):
    """A table by count: series -> its values at 1, 2, 5 and 10."""
    columns = {"low": np.nan, "high": np.nan} | changes
    return pd.DataFrame(
        [
            {"series": series, "measure": measure, "count": count, "value": value} | columns
            for measure in measures
            for series, own in values.items()
            for count, value in zip((1, 2, 5, 10), own)
        ]
    )


def where(path, colour, right=None):
    """The (rows, columns) of the pixels of exactly this colour; `right` cuts the legend off."""
    picture = np.asarray(Image.open(path).convert("RGB"))[:, :right]
    return np.nonzero((picture == tuple(bytes.fromhex(colour[1:]))).all(-1))


FIGURES = {
    "roc": lambda path, x=0.5: roc_figure(path, roc({("plain", "without"): x, ("rotate+30", "with"): 0.3}), "Title"),
    "loss": lambda path, x=0.5: loss_figure(path, {"vgg-vgg": losses(total=x, pixel=0.1)}),
    "count": lambda path, x=0.5: count_figure(path, counts({"vgg": [x, 0.4]}), "Title", {"eer": "EER"}, "photos"),
    "linear": lambda path, x=0.5: count_figure(
        path, counts({"vgg": [x, 0.4]}), "Title", {"eer": "EER"}, "ε", log=False
    ),
    "bar": lambda path, x=0.5: bar_figure(path, bars(["a", "b"], ["s", "t"], value=x), "Title", "SSIM"),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_equal_input_gives_equal_bytes(tmp_path, figure):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    FIGURES[figure](one)
    FIGURES[figure](two)
    assert one.read_bytes() == two.read_bytes()
    assert "Software" not in Image.open(one).info
    FIGURES[figure](two, x=0.6)
    assert one.read_bytes() != two.read_bytes()


def test_the_size_follows_from_the_number_of_panels(tmp_path):
    path, curves = tmp_path / "x.png", {("plain", "without"): 0.5}
    sizes = []
    for recognizers in (["vgg"], ["vgg", "resnet"]):
        roc_figure(path, roc(curves, recognizers), "Title")
        sizes.append(Image.open(path).size)
    assert sizes[1] == (sizes[0][0] + 380, sizes[0][1])
    sizes = []
    for variants in (2, 4):
        loss_figure(path, {f"v{i}": losses(total=1.0) for i in range(variants)})
        sizes.append(Image.open(path).size)
    assert sizes[1] == (sizes[0][0] + 390, sizes[0][1] + 320)  # three beside each other, then below


def test_roc_draws_a_higher_tar_higher_and_a_colour_per_condition(tmp_path):
    path = tmp_path / "roc.png"
    roc_figure(path, roc({("plain", "without"): 0.9, ("rotate+30", "without"): 0.2}), "Title")
    plain, rotated = (where(path, colour, right=430)[0].mean() for colour in PALETTE[:2])
    assert plain + 150 < rotated
    assert len(where(path, PALETTE[2])[0]) == 0


def test_roc_draws_the_map_dashed(tmp_path):
    path = tmp_path / "roc.png"
    roc_figure(path, roc({("plain", "without"): 0.9, ("rotate+30", "with"): 0.2}), "Title")
    solid, dashed = (len(set(where(path, colour, right=430)[1])) for colour in PALETTE[:2])
    assert dashed < 0.85 * solid


def test_roc_draws_steps(tmp_path):
    """From one operating point to the next the TAR stays: no colour lies between the two levels but on the step."""
    path = tmp_path / "roc.png"
    table = roc({("plain", "without"): 0.2}).assign(tar=[0.2, 0.8, 0.8])
    roc_figure(path, table, "Title")
    rows, columns = where(path, PALETTE[0], right=430)
    between = (rows > rows.min() + 5) & (rows < rows.max() - 5)
    assert between.any() and np.ptp(columns[between]) <= 3


def test_more_conditions_than_the_palette_still_differ(tmp_path):
    roc_figure(tmp_path / "x.png", roc({(f"rotate+{i}", "without"): i / 12 for i in range(12)}), "Title")
    assert len(where(tmp_path / "x.png", PALETTE[0])[0]) == 0  # none of them, rather than some twice


def test_loss_keeps_a_terms_colour_whichever_terms_there_are(tmp_path):
    path = tmp_path / "loss.png"
    loss_figure(path, {"vgg-vgg": losses(total=1.0, local_pixel=0.5), "vgg-resnet": losses(epochs=1, total=1.0)})
    present = [term for term, colour in zip(TERMS, PALETTE) if len(where(path, colour, right=420)[0])]
    assert [term for term in present if term != "local_perceptual"] == ["total", "local_pixel"]  # black is also ink


def test_a_single_epoch_and_a_term_of_zero_are_drawn_without_complaint(tmp_path, recwarn):
    loss_figure(tmp_path / "x.png", {"vgg-vgg": losses(epochs=1, total=1.0, pixel=0.0)})
    assert len(where(tmp_path / "x.png", PALETTE[0], right=420)[0]) > 20
    assert len(where(tmp_path / "x.png", PALETTE[1], right=420)[0]) == 0
    assert not recwarn.list


def test_intervals_are_drawn_and_may_be_absent(tmp_path):
    path, widths = tmp_path / "bar.png", []
    for change in ({}, {"low": float("nan"), "high": float("nan")}):
        bar_figure(path, bars(["resnet-resnet", "linear (resnet)"], ["a"], **change), "Title", "SSIM")
        widths.append(np.ptp(where(path, PALETTE[0])[1]))
    assert widths[0] > 200 and widths[1] < 12


def test_long_tick_labels_stay_apart(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, path: drawn.append(figure))
    for low in (-0.175, -0.0175, -4.0, -0.9):
        values = bars(["gradient-perceptual"], ["synthetic"], value=low / 2, low=low, high=0.01)
        bar_figure(tmp_path / "bar.png", values, "Title", "SSIM, minus that of full")
        drawn[-1].canvas.draw()
        boxes = [label.get_window_extent() for label in drawn[-1].axes[0].get_xticklabels() if label.get_text()]
        boxes = sorted((box.x0, box.x1) for box in boxes)
        assert len(boxes) > 3 and all(ends < starts for (_, ends), (starts, _) in itertools.pairwise(boxes))


def test_a_value_may_lie_outside_its_interval(tmp_path):
    """As a bootstrap's percentiles have it now and then."""
    bar_figure(tmp_path / "bar.png", bars(["a"], ["s"], value=0.1, low=0.2, high=0.9), "", "")
    count_figure(tmp_path / "count.png", counts({"s": [0.1, 0.4]}, low=0.2, high=0.9), "", {"eer": "EER"}, "photos")
    rows, columns = where(tmp_path / "bar.png", PALETTE[0])
    bar = columns[rows == np.median(rows)]
    assert bar.max() - columns.min() > 300  # the dot on the left, and the bar from 0.2 to 0.9 right of it


def test_roc_takes_other_columns(tmp_path):
    path = tmp_path / "roc.png"
    table = roc({("plain", "without"): 0.9, ("rotate+30", "with"): 0.2})
    roc_figure(path, table, "Title")
    names = {"recognizer": "variant", "condition": "attack", "map": "decoding"}
    other = table.rename(columns=names).replace({"decoding": {"with": "after", "without": "before"}})
    options = {"panel": "variant", "colour": "attack", "line": "decoding", "lines": {"before": "-", "after": "--"}}
    roc_figure(tmp_path / "other.png", other, "Title", **options)
    for colour in PALETTE[:2]:
        ours, theirs = (np.stack(where(tmp_path / name, colour, right=430)) for name in ("roc.png", "other.png"))
        assert abs(ours.mean(1) - theirs.mean(1)).max() < 15  # the legend's width differs
    with pytest.raises(ValueError, match="decoding is with, not one of before"):
        roc_figure(path, other.replace({"decoding": {"after": "with"}}), "Title", **options)


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda path: roc_figure(path, roc({("a", "without"): 1}, far=(0.0, 1.0)), ""), "FAR"),
        (lambda path: roc_figure(path, roc({("a", "maybe"): 1}), ""), "maybe"),
        (lambda path: roc_figure(path, roc({("a", "with"): 1}).drop(columns="tar"), ""), "lacks tar"),
        (lambda path: roc_figure(path, roc({("a", "with"): 1}).iloc[:0], ""), "empty"),
        (lambda path: loss_figure(path, {}), "no variant"),
        (lambda path: loss_figure(path, {"vgg-vgg": losses(total=1.0).assign(split="tset")}), "vgg-vgg: split is tset"),
        (lambda path: bar_figure(path, bars(["a", "a"], ["s"]), "", ""), "more than one"),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused(tmp_path, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_a_note_in_a_figures_place(tmp_path):
    for name in ("a.png", "b.png"):
        left_out_figure(tmp_path / name, LeftOut("No recognizer has pairs to compare on orl"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert min(image.size) > 100 and len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_the_roc_template_draws_a_line_per_revision_recognizer_condition_and_map(tmp_path):
    """As `dvc plots` fills it: dvc's own converter and renderer, from csv (whose values reach the page as text)."""
    table = roc({("plain", "without"): 0.9, ("rotate+30", "with"): 0.4}, ["vgg", "resnet"]).astype(str)
    properties = {"template": "roc", "template_dir": str(TEMPLATES), "x": "far", "y": "tar"}
    points = []
    for revision in ("workspace", "HEAD"):
        converter = VegaConverter("plots/roc.csv", {"plots/roc.csv": table.to_dict("records")}, properties)
        datapoints, filled = converter.flat_datapoints(revision)
        points += datapoints
    text = VegaRenderer(points, "plots/roc.csv", **filled | {"title": "plots/roc.csv"}).partial_html()
    assert "DVC_METRIC" not in text
    spec = json.loads(text)
    values, encoding = spec["data"]["values"], spec["encoding"]
    assert len(values) == 2 * len(table)
    assert set(table.columns) | {"rev"} <= set(values[0])  # dvc keeps the columns that are neither x nor y
    fields = {channel: encoding[channel]["field"] for channel in ("row", "column", "x", "y", "color", "strokeDash")}
    assert fields == {
        "row": "recognizer",
        "column": "condition",
        "x": "far",
        "y": "tar",
        "color": "rev",
        "strokeDash": "map",
    }
    assert encoding["color"]["scale"]["domain"] == ["workspace", "HEAD"]
    assert encoding["x"]["scale"]["type"] == "log" and encoding["y"]["scale"]["domain"] == [0, 1]
    assert {"calculate": "toNumber(datum['far'])", "as": "far"} in spec["transform"]


def test_counts_lie_apart_by_their_logarithm_and_values_by_height(tmp_path):
    path = tmp_path / "count.png"
    table = counts({"vgg": [0.1, 0.1, 0.1, 0.9], "resnet": [0.5] * 4}, measures=["eer"])
    count_figure(path, table, "Title", {"eer": "EER"}, "photos")
    rows, columns = where(path, PALETTE[0], right=470)
    high, low = columns[rows == rows.min()].mean(), columns[rows == rows.max()]
    assert high == pytest.approx(columns.max(), abs=8)  # the highest is the last
    first, second = low.min(), low.max()  # of the three low ones: 1 and 5
    assert (second - first) / (high - first) == pytest.approx(np.log(5) / np.log(10), abs=0.05)


def test_a_measure_has_its_panel_and_an_interval_its_bar(tmp_path):
    path, table = tmp_path / "count.png", counts({"vgg": [0.2, 0.3, 0.4, 0.5]})
    count_figure(path, table, "Title", {"eer": "EER"}, "photos")
    one = Image.open(path).size
    bare = len(where(path, PALETTE[0])[0])
    count_figure(path, table.assign(low=0.1, high=0.8), "Title", {"eer": "EER"}, "photos")
    assert len(where(path, PALETTE[0])[0]) > 1.2 * bare
    count_figure(path, table, "Title", {"eer": "EER", "tar": "TAR"}, "photos")
    assert Image.open(path).size == (one[0] + 380, one[1])
    with pytest.raises(ValueError, match="low"):
        count_figure(path, table.drop(columns="low"), "Title", {"eer": "EER"}, "photos")
    with pytest.raises(ValueError, match="empty"):
        count_figure(path, table[:0], "Title", {"eer": "EER"}, "photos")
