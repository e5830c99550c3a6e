"""Identity and fidelity of reconstructions, beside what takes no decoder: the mean face and somebody else's photo.

Whoever looks at pictures alone is fooled by retrieval, the training face with the nearest template: it is a photo, of another
person.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.measures.acceptance import Attempts, attempts
from dfd.measures.estimates import Estimate, People
from dfd.measures.quality import INFINITE, Lpips, psnr, ssim
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.studies.inversion.attack_rate import (
    NO_OTHERS,
    Attacked,
    Point,
    attack_rates,
    key,
    no_rate,
    share,
)
from dfd.templates.embedding import embed_images

DECODER, NEAREST, MEAN_FACE = "decoder", "nearest", "mean_face"
NO_ATTEMPTS = LeftOut("no such attempts")


class Judge(NamedTuple):
    """A recognizer that sees reconstructions; its templates (N, D) of the photos, and its points by FMR, unattacked."""

    recognizer: Recognizer
    templates: np.ndarray
    points: Mapping[float, Point]


def nearest(templates: torch.Tensor, gallery: torch.Tensor) -> np.ndarray:
    """Of each template (N, D) the row of the gallery (M, D) with the highest cosine, (N,)."""
    normal = F.normalize(gallery, dim=1)
    return np.concatenate([(F.normalize(part, dim=1) @ normal.T).argmax(1).numpy() for part in templates.split(256)])


def source_attempts(
    images: Mapping[str, torch.Tensor], judges: Mapping[str, Judge], identities: np.ndarray, attacked: np.ndarray
) -> dict[str, dict[str, Attempts]]:
    """By source and judge that embeds images the attempts of images (K, 3, S, S) of the photos `attacked` (K,) of (N,)."""
    tried: dict[str, dict[str, Attempts]] = {}
    for source, image in images.items():
        tried[source] = {}
        for name, judge in judges.items():
            if judge.recognizer.embeds_images:
                # The mean face is every face's: embedded once.
                embedded = embed_images(judge.recognizer, image[:1] if source == MEAN_FACE else image).numpy()
                embedded = np.broadcast_to(embedded, (len(image), embedded.shape[1]))
                tried[source][name] = attempts(embedded, judge.templates, identities, attacked)
    return tried


def transfer(
    tried: Mapping[str, Attempts],
    judges: Mapping[str, Judge],
    template: str,
    identities: np.ndarray,
    samples: int,
    seed: int,
) -> dict:
    """A row of the transfer matrix: by judge `self_judged`, whether its templates were decoded, and by FMR the rates (see
    `attack_rates`) of its attempts; the others' have `type_1_minus_self`, paired, at the same FMR. identities: (K,)."""
    row: dict = {}
    for name, judge in judges.items():
        row[name] = {"self_judged": name == template}
        if name not in tried:
            rates = dict.fromkeys(("type_1", "type_2", "type_2_minus_type_1"), no_rate(NO_IMAGES))
            row[name] |= {key(fmr): rates for fmr in judge.points}
            continue
        row[name] |= attack_rates(Attacked(tried[name], identities, judge.points), samples, seed)
        for fmr, point in judge.points.items():
            if (
                name == template
                or template not in tried
                or None in (point.threshold, judges[template].points[fmr].threshold)
            ):
                continue
            accepted = [
                tried[name].same >= point.threshold,
                tried[template].same >= judges[template].points[fmr].threshold,
            ]
            theirs, ours = (flags.astype(float) for flags in accepted)
            difference = People(identities, samples, seed).difference(theirs, ours)
            row[name][key(fmr)]["type_1_minus_self"] = difference.metrics()
    return row


def source_metrics(
    images: Mapping[str, torch.Tensor],
    originals: torch.Tensor,
    tried: Mapping[str, Mapping[str, Attempts]],
    points: Mapping[str, Point],
    identities: np.ndarray,
    lpips: Lpips | LeftOut,
    samples: int,
    seed: int,
) -> dict:
    """By source `psnr` (dB), `ssim` and `lpips` to the originals (K, 3, S, S), and by judge `type_1` and `type_2` at its
    point; of all but the decoder with `minus_decoder`, paired. identities: (K,). LPIPS is null, with a note, without its
    network."""
    people = People(identities, samples, seed)
    measures = {"psnr": psnr, "ssim": ssim} | ({} if isinstance(lpips, LeftOut) else {"lpips": lpips})
    values = {
        source: {name: measure(image, originals).numpy() for name, measure in measures.items()}
        for source, image in images.items()
    }
    metrics: dict = {}
    for source in images:
        metrics[source] = {}
        for name, quality in values[source].items():
            metrics[source][name] = _measured(people, quality, None if source == DECODER else values[DECODER][name])
        if isinstance(lpips, LeftOut):
            metrics[source]["lpips"] = Estimate(None, left_out=lpips).metrics(note="lpips")
        metrics[source]["sar"] = {
            judge: rates_at(points[judge], people, tries, None if source == DECODER else tried[DECODER][judge])
            for judge, tries in tried[source].items()
        }
    return metrics


def _measured(people: People, values: np.ndarray, by_decoder: np.ndarray | None) -> dict:
    if not np.isfinite(values).all() or (by_decoder is not None and not np.isfinite(by_decoder).all()):
        return Estimate(None, left_out=INFINITE).metrics(note="measure")
    difference = {} if by_decoder is None else {"minus_decoder": people.difference(values, by_decoder).metrics()}
    return people.mean(values).metrics() | difference


def rates_at(
    point: Point, people: People, tries: Attempts, other: Attempts | None = None, difference: str = "minus_decoder"
) -> dict:
    """`type_1` and `type_2` of attempts at one point; with the paired `difference` from the `other` attempts, of the same
    faces in the same order. people: of the reconstructions. Null, with a note, as `attack_rates`."""
    rates: dict = {}
    for kind in ("type_1", "type_2"):
        scores = [tried.same if kind == "type_1" else tried.other for tried in (tries, other) if tried is not None]
        if point.threshold is None or not len(scores[0]):
            rates[kind] = no_rate(point.left_out or NO_OTHERS)
            continue
        flags = [score >= point.threshold for score in scores]
        whose = people.identities if kind == "type_1" else people.identities[tries.attack]
        rates[kind] = share(flags[0], whose, people.samples, people.seed)
        if other is not None:
            among = People(whose, people.samples, people.seed)
            rates[kind][difference] = among.difference(*(flag.astype(float) for flag in flags)).metrics()
    return rates


def subgroup_rates(
    tried: Attempts, point: Point, identities: np.ndarray, groups: Mapping[str, np.ndarray], samples: int, seed: int
) -> dict:
    """By group `type_1` and `type_2` of its faces alone; groups: names to flags (K,). A group without faces is null."""
    metrics = {}
    for name, inside in groups.items():
        parts = {"type_1": (tried.same, np.arange(len(tried.same))), "type_2": (tried.other, tried.attack)}
        metrics[name] = {"n_faces": int(inside.sum()), "n_identities": len(np.unique(identities[inside]))}
        for kind, (scores, attack) in parts.items():
            kept = inside[attack]
            if point.left_out or not kept.any():
                metrics[name][kind] = no_rate(point.left_out or NO_ATTEMPTS)
            else:
                flags = scores[kept] >= point.threshold
                metrics[name][kind] = share(flags, identities[attack[kept]], samples, seed)
    return metrics


def judges_table(row: Mapping[str, Mapping], fmr: float) -> pd.DataFrame:
    """A row of the matrix, see `transfer`, for `bar_figure`: in per cent, what is null left out."""
    rows = []
    for judge, rates in row.items():
        name = f"{judge} (self-judged)" if rates["self_judged"] else judge
        for kind, series in {"type_1": "type I (same photo)", "type_2": "type II (other photos)"}.items():
            rate = rates[key(fmr)][kind]
            if rate["value"] is not None:
                ends = [np.nan if rate[end] is None else 100 * rate[end] for end in ("ci95_low", "ci95_high")]
                rows.append((name, series, 100 * rate["value"], *ends))
    return pd.DataFrame(rows, columns=["group", "series", "value", "low", "high"])
