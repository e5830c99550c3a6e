"""A run's metrics gathered for docs/results: all numbers of a data set, and their tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import read_json, write_json, write_text
from dfd.core.errors import DfdError
from dfd.findings.rule import FAILS, HOLDS, UNDECIDED
from dfd.findings.tables import findings_markdown
from dfd.learning.settings import TrainRecognizer
from dfd.params import Params
from dfd.reporting.inversion import inversion_tables
from dfd.reporting.tables import (
    markdown_table,
    quality_table,
    read_metrics,
    read_rivals,
    verification_table,
    view2_table,
    with_interval,
)

COMPARED = {  # what the experiments train to be compared, with its heading
    "ablation": "What each part of the loss is worth to `{}` (Table 1)",
    "competitors": "`{}` beside other architectures",
}
COMPARED_BY = {"psnr": 2, "ssim": 3}  # the digits


def write_results(params: Params, name: str, folder: Path) -> None:
    """Write `<data set>.json`, all numbers, and `<data set>.md`, their tables; no image, and no path of the machine.

    The findings on this data set are among them where the stage `findings` ran. Raises DfdError where the data set has
    no metrics in the project's folder.
    """
    params.entry("datasets", name)
    quality, verification = read_metrics("evaluate", params.variants), read_metrics("verify", params.recognizers)
    trained = read_metrics("train_decoder", quality)
    recognizers = read_metrics("train_recognizer", params.train_recognizer)
    photos = read_metrics("preprocess", [name]).get(name)
    measured = {variant: metrics[name] for variant, metrics in quality.items() if metrics.get(name)}
    if photos is None or not measured or not verification:
        raise DfdError(f"metrics: a run on {name} has left none here; run `dvc repro`")
    invert = {
        decoder: metrics[name]
        for decoder, metrics in (read_metrics("invert", params.decoders) | read_rivals(name)).items()
        if metrics.get(name)
    }
    results = {
        "preprocess": photos,
        "train_recognizer": recognizers,
        "train_decoder": trained,
        "evaluate": measured,
        "inversion": {variant: _judged(metrics, params.decoders[variant]) for variant, metrics in measured.items()},
        "noise": {variant: metrics["noise"] for variant, metrics in measured.items()},
        "storage": {variant: metrics["storage"] for variant, metrics in measured.items()},
        "adapters": read_metrics("adapters", params.experiments.adapters.recognizers),
        "invert": invert,
        "verify": verification,
        "ablation": _of_data_set(read_metrics("ablation", params.variants), name),
        "competitors": _of_data_set(read_metrics("competitors", params.variants), name),
        "findings": _findings(name),
    }
    write_json(folder / f"{name}.json", results)

    first = next(iter(verification.values()))
    impostors = first["original"]["without"]["tar_at_far_0.001"]["n_impostor"]
    differences = [
        f"{variant} {with_interval(metrics['psnr']['minus_linear'])} dB" for variant, metrics in measured.items()
    ]
    parts = [
        f"# {name.upper()}: the numbers of one run",
        f"The same, in full: [{name}.json]({name}.json). To make them again, in the project's folder:",
        (
            f"    dfd profile {name} --apply   # then, without a network, set datasets.{name}.path and .pairs\n"
            f"    dvc repro   # with -P the experiments too\n    dfd results {name}"
        ),
        f"{photos['photos']:,} photos, {photos['faces']:,} faces, {photos['rejected']['total']} photos without one; "
        f"{photos['identities']:,} people. Faces by split, nobody in two of them: "
        + ", ".join(f"{split} {count:,}" for split, count in photos["split"].items())
        + ". Brackets are 95 % intervals, bootstrapped over people; ± is one standard error over folds.",
        *(
            _trained(recognizer, params.train_recognizer[recognizer], metrics)
            for recognizer, metrics in recognizers.items()
        ),
        "## View 2\n\nPairs that show someone whom the recognizer learned from are not used.",
        markdown_table(view2_table(verification)),
        (
            f"## All pairs of unseen people\n\n{first['n_faces'] - first['faces_beyond_limit']:,} faces of {first['n_identities']:,} "
            f"people, at most {params.verify.photos} of each ({first['faces_beyond_limit']:,} further faces left out), {impostors:,} impostor pairs."
        ),
        markdown_table(_all_pairs(verification)),
        "TAR (%) at 0.1 % FAR with one face of each pair rotated, translated or scaled, without and with the linear map:",
        markdown_table(verification_table(verification)),
        (
            "The same on those of view 2's pairs that show only people whom nothing learned from "
            f"({first['view2_perturbed']['n_pairs']:,} pairs):"
        ),
        markdown_table(
            verification_table({name: metrics["view2_perturbed"] for name, metrics in verification.items()})
        ),
        "## Reconstructions of unseen people",
        markdown_table(quality_table(quality, name)),
        f"PSNR minus the linear decoder's, paired: {', '.join(differences)}.",
        ("Validation loss by epoch, in squared grey levels; each variant's own, so rows cannot be compared:"),
        markdown_table(_losses(trained)),
        (
            "## Whom recognizers see in the reconstructions\n\nAccepted at 0.1 % FAR of the unattacked system (%), of all attempts: type I "
            "against the same photo, type II against another of the person. A recognizer whose own templates were decoded is marked *."
        ),
        markdown_table(_inversion(results["inversion"], params.decoders)),
        (
            "Gradient energy by octave of spatial frequency, relative to the photos' (1.0 is natural, above 1.3 in the top octave is "
            "painted noise), and what storing templates costs: PSNR (dB) and type I (points), stored minus exact."
        ),
        markdown_table(_noise_and_storage(measured)),
    ]
    for study, heading in COMPARED.items():
        for variant, metrics in results[study].items():
            parts += [f"## {heading.format(variant)}", _seeds(metrics), markdown_table(_compared(metrics["decoders"]))]
    if results["adapters"]:
        parts += [
            (
                "## How many leaked pairs open another system\n\nA map from a recognizer's templates to those that a decoder learned, fitted "
                "on so many photos of training people; accepted by that recognizer itself at 0.1 % FAR (%)."
            ),
            markdown_table(_adapters(results["adapters"])),
        ]
    if invert:
        parts.append("## What templates give away")
        for heading, text, table in inversion_tables(invert):
            parts += [f"### {heading}\n\n{text}", markdown_table(table)]
    if results["findings"]:
        parts += [
            "## What the paper's text claims, as far as its stages ran",
            findings_markdown(results["findings"]).rstrip(),
        ]
    write_text(folder / f"{name}.md", "\n\n".join(parts) + "\n")


def _of_data_set(metrics: Mapping[str, dict], name: str) -> dict[str, dict]:
    return {variant: by_dataset[name] for variant, by_dataset in metrics.items() if by_dataset.get(name)}


def _seeds(metrics: dict) -> str:
    trainings = f" Means over {seeds} trainings of each." if (seeds := metrics.get("n_seeds", 1)) > 1 else ""
    return f"On {metrics['n_faces']:,} faces of {metrics['n_identities']:,} people; differences are paired.{trainings}"


def _compared(decoders: Mapping[str, dict]) -> pd.DataFrame:
    """Decoders that were trained to be compared, each with its differences from those that it is compared with."""
    rows = []
    for decoder, measures in decoders.items():
        row = {"decoder": decoder}
        for measure, digits in COMPARED_BY.items():
            values = measures[measure]
            row[measure] = with_interval(values, digits=digits)
            differences = {key: value for key, value in values.items() if key.startswith("minus_")}
            row[f"{measure}, minus"] = "; ".join(
                f"{key.removeprefix('minus_')}: {with_interval(value, digits=digits)}"
                for key, value in differences.items()
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _judged(metrics: dict, attacked: str) -> dict[str, dict]:
    """By recognizer that sees the reconstructions, the one whose templates were decoded first: type_1 and type_2."""
    judges = {attacked: metrics["acceptance"]} | metrics["transfer"]
    return {
        judge: {kind: rates[kind] for kind in ("type_1", "type_2")}
        for judge, rates in judges.items()
        if rates.get("type_1")
    }


def _inversion(inversion: dict[str, dict], attacked: Mapping[str, str]) -> pd.DataFrame:
    rows = []
    for variant, judges in inversion.items():
        for judge, rates in judges.items():
            cells = {
                f"type {roman}": with_interval(rates[kind], "value", 1, 100)
                for roman, kind in (("I", "type_1"), ("II", "type_2"))
            }
            rows.append({"decoder": variant, "seen by": judge + " *" * (judge == attacked[variant])} | cells)
    return pd.DataFrame(rows)


def _noise_and_storage(measured: dict[str, dict]) -> pd.DataFrame:
    rows = []
    for variant, metrics in measured.items():
        row = {"decoder": variant, "top octave": f"{metrics['noise']['top_octave']:.3f}"}
        for kind, stored in metrics["storage"].items():
            decibels, points = (stored[measure].get("minus_exact") or {} for measure in ("psnr", "type_1"))
            row[kind] = with_interval(decibels) + f"; {with_interval(points, digits=1, factor=100)}"
        rows.append(row)
    return pd.DataFrame(rows)


def _adapters(adapters: dict[str, dict]) -> pd.DataFrame:
    rows = []
    for recognizer, counts in adapters.items():
        for pairs, rates in counts.items():
            if isinstance(rates, dict) and rates.get("type_1", {}).get("value") is not None:
                cells = {
                    f"type {roman}": with_interval(rates[kind], "value", 1, 100)
                    for roman, kind in (("I", "type_1"), ("II", "type_2"))
                }
                rows.append({"templates of": recognizer, "pairs": pairs} | cells)
    return pd.DataFrame(rows)


def _findings(dataset: str) -> dict | None:
    """The findings on this data set (a checkout has those of another one's run) without the claims that nothing measured."""
    path = Path("metrics/findings.json")
    claims = read_json(path)["claims"] if path.exists() else {}
    claims = {
        key: claim for key, claim in claims.items() if claim["dataset"] == dataset and claim["effect"] is not None
    }
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


def _losses(trained: Iterable[str]) -> pd.DataFrame:
    rows = []
    for variant in trained:
        history = pd.read_csv(f"plots/train_decoder/{variant}.csv").query("split == 'validation'")
        rows.append(
            {"variant": variant}
            | {f"epoch {epoch}": f"{loss:.0f}" for epoch, loss in zip(history["epoch"], history["total"])}
        )
    return pd.DataFrame(rows).fillna("–")  # trainings end after different epochs
