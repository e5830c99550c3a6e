"""Gather a run's metrics into docs/results: `python benchmarks/results.py lfw` after `dfd profile lfw --apply && dvc repro`.

Writes <data set>.json, all numbers, and <data set>.md, their tables; no image, and no path of the machine. The findings on
this data set are among them where the stage `findings` ran.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import replacing, write_json
from dfd.findings.rule import FAILS, HOLDS, UNDECIDED
from dfd.params import TrainRecognizer, load_params
from dfd.rendering.findings import findings_markdown
from dfd.rendering.report import markdown_table, quality_table, verification_table, view2_table, with_interval


def main(name: str) -> None:
    params = load_params()
    quality, verification = _read("evaluate", params.variants), _read("verify", params.recognizers)
    trained, recognizers = _read("train_decoder", params.variants), _read("train_recognizer", params.train_recognizer)
    photos = _read("preprocess", [name])[name]
    results = {
        "preprocess": photos,
        "train_recognizer": recognizers,
        "train_decoder": trained,
        "evaluate": {variant: metrics[name] for variant, metrics in quality.items()},
        "verify": verification,
        "findings": _findings(name),
    }
    folder = Path("docs/results")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", results)

    first = next(iter(verification.values()))
    impostors = first["original"]["without"]["tar_at_far_0.001"]["n_impostor"]
    differences = [f"{variant} {with_interval(metrics[name]['psnr']['minus_linear'])} dB" for variant, metrics in quality.items()]
    parts = [
        f"# {name.upper()}: the numbers of one run",
        f"The same, in full: [{name}.json]({name}.json). To make them again, in the project's folder:",
        (f"    dfd profile {name} --apply   # then, without a network, set datasets.{name}.path and .pairs in params.yaml\n"
        f"    dvc repro   # with -P the experiments too\n    python benchmarks/results.py {name}"),
        f"{photos['photos']:,} photos, {photos['faces']:,} faces, {photos['rejected']['total']} photos without one; "
        f"{photos['identities']:,} people. Faces by split, nobody in two of them: "
        + ", ".join(f"{split} {count:,}" for split, count in photos["split"].items())
        + ". Brackets are 95 % intervals, bootstrapped over people; ± is one standard error over folds.",
        *(_trained(recognizer, params.train_recognizer[recognizer], metrics) for recognizer, metrics in recognizers.items()),
        "## View 2\n\nPairs that show someone whom the recognizer learned from are not used.",
        markdown_table(view2_table(verification)),
        (f"## All pairs of unseen people\n\n{first['n_faces'] - first['faces_beyond_limit']:,} faces of {first['n_identities']:,} "
        f"people, at most {params.verify.photos} of each ({first['faces_beyond_limit']:,} further faces left out), {impostors:,} impostor pairs."),
        markdown_table(_all_pairs(verification)),
        "TAR (%) at 0.1 % FAR with one face of each pair rotated, translated or scaled, without and with the linear map:",
        markdown_table(verification_table(verification)),
        ("The same on those of view 2's pairs that show only people whom nothing learned from "
        f"({first['view2_perturbed']['n_pairs']:,} pairs):"),
        markdown_table(verification_table({name: metrics["view2_perturbed"] for name, metrics in verification.items()})),
        "## Reconstructions of unseen people",
        markdown_table(quality_table(quality, name)),
        f"PSNR minus the linear decoder's, paired: {', '.join(differences)}.",
        "Validation loss (Eq. 2) by epoch:",
        markdown_table(_losses(params.variants)),
    ]
    if results["findings"]:
        parts += ["## What the paper's text claims, as far as its stages ran", findings_markdown(results["findings"]).rstrip()]
    with replacing(folder / f"{name}.md") as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _read(stage: str, keys: Iterable[str]) -> dict[str, dict]:
    return {key: json.loads(Path(f"metrics/{stage}/{key}.json").read_text()) for key in keys}


def _findings(dataset: str) -> dict | None:
    """The findings on this data set (a checkout has those of another one's run) without the claims that nothing measured."""
    path = Path("metrics/findings.json")
    claims = json.loads(path.read_text())["claims"] if path.exists() else {}
    claims = {key: claim for key, claim in claims.items() if claim["dataset"] == dataset and claim["effect"] is not None}
    verdicts = [claim["verdict"] for claim in claims.values()]
    counts = {verdict: verdicts.count(verdict) for verdict in (HOLDS, FAILS, UNDECIDED)}
    return {"counts": counts, "claims": claims} if claims else None


def _trained(recognizer: str, settings: TrainRecognizer, metrics: dict) -> str:
    how = f"taught by `{settings.teacher}`" if settings.objective == "distil" else f"by {settings.objective}"
    loss = metrics["loss"]
    return (
        f"`{recognizer}` was trained on {metrics['n_faces']:,} of these faces, {how}: {settings.epochs} epochs, "
        f"its loss from {loss['first']:.3f} to {loss['last']:.3f}."
    )


def _all_pairs(verification: dict[str, dict]) -> pd.DataFrame:
    rows = []
    for recognizer, metrics in verification.items():
        rates = metrics["original"]["without"]
        row = {"recognizer": recognizer}
        for far in ("0.0001", "0.001", "0.01"):
            row[f"TAR at {100 * float(far):g} % FAR"] = with_interval(rates[f"tar_at_far_{far}"], "value", 2, 100)
        row |= {"EER": with_interval(rates["eer"], "value", 2, 100), "AUC": with_interval(rates["auc"], "value", 4)}
        rows.append(row)
    return pd.DataFrame(rows)


def _losses(variants) -> pd.DataFrame:
    rows = []
    for variant in variants:
        history = pd.read_csv(f"plots/train_decoder/{variant}.csv").query("split == 'validation'")
        losses = {f"epoch {epoch}": f"{loss:.0f}" for epoch, loss in zip(history["epoch"], history["total"])}
        rows.append({"variant": variant} | losses)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
