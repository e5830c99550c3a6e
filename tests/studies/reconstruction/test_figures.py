"""Tables and pictures of compared decoders."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageColor

from dfd.core.left_out import LeftOut
from dfd.rendering.grids import EMPTY
from dfd.studies.reconstruction.figures import comparison_table, draw_acceptance, draw_comparison

MEAN = {"mean": 15.0, "ci95_low": 14.0, "ci95_high": 16.0}
MINUS = {"minus_full": {"mean": -0.5, "ci95_low": -0.75, "ci95_high": -0.25}}
NULL = {"mean": None, "ci95_low": None, "ci95_high": None}
METRICS = {
    "orl": {
        "decoders": {
            "full": {"psnr": MEAN, "ssim": MEAN, "lpips": NULL},
            "pixel": {"psnr": MEAN | MINUS, "ssim": MEAN | MINUS},
        }
    }
}


def test_the_table_holds_every_number_once():
    table = comparison_table(METRICS, "full").set_index(["dataset", "decoder", "measure"])
    assert len(table) == 5 and table.index.is_unique
    assert table.loc[("orl", "pixel", "psnr")].tolist() == [15, 14, 16, -0.5, -0.75, -0.25]
    full = table.loc[("orl", "full", "psnr")]
    assert (
        full[["mean", "low", "high"]].tolist() == [15, 14, 16]
        and full[["minus", "minus_low", "minus_high"]].isna().all()
    )
    assert math.isnan(table.loc[("orl", "full", "lpips"), "mean"])


@pytest.fixture
def histories(tmp_path):
    for name in ("full", "pixel"):
        pd.DataFrame({"epoch": [1], "split": ["train"], name: [2.0]}).to_csv(tmp_path / f"{name}.csv", index=False)
    return {name: str(tmp_path / f"{name}.csv") for name in ("full", "pixel")}


def test_everything_is_drawn(tmp_path, histories):
    faces = torch.rand(3, 3, 56, 56)
    shown = {
        "orl": (faces, {"full": faces * 0.9, "pixel": faces * 0.5}),
        "lfw": (faces[:1], {"full": faces[:1], "pixel": faces[:1]}),
    }
    for folder in ("a", "b"):
        draw_comparison(tmp_path / folder, "Losses", "full", METRICS, shown, {"gradient": "no gradients"}, histories)
    names = [
        "faces.png",
        "measures.csv",
        "psnr-minus-full.png",
        "psnr.png",
        "ssim-minus-full.png",
        "ssim.png",
        "training.csv",
    ]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    training = pd.read_csv(tmp_path / "a" / "training.csv")
    assert training["decoder"].tolist() == ["full", "pixel"]
    with Image.open(tmp_path / "a" / "faces.png") as picture:  # four rows, the last of grey cells, of four faces
        assert picture.height > 4 * 112 and picture.width > 4 * 112
        last = np.asarray(picture.convert("RGB"))[:, -12 - 112 : -12]
        grey = (last == ImageColor.getrgb(EMPTY)).all((1, 2)).nonzero()[0]
        assert 100 <= len(grey) < 112 and grey[0] > picture.height / 2  # a dash crosses the cell


def test_without_decoders_there_are_empty_tables_and_no_picture(tmp_path):
    draw_comparison(tmp_path, "Losses", "full", {}, {}, {"full": LeftOut("no gradients")}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["measures.csv"]


def test_acceptance_is_drawn_where_there_is_any(tmp_path):
    share = {"value": 0.5, "ci95_low": 0.4, "ci95_high": 0.6}
    draw_acceptance(tmp_path / "a.png", {"decoders": {"ours": {"type_1": share, "type_2": share}}}, "Accepted")
    assert (tmp_path / "a.png").is_file()
    nothing = dict.fromkeys(share) | {"acceptance_note": "left out: no pairs"}
    for acceptance in ({"acceptance_note": "left out"}, {"decoders": {"ours": {"type_1": nothing, "type_2": nothing}}}):
        draw_acceptance(tmp_path / "b.png", acceptance, "Accepted")
        assert not (tmp_path / "b.png").exists()
