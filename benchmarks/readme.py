"""Write this run's tables into README.md and docs, between their marks (`<!-- name -->`, `<!-- /name -->`): `python benchmarks/readme.py`.

Run it after `make paper`. What the text around the tables says stays as it is: read it again.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import replacing
from dfd.findings.tables import effect_text
from dfd.params import Params, load_params
from dfd.rendering.report import markdown_table, quality_table, verification_table, with_interval

TAR = "tar_at_far_0.001"
TEXT = {
    "synthetic": "unseen synthetic faces",
    "orl": "ORL: real people, another camera, never trained on",
}


def main() -> None:
    params = load_params()
    blocks = {
        "README.md": {"headline": headline()},
        "docs/results.md": {"quality": quality(params), "verification": verification(params)},
        "docs/experiments.md": {"findings": claims()},
    }
    texts = {path: _filled(path, named) for path, named in blocks.items()}
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _filled(path: str, blocks: Mapping[str, str]) -> str:
    text = Path(path).read_text(encoding="utf-8")
    for name, block in blocks.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(lambda marks, block=block: f"{marks[1]}{block}\n{marks[2]}", text)
        if count != 1:
            raise SystemExit(f"{path}: {count} places are marked {name}, not one")
    return text


def headline() -> str:
    """The paper's numbers of ResNet templates beside ours: on ORL in this commit's run, and on LFW (docs/results/lfw.json)."""
    lfw = json.loads(Path("docs/results/lfw.json").read_text(encoding="utf-8"))
    identity, verified = (
        _read("evaluate", ["resnet-identity"])["resnet-identity"]["orl"],
        _read("verify", ["resnet"])["resnet"],
    )
    on_lfw, seen = lfw["evaluate"]["resnet-identity"], lfw["inversion"]["resnet-identity"]
    judged = {"resnet": identity["acceptance"]} | identity["transfer"]

    def accepted(judges: Mapping, judge: str, kind: str) -> str:
        return with_interval(judges[judge][kind], "value", 0, 100) if judge in judges else "–"

    def mapped(metrics: Mapping, condition: str) -> str:
        return " → ".join(with_interval(metrics[condition][how][TAR], "value", 1, 100) for how in ("without", "with"))

    rows = [
        (
            "its reconstructions, PSNR (dB)",
            "15.0 to 15.3",
            with_interval(identity["psnr"]),
            with_interval(on_lfw["psnr"]),
        ),
        (
            "and SSIM",
            "0.52 to 0.53",
            with_interval(identity["ssim"], digits=3),
            with_interval(on_lfw["ssim"], digits=3),
        ),
        *(
            (
                f"accepted as {whose} of the person (%) by {who}",
                "–",
                accepted(judged, judge, kind),
                accepted(seen, judge, kind),
            )
            for kind, whose in (("type_1", "the same photo"), ("type_2", "another photo"))
            for judge, who in (("resnet", "itself"), ("mobilefacenet", "MobileFaceNet, which had no part in it"))
        ),
        (
            "TAR (%) of the recognizer",
            "99.3",
            *(
                with_interval(m["original"]["without"][TAR], "value", 1, 100)
                for m in (verified, lfw["verify"]["resnet"])
            ),
        ),
        (
            "with a face rotated by 30°, and with a linear map",
            "98.9 → 99.0",
            *(mapped(m, "rotated") for m in (verified, lfw["verify"]["resnet"])),
        ),
    ]
    columns = ["ResNet templates of unseen people, at 0.1 % FAR", "the paper, LFW", "here, ORL", "here, LFW"]
    return markdown_table(pd.DataFrame(rows, columns=columns))


def quality(params: Params) -> str:
    """The reconstructions of each data set, and what they gain over the linear decoder."""
    metrics, photos = _read("evaluate", params.decoders), _read("preprocess", params.datasets)
    counts = "; ".join(
        f"{found['photos']:,} photos of `{name}` gave {found['faces']:,} faces ({_splits(found)})"
        for name, found in photos.items()
    )
    parts = [f"{counts}. Every identity is in one split only. Brackets: 95 % intervals, bootstrapped over identities."]
    for dataset in params.datasets:
        count = next(iter(metrics.values()))[dataset]["n_faces"]
        parts.append(f"**Reconstructions, {TEXT.get(dataset, dataset)}** (n = {count:,}; `metrics/evaluate/`)")
        parts.append(markdown_table(quality_table(metrics, dataset)))
    dataset = params.roles.decoders
    trained = {name: metrics[name] for name in params.variants}
    gains = ", ".join(
        f"{name} {with_interval(found[dataset]['psnr']['minus_linear'])} dB" for name, found in trained.items()
    )
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
        row |= {
            other: f"{also[other]['verdict']}, {effect_text(also[other])}" if other in also else "–" for other in others
        }
        rows.append(row)
    left_out = len(found["claims"]) - len(measured)
    without = f" ({left_out} of these want LPIPS, and are left out below)" if left_out else ""
    return (
        f"**Of {len(found['claims'])} claims {counts['holds']} hold in this commit's run, {counts['does not hold']} do not, "
        f"{counts['undecided']} cannot be decided**{without}. Effects are those on "
        f"`{next(iter(measured.values()))['dataset']}`, of the part that decides where a claim has several; what exactly is compared, and "
        "every part, is in [plots/findings/](../plots/findings/findings.md).\n\n" + markdown_table(pd.DataFrame(rows))
    )


def _splits(found: Mapping) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in found["split"].items())


def _measured(key: str, claim: Mapping) -> bool:
    return claim["effect"] is not None or not key.endswith("-lpips")


def _read(stage: str, keys: Iterable[str]) -> dict[str, dict]:
    return {key: json.loads(Path(f"metrics/{stage}/{key}.json").read_text(encoding="utf-8")) for key in keys}


if __name__ == "__main__":
    main()
