"""What FGSM does to verification, before and after decoding (paper, Fig. 13)."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from dfd.decoder.registry import decode
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.measures.verification import Pairs, cosine_pairs, roc_table
from dfd.recognizers.base import Recognizer
from dfd.studies.attack.attacks import apart, descended
from dfd.studies.attack.targeted import BEFORE, in_turns
from dfd.templates.embedding import batches, embed_images

FAR = 0.001
ORIGINAL = 0.0  # ε of what is not attacked

# The same pairs in the same order for every (ε in grey levels, decoding): `before`, or the variant that decodes.
Scored = Mapping[tuple[float, str], Pairs]


def attacked_pairs(
    recognizer: Recognizer,
    decoders: Mapping[str, nn.Module],
    faces: FaceStore,
    rows: np.ndarray,
    templates: torch.Tensor,
    epsilons: Sequence[float],
    matching: int,
    generator: np.random.Generator,
) -> dict[tuple[float, str], Pairs]:
    """Scored pairs of faces of which the second is an original or attacked, and is compared as it is or decoded.

    rows: (N,) of `faces`, with their templates (N, D). Impostor pairs: all, their second face never attacked, decoded
    where the matching pairs' is. Matching pairs: at most `matching`, all identities in turns; FGSM pushes the second
    face away from the first by ε, see `dfd.studies.attack.attacks.apart`; ε = 0 is the original.
    """
    codes = np.unique(faces.identities(rows), return_inverse=True)[1]
    first, second = np.nonzero(np.triu(codes[:, None] == codes, 1))
    picked = in_turns(codes[first], generator)[:matching]
    first, second = first[picked], second[picked]

    seconds: dict[tuple[float, str], list[torch.Tensor]] = {}
    device = recognizer.device
    for part in batches(range(len(first)), device):
        images = faces.views(rows[second[part]], recognizer.view_size).to(device)
        direction = apart(recognizer, images, templates[first[part]].to(device))
        for epsilon in epsilons:
            for decoding, embedded in _embedded(recognizer, decoders, descended(images, direction, epsilon)):
                seconds.setdefault((epsilon, decoding), []).append(embedded)
    originals = {BEFORE: templates} | {
        name: _reembedded(recognizer, decoder, templates) for name, decoder in decoders.items()
    }
    pairs, ones = {}, templates[first]
    for decoding, version in originals.items():
        impostors = cosine_pairs(templates.numpy(), version.numpy(), codes)
        impostors = Pairs(*(column[~impostors.genuine] for column in impostors))
        candidates = {ORIGINAL: version[second]} | {e: torch.cat(seconds[e, decoding]) for e in epsilons}
        for epsilon, others in candidates.items():
            scores = F.cosine_similarity(ones, others).numpy()
            genuine = Pairs(scores, np.ones(len(first), bool), codes[first], codes[first])
            pairs[epsilon, decoding] = Pairs(
                *(np.concatenate(columns) for columns in zip(genuine, impostors, strict=True))
            )
    return pairs


def _embedded(recognizer: Recognizer, decoders: Mapping, images: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Templates (N, D) of images, and of their reconstructions by each variant."""
    templates = embed_images(recognizer, images)
    yield BEFORE, templates
    for variant, decoder in decoders.items():
        yield variant, _reembedded(recognizer, decoder, templates)


def _reembedded(recognizer: Recognizer, decoder: nn.Module, templates: torch.Tensor) -> torch.Tensor:
    """ξ(D(e)) of templates e, both (N, D)."""
    return torch.cat([embed_images(recognizer, decode(decoder, part)) for part in templates.split(64)])


def verification_metrics(pairs: Scored, epsilon: float, people: People) -> dict:
    """TAR at 0.1 % FAR, EER and AUC with their intervals, by attack (`original`, `attacked_by_<ε>`) and decoding.

    people: of the faces from which `attacked_pairs` made the pairs. All differences are paired, of the same pairs:
    `decline`, attacked by `epsilon` − original, by decoding; `defence`, attacked by `epsilon` and decoded − the same not
    decoded, by variant; `cost`, that of originals.
    """
    metrics: dict = {"epsilon": epsilon, "n_matching_pairs": int(pairs[ORIGINAL, BEFORE].genuine.sum())}
    rates = {}
    for (level, decoding), scored in pairs.items():
        rates[level, decoding] = people.verification(scored, (FAR,))
        attack = "original" if level == ORIGINAL else f"attacked_by_{level:g}"
        metrics.setdefault(attack, {})[decoding] = rates[level, decoding].metrics()
    decodings = list(metrics["original"])

    def differences(one: float, other: float, among: Sequence[str], to: str | None = None) -> dict:
        return {name: (rates[one, name] - rates[other, to or name]).metrics() for name in among}

    variants = [name for name in decodings if name != BEFORE]
    metrics["decline"] = differences(epsilon, ORIGINAL, decodings)
    metrics["defence"] = differences(epsilon, epsilon, variants, to=BEFORE)
    return metrics | {"cost": differences(ORIGINAL, ORIGINAL, variants, to=BEFORE)}


def roc_curves(pairs: Scored, epsilon: float) -> pd.DataFrame:
    """The ROC curves of originals and of those attacked by `epsilon`: columns attack, decoding, far, tar, threshold."""
    tables = []
    for (level, decoding), scored in pairs.items():
        if level in (ORIGINAL, epsilon):
            attack = "attacked" if level else "original"
            tables.append(roc_table(scored, points=200).assign(attack=attack, decoding=decoding))
    return pd.concat(tables)[["attack", "decoding", "far", "tar", "threshold"]]


def tar_over_epsilon(metrics: Mapping, epsilons: Sequence[float]) -> pd.DataFrame:
    """TAR at 0.1 % FAR of `verification_metrics` over ε, 0 first: columns decoding, epsilon, tar, ci95_low, ci95_high."""
    rows = []
    for epsilon in (ORIGINAL, *epsilons):
        for decoding, summary in metrics[f"attacked_by_{epsilon:g}" if epsilon else "original"].items():
            tar = summary[f"tar_at_far_{FAR:g}"]
            rows.append((decoding, epsilon, tar["value"], tar["ci95_low"], tar["ci95_high"]))
    table = pd.DataFrame(rows, columns=["decoding", "epsilon", "tar", "ci95_low", "ci95_high"])
    return table.astype(dict.fromkeys(["epsilon", "tar", "ci95_low", "ci95_high"], float))
