"""An audit of somebody's system: what its templates of known photos give away to a decoder that never saw it.

On some of the people an adapter is fitted, as whoever has leaked pairs would; of the others the templates are decoded and tried.
The system's model need not be at hand. Where it is not, other recognizers judge: what the system itself would accept cannot be
told. (A linear map from another recognizer's templates to the system's does not stand in for it: it undoes the adapter, and
accepts more of reconstructions than of photos.)
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
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
from dfd.studies.inversion.attack_rate import Attacked, Point, attack_rates, key, operating_points
from dfd.studies.inversion.attributes import Perceived, attribute_metrics, by_person
from dfd.studies.inversion.protecting import System, protections
from dfd.studies.inversion.protections import PROTECTIONS
from dfd.templates.adapters import Adapter, check_pairs, fit_adapter
from dfd.templates.embedding import embed_images, embed_views
from dfd.templates.people import spread

FMRS = (0.01, 0.001, 0.0001)
FAR = 0.001  # at which protections are looked at, or else the smallest FMR that has a threshold
FEW = 20  # people, below which intervals say little
APART = 8.0  # spreads, from which on groups of templates are taken for two models'
TRIED = 400  # photos, at most, that are decoded
PROTECTED = 40  # of these, at most, that are decoded from protected templates
NOT_TRAINED = LeftOut("an audit trains nothing")
TRIED_PROTECTIONS = ("8-bits", "4-bits", "1-bit", "axes-32", "axes-16", "noise-1", "biohash", "biohash-secret")


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
    recognizers: Mapping[str, Recognizer],
    template: str,
    system: str | None,
    samples: int,
    seed: int,
) -> Audit:
    """Audit templates (N, D) of the photos `rows` (N,) of `people` (N,).

    recognizers: by name, those that judge; template: whose templates the decoder takes; system: whose templates these are, None
    where its model is not at hand. Where that is `template` no adapter is needed. Raises DfdError where `check_pairs` does.
    """
    fitted = shares(people, seed)
    try:
        check_pairs(templates[fitted], people[fitted])
    except DfdError as error:
        whole = f"{len(people)} photos of {_people(len(np.unique(people)))}"
        raise DfdError(f"{whole}, half of whom teach the attacker: {error}") from error
    fit, tried = np.flatnonzero(fitted), np.flatnonzero(~fitted)
    opened, adapter = decoder, None
    if system != template:
        target, mirrored = (embed_views(recognizers[template], faces, rows[fit], *view) for view in ((), (MIRROR,)))
        adapter = fit_adapter(templates[fit], target, people[fit], axes(decoder), mirrored, seed)
        adapter.config |= {"from": {"name": "system"}, "to": {}}
        opened = adapted(decoder, adapter.to(decoder.device))
    attacked = spread(np.arange(len(tried)), TRIED)
    originals, images = faces.views(rows[tried[attacked]], decoder.size), decode(opened, templates[tried[attacked]])
    whose = people[tried]
    resampled = People(whose[attacked], samples, seed)
    theirs = cosine_pairs(templates[tried].numpy(), templates[tried].numpy(), whose)
    system_points = operating_points(theirs, FMRS)
    metrics: dict = {"people": _counts(people, fitted, attacked, adapter)}
    metrics["system"] = {key(fmr): point.metrics for fmr, point in system_points.items()}
    photos = {
        name: templates[tried] if name == system else embed_views(recognizer, faces, rows[tried])
        for name, recognizer in recognizers.items()
    }
    points, metrics["judges"] = {}, {}
    for name, recognizer in recognizers.items():
        vectors = photos[name].numpy()
        points[name] = operating_points(cosine_pairs(vectors, vectors, whose), FMRS)
        seen = attempts(embed_images(recognizer, images).numpy(), vectors, whose, attacked)
        rates = attack_rates(Attacked(seen, whose[attacked], points[name]), samples, seed)
        metrics["judges"][name] = {"is_the_system": name == system, "decoder_learned_it": name == template} | {
            key(fmr): {"unattacked": point.metrics} | rates[key(fmr)] for fmr, point in points[name].items()
        }
    metrics["fidelity"] = {
        name: resampled.mean(
            measure(images, originals).numpy(), undefined=LeftOut("a reconstruction equals its photo")
        ).metrics()
        for name, measure in {"psnr": psnr, "ssim": ssim}.items()
    }
    metrics["attributes"] = _attributes(faces.geometry, originals, images, whose[attacked], resampled)
    judge = template if system is None else system
    usable = [fmr for fmr in FMRS if points[judge][fmr].threshold is not None]
    if usable:
        fmr = FAR if FAR in usable else usable[-1]
        order = np.random.default_rng(seed).permutation(fit)
        learning = (templates[part] for part in np.array_split(order, [int(0.8 * len(order))]))
        looked_at = None if system is not None else photos[template]
        some = spread(attacked, PROTECTED)
        under = System(
            recognizers[judge], templates[tried], whose, some, points[judge][fmr], *learning, NOT_TRAINED, looked_at
        )
        outcomes = protections(
            opened, under, {name: PROTECTIONS[name] for name in TRIED_PROTECTIONS}, fmr, samples, seed
        )
        metrics["protections"] = {"fmr": fmr, "by": outcomes, "judge_note": f"{judge} judges"}
    else:
        metrics["protections"] = points[judge][FMRS[0]].left_out.metrics("by")
    metrics["conclusions"] = two_models(templates, people) | _limits(whose, system_points, system)
    return Audit(metrics, originals, images, faces.faces["key"].iloc[rows[tried[attacked]]].tolist())


def two_models(templates: torch.Tensor, people: np.ndarray) -> dict:
    """A note where templates (N, D) of these people (N,) fall into two groups as those of one network do not.

    They are parted where that leaves the least variance along the axis of their directions on which they vary most. The
    distance of both means is measured in spreads within the groups (Ashman's D, Ashman, Bird & Zepf, 1994): 2.2 to 5.9 in
    the templates of single networks that were looked at, dlib's, MobileFaceNet's and a VGG's of LFW, ORL and synthetic faces,
    11 to 62 where a tenth or half of them were another's. Of two networks whose templates are both centred nothing shows.
    """
    directions = F.normalize(templates.double(), dim=1).numpy()
    centred = directions - directions.mean(0)
    place = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(place)
    values, count = place[order], np.arange(1, len(place))
    below = values.cumsum()[:-1]
    between = (below / count - (values.sum() - below) / (len(place) - count)) ** 2 * count * (len(place) - count)
    groups = np.split(order, [int(between.argmax()) + 1])
    first, second = (place[group] for group in groups)
    apart = 2**0.5 * (second.mean() - first.mean()) / max((first.var() + second.var()) ** 0.5, 1e-12)
    if apart < APART or min(len(np.unique(people[group])) for group in groups) < 2:
        return {}
    sizes = " and ".join(str(len(group)) for group in sorted(groups, key=len, reverse=True))
    why = f"they fall into two groups, {sizes}, as templates of two models would; audit each model's by themselves"
    return {"templates_note": f"of the templates nothing that follows may hold: {why}"}


def _counts(people: np.ndarray, fitted: np.ndarray, attacked: np.ndarray, adapter: Adapter | None) -> dict:
    counts = {"n_people": len(np.unique(people)), "n_photos": len(people)}
    counts |= {"n_fitted_people": len(np.unique(people[fitted])), "n_fitted_photos": int(fitted.sum())}
    counts |= {"n_tried_people": len(np.unique(people[~fitted])), "n_decoded_photos": len(attacked)}
    return counts | ({} if adapter is None else {"adapter_cosine": adapter.config["cosine_whitened"]})


def _attributes(
    geometry: str, originals: torch.Tensor, images: torch.Tensor, whose: np.ndarray, resampled: People
) -> dict:
    gender, age = GenderClassifier(geometry), AgeEstimator(geometry)
    photos, decoded = (Perceived(gender(part) > 0.5, age(part)) for part in (originals, images))
    labels = by_person(photos, whose)
    return attribute_metrics({"photo": photos, "decoder": decoded}, labels, labels, resampled)


def _people(count: int) -> str:
    return f"{count} {'person' if count == 1 else 'people'}"


def _limits(tried: np.ndarray, points: Mapping[float, Point], system: str | None) -> dict:
    """What cannot be concluded, as notes. tried: the people of the tried photos."""
    notes, counts = {}, np.unique(tried, return_counts=True)[1]
    if len(counts) < FEW:
        few = f"{_people(len(counts))} tried, fewer than {FEW}"
        notes["people_note"] = f"{few}: the intervals are wide, and groups cannot be compared"
    if counts.max() < 2:
        notes["photos_note"] = (
            "nobody has a second photo: nothing can be said of type II, nor of the system's own errors"
        )
    for fmr, point in points.items():
        if point.threshold is None:
            notes[f"{key(fmr)}_note"] = f"at a FMR of {100 * fmr:g} %: {point.left_out}"
    if system is None:
        notes["system_note"] = (
            "the system's model is not at hand: what it would accept itself cannot be told; other recognizers judge"
        )
    return notes
