"""What targeted attacks do to identification, before and after decoding (paper, Fig. 12).

After decoding, a face is the reconstruction D(ξ(x)) from its template, embedded anew by the attacked recognizer.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.left_out import LeftOut
from dfd.decoder.registry import decode
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.recognizers.base import NO_GRADIENTS, NO_IMAGES, Recognizer
from dfd.studies.attack.attacks import ATTACKS
from dfd.studies.attack.identification import IdentificationHead, fit_identification
from dfd.templates.embedding import batches, embed_images
from dfd.templates.people import photos_of_people

LEAST = 4  # photos of a person: to enrol, and to attack
BEFORE = "before"  # decoding; after it, curves go by the variant that decodes


def why_not(recognizer: nn.Module, people: int) -> LeftOut | None:
    """Why a recognizer cannot be attacked on so many people; None where it can."""
    if not recognizer.embeds_images:
        return LeftOut(f"left out: {NO_IMAGES}")
    if not recognizer.gives_gradients:
        return LeftOut(f"left out: {NO_GRADIENTS}, along which these attacks step")
    if people < 2:
        return LeftOut(f"left out: {people} people have {LEAST} test faces or more; attacks need at least 2")
    return None


def with_most_photos(identities: np.ndarray, people: int, photos: int, least: int = LEAST) -> np.ndarray:
    """Which faces, of identities (N,), to study: indices, rising, of the first `photos` of each of `people` identities.

    Those with the most photos, at least `least`; of equals who comes first. May be empty.
    """
    found = list(photos_of_people(identities, least).values())[:people]
    return np.sort(np.concatenate([own[:photos] for own in found])) if found else np.zeros(0, int)


def enrolled(codes: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Which photos enrol, bool (N,): about `share` of those of each person in codes (N,), and neither none nor all."""
    mask = np.zeros(len(codes), bool)
    for code in np.unique(codes):
        photos = generator.permutation(np.flatnonzero(codes == code))
        mask[photos[: min(max(round(share * len(photos)), 1), len(photos) - 1)]] = True
    return mask


def in_turns(codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The indices of codes (N,) in an order drawn at random, in which everybody comes once before anybody comes twice."""
    order = generator.permutation(len(codes))
    turns = np.zeros(len(codes), int)
    for code in np.unique(codes):
        turns[codes[order] == code] = np.arange((codes == code).sum())
    return order[np.argsort(turns, kind="stable")]


def targeted_pairs(codes: np.ndarray, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Photos to attack, indices of codes (N,), and whom each is to be taken for: another code. At most `count` pairs.

    Everybody is the source equally often (give or take one photo); no photo gets a target twice.
    """
    people = np.unique(codes)
    sources = in_turns(codes, generator)
    others = {source: generator.permutation(people[people != codes[source]]) for source in sources}
    pairs = [(source, others[source][turn]) for turn in range(len(people) - 1) for source in sources][:count]
    return tuple(np.array(column, int) for column in zip(*pairs))


class Shown(NamedTuple):
    """One photo for a picture: the image (3, H, W), the noise in it, its reconstructions and who was identified."""

    image: torch.Tensor
    noise: torch.Tensor | None  # (3, H, W), in [-1, 1]
    decoded: dict[str, torch.Tensor]  # (3, S, S), by variant
    identified: dict[str, str]  # name and probability, by `before` and variant


class Outcome(NamedTuple):
    """What became of P attacked images; `before` and a key per variant in the mappings."""

    images: torch.Tensor  # (P, 3, H, W)
    templates: torch.Tensor  # (P, D), of the images
    decoded: dict[str, torch.Tensor]  # (P, 3, S, S)
    probabilities: dict[str, torch.Tensor]  # (P, people)

    def shown(self, index: int, names: np.ndarray, original: torch.Tensor | None) -> Shown:
        """One of the images; names: of the people. original: the image without noise (3, H, W), None where it has none."""
        best = {name: part[index].max(0) for name, part in self.probabilities.items()}
        return Shown(
            self.images[index].clone(),  # of all of them, no memory is to be kept
            None if original is None else self.images[index] - original,
            {variant: faces[index].clone() for variant, faces in self.decoded.items()},
            {name: f"{names[person]} {probability:.2f}" for name, (probability, person) in best.items()},
        )


def outcome(
    attack: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None,
    images: torch.Tensor,
    targets: torch.Tensor,
    recognizer: Recognizer,
    head: IdentificationHead,
    decoders: Mapping[str, nn.Module],
) -> Outcome:
    """Attack images (P, 3, H, W), decode their templates, and identify both; all in float32, and on the CPU outside.

    attack: (images, targets) to attacked images, of a batch; None leaves them as they are. targets: (P,).
    """
    device = recognizer.device
    if attack is not None:
        parts = batches(range(len(images)), device)
        images = torch.cat([attack(images[part].to(device), targets[part].to(device)).cpu() for part in parts])
    templates = embed_images(recognizer, images)
    decoded = {variant: decode(decoder, templates) for variant, decoder in decoders.items()}
    embedded = {BEFORE: templates} | {variant: embed_images(recognizer, face) for variant, face in decoded.items()}
    with torch.inference_mode():
        probabilities = {name: head(part.to(device)).softmax(1).cpu() for name, part in embedded.items()}
    return Outcome(images, templates, decoded, probabilities)


def targeted_summary(
    result: Outcome,
    original: Outcome,
    targets: np.ndarray,
    people: People,
) -> dict:
    """The metrics of one attack on the first P pairs of `original`, the outcome without any.

    targets: whom the photos are to be taken for; people: whom they show; both as the head numbers people.

    By `before` and by variant how often the target and how often the true identity is predicted, with counts and, of
    those named earlier, `minus_<other>`, the paired difference; the cosine between attacked and original templates; the noise of the attacks that reach their target (before decoding).
    Every mean has its interval over the source identities.
    """
    count = len(result.images)
    people, targets = people.among(slice(count)), targets[:count]
    metrics: dict = {"n_pairs": count, "n_identities": len(people)}
    hits: dict = {"target": {}, "true_identity": {}}
    for name, probabilities in result.probabilities.items():
        predicted = probabilities.argmax(1).numpy()
        metrics[name] = {}
        for kind, aim in (("target", targets), ("true_identity", people.identities)):
            hit = (predicted == aim).astype(float)
            metrics[name][kind] = people.mean(hit).metrics(hits="count") | {
                f"minus_{other}": people.difference(hit, theirs).metrics() for other, theirs in hits[kind].items()
            }
            hits[kind][name] = hit
    if result is original:
        return metrics
    cosine = F.cosine_similarity(result.templates, original.templates[:count]).numpy()
    metrics["cosine"] = people.mean(cosine).metrics()
    noise = (255 * (result.images - original.images[:count])).flatten(1).double()
    reached = result.probabilities[BEFORE].argmax(1).numpy() == targets
    sizes = {"l2": noise.norm(dim=1), "rms": noise.square().mean(1).sqrt(), "linf": noise.abs().amax(1)}
    metrics["noise"] = {"n_pairs": int(reached.sum())}
    for name, size in sizes.items():
        if reached.any():
            metrics["noise"][name] = people.among(reached).mean(size.numpy()[reached]).metrics()
        else:
            metrics["noise"] |= LeftOut("no attack reached its target").metrics(name, note="noise")
    return metrics


def attack_identification(
    recognizer: Recognizer,
    decoders: Mapping[str, nn.Module],
    faces: FaceStore,
    rows: np.ndarray,
    templates: torch.Tensor,
    enrol: float,
    attacks: Mapping[str, tuple[int, Mapping]],
    people: People,
    generator: np.random.Generator,
) -> tuple[dict, dict[str, Shown]]:
    """Enrol people by a share of their photos, and attack the others' identification as somebody else.

    rows: (N,) of `faces`, with their templates (N, D) and `people`. attacks: by name in ATTACKS, the number of pairs (at
    most) and the options. generator: of who enrols with which photos, and of the pairs. Every attack sees the first of the same pairs, in which everybody's photos take turns.

    Returns metrics (`identification`, the head's accuracy; `targeted`, see `targeted_summary`), and for a picture the
    first pair whose photo is rightly identified: without noise, by attack, and a photo of the target, by their titles.
    """
    names, codes = people.names, people.codes
    known = enrolled(codes, enrol, generator)
    head = fit_identification(templates[known], torch.from_numpy(codes[known])).to(recognizer.device)
    unknown = np.flatnonzero(~known)
    with torch.inference_mode():
        right = head(templates[unknown].to(recognizer.device)).argmax(1).cpu().numpy() == codes[unknown]
    accuracy = people.among(unknown).mean(right).metrics(hits="count")
    metrics: dict = {
        "identification": {"n_people": len(names), "n_enrolled": int(known.sum()), "n_held_out": len(unknown)}
        | {"accuracy": accuracy}
    }

    sources, targets = targeted_pairs(codes[unknown], max(count for count, _ in attacks.values()), generator)
    sources = unknown[sources]
    attacked = People(codes[sources], people.samples, people.seed)
    aims = torch.from_numpy(targets)
    images = faces.views(rows[sources], recognizer.view_size)
    of = {"recognizer": recognizer, "head": head, "decoders": decoders}
    original = outcome(None, images, aims, **of)
    fewest = min(count for count, _ in attacks.values())
    index = int(np.argmax(right[np.searchsorted(unknown, sources[:fewest])]))
    shown = {f"{names[codes[sources[index]]]}, as it is": original.shown(index, names, None)}
    network = nn.Sequential(recognizer, head)
    metrics["targeted"] = {"original": targeted_summary(original, original, targets, attacked)}
    for name, (count, options) in attacks.items():
        attack = partial(ATTACKS[name], network, **options)
        result = outcome(attack, images[:count], aims[:count], **of)
        metrics["targeted"][name] = targeted_summary(result, original, targets, attacked)
        shown[name] = result.shown(index, names, images[index])
    example = faces.views(rows[np.flatnonzero(known & (codes == targets[index]))[:1]], recognizer.view_size)
    shown[f"{names[targets[index]]}, the target"] = outcome(None, example, aims[:1], **of).shown(0, names, None)
    return metrics, shown


def targeted_table(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    """The shares in `targeted_summary`s by attack, in long form.

    Columns attack, decoding, predicted (`target` or `true_identity`), share, ci95_low and ci95_high.
    """
    rows = [
        (attack, decoding, kind, part["mean"], part["ci95_low"], part["ci95_high"])
        for attack, summary in metrics.items()
        for decoding, kinds in summary.items()
        if isinstance(kinds, Mapping) and "target" in kinds
        for kind, part in kinds.items()
    ]
    columns = ["attack", "decoding", "predicted", "share", "ci95_low", "ci95_high"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[3:], float))
