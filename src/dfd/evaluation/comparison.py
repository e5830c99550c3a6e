"""Several decoders' reconstructions of the same faces, side by side, each with its paired difference from one of them."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from dfd.evaluation.intervals import mean_interval, paired_interval
from dfd.evaluation.quality import Lpips, psnr, ssim
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.templates.embedding import embed_images

NOTHING = dict.fromkeys(("mean", "ci95_low", "ci95_high"))


def measured(
    images: torch.Tensor,
    originals: torch.Tensor,
    recognizers: Mapping[str, tuple[Recognizer, torch.Tensor]],
    lpips: Lpips | None,
    precision: str = "float32",
) -> dict[str, np.ndarray]:
    """Each measure of reconstructions (N, 3, S, S) of originals, both in [0, 1]: by name, (N,) each.

    psnr (dB), ssim, lpips where its network is given, and cosine-<recognizer> for every recognizer, given with its
    templates (N, D) of the originals, that can embed an image.
    """
    values = {"psnr": psnr(images, originals).numpy(), "ssim": ssim(images, originals).numpy()}
    if lpips is not None:
        values["lpips"] = lpips(images, originals).numpy()
    for name, (recognizer, templates) in recognizers.items():
        if recognizer.embeds_images:
            embedded = embed_images(recognizer, images, precision)
            values[f"cosine-{name}"] = F.cosine_similarity(embedded, templates).numpy()
    return values


def compared(
    values: Mapping[str, Mapping[str, np.ndarray]], identities: np.ndarray, reference: str, samples: int, seed: int
) -> dict:
    """By decoder and measure: the mean and its 95 % interval over identities (N,), and `minus_<reference>`.

    values: by decoder, by measure, (N,), of the same faces in the same order. The difference from the reference is
    paired: what makes a face easy or hard cancels out. Where a measure has no finite value, or the reference is
    missing, numbers are null and a note says why.
    """
    return {
        name: {
            measure: _summary(measure, of_face, identities, samples, seed)
            | ({} if name == reference else _difference(measure, values, name, identities, reference, samples, seed))
            for measure, of_face in measures.items()
        }
        for name, measures in values.items()
    }


def _summary(measure: str, values: np.ndarray, identities, samples: int, seed: int) -> dict:
    if not np.isfinite(values).all():
        return NOTHING | {f"{measure}_note": "a reconstruction equals its original, where this measure is infinite"}
    return mean_interval(values, identities, samples, generator=np.random.default_rng(seed))


def _difference(measure: str, values: Mapping, name: str, identities, reference: str, samples: int, seed: int) -> dict:
    ours, theirs = values[name][measure], values.get(reference, {}).get(measure)
    if theirs is None:
        found = NOTHING | {"difference_note": f"{reference} was left out: nothing to compare with"}
    elif not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        found = NOTHING | {"difference_note": "a reconstruction equals its original, where this measure is infinite"}
    else:
        found = paired_interval(ours, theirs, identities, samples, generator=np.random.default_rng(seed))
    return {f"minus_{reference}": found}


def compare(
    originals: torch.Tensor,
    images: Mapping[str, torch.Tensor],
    identities: np.ndarray,
    recognizers: Mapping[str, tuple[Recognizer, torch.Tensor]],
    lpips: tuple[Lpips | None, str | None],
    reference: str,
    samples: int,
    seed: int,
    precision: str = "float32",
) -> dict:
    """The metrics of several decoders on one data set: `n_faces`, `n_identities` and `decoders`, see `compared`.

    images: by decoder, (N, 3, S, S), of the originals in the same order. recognizers: as in `measured`. `lpips` is null,
    with a note, where its network is not to be had; so is the cosine under a recognizer that embeds no images.
    """
    network, note = lpips
    values = {name: measured(image, originals, recognizers, network, precision) for name, image in images.items()}
    decoders = compared(values, identities, reference, samples, seed)
    nulls = {} if network else {"lpips": NOTHING | {"lpips_note": note}}
    blind = [name for name, (recognizer, _) in recognizers.items() if not recognizer.embeds_images]
    nulls |= {f"cosine-{name}": NOTHING | {"cosine_note": NO_IMAGES} for name in blind}
    decoders = {name: measures | nulls for name, measures in decoders.items()}
    return {"n_faces": len(originals), "n_identities": len(np.unique(identities)), "decoders": decoders}
