"""Several decoders' reconstructions of the same faces, side by side, with the paired differences between them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.faces.leakage import Seen, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.estimates import Estimate, People
from dfd.measures.quality import INFINITE, Lpips, psnr, ssim
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.templates.embedding import embed_images

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
    values: Mapping[str, Mapping[str, np.ndarray]], people: People, references: Mapping[str, Sequence[str]]
) -> dict:
    """By decoder and measure: the mean with its interval, and `minus_<reference>` for each of the decoder's references.

    values: by decoder, by measure, (N,), of the faces of `people`, or (S, N) of S trainings, by the same seeds in the same
    order. The differences are paired: what makes a face easy or hard cancels out. Where a measure has no finite value, or
    a reference is missing, numbers are null and a note says why.
    """
    metrics: dict = {}
    for name, measures in values.items():
        metrics[name] = {}
        for measure, own in measures.items():
            metrics[name][measure] = people.mean(own, INFINITE).metrics(note=measure)
            for reference in references[name]:
                if (theirs := values.get(reference, {}).get(measure)) is None:
                    difference = Estimate(None, left_out=LeftOut(f"{reference} was left out: nothing to compare with"))
                else:
                    difference = people.difference(own, theirs, INFINITE)
                metrics[name][measure][f"minus_{reference}"] = difference.metrics(note="difference")
    return metrics


def compare(
    originals: torch.Tensor,
    images: Images,
    people: People,
    recognizers: Mapping[str, tuple[Recognizer, torch.Tensor]],
    lpips: Lpips | LeftOut,
    references: Mapping[str, Sequence[str]],
) -> dict:
    """The metrics of several decoders on one data set: `n_faces`, `n_identities` and `decoders`, see `compared`.

    originals: (N, 3, S, S) in [0, 1], of `people`. What several trainings of a decoder reach is their mean, and its interval holds the
    noise of training. recognizers: as in `measured`. `lpips` is null, with a note, where its network is
    not to be had; so is the cosine under a recognizer that embeds no images.
    """
    network = None if isinstance(lpips, LeftOut) else lpips
    values = {}
    for name, trainings in images.items():
        measures = [measured(image, originals, recognizers, network) for image in _trainings(trainings)]
        values[name] = {measure: np.stack([training[measure] for training in measures]) for measure in measures[0]}
    decoders = compared(values, people, references)
    nulls = {} if network else {"lpips": Estimate(None, left_out=lpips).metrics(note="lpips")}
    blind = [name for name, (recognizer, _) in recognizers.items() if not recognizer.embeds_images]
    nulls |= {f"cosine-{name}": Estimate(None, left_out=NO_IMAGES).metrics(note="cosine") for name in blind}
    decoders = {name: measures | nulls for name, measures in decoders.items()}
    return {"n_faces": len(originals), "n_identities": len(people), "decoders": decoders}


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
    lpips: Lpips | LeftOut
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
            People(faces.identities(rows), self.samples, self.seed),
            judges,
            self.lpips,
            self.references,
        )
        return metrics | {"leaked_identities": leaked}, (originals[picks], shown)
