"""The findings as tables: long form for CSV, and as Markdown in full for plots/findings and as a page of the docs."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import write_table, write_text
from dfd.findings.rule import FAILS, HOLDS, UNDECIDED

COLUMNS = [
    "key",
    "claim",
    "where",
    "compares",
    "unit",
    "claimed",
    "dataset",
    "part",
    "effect",
    "low",
    "high",
    "interval",
    "verdict",
    "note",
]
SUMMARY = "the claim"  # in `part`: of the claim as a whole


def findings_table(found: Mapping) -> pd.DataFrame:
    """Long form of `findings`: a row per claim and data set, and one for each part where there are several."""
    rows = []
    for key, finding in found["claims"].items():
        for dataset, result in {finding["dataset"]: finding, **finding.get("also", {})}.items():
            for part, numbers in {SUMMARY: result, **result.get("parts", {})}.items():
                row = {name: finding[name] for name in ("claim", "where", "compares", "unit", "claimed")}
                row |= {name: numbers[name] for name in ("effect", "interval", "verdict")}
                row |= {"low": numbers["ci95_low"], "high": numbers["ci95_high"], "note": numbers.get("effect_note")}
                rows.append(row | {"key": key, "dataset": dataset, "part": part})
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(["effect", "low", "high"], float))


def findings_markdown(found: Mapping) -> str:
    """One row per claim: what the paper says and where, the effect with its interval, what range was claimed, the verdict;
    those of other data sets behind it."""
    lines = ["| the paper says | where | compared here | effect [95 % interval] | claimed | here |", "| --- " * 6 + "|"]
    for finding in found["claims"].values():
        verdicts = [f"**{finding['verdict']}**"]
        if finding["effect"] is None:
            verdicts[0] += f" ({_cell(finding['effect_note'])})"
        verdicts += [
            f"{dataset}: {result['verdict']} ({effect_text(result)})"
            for dataset, result in finding.get("also", {}).items()
        ]
        part = f" ({finding['part']})" if "part" in finding and finding["effect"] is not None else ""
        effect = f"{effect_text(finding)} {finding['unit']}{part}" if finding["effect"] is not None else "–"
        cells = [
            finding["claim"],
            finding["where"],
            finding["compares"],
            effect,
            finding["claimed"],
            "; ".join(verdicts),
        ]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    many = {HOLDS: "hold", FAILS: "do not hold"}
    counts = ", ".join(
        f"{count} {name if count == 1 else many.get(name, name)}" for name, count in found["counts"].items()
    )
    return f"{len(found['claims'])} claims: {counts}.\n\n" + "\n".join(lines) + "\n"


def findings_page(found: Mapping) -> str:
    """A page of the docs: what was claimed, the effect and the verdicts. Claims that want LPIPS are counted only where it
    could not be computed."""
    claims = {
        key: claim
        for key, claim in found["claims"].items()
        if claim["effect"] is not None or not key.endswith("-lpips")
    }
    left_out, counts = len(found["claims"]) - len(claims), found["counts"]
    datasets = sorted({f"`{claim['dataset']}`" for claim in claims.values()})
    others = sorted({dataset for claim in claims.values() for dataset in claim.get("also", {})})
    header = ["the paper says", "here: effect [95 % interval]", "verdict", *others]
    lines = ["| " + " | ".join(header) + " |", "| --- " * len(header) + "|"]
    for claim in claims.values():
        part = f", {claim['part']}" if "part" in claim else ""
        effect = "–" if claim["effect"] is None else f"{effect_text(claim)} {claim['unit']}{part}"
        verdict, also = claim["verdict"], claim.get("also", {})
        cells = [claim["claim"], effect, verdict if verdict == UNDECIDED else f"**{verdict}**"]
        cells += [f"{also[name]['verdict']}, {effect_text(also[name])}" if name in also else "–" for name in others]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    without = f" ({left_out} of these want LPIPS, and are left out below)" if left_out else ""
    text = (
        f"# What the paper claims, judged\n\n**Of {len(found['claims'])} claims {counts[HOLDS]} hold in this run, "
        f"{counts[FAILS]} do not, {counts[UNDECIDED]} cannot be decided**{without}. The rule, and what the experiments are: "
        f"[experiments.md](experiments.md#experiments-and-findings). Effects are those on {' and '.join(datasets)}, of the part "
        "that decides where a claim has several; what exactly is compared, and every part, is in "
        "[plots/findings/](../plots/findings/findings.md).\n\n"
    )
    return text + "\n".join(lines) + "\n"


def effect_text(result: Mapping) -> str:
    """An effect and its 95 % interval, as "0.5 [0.4, 0.6]"; a dash where it is null."""
    ends = [result[name] for name in ("effect", "ci95_low", "ci95_high")]
    value, low, high = ("–" if end is None else f"{end:.3g}".replace("-", "−") for end in ends)
    return value if result["ci95_low"] is None else f"{value} [{low}, {high}]"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write_findings(folder: str | Path, page: str | Path, found: Mapping) -> None:
    """Write findings.csv and findings.md into a folder, and the page of the docs."""
    folder = Path(folder)
    write_table(folder / "findings.csv", findings_table(found))
    for path, text in {folder / "findings.md": findings_markdown(found), Path(page): findings_page(found)}.items():
        write_text(path, text)
