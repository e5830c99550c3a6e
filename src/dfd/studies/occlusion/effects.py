"""What a block over a part of the face changes: in the template, and where in the reconstruction (Fig. 11)."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.measures.estimates import Estimate, People
from dfd.measures.pixels import GREY_LEVELS, change_share, mean_within, psnr_within


def template_change(clean: torch.Tensor, occluded: torch.Tensor, people: People) -> dict:
    """The cosine of occluded and clean templates (N, D): `mean` with its interval, in [-1, 1].

    different_people: the mean cosine of two clean templates of different people, None with a note for one person. What
    an occlusion takes away is to be read beside it: the cosines of some recognizers never come near zero.
    """
    cosine = F.cosine_similarity(clean, occluded).numpy()
    summary = people.mean(cosine).metrics()
    unit = F.normalize(clean).double().numpy()
    sums = np.zeros((len(people), unit.shape[1]))
    np.add.at(sums, people.codes, unit)
    pairs = len(unit) ** 2 - (people.counts**2).sum()
    if not pairs:
        return summary | LeftOut("there is only one person").metrics("different_people")
    return summary | {"different_people": float(((sums.sum(0) ** 2).sum() - (sums**2).sum()) / pairs)}


def reconstruction_change(
    original: torch.Tensor,
    clean: torch.Tensor,
    occluded: torch.Tensor,
    covered: torch.Tensor,
    people: People,
) -> dict:
    """How the reconstruction of the occluded template differs from that of the clean one, in and beside the region.

    original: the faces without the block; clean, occluded: the two reconstructions; all (N, 3, S, S) in [0, 1].
    covered: (N, 1, S, S), the region, in [0, 1]. Means with intervals:
    change_inside: the region's share of the squared difference of both reconstructions, in [0, 1]; `area`: its share of
    the picture, which is what a change without any place would have; `minus_area`: the paired difference.
    local_change_inside: the same of what is left of the difference without each colour's mean over the picture, since
    another light or complexion is a change everywhere.
    brightness_inside: mean of occluded − clean in the region, in grey levels: negative where it became darker;
    `outside`: beside the region; `minus_outside`: the paired difference.
    psnr_outside: of occluded against the original beside the region, in dB; `clean`: of the clean reconstruction;
    `minus_clean`: the paired difference. psnr_outside_clean: of occluded against the clean reconstruction there.
    """
    inside, outside = covered, 1 - covered
    area = {"area": covered.mean((1, 2, 3))}
    brightness = [mean_within((occluded - clean) * GREY_LEVELS, part) for part in (inside, outside)]
    values = {
        "change_inside": (change_share(clean, occluded, inside), area),
        "local_change_inside": (change_share(clean, occluded, inside, centred=True), area),
        "brightness_inside": (brightness[0], {"outside": brightness[1]}),
        "psnr_outside": (psnr_within(occluded, original, outside), {"clean": psnr_within(clean, original, outside)}),
        "psnr_outside_clean": (psnr_within(occluded, clean, outside), {}),
    }
    return {name: _beside(name, *value, people) for name, value in values.items()}


def identity_kept(
    photos: torch.Tensor,
    clean: torch.Tensor,
    occluded: torch.Tensor,
    people: People,
) -> dict:
    """The cosine of the reconstruction's template from the occluded face with the photo's, as it is without the block.

    photos: templates (N, D) of the photos; clean, occluded: of the two reconstructions, embedded anew. `clean`: the cosine
    of the clean reconstruction; `minus_clean`: the paired difference.
    """
    cosine, without = (F.cosine_similarity(part, photos) for part in (occluded, clean))
    return _beside("cosine", cosine, {"clean": without}, people)


def gender_flipped(clean: np.ndarray, occluded: np.ndarray, people: People) -> dict:
    """The share of faces whose reconstruction the block moves across P(male) = 0.5, with its interval.

    clean, occluded: P(male) (N,) of the two reconstructions, see `dfd.measures.gender`.
    """
    flipped = (clean > 0.5) != (occluded > 0.5)
    return people.mean(flipped).metrics(hits="count", n=True)


def _beside(name: str, values: torch.Tensor, baseline: Mapping[str, torch.Tensor], people: People) -> dict:
    """The mean with its interval; of the baseline, if there is one, its mean and the paired difference from it."""
    if not all(part.isfinite().all() for part in (values, *baseline.values())):
        nothing = Estimate(None, left_out=LeftOut("two of the pictures are equal, where this measure is not finite"))
        return nothing.metrics(note=name) | dict.fromkeys(
            key for other in baseline for key in (other, f"minus_{other}")
        )
    values = values.double().numpy()
    summary = people.mean(values).metrics()
    for other, part in baseline.items():
        part = part.double().numpy()
        summary |= {other: float(part.mean()), f"minus_{other}": people.difference(values, part).metrics()}
    return summary
