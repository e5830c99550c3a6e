"""The run's metrics as tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import read_json


def read_metrics(stage: str, keys: Iterable[str]) -> dict[str, dict]:
    """The metrics of a stage by key, of those that it wrote, in the project's folder."""
    paths = {key: Path(f"metrics/{stage}/{key}.json") for key in keys}
    return {key: read_json(path) for key, path in paths.items() if path.is_file()}


def read_rivals(dataset: str) -> dict[str, dict]:
    """The metrics of the stage `rivals`, where it ran, of a data set, as those of `invert` are: by `<rival> (<variant>)`."""
    every = {path.stem: read_json(path) for path in sorted(Path("metrics/rivals").glob("*.json"))}
    return {
        f"{name} ({variant})": {dataset: values}
        for variant, datasets in every.items()
        for name, values in datasets.get(dataset, {}).items()
        if isinstance(values, Mapping) and "transfer" in values
    }


def with_interval(value: Mapping, key: str = "mean", digits: int = 2, factor: float = 1) -> str:
    """A number and its 95 % interval, as "16.21 [16.10, 16.32]"; a dash where it is null."""
    if value.get(key) is None:
        return "–"
    text = f"{value[key] * factor:.{digits}f}"
    if value.get("ci95_low") is None:
        return text
    return f"{text} [{value['ci95_low'] * factor:.{digits}f}, {value['ci95_high'] * factor:.{digits}f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def quality_table(metrics: Mapping[str, dict], dataset: str) -> pd.DataFrame:
    """Table 1's lower half: PSNR, SSIM and LPIPS by decoder, the share of the reconstructions that the recognizer accepts
    (types I and II), and cosines, from the metrics of `evaluate` by decoder; without the variants that were not evaluated on this data set."""
    rows = []
    for variant, values in metrics.items():
        if values.get(dataset) is None:
            continue
        data = values[dataset]
        row = {"variant": variant, "PSNR (dB)": with_interval(data["psnr"])}
        row |= {name.replace("_", " "): _number(data["psnr"][name]) for name in ("linear", "quadratic", "mean_face")}
        row |= {"SSIM": with_interval(data["ssim"], digits=3), "LPIPS": with_interval(data["lpips"], digits=3)}
        for roman, kind in (("I", "type_1"), ("II", "type_2")):
            row[f"accepted {roman} (%)"] = with_interval(data["acceptance"][kind], "value", 1, 100)
        for recognizer, cosine in data["cosine"].items():
            row[f"cosine ({recognizer})"] = with_interval(cosine, digits=3)
        rows.append(row)
    return pd.DataFrame(rows)


def key_table(metrics: Mapping[str, dict], datasets: Sequence[str]) -> pd.DataFrame:
    """What matters most, a row for each data set and decoder: PSNR and SSIM, beside them the PSNR of the mean face, and
    the success attack rates, types I and II, by the recognizer whose templates were decoded."""
    rows = []
    for dataset in datasets:
        for variant, values in metrics.items():
            if (data := values.get(dataset)) is None:
                continue
            rows.append(
                {
                    "decoder": variant,
                    "data set": dataset,
                    "faces": f"{data['n_faces']:,}",
                    "people": f"{data['n_identities']:,}",
                    "PSNR (dB)": with_interval(data["psnr"]),
                    "of the mean face": _number(data["psnr"]["mean_face"]),
                    "SSIM": with_interval(data["ssim"], digits=3),
                    "SAR I (%)": with_interval(data["acceptance"]["type_1"], "value", 1, 100),
                    "SAR II (%)": with_interval(data["acceptance"]["type_2"], "value", 1, 100),
                }
            )
    return pd.DataFrame(rows)


def verification_table(metrics: Mapping[str, dict], far: str = "0.001") -> pd.DataFrame:
    """Table 2: TAR (%) at one FAR by recognizer and condition, without and with the map, and their difference; a
    dash for what was left out."""
    rows = []
    key = f"tar_at_far_{far}"
    for recognizer, values in metrics.items():
        for condition in ("original", "rotated", "translated", "scaled"):
            data = values.get(condition) or {}
            row = {"recognizer": recognizer, "condition": condition}
            for mapped in ("without", "with"):
                row[mapped] = with_interval(data[mapped][key], "value", 1, 100) if mapped in data else "–"
            row["with − without"] = "–"
            if "difference" in data:
                row["with − without"] = with_interval(data["difference"][key], "difference", 1, 100)
            row["EER without"] = with_interval(data["without"]["eer"], "value", 1, 100) if data else "–"
            rows.append(row)
    return pd.DataFrame(rows)


def view2_table(metrics: Mapping[str, dict]) -> pd.DataFrame:
    """LFW's view 2 by recognizer, from those metrics of `verify` that hold it; rates in %, ± one standard error."""
    rows = []
    for recognizer, values in metrics.items():
        data = values.get("view2", {})
        if data.get("accuracy") is None:
            continue
        tar = data["tar_at_far_0.001"]
        rows.append(
            {
                "recognizer": recognizer,
                "pairs": f"{data['n_pairs']:,} in {data['n_folds']} folds",
                "without a face": data["failures"]["pairs"],
                "accuracy": _with_error(data["accuracy"]),
                "TAR at 0.1 % FAR, pooled": with_interval(tar, "value", 2, 100),
                "by folds": _with_error(tar["folds"]["tar"]),
                "EER": with_interval(data["eer"], "value", 2, 100),
                "AUC": with_interval(data["auc"], "value", 4),
            }
        )
    return pd.DataFrame(rows)


def markdown_table(table: pd.DataFrame) -> str:
    """A table as Markdown, without its index."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.values.tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _with_error(value: Mapping) -> str:
    return f"{100 * value['mean']:.2f} ± {100 * value['standard_error']:.2f}"
