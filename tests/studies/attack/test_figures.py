import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dfd.studies.attack import figures as attacks
from dfd.studies.attack.figures import attack_bars, attack_grid, attack_roc, attack_strength
from dfd.studies.attack.targeted import Shown


def shown(value: float, noise: float | None = None) -> Shown:
    image = torch.full((3, 8, 8), value)
    return Shown(
        image,
        None if noise is None else torch.full((3, 8, 8), noise / 255),
        {"a-b": image},
        {"before": "s1 1.00", "a-b": "s2 0.50"},
    )


def cell(picture: np.ndarray, colour: int) -> int:
    """How many pixels have exactly this grey."""
    return int((picture == colour).all(-1).sum())


@pytest.mark.parametrize("noise, grey", [(4.0, 255), (-4.0, 0), (0.0, 128), (2.0, 191), (40.0, 255)])
def test_the_grid_shows_noise_from_black_to_white(tmp_path, noise, grey):
    columns = {"as it is": shown(0.2), "tfgsm": shown(0.3, noise), "target": shown(0.4)}
    attack_grid(tmp_path / "grid.png", columns, 4.0, "Title")
    with_noise = np.asarray(Image.open(tmp_path / "grid.png").convert("RGB"))
    attack_grid(tmp_path / "grid.png", columns | {"tfgsm": shown(0.3, -0.8)}, 4.0, "Title")
    without = np.asarray(Image.open(tmp_path / "grid.png").convert("RGB"))
    assert cell(with_noise, grey) - cell(without, grey) == 112 * 112
    for value in (0.2, 0.3, 0.4):  # the image, and the reconstruction
        assert cell(with_noise, round(value * 255)) >= 2 * 112 * 112


def called(monkeypatch, name: str) -> list:
    """What a figure's function is called with, in place of drawing."""
    calls: list = []
    monkeypatch.setattr(attacks, name, lambda *arguments, **options: calls.append((arguments, options)))
    return calls


def curves(decodings) -> pd.DataFrame:
    rows = [(a, d, far, 0.5) for a in ("original", "attacked") for d in decodings for far in (0.01, 1.0)]
    return pd.DataFrame(rows, columns=["attack", "decoding", "far", "tar"])


def test_each_variant_has_a_panel_with_four_curves(monkeypatch, tmp_path):
    calls = called(monkeypatch, "roc_figure")
    attack_roc(tmp_path / "roc.png", curves(["before", "r-v", "r-r"]), ["r-v", "r-r"], "Title")
    table = calls[0][0][1]
    assert list(table["variant"].unique()) == ["r-v", "r-r"]
    for _, panel in table.groupby("variant"):
        assert len(panel.groupby(["attack", "decoding"])) == 4 and set(panel["decoding"]) == {"before", "after"}
        assert not panel.duplicated(["attack", "decoding", "far"]).any()


def test_without_variants_there_is_one_panel(monkeypatch, tmp_path):
    calls = called(monkeypatch, "roc_figure")
    attack_roc(tmp_path / "roc.png", curves(["before"]), [], "Title")
    assert len(calls[0][0][1]) == 4 and calls[0][0][1]["variant"].nunique() == 1


def test_all_figures_are_drawn(tmp_path):
    attack_roc(tmp_path / "roc.png", curves(["before", "r-v"]), ["r-v"], "Title")
    rates = [("tfgsm", d, k, 0.5, 0.4, 0.6) for d in ("before", "r-v") for k in ("target", "true_identity")]
    attack_bars(
        tmp_path / "bars.png",
        pd.DataFrame(rates, columns=["attack", "decoding", "predicted", "share", "ci95_low", "ci95_high"]),
        "Title",
    )
    tars = [(d, e, 0.5, 0.4, float("nan")) for d in ("before", "r-v") for e in (0.0, 4.0)]
    attack_strength(
        tmp_path / "strength.png",
        pd.DataFrame(tars, columns=["decoding", "epsilon", "tar", "ci95_low", "ci95_high"]),
        "Title",
    )
    for name in ("roc", "bars", "strength"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 100 and len(picture.convert("RGB").getcolors(1 << 24)) > 20
