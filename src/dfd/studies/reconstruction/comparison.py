"""Several decoders' reconstructions of the same faces, side by side, with the paired differences between them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut, left_out_metrics
from dfd.faces.leakage import Seen
from dfd.measures.acceptance import attack_summary, unattacked
from dfd.measures.estimates import Estimate, People
from dfd.measures.quality import INFINITE, Lpips, load_lpips, psnr, ssim
from dfd.recognizers.base import NO_IMAGES, Recognizer, no_features
from dfd.rendering.grids import spread
from dfd.studies.reconstruction.figures import draw_comparison
from dfd.templates.embedding import embed_images

if TYPE_CHECKING:
    from dfd.project import Project, Tested

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
        for measure, ours in measures.items():
            metrics[name][measure] = people.mean(ours, INFINITE).metrics(note=measure)
            for reference in references[name]:
                if (theirs := values.get(reference, {}).get(measure)) is None:
                    difference = Estimate(None, left_out=LeftOut(f"{reference} was left out: nothing to compare with"))
                else:
                    difference = people.difference(ours, theirs, INFINITE)
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


@dataclass
class Comparison:
    """Decoders whose reconstructions of the same faces are compared, on one data set after the other; and what came out.

    recognizers: by name, those under which cosines are taken. references: see `against`. samples, seed: of the bootstrap.
    size: of the reconstructions, in pixels. pictured: how many people. missing: decoders that could not be learned.

    metrics: by data set. notes: beside these, what was left out. pictures: by data set, of the pictured people the
    originals and the reconstructions by decoder.
    """

    recognizers: Mapping[str, Recognizer]
    lpips: Lpips | LeftOut
    references: Mapping[str, Sequence[str]]
    samples: int
    seed: int
    size: int
    pictured: int
    missing: Mapping[str, LeftOut] = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)
    pictures: dict = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        project: "Project",
        references: Mapping[str, Sequence[str]],
        missing: Mapping[str, LeftOut] | None = None,
        perceptual: str | None = None,
    ) -> "Comparison":
        """One under all of a project's recognizers. perceptual: whose features the decoders learned through, if there are
        such features; the metrics say where there are none."""
        params, recognizers = project.params, project.recognizers()
        comparison = cls(
            recognizers,
            load_lpips(project.device),
            references,
            params.bootstrap,
            params.seed,
            params.decoder.size,
            params.reconstruct.faces,
            missing or {},
        )
        if perceptual is not None and not recognizers[perceptual].gives_gradients:
            comparison.notes |= no_features(perceptual).metrics(note="perceptual")
        return comparison

    def tested(
        self,
        project: "Project",
        decoded: Iterable[str] = (),
        learned: Mapping[str, Seen] | None = None,
        only: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[tuple["Tested", dict[str, torch.Tensor]]]:
        """Of each of a project's data sets, if there is anything to compare, its test faces, up to `experiments.max_faces`,
        and their templates (N, D) by recognizer.

        decoded: the recognizers whose templates are decoded: faces without these take no part. learned: whom the decoders
        learned from beside `roles.decoders`, by role. only: rows of a data set that others than these are not taken from.
        """
        params, wanted = project.params, set(decoded)
        seen = project.learned(self.recognizers, decoder=params.roles.decoders) | dict(learned or {})
        for dataset in params.datasets:
            faces = project.faces(dataset)
            stores = {name: project.templates(faces, name) for name in self.recognizers}
            allowed = [stores[name].rows("test") for name in wanted]
            allowed += [only[dataset]] if only and dataset in only else []

            def choose(rows: np.ndarray, allowed: Sequence[np.ndarray] = allowed) -> np.ndarray:
                return reduce(np.intersect1d, allowed, rows)[: params.experiments.max_faces]

            tested = project.test_rows(faces, seen, choose)
            if not self.references:
                self.notes |= LeftOut("left out: there is no decoder").metrics(dataset)
            elif not len(tested):
                self.notes |= LeftOut("left out: no test face has the templates that are decoded").metrics(dataset)
            else:
                yield tested, {name: store.template[tested.rows] for name, store in stores.items()}

    def add(self, tested: "Tested", templates: Mapping[str, torch.Tensor], images: Images) -> dict:
        """Compare reconstructions of a data set's tested faces, and return the metrics: see `compare`, and
        `leaked_identities`. templates: (N, D) of the originals by recognizer."""
        dataset = tested.faces.name
        originals, picks = tested.faces.views(tested.rows, self.size), spread(tested.identities, self.pictured)
        judges = {name: (recognizer, templates[name]) for name, recognizer in self.recognizers.items()}
        pictures: dict[str, torch.Tensor] = {}

        def keeping(name: str, trainings: torch.Tensor | Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
            for image in _trainings(trainings):
                pictures.setdefault(name, image[picks])  # of several trainings the first
                yield image

        metrics = compare(
            originals,
            {name: keeping(name, trainings) for name, trainings in images.items()},
            self.people(tested),
            judges,
            self.lpips,
            self.references,
        )
        self.metrics[dataset] = metrics | {"leaked_identities": tested.leaked}
        self.pictures[dataset] = originals[picks], pictures
        return self.metrics[dataset]

    def people(self, tested: "Tested") -> People:
        """Whom the tested faces show, and their resamplings."""
        return People(tested.identities, self.samples, self.seed)

    def acceptance(
        self,
        tested: "Tested",
        attacked: str,
        templates: torch.Tensor,
        images: Mapping[str, torch.Tensor],
        far: float,
    ) -> dict:
        """The decoders as attacks on the recognizer whose templates (N, D) of the tested faces they decoded: `unattacked`,
        at `far`, and under `decoders` what `attack_summary` gives."""
        recognizer = self.recognizers[attacked]
        if not recognizer.embeds_images:
            return LeftOut(f"left out: of {attacked}, {NO_IMAGES}").metrics(note="acceptance")
        photos, people = templates.numpy(), self.people(tested)
        before = unattacked(photos, people.identities, far)
        attacks = {name: embed_images(recognizer, image).numpy() for name, image in images.items()}
        return {"unattacked": before, "decoders": attack_summary(attacks, photos, people, before, self.references)}

    def write(
        self,
        path: str,
        folder: str,
        title: str,
        reference: str,
        histories: Mapping[str, str] | None = None,
        more: Mapping | None = None,
    ) -> None:
        """Write the metrics, with `more` of them, to a path, and tables and pictures into a folder: see `draw_comparison`."""
        write_json(path, self.metrics | left_out_metrics(self.missing) | self.notes | dict(more or {}))
        draw_comparison(folder, title, reference, self.metrics, self.pictures, self.missing, histories or {})
