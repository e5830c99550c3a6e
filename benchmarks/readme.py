"""Write this run's tables into README.md, between their marks (`<!-- name -->` and `<!-- /name -->`): `python benchmarks/readme.py`.

Run it after `make paper`. What the text around the tables says stays as it is: read it again.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import replacing
from dfd.params import Params, load_params
from dfd.rendering.findings import effect_text
from dfd.rendering.report import markdown_table, quality_table, verification_table, with_interval

TEXT = {
    "synthetic": "unseen synthetic faces",
    "orl": "ORL: real people, another camera, never trained on",
}


def main() -> None:
    params = load_params()
    text = Path("README.md").read_text(encoding="utf-8")
    for name, block in {"quality": quality(params), "verification": verification(params), "findings": claims()}.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(lambda marks, block=block: f"{marks[1]}{block}\n{marks[2]}", text)
        if count != 1:
            raise SystemExit(f"README.md: {count} places are marked {name}, not one")
    with replacing("README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def quality(params: Params) -> str:
    """The reconstructions of each data set, and what they gain over the linear decoder."""
    metrics, photos = _read("evaluate", params.decoders), _read("preprocess", params.datasets)
    counts = "; ".join(f"{found['photos']:,} photos of `{name}` gave {found['faces']:,} faces ({_splits(found)})" for name, found in photos.items())
    parts = [f"{counts}. Every identity is in one split only. Brackets: 95 % intervals, bootstrapped over identities."]
    for dataset in params.datasets:
        count = next(iter(metrics.values()))[dataset]["n_faces"]
        parts.append(f"**Reconstructions, {TEXT.get(dataset, dataset)}** (n = {count:,}; `metrics/evaluate/`)")
        parts.append(markdown_table(quality_table(metrics, dataset)))
    dataset = params.roles.decoders
    trained = {name: metrics[name] for name in params.variants}
    gains = ", ".join(f"{name} {with_interval(found[dataset]['psnr']['minus_linear'])} dB" for name, found in trained.items())
    parts.append(f"PSNR minus the linear decoder's on the same faces of `{dataset}` (paired): {gains}.")
    return "\n\n".join(parts)


def verification(params: Params) -> str:
    """Table 2."""
    title = (
        f"**Verification on `{params.roles.verification}`, TAR (%) at 0.1 % FAR**, one face of each pair perturbed, "
        "without and with the linear map in template space (`metrics/verify/`)"
    )
    return f"{title}\n\n{markdown_table(verification_table(_read('verify', params.recognizers)))}"


def claims() -> str:
    """The findings; those that want LPIPS, where it could not be computed, are counted only."""
    found = json.loads(Path("metrics/findings.json").read_text(encoding="utf-8"))
    counts, measured = found["counts"], {key: claim for key, claim in found["claims"].items() if _measured(key, claim)}
    others = sorted({dataset for claim in measured.values() for dataset in claim.get("also", {})})
    rows = []
    for claim in measured.values():
        row = {"the paper says": claim["claim"], "here: effect [95 % interval]": "–", "verdict": claim["verdict"]}
        if claim["effect"] is not None:
            part = f", {claim['part']}" if "part" in claim else ""
            row["here: effect [95 % interval]"] = f"{effect_text(claim)} {claim['unit']}{part}"
        if claim["verdict"] != "undecided":
            row["verdict"] = f"**{claim['verdict']}**"
        also = claim.get("also", {})
        row |= {other: f"{also[other]['verdict']}, {effect_text(also[other])}" if other in also else "–" for other in others}
        rows.append(row)
    left_out = len(found["claims"]) - len(measured)
    without = f" ({left_out} of these want LPIPS, and are left out below)" if left_out else ""
    return (
        f"**Of {len(found['claims'])} claims {counts['holds']} hold in this commit's run, {counts['does not hold']} do not, "
        f"{counts['undecided']} cannot be decided**{without}. Effects are those on "
        f"`{next(iter(measured.values()))['dataset']}`, of the part that decides where a claim has several; what exactly is compared, and "
        "every part, is in [plots/findings/](plots/findings/findings.md).\n\n" + markdown_table(pd.DataFrame(rows))
    )


def _splits(found: Mapping) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in found["split"].items())


def _measured(key: str, claim: Mapping) -> bool:
    return claim["effect"] is not None or not key.endswith("-lpips")


def _read(stage: str, keys: Mapping) -> dict[str, dict]:
    return {key: json.loads(Path(f"metrics/{stage}/{key}.json").read_text(encoding="utf-8")) for key in keys}


if __name__ == "__main__":
    main()
