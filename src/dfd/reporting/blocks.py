"""Tables inside texts, between marks (`<!-- name -->`, `<!-- /name -->`): this run's in README.md and docs/results.md."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import write_text
from dfd.core.errors import DfdError
from dfd.reporting.tables import markdown_table, quality_table, verification_table, with_interval

TAR = "tar_at_far_0.001"
RESNET, DECODER, STRANGER = "resnet", "resnet-identity", "mobilefacenet"  # whose numbers the README shows
TEXT = {
    "synthetic": "unseen synthetic faces",
    "orl": "ORL: real people, another camera, never trained on",
}


def fill(files: Mapping[str, Mapping[str, str]]) -> None:
    """Write blocks by name into files; what stands around their marks stays. No file is written unless all have their marks.

    Raises DfdError where a file is missing, or a block has not one place in it.
    """
    texts = {path: _filled(Path(path), blocks) for path, blocks in files.items()}
    for path, text in texts.items():
        write_text(path, text)


def _filled(path: Path, blocks: Mapping[str, str]) -> str:
    if not path.is_file():
        raise DfdError(
            f"{path}: no such file, and this run's tables belong into it; get it back (`git checkout {path}`)"
        )
    text = path.read_text(encoding="utf-8")
    for name, block in blocks.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(lambda marks, block=block: f"{marks[1]}{block}\n{marks[2]}", text)
        if count != 1:
            raise DfdError(f"{path}: {count} places are marked {name}, not one")
    return text


def headline(dataset: str, evaluated: Mapping, verified: Mapping, lfw: Mapping) -> str:
    """The paper's numbers of ResNet templates beside those of this run, on `dataset`, and on LFW; a dash for what did not run.

    evaluated, verified: the metrics of `evaluate` by decoder, and of `verify` by recognizer. lfw: docs/results/lfw.json.
    """
    here, on_lfw = _at(evaluated, DECODER, dataset), _at(lfw, "evaluate", DECODER)
    judges = {RESNET: _at(here, "acceptance")} | _at(here, "transfer"), _at(lfw, "inversion", DECODER)
    verifications = _at(verified, RESNET), _at(lfw, "verify", RESNET)

    def mapped(metrics: Mapping, condition: str) -> str:
        return " → ".join(
            with_interval(_at(metrics, condition, how, TAR), "value", 1, 100) for how in ("without", "with")
        )

    rows = [
        ("its reconstructions, PSNR (dB)", "15.0 to 15.3", *(with_interval(_at(m, "psnr")) for m in (here, on_lfw))),
        ("and SSIM", "0.52 to 0.53", *(with_interval(_at(m, "ssim"), digits=3) for m in (here, on_lfw))),
        *(
            (
                f"accepted as {whose} of the person (%) by {who}",
                "–",
                *(with_interval(_at(rates, judge, kind), "value", 0, 100) for rates in judges),
            )
            for kind, whose in (("type_1", "the same photo"), ("type_2", "another photo"))
            for judge, who in ((RESNET, "itself"), (STRANGER, "MobileFaceNet, which had no part in it"))
        ),
        (
            "TAR (%) of the recognizer",
            "99.3",
            *(with_interval(_at(m, "original", "without", TAR), "value", 1, 100) for m in verifications),
        ),
        (
            "with a face rotated by 30°, and with a linear map",
            "98.9 → 99.0",
            *(mapped(m, "rotated") for m in verifications),
        ),
    ]
    columns = [
        "ResNet templates of unseen people, at 0.1 % FAR",
        "the paper, LFW",
        f"here, {dataset.upper()}",
        "here, LFW",
    ]
    return markdown_table(pd.DataFrame(rows, columns=columns))


def quality(photos: Mapping, evaluated: Mapping, trained: Iterable[str], dataset: str) -> str:
    """The reconstructions of each data set, and what decoders trained here gain over the linear one on `dataset`, theirs.

    photos: the metrics of `preprocess` by data set. evaluated: those of `evaluate` by decoder.
    """
    counts = "; ".join(
        f"{counted['photos']:,} photos of `{name}` gave {counted['faces']:,} faces ({_splits(counted)})"
        for name, counted in photos.items()
    )
    parts = [f"{counts}. Every identity is in one split only. Brackets: 95 % intervals, bootstrapped over identities."]
    for name in photos:
        measured = [metrics[name] for metrics in evaluated.values() if metrics.get(name)]
        if measured:
            count = measured[0]["n_faces"]
            parts.append(f"**Reconstructions, {TEXT.get(name, name)}** (n = {count:,}; `metrics/evaluate/`)")
            parts.append(markdown_table(quality_table(evaluated, name)))
    gains = {name: _at(evaluated, name, dataset, "psnr", "minus_linear") for name in trained}
    if gains := ", ".join(f"{name} {with_interval(gain)} dB" for name, gain in gains.items() if gain):
        parts.append(f"PSNR minus the linear decoder's on the same faces of `{dataset}` (paired): {gains}.")
    return "\n\n".join(parts)


def verification(dataset: str, verified: Mapping) -> str:
    """Table 2, from the metrics of `verify` by recognizer."""
    title = (
        f"**Verification on `{dataset}`, TAR (%) at 0.1 % FAR**, one face of each pair perturbed, "
        "without and with the linear map in template space (`metrics/verify/`)"
    )
    return f"{title}\n\n{markdown_table(verification_table(verified))}"


def _splits(counted: Mapping) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in counted["split"].items())


def _at(metrics: Mapping, *path: str) -> Mapping:
    """What lies at a path through nested metrics; nothing where something was left out on the way."""
    for key in path:
        metrics = metrics.get(key) or {}
    return metrics
