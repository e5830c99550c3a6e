"""One decoder as an attack on the faces of a data set: all that the study measures of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dfd.core.left_out import LeftOut
from dfd.decoder.base import Decoder
from dfd.decoder.registry import decode
from dfd.faces.geometry import shrunk
from dfd.faces.store import FaceStore
from dfd.measures.acceptance import Attempts
from dfd.measures.estimates import People
from dfd.measures.gender import AgeEstimator, GenderClassifier
from dfd.measures.quality import Lpips, load_lpips, psnr
from dfd.measures.verification import Pairs, cosine_pairs
from dfd.recognizers.base import NO_GRADIENTS, NO_IMAGES, Recognizer
from dfd.studies.inversion.attack_rate import Point, operating_points
from dfd.studies.inversion.attributes import Perceived, attribute_metrics, by_person, listed, probed, trait_metrics
from dfd.studies.inversion.fine_tuning import NO_STEPS, Tuning, loss_of
from dfd.studies.inversion.protecting import System, protections
from dfd.studies.inversion.protections import IDENTITY_PART, PROTECTIONS, Protect, identity_part
from dfd.studies.inversion.refinement import refined
from dfd.studies.inversion.regions import region_fidelity, region_maps
from dfd.studies.inversion.settings import Inversion
from dfd.studies.inversion.sources import (
    DECODER,
    MEAN_FACE,
    NEAREST,
    Judge,
    nearest,
    rates_at,
    source_attempts,
    source_metrics,
    subgroup_rates,
    transfer,
)
from dfd.studies.inversion.spread import Ensemble, ensemble, residual_spread, spread_metrics
from dfd.studies.inversion.unlinkability import linkability
from dfd.templates.embedding import embed_images
from dfd.templates.people import first_photos, spread
from dfd.templates.store import TemplateStore

if TYPE_CHECKING:
    from dfd.project import Project

SPREAD_FACES = 300  # validation faces, at most, that the spread is learned on
UNDOING_FACES = 3000  # training faces, at most, whose protected templates teach an attacker
MOST = 5000  # test faces: twelve million pairs, of which the smallest FMR sets a threshold


def tried_photos(faces: FaceStore, photos: int) -> Callable[[np.ndarray], np.ndarray]:
    """Of test rows those that a trial takes: of each person the first so many, MOST in all."""
    return lambda rows: rows[first_photos(faces.identities(rows), photos)][:MOST]


class Trial(NamedTuple):
    """N photos of a data set's test people, identities (N,); of them K are attacked, positions (K,): originals and images by
    source, (K, 3, S, S). By judge its templates (N, D) and points, all pairs of photos, and its attempts by source. shows: see
    `listed`."""

    identities: np.ndarray
    attacked: np.ndarray
    originals: torch.Tensor
    images: Mapping[str, torch.Tensor]
    judges: Mapping[str, Judge]
    pairs: Mapping[str, Pairs]
    tried: Mapping[str, Mapping[str, Attempts]]
    shows: Mapping[str, np.ndarray]

    @property
    def whose(self) -> np.ndarray:
        """The identities of the attacked photos (K,)."""
        return self.identities[self.attacked]


class Study:
    """A decoder of templates of a recognizer, and what it is compared with and judged by.

    others: decoders of the same templates that are tried beside it, `linear` among them. gallery: templates of the faces that decoders
    learn from, whose training faces are retrieved and teach probes and protections. split: templates (N, D) to their identity part. far: of the judges, where one operating
    point is looked at; settings.fmrs besides. samples: of the bootstrap.
    """

    def __init__(
        self,
        decoder: Decoder,
        others: Mapping[str, Decoder],
        recognizers: Mapping[str, Recognizer],
        recognizer: str,
        gallery: TemplateStore,
        split: Protect | LeftOut,
        lpips: Lpips | LeftOut,
        settings: Inversion,
        far: float,
        samples: int,
        seed: int,
    ):
        self.decoder, self.others = decoder, others
        self.recognizer, self.recognizers = recognizer, recognizers
        self.gallery, self.split, self.lpips = gallery, split, lpips
        self.settings, self.far = settings, far
        self.samples, self.seed = samples, seed
        geometry = gallery.faces.geometry
        self.regions = region_maps(geometry, decoder.size)
        self.classifiers = GenderClassifier(geometry), AgeEstimator(geometry)

    @classmethod
    def open(
        cls,
        project: "Project",
        name: str,
        recognizer: str,
        split: Protect | LeftOut,
        rivals: Mapping[str, Decoder] | None = None,
    ) -> "Study":
        """The study of a project's decoder of a recognizer's templates, beside the closed forms and `rivals`, judged by all of
        the project's recognizers."""
        params = project.params
        return cls(
            project.decoder(name),
            project.closed_form(recognizer) | dict(rivals or {}),
            project.recognizers(),
            recognizer,
            project.templates(params.roles.decoders, recognizer),
            split,
            load_lpips(project.device),
            params.inversion,
            params.evaluate.far,
            params.bootstrap,
            params.seed,
        )

    @cached_property
    def training(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Templates of the gallery's training and of its validation faces."""
        return tuple(self.gallery.template[self.gallery.rows(split)] for split in ("train", "validation"))

    @cached_property
    def spread(self) -> torch.Tensor:
        """What the decoder misses on validation faces, (3, S, S)."""
        rows = spread(self.gallery.rows("validation"), SPREAD_FACES)
        images = decode(self.decoder, self.gallery.template[rows])
        return residual_spread(images, self.gallery.faces.views(rows, self.decoder.size))

    @cached_property
    def taught(self) -> tuple[torch.Tensor, Perceived]:
        """Templates of training faces, and what is perceived in these, for probes."""
        rows = spread(self.gallery.rows("train"), self.settings.probe_faces)
        faces = self.gallery.faces.views(rows, self.decoder.size)
        return self.gallery.template[rows], self.perceived(faces)

    def perceived(self, images: torch.Tensor) -> Perceived:
        """What the networks see in plain views (N, 3, S, S)."""
        gender, age = self.classifiers
        return Perceived(gender(images) > 0.5, age(images))

    @property
    def mean_face(self) -> torch.Tensor:
        """The mean training face, at the decoder's size."""
        return self._sized(self.others["linear"].mean_face.cpu().clamp(0, 1)[None])[0]

    def _sized(self, images: torch.Tensor) -> torch.Tensor:
        return images if images.shape[-1] == self.decoder.size else shrunk(images, self.decoder.size)

    def trial(self, faces: FaceStore, rows: np.ndarray, templates: Mapping[str, torch.Tensor]) -> Trial:
        """Decode and try photos of `rows` (N,), of which `templates` has those by recognizer, (N, D)."""
        identities, attacked = faces.identities(rows), spread(np.arange(len(rows)), self.settings.max_faces)
        fmrs = list(dict.fromkeys([*self.settings.fmrs, self.far]))
        pairs = {name: cosine_pairs(part.numpy(), part.numpy(), identities) for name, part in templates.items()}
        judges = {
            name: Judge(self.recognizers[name], part.numpy(), operating_points(pairs[name], fmrs))
            for name, part in templates.items()
        }
        given, size = templates[self.recognizer][attacked], self.decoder.size
        gallery = self.gallery.rows("train")
        similar = gallery[nearest(given, self.training[0])]
        images = {
            DECODER: decode(self.decoder, given),
            **{name: self._sized(decode(decoder, given)) for name, decoder in self.others.items()},
            MEAN_FACE: self.mean_face.expand(len(given), -1, -1, -1),
            NEAREST: self.gallery.faces.views(similar, size),
        }
        tried = source_attempts(images, judges, identities, attacked)
        originals, shows = faces.views(rows[attacked], size), listed(faces, rows)
        return Trial(identities, attacked, originals, images, judges, pairs, tried, shows)

    def compared(self, trial: Trial, names: Iterable[str]) -> dict[str, dict]:
        """Some of `others` by name, as `measured` has the decoder: `transfer`, and of `sources` its own, as `decoder`, with
        `minus_decoder`, paired with this study's."""
        at_far = {name: judge.points[self.far] for name, judge in trial.judges.items()}
        chance = self.samples, self.seed
        kept = {name: trial.images[name] for name in (DECODER, *names)}
        sources = source_metrics(kept, trial.originals, trial.tried, at_far, trial.whose, self.lpips, *chance)
        return {
            name: {
                "transfer": transfer(trial.tried[name], trial.judges, self.recognizer, trial.whose, *chance),
                "sources": {DECODER: sources[name]},
            }
            for name in kept
            if name != DECODER
        }

    def ensemble(self, trial: Trial, trainings: Sequence[Decoder]) -> Ensemble:
        """What trainings of one decoder differ by on the attacked photos."""
        given = torch.from_numpy(trial.judges[self.recognizer].templates[trial.attacked])
        images = [self._sized(decode(decoder, given)) for decoder in trainings]
        return ensemble(images, trial.originals, self.regions, People(trial.whose, self.samples, self.seed))

    def measured(self, trial: Trial, whole: bool) -> dict:
        """The metrics of a trial; what protects and what refines only of the `whole`."""
        points = {name: judge.points for name, judge in trial.judges.items()}
        at_far = {name: part[self.far] for name, part in points.items()}
        people, chance = People(trial.whose, self.samples, self.seed), (self.samples, self.seed)
        images = trial.images[DECODER]
        metrics = {
            "n_photos": len(trial.identities),
            "n_faces": len(trial.attacked),
            "n_identities": len(np.unique(trial.whose)),
            "unattacked": {
                name: {f"fmr_{fmr:g}": point.metrics for fmr, point in part.items()} for name, part in points.items()
            },
            "transfer": transfer(trial.tried[DECODER], trial.judges, self.recognizer, trial.whose, *chance),
            "sources": source_metrics(
                trial.images, trial.originals, trial.tried, at_far, trial.whose, self.lpips, *chance
            ),
            "regions": region_fidelity(images, self.mean_face, trial.originals, self.regions, people),
            "spread": spread_metrics(images, trial.originals, self.spread, self.regions, people),
            **self._attributes(trial, at_far[self.recognizer], people),
        }
        if whole:
            metrics |= {
                "protections": self._protections(trial, at_far[self.recognizer]),
                "unlinkability": self._unlinkability(trial),
                "refinement": self._refinement(trial, at_far),
            }
        return metrics

    def _attributes(self, trial: Trial, point: Point, people: People) -> dict:
        """`attributes`, see there, and `subgroups`: the rates of faces by perceived gender."""
        training, taught = self.taught
        photos = self.perceived(trial.originals)
        labels = by_person(photos, trial.whose)
        templates = torch.from_numpy(trial.judges[self.recognizer].templates[trial.attacked])
        told = {"photo": photos, "probe": probed(training, taught, templates)}
        told |= {source: self.perceived(trial.images[source]) for source in (DECODER, NEAREST)}
        groups = {"male": labels.male, "female": ~labels.male}
        subgroups = NO_IMAGES.metrics(note="subgroups")
        if self.recognizer in trial.tried[DECODER]:
            subgroups = subgroup_rates(
                trial.tried[DECODER][self.recognizer], point, trial.whose, groups, self.samples, self.seed
            )
        attributes = attribute_metrics(told, labels, taught, people)
        attributes |= {trait: self._trait(trial, shows) for trait, shows in trial.shows.items()}
        return {"attributes": attributes, "subgroups": subgroups}

    def _trait(self, trial: Trial, shows: np.ndarray) -> dict:
        """`trait_metrics` of a listed trait (N,), NaN where it is not known: `probe` of the attacked templates, the rest of
        another recognizer's, whose name is in `judge_note`."""
        usable = [name for name, judge in trial.judges.items() if judge.recognizer.embeds_images]
        known = ~np.isnan(shows)
        kept = known[trial.attacked]
        if not kept.any():
            return LeftOut("no face that was decoded is listed").metrics("chance", note="probe")
        templates = {name: judge.templates[known] for name, judge in trial.judges.items()}
        attacked = (np.cumsum(known) - 1)[trial.attacked[kept]]
        own = templates[self.recognizer]
        probes, told_by = [(own, {"probe": own[attacked]})], NO_IMAGES.metrics(note="judge")
        if usable:
            judge = next((name for name in usable if name != self.recognizer), self.recognizer)
            images = {source: trial.images[source][kept] for source in (DECODER, NEAREST)}
            seen = {key: embed_images(self.recognizers[judge], part).numpy() for key, part in images.items()}
            probes.append((templates[judge], {"photo": templates[judge][attacked], **seen}))
            told_by = {"judge_note": f"photos and reconstructions by their templates of {judge}"}
        identities = trial.identities[known]
        return trait_metrics(shows[known], identities, attacked, probes, self.samples, self.seed) | told_by

    def _protections(self, trial: Trial, point: Point) -> dict:
        judge = trial.judges[self.recognizer]
        if not judge.recognizer.embeds_images:
            return NO_IMAGES.metrics(note="protections")
        attacked = spread(trial.attacked, self.settings.protected_faces)
        templates = torch.from_numpy(judge.templates)
        training, validation = self.training
        some = spread(np.arange(len(training)), UNDOING_FACES)
        known = training[some], validation, self._tuning(judge.recognizer, some)
        system = System(judge.recognizer, templates, trial.identities, attacked, point, *known)
        known = PROTECTIONS | {IDENTITY_PART: identity_part(self.split)}
        tried = {name: known[name] for name in self.settings.protections}
        return protections(self.decoder, system, tried, self.far, self.samples, self.seed)

    def _tuning(self, recognizer: Recognizer, some: np.ndarray) -> Tuning | LeftOut:
        """How the decoder learns on from training templates, of which `some` (M,) are the attacker's."""
        if self.settings.fine_tuning_steps == 0:
            return NO_STEPS
        if isinstance(loss := loss_of(self.decoder, recognizer), LeftOut):
            return loss
        rows = self.gallery.rows("train")[some]
        faces = lambda batch: self.gallery.faces.views(rows[batch.numpy()], self.decoder.size)
        return Tuning(loss, faces, self.settings.fine_tuning_steps)

    def _unlinkability(self, trial: Trial) -> dict:
        """Of BioHash, over pairs of keys; and of templates as they are, which every system has alike."""
        templates = torch.from_numpy(trial.judges[self.recognizer].templates)
        fits = {"none": [(0, 0)], "biohash": [(2 * n, 2 * n + 1) for n in range(self.settings.keys)]}

        def protect(name: str, key: int) -> torch.Tensor:
            return PROTECTIONS[name].fit(self.training[0], self.seed + key)(templates)

        return {
            name: linkability(lambda key, name=name: protect(name, key), trial.identities, keys, self.seed)
            for name, keys in fits.items()
        }

    def _refinement(self, trial: Trial, at_far: Mapping[str, Point]) -> dict:
        """By judge the rates `before` and `after` refining through the attacked recognizer, and PSNR likewise."""
        recognizer = trial.judges[self.recognizer].recognizer
        if not (recognizer.embeds_images and recognizer.gives_gradients):
            return (NO_GRADIENTS if recognizer.embeds_images else NO_IMAGES).metrics(note="refinement")
        some = spread(np.arange(len(trial.attacked)), self.settings.refined_faces)
        faces, before = trial.attacked[some], trial.images[DECODER][some]
        templates = torch.from_numpy(trial.judges[self.recognizer].templates[faces])
        after = refined(before, templates, recognizer, self.settings.refinement_steps, self.seed)
        people = People(trial.identities[faces], self.samples, self.seed)
        metrics: dict = {"n_faces": len(faces), "steps": self.settings.refinement_steps}
        values = [psnr(images, trial.originals[some]).numpy() for images in (before, after)]
        metrics["psnr"] = {
            "before": people.mean(values[0]).metrics(),
            "after": people.mean(values[1]).metrics() | {"minus_before": people.difference(*values[::-1]).metrics()},
        }
        images = {"before": before, "after": after}
        tried = source_attempts(images, trial.judges, trial.identities, faces)
        for name, earlier in tried["before"].items():
            metrics[name] = {
                "before": rates_at(at_far[name], people, earlier),
                "after": rates_at(at_far[name], people, tried["after"][name], earlier, "minus_before"),
            }
        return metrics
