"""What more photos in a template bring: to verification (Fig. 16), and to what is decoded from it (Fig. 15)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.faces.store import FaceStore
from dfd.measures.estimates import Estimate, People, verification
from dfd.measures.pixels import GREY_LEVELS, grey_levels
from dfd.measures.verification import FARS, Pairs
from dfd.studies.people.aggregation import Draw, aggregate, draw_photos

SPARED = 4  # of so many people one may be left out, so that the others are compared with more photos


class Plan(NamedTuple):
    """Who is drawn how often, and which counts of photos are compared; `notes` say what was left out, and why."""

    people: list[np.ndarray]  # for each person the positions of its photos
    counts: list[int]
    drawn: list[Draw]
    notes: dict[str, str]

    def first_photos(self, draws: int) -> np.ndarray:
        """The positions of the photos that are a template of one, in the first draws."""
        return np.concatenate([draw.gallery[:, 0] for draw in self.drawn[:draws]])


def plan(
    photos: Mapping[str, np.ndarray],
    counts: Sequence[int],
    people: int,
    probes: int,
    draws: int,
    generator: np.random.Generator,
) -> Plan:
    """Draw photos of the `people` with most photos, each with at least `probes` and the first of the counts.

    photos: positions by person, whoever has most first. All counts are compared on the same people. Which counts there
    are is up to the person with fewest photos among all but a quarter of them (`SPARED`): of that quarter, who has too
    few photos for these counts is left out, so that nobody's lack of photos holds back everybody else. Counts beyond
    are left out. No count remains where nobody has enough photos.
    """
    chosen = [theirs for theirs in photos.values() if len(theirs) >= probes + counts[0]][:people]
    if not chosen:
        left_out = LeftOut(f"left out: nobody has {probes} test photos to be probes and {counts[0]} for a template")
        return Plan([], [], [], left_out.metrics("aggregate"))
    available = len(chosen[-1 - len(chosen) // SPARED]) - probes
    notes, usable = {}, [count for count in counts if count <= available]
    taking_part = [theirs for theirs in chosen if len(theirs) >= probes + usable[-1]]
    if few := len(chosen) - len(taking_part):
        notes["people_note"] = (
            f"{few} of {len(chosen)} people: left out, they have fewer than {probes + usable[-1]} photos"
        )
    if left_out := [str(count) for count in counts if count > available]:
        fewest = len(taking_part[-1])
        have = f"one of the {len(taking_part)} people has {fewest} photos, of which {probes} are probes"
        notes["counts_note"] = f"templates of {', '.join(left_out)} photos: left out, {have}"
    return Plan(taking_part, usable, draw_photos(taking_part, probes, usable[-1], draws, generator), notes)


def aggregation_metrics(
    templates: torch.Tensor,
    decoders: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    planned: Plan,
    decoded_draws: int,
    people: People,
) -> dict:
    """The metrics of one recognizer, by count: `verification`, and by variant what is `decoded`.

    templates: (N, D). decoders: by variant, templates (N, D) to images. decoded_draws: the draws that are decoded.
    people: of one number per person of the plan, in their order.
    """
    photos, counts, drawn, notes = planned
    metrics: dict = {"n_people": len(photos), "n_photos": sum(map(len, photos)), "n_draws": len(drawn)} | notes
    if not counts:
        return metrics
    if len(people) > 1:
        metrics["verification"] = verification_by_count(templates, drawn, counts, people)
    else:
        alone = LeftOut("left out: there is only one person with enough photos, and no impostor")
        metrics |= alone.metrics("verification")
    sizes = [len(theirs) for theirs in photos]
    metrics["decoded"] = {
        variant: decoded_by_count(decode, templates, drawn[:decoded_draws], counts, sizes, people)
        for variant, decode in decoders.items()
    }
    return metrics


def gallery_pairs(templates: torch.Tensor, drawn: Sequence[Draw], count: int) -> Pairs:
    """Every person's aggregate of `count` gallery photos against every probe, in each draw: the cosines.

    templates: (N, D). Each draw has its own codes of the P people, draw · P + person: only pairs of one draw are
    compared. P · P · M pairs for M probes of each person, in the same order whatever the count.
    """
    scores, first, second = [], [], []
    for number, (probes, gallery) in enumerate(drawn):
        people = len(probes)
        enrolled = F.normalize(aggregate(templates[gallery[:, :count]]))
        cosines = enrolled @ F.normalize(templates[probes.ravel()]).T
        scores.append(cosines.clamp(-1, 1).numpy().ravel())
        codes = np.arange(people, dtype=np.int32) + number * people
        first.append(np.repeat(codes, probes.size))
        second.append(np.tile(np.repeat(codes, probes.shape[1]), people))
    first, second = np.concatenate(first), np.concatenate(second)
    return Pairs(np.concatenate(scores), first == second, first, second)


def draw_weights(people: People, draws: int) -> np.ndarray:
    """Resamplings of people and draws both, int (samples, draws · people), for the codes of `gallery_pairs`.

    People are drawn as everywhere; of the draws, an even number, a random half is kept: the mean of half of the
    draws varies about the mean of all as that of all varies about its expectation (half-samples: McCarthy, 1969).
    """
    if draws % 2:
        raise ValueError(f"{draws} draws have no half")
    kept = people.generator.permuted(np.tile(np.arange(draws) < draws // 2, (people.samples, 1)), axis=1)
    return (kept[:, :, None] * people.weights[:, None, :]).reshape(people.samples, -1)


def verification_by_count(
    templates: torch.Tensor,
    drawn: Sequence[Draw],
    counts: Sequence[int],
    people: People,
    fars: Sequence[float] = FARS,
) -> dict:
    """The metrics of a `Verification` by the number of gallery photos, with `minus_<count>` for each smaller one: what is
    gained.

    The rates are those of all draws' pairs together, at one threshold, and the n_genuine and n_impostor are theirs. The
    intervals reflect people and draws: each resampling is of people, as everywhere, and keeps a random half of the
    draws (`draw_weights`). A gain is measured on the same people, draws and probes, in every resampling. Raises
    ValueError for fewer than two people.
    """
    weights, found, metrics = draw_weights(people, len(drawn)), {}, {}
    for count in counts:
        rates = verification(gallery_pairs(templates, drawn, count), weights, fars)
        found[count] = replace(rates, people=len(people))  # the same in every draw
    for count, rates in found.items():
        smaller = {f"minus_{other}": (rates - found[other]).metrics() for other in metrics}
        metrics[count] = rates.metrics() | smaller
    return metrics


def decoded_by_count(
    decode: Callable[[torch.Tensor], torch.Tensor],
    templates: torch.Tensor,
    drawn: Sequence[Draw],
    counts: Sequence[int],
    photos: Sequence[int],
    people: People,
) -> dict:
    """How normalised decoded aggregates look, by the number of photos: means over people with intervals.

    decode: templates (N, D) to images (N, 3, S, S) in [0, 1]. photos: how many each of the P people has.
    mirror: the root mean squared difference of a decoded aggregate and its mirror image, in grey levels, averaged over
    the draws: less for a frontal face in even light. `minus_<count>`, for the first count: the paired difference.
    spread: how far the decoded aggregates of a person's draws lie from their mean, as a standard deviation over draws,
    in grey levels (all pixels' variances averaged). Draws without replacement agree the more, the more of a person's N
    photos they hold; dividing by √(1 − n/N) makes up for that (finite population correction: Cochran, 1977), to first
    order, as decoders are not linear. The number is that of a person with photos without end. None for a single draw.
    """
    found, mirrors = {}, {}
    shares = np.array([[count / theirs for theirs in photos] for count in counts])
    for count, share in zip(counts, shares, strict=True):
        images = torch.stack([decode(aggregate(templates[draw.gallery[:, :count]])) for draw in drawn])
        mirrors[count] = mirror_distance(images.flatten(0, 1)).reshape(len(drawn), -1).mean(0).numpy()
        mirror = people.mean(mirrors[count]).metrics()
        if count != counts[0]:
            mirror[f"minus_{counts[0]}"] = people.difference(mirrors[count], mirrors[counts[0]]).metrics()
        spread = Estimate(None, left_out=LeftOut("one draw has no spread"))
        if len(drawn) > 1:
            variance = images.var(0).mean((1, 2, 3)).double().numpy() / (1 - share)
            spread = people.mean(np.sqrt(variance) * GREY_LEVELS)
        found[count] = {"mirror": mirror, "spread": spread.metrics(note="spread")}
    return found


def photos_mirror(faces: FaceStore, rows: np.ndarray, size: int, samples: int, seed: int) -> dict:
    """What `decoded_by_count` calls `mirror`, of the photos at `rows` themselves, at `size` pixels."""
    mirror = mirror_distance(faces.views(rows, size)).numpy()
    return People(faces.identities(rows), samples, seed).mean(mirror).metrics()


def mirror_distance(images: torch.Tensor) -> torch.Tensor:
    """How far images (N, 3, S, S) in [0, 1] are from their mirror images, (N,), in grey levels: 0 if symmetric."""
    return grey_levels(images, images.flip(3))


def by_count_table(series: str, found: Mapping[int, Mapping[str, dict]], measures: Sequence[str]) -> pd.DataFrame:
    """Measures by count (as the two functions above give them) in long form: series, measure, count, value, low, high."""
    rows = [
        (series, name, count, values[name].get("value", values[name].get("mean")), *_ends(values[name]))
        for count, values in found.items()
        for name in measures
    ]
    table = pd.DataFrame(rows, columns=["series", "measure", "count", "value", "low", "high"])
    return table.astype({"value": float, "low": float, "high": float})


def _ends(value: dict) -> tuple[float | None, float | None]:
    return value["ci95_low"], value["ci95_high"]
