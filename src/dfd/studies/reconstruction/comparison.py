"""Several decoders' reconstructions of the same faces, side by side, with the paired differences between them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from dfd.faces.leakage import Seen, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.intervals import mean_interval, paired_interval
from dfd.measures.quality import Lpips, psnr, ssim
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.templates.embedding import embed_images

NOTHING = dict.fromkeys(("mean", "ci95_low", "ci95_high"))

# Reconstructions (N, 3, S, S) by decoder, of the same faces in the same order; or of several trainings of it, one after another
Images = Mapping[str, torch.Tensor | Iterable[torch.Tensor]]


def measured(
    images: torch.Tensor,
    originals: torch.Tensor,
    recognizers: Mapping[str, tuple[Recognizer, torch.Tensor]],
    lpips: Lpips | None,
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
            embedded = embed_images(recognizer, images)
            values[f"cosine-{name}"] = F.cosine_similarity(embedded, templates).numpy()
    return values


def against(decoders: Iterable[str], *references: str) -> dict[str, list[str]]:
    """From which others each decoder's differences are to be taken: from every reference but itself."""
    return {name: [reference for reference in references if reference != name] for name in decoders}


def compared(
    values: Mapping[str, Mapping[str, np.ndarray]],
    identities: np.ndarray,
    references: Mapping[str, Sequence[str]],
    samples: int,
    seed: int,
) -> dict:
    """By decoder and measure: the mean and its 95 % interval over identities (N,), and `minus_<reference>` for each of
    the decoder's references.

    values: by decoder, by measure, (N,), of the same faces in the same order, or (S, N) of S trainings, by the same seeds
    in the same order. The differences are paired: what makes a face easy or hard cancels out. Where a measure has no
    finite value, or a reference is missing, numbers are null and a note says why.
    """
    found: dict = {}
    for name, measures in values.items():
        found[name] = {}
        for measure, of_face in measures.items():
            found[name][measure] = _summary(measure, of_face, identities, samples, seed)
            for reference in references[name]:
                theirs = values.get(reference, {}).get(measure)
                difference = _difference(of_face, theirs, reference, identities, samples, seed)
                found[name][measure][f"minus_{reference}"] = difference
    return found


def _summary(measure: str, values: np.ndarray, identities: np.ndarray, samples: int, seed: int) -> dict:
    if not np.isfinite(values).all():
        return NOTHING | {f"{measure}_note": "a reconstruction equals its original, where this measure is infinite"}
    return mean_interval(values, identities, samples, generator=np.random.default_rng(seed))


def _difference(
    ours: np.ndarray, theirs: np.ndarray | None, reference: str, identities: np.ndarray, samples: int, seed: int
) -> dict:
    if theirs is None:
        return NOTHING | {"difference_note": f"{reference} was left out: nothing to compare with"}
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return NOTHING | {"difference_note": "a reconstruction equals its original, where this measure is infinite"}
    return paired_interval(ours, theirs, identities, samples, generator=np.random.default_rng(seed))


def compare(
    originals: torch.Tensor,
    images: Images,
    identities: np.ndarray,
    recognizers: Mapping[str, tuple[Recognizer, torch.Tensor]],
    lpips: tuple[Lpips | None, str | None],
    references: Mapping[str, Sequence[str]],
    samples: int,
    seed: int,
) -> dict:
    """The metrics of several decoders on one data set: `n_faces`, `n_identities` and `decoders`, see `compared`.

    originals: (N, 3, S, S) in [0, 1]. What several trainings of a decoder reach is their mean, and its interval holds the
    noise of training. recognizers: as in `measured`. `lpips` is null, with a note, where its network is
    not to be had; so is the cosine under a recognizer that embeds no images.
    """
    network, note = lpips
    values = {}
    for name, trainings in images.items():
        measures = [measured(image, originals, recognizers, network) for image in _trainings(trainings)]
        values[name] = {measure: np.stack([training[measure] for training in measures]) for measure in measures[0]}
    decoders = compared(values, identities, references, samples, seed)
    nulls = {} if network else {"lpips": NOTHING | {"lpips_note": note}}
    blind = [name for name, (recognizer, _) in recognizers.items() if not recognizer.embeds_images]
    nulls |= {f"cosine-{name}": NOTHING | {"cosine_note": NO_IMAGES} for name in blind}
    decoders = {name: measures | nulls for name, measures in decoders.items()}
    return {"n_faces": len(originals), "n_identities": len(np.unique(identities)), "decoders": decoders}


def _trainings(images: torch.Tensor | Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
    return [images] if isinstance(images, torch.Tensor) else images


class Comparison(NamedTuple):
    """What comparisons of the same decoders on several data sets share.

    recognizers: by name, those under which cosines are taken. learned: whom anything learned from, by role.
    allow_leakage: see `refuse_leakage`. lpips: as `load_lpips` gives it. references: see `against`. samples: of the
    bootstrap. size: of the reconstructions, in pixels.
    """

    recognizers: Mapping[str, Recognizer]
    learned: Mapping[str, Seen]
    allow_leakage: bool
    lpips: tuple[Lpips | None, str | None]
    references: Mapping[str, Sequence[str]]
    samples: int
    seed: int
    size: int

    def on(
        self,
        faces: FaceStore,
        rows: np.ndarray,
        images: Images,
        templates: Mapping[str, torch.Tensor],
        picks: Sequence[int],
    ) -> tuple[dict, tuple[torch.Tensor, dict[str, torch.Tensor]]]:
        """The metrics of `compare` on rows (N,) of `faces`, with `leaked_identities`; and of `picks`, positions among the
        rows, the originals and the reconstructions by decoder (the first training's), to be shown.

        templates: (N, D) of the originals by recognizer. Raises DfdError for people who were seen in training.
        """
        leaked = refuse_leakage(self.learned, faces, rows, self.allow_leakage)
        originals = faces.views(rows, self.size)
        judges = {name: (recognizer, templates[name]) for name, recognizer in self.recognizers.items()}
        shown: dict[str, torch.Tensor] = {}

        def keeping(name: str, trainings: torch.Tensor | Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
            for image in _trainings(trainings):
                shown.setdefault(name, image[picks])
                yield image

        metrics = compare(
            originals,
            {name: keeping(name, trainings) for name, trainings in images.items()},
            faces.identities(rows),
            judges,
            self.lpips,
            self.references,
            self.samples,
            self.seed,
        )
        return metrics | {"leaked_identities": leaked}, (originals[picks], shown)
