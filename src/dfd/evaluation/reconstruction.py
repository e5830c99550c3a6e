"""How well a decoder reconstructs faces, beside what the mean face and the linear decoder reach."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from dfd.evaluation.intervals import mean_interval, paired_interval
from dfd.evaluation.quality import Lpips, psnr, ssim
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.templates.embedding import embed_images

BASELINES = ("mean_face", "linear")
NULL = ("mean", "ci95_low", "ci95_high", *BASELINES)  # of a measure that could not be taken


def evaluate(
    originals: torch.Tensor,
    images: Mapping[str, torch.Tensor],
    identities: np.ndarray,
    recognizers: Mapping[str, Recognizer],
    templates: Mapping[str, torch.Tensor],
    lpips: tuple[Lpips | None, str | None],
    samples: int,
    generator: np.random.Generator,
) -> dict:
    """The metrics of one decoder on one data set.

    originals: (N, 3, S, S) in [0, 1]. images: the reconstructions, same shape, under `decoder`, `mean_face` and `linear`.
    templates: of the original faces by recognizer, (N, D). For each measure: mean with its 95 % interval over identities,
    the baselines' means, and the paired difference from the linear decoder. `lpips` null, with a note, where its network
    is not to be had; so is the cosine under a recognizer that embeds no images.
    """
    metrics: dict = {"n_faces": len(originals), "n_identities": len(np.unique(identities))}
    measures = {"psnr": psnr, "ssim": ssim}
    network, note = lpips
    if network is None:
        metrics["lpips"] = dict.fromkeys(NULL) | {"lpips_note": note}
    else:
        measures["lpips"] = network
    for name, measure in measures.items():
        values = {source: measure(image, originals).numpy() for source, image in images.items()}
        metrics[name] = _summary(name, values, identities, samples, generator)
    metrics["cosine"] = {}
    for name, recognizer in recognizers.items():
        if not recognizer.embeds_images:
            metrics["cosine"][name] = dict.fromkeys(NULL) | {"cosine_note": NO_IMAGES}
            continue
        values = {}
        for source, image in images.items():
            distinct = image[:1] if source == "mean_face" else image  # every face's mean face is the same
            embedded = embed_images(recognizer, distinct)
            values[source] = F.cosine_similarity(embedded, templates[name]).numpy()
        metrics["cosine"][name] = _summary("cosine", values, identities, samples, generator)
    return metrics


def _summary(
    name: str, values: Mapping[str, np.ndarray], identities: np.ndarray, samples: int, generator: np.random.Generator
) -> dict:
    """The decoder's mean and interval, the baselines' means, and the paired difference from the linear decoder."""
    if any(np.isinf(value).any() for value in values.values()):
        return dict.fromkeys(NULL) | {
            f"{name}_note": "a reconstruction equals its original, where this measure is infinite"
        }
    summary = mean_interval(values["decoder"], identities, samples, generator=generator)
    summary |= {baseline: float(values[baseline].mean()) for baseline in BASELINES}
    difference = paired_interval(values["decoder"], values["linear"], identities, samples, generator=generator)
    return summary | {"minus_linear": difference}
