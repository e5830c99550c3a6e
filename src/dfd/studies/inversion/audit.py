"""An audit of somebody's system: what its templates of known photos give away to a decoder that never saw it.

On some of the people an adapter is fitted, as whoever has leaked pairs would; of the others the templates are decoded and tried.
The system's model need not be at hand. Where it is not, a stand-in judges in its place: the decoder's recognizer, its
templates mapped to the system's by the same people. How many of the true photos the stand-in accepts is told beside what it
accepts of reconstructions.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from dfd.core.errors import DfdError
from dfd.decoder.adapted import adapted
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import axes
from dfd.decoder.registry import decode
from dfd.faces.store import MIRROR, FaceStore
from dfd.measures.acceptance import attempts
from dfd.measures.estimates import People
from dfd.measures.gender import AgeEstimator, GenderClassifier
from dfd.measures.quality import psnr, ssim
from dfd.measures.verification import cosine_pairs
from dfd.recognizers.base import Recognizer
from dfd.studies.inversion.attack_rate import Attacked, attack_rates, key, operating_points
from dfd.studies.inversion.attributes import Perceived, attribute_metrics, by_person
from dfd.studies.inversion.protecting import System, protections
from dfd.templates.adapters import Adapter, check_pairs, fit_adapter
from dfd.templates.embedding import embed_images, embed_views
from dfd.templates.linear import LinearMap, Moments, fit_ridge
from dfd.templates.people import spread

FMRS = (0.01, 0.001, 0.0001)
FAR = 0.001  # at which protections are looked at, or else the smallest FMR that has a threshold
FEW = 20  # people, below which intervals say little
TRIED = 400  # photos, at most, that are decoded
PROTECTED = 40  # of these, at most, that are decoded from protected templates
PROTECTIONS = ("8-bits", "4-bits", "1-bit", "axes-32", "axes-16", "noise-1", "biohash", "biohash-secret")
SYSTEM = "the system itself"


class StandIn(nn.Module):
    """A recognizer whose templates are mapped to another system's (N, D): what that would make of images, as far as known."""

    def __init__(self, recognizer: Recognizer, to_system: LinearMap):
        super().__init__()
        self.recognizer, self.to_system = recognizer, to_system.to(recognizer.device)

    @property
    def device(self) -> torch.device:
        return self.recognizer.device

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.to_system(self.recognizer(images))


class Audit(NamedTuple):
    """metrics: numbers and notes, nested. originals, images: the photos (K, 3, S, S) that were decoded and what came out;
    keys: theirs (K,)."""

    metrics: dict
    originals: torch.Tensor
    images: torch.Tensor
    keys: Sequence[str]


def shares(people: np.ndarray, seed: int) -> np.ndarray:
    """Whether each photo's person (N,) is one of those that the adapter is fitted on: every other one, in an order by lot."""
    names, codes = np.unique(people, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % 2 == 0)[codes]


def audit(
    faces: FaceStore,
    rows: np.ndarray,
    people: np.ndarray,
    templates: torch.Tensor,
    decoder: Decoder,
    recognizer: Recognizer,
    independent: Mapping[str, Recognizer],
    known: bool,
    samples: int,
    seed: int,
) -> Audit:
    """Audit templates (N, D) of the photos `rows` (N,) of `people` (N,).

    recognizer: whose templates the decoder takes; independent: others, that judge besides. known: the templates are that
    recognizer's own: no adapter and no stand-in are needed. Raises DfdError where `check_pairs` does, and where all people
    are needed to fit on.
    """
    fitted = shares(people, seed)
    check_pairs(templates[fitted], people[fitted])
    if fitted.all():
        raise DfdError(f"{len(np.unique(people))} people are too few: some fit the adapter, and others are tried")
    fit, tried = np.flatnonzero(fitted), np.flatnonzero(~fitted)
    opened, judge, standing = (decoder, recognizer, None)
    if not known:
        own, mirrored = (embed_views(recognizer, faces, rows[fit], *view) for view in ((), (MIRROR,)))
        adapter = fit_adapter(templates[fit], own, people[fit], axes(decoder), mirrored, seed)
        adapter.config |= {"from": {"name": "system"}, "to": {}}
        opened = adapted(decoder, adapter.to(decoder.device))
        judge, standing = StandIn(recognizer, _to_system(own, templates[fit], people[fit], seed)), adapter
    attacked = spread(np.arange(len(tried)), TRIED)
    originals, images = faces.views(rows[tried[attacked]], decoder.size), decode(opened, templates[tried[attacked]])
    whose, of = people[tried][attacked], People(people[tried][attacked], samples, seed)
    judges = {SYSTEM: (judge, templates[tried])}
    judges |= {name: (module, embed_views(module, faces, rows[tried])) for name, module in independent.items()}
    metrics: dict = {"people": _counts(people, fitted, attacked, standing), "judges": {}}
    for name, (module, photos) in judges.items():
        pairs = cosine_pairs(photos.numpy(), photos.numpy(), people[tried])
        points = operating_points(pairs, FMRS)
        seen = attempts(embed_images(module, images).numpy(), photos.numpy(), people[tried], attacked)
        rates = attack_rates(Attacked(seen, whose, points), samples, seed)
        metrics["judges"][name] = {
            key(fmr): {"unattacked": point.metrics} | rates[key(fmr)] for fmr, point in points.items()
        }
        if name == SYSTEM:
            system_points = points
    if not known:
        metrics["stand_in"] = _stand_in(
            judge, originals, templates[tried].numpy(), people[tried], attacked, system_points, of
        )
    measures = {"psnr": psnr, "ssim": ssim}
    metrics["fidelity"] = {
        name: of.mean(measure(images, originals).numpy(), undefined="a reconstruction equals its photo").metrics()
        for name, measure in measures.items()
    }
    metrics["attributes"] = _attributes(faces.geometry, originals, images, whose, of)
    far = max((fmr for fmr, point in system_points.items() if point.threshold is not None and fmr <= FAR), default=None)
    far = far or min((fmr for fmr, point in system_points.items() if point.threshold is not None), default=None)
    if far is None:
        metrics["protections"] = {"protections_note": system_points[FMRS[0]].metrics["threshold_note"]}
    else:
        halves = np.array_split(templates[fit], [int(0.8 * len(fit))])
        learning = tuple(torch.as_tensor(part) for part in halves)
        some = spread(attacked, PROTECTED)
        system = System(judge, templates[tried], people[tried], some, system_points[far], *learning)
        metrics["protections"] = {"fmr": far} | protections(opened, system, PROTECTIONS, far, samples, seed)
    metrics["conclusions"] = _limits(people, fitted, system_points, known)
    keys = faces.faces["key"].iloc[rows[tried[attacked]]].tolist()
    return Audit(metrics, originals, images, keys)


def _to_system(own: torch.Tensor, templates: torch.Tensor, people: np.ndarray, seed: int) -> LinearMap:
    """The ridge regression from the recognizer's templates to the system's; every fifth person chooses its strength."""
    names, codes = np.unique(people, return_inverse=True)
    held_out = (np.random.default_rng(seed).permutation(len(names)) % min(5, len(names)) == 0)[codes]
    moments = [Moments(own.shape[1], templates.shape[1]) for _ in range(2)]
    for part, inside in zip(moments, (~held_out, held_out), strict=True):
        part.add(own[inside], templates[inside])
    return fit_ridge(*moments).map


def _counts(people: np.ndarray, fitted: np.ndarray, attacked: np.ndarray, adapter: Adapter | None) -> dict:
    counts = {"n_people": len(np.unique(people)), "n_photos": len(people)}
    counts |= {"n_fitted_people": len(np.unique(people[fitted])), "n_fitted_photos": int(fitted.sum())}
    counts |= {"n_tried_people": len(np.unique(people[~fitted])), "n_decoded_photos": len(attacked)}
    return counts | ({} if adapter is None else {"adapter_cosine": adapter.config["cosine_whitened"]})


def _stand_in(judge, originals, templates, people, attacked, points, of: People) -> dict:
    """By FMR the share of the true photos that the stand-in accepts as themselves: at best as many reconstructions pass."""
    seen = attempts(embed_images(judge, originals).numpy(), templates, people, attacked)
    found = {}
    for fmr, point in points.items():
        if point.threshold is None:
            found[key(fmr)] = {"value": None, "stand_in_note": point.metrics["threshold_note"]}
        else:
            found[key(fmr)] = of.share(seen.own >= point.threshold).metrics("value")
    return found


def _attributes(geometry: str, originals: torch.Tensor, images: torch.Tensor, whose: np.ndarray, of: People) -> dict:
    gender, age = GenderClassifier(geometry), AgeEstimator(geometry)
    photos, decoded = (Perceived(gender(part) > 0.5, age(part)) for part in (originals, images))
    labels = by_person(photos, whose)
    return attribute_metrics({"photo": photos, "decoder": decoded}, labels, labels, of)


def _limits(people: np.ndarray, fitted: np.ndarray, points: Mapping, known: bool) -> dict:
    """What cannot be concluded, as notes."""
    notes, tried = {}, people[~fitted]
    counts = np.unique(tried, return_counts=True)[1]
    if len(counts) < FEW:
        notes["people_note"] = (
            f"{len(counts)} people were tried, fewer than {FEW}: the intervals are wide, and groups cannot be compared"
        )
    if counts.max() < 2:
        notes["photos_note"] = (
            "nobody has a second photo: nothing can be said of type II, nor of the system's own errors"
        )
    for fmr, point in points.items():
        if point.threshold is None:
            notes[f"{key(fmr)}_note"] = f"at a FMR of {100 * fmr:g} %: {point.metrics['threshold_note']}"
    if not known:
        notes["stand_in_note"] = (
            "the system's model was not at hand: a stand-in judged in its place, which accepts fewer than the system would"
        )
    return notes
