"""Blocks over a data set's faces: what every recognizer's template and every decoder's reconstruction make of them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from dfd.decoder.base import Decoder
from dfd.decoder.registry import decode
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.measures.gender import GenderClassifier
from dfd.recognizers.base import Recognizer
from dfd.studies.occlusion.blocks import blocks, coverage, embed_occluded, landmarks_in_view, occlude
from dfd.studies.occlusion.effects import gender_flipped, identity_kept, reconstruction_change, template_change
from dfd.studies.occlusion.settings import Occlusions
from dfd.templates.embedding import embed_images

ORIGINAL = "original"  # a face without a block, beside those by region


class Trial(NamedTuple):
    """What is measured of N faces. templates: of the faces by recognizer, (N, D). covered: by region how much of each pixel
    its block covers, (N, 1, S, S). blocked: by (recognizer, region) the templates (N, D) of faces with a block over it.
    images: by `input` and variant, and by ORIGINAL and region, the faces and their reconstructions, (N, 3, S, S).
    """

    people: People
    geometry: str
    templates: Mapping[str, torch.Tensor]
    covered: Mapping[str, torch.Tensor]
    blocked: Mapping[tuple[str, str], torch.Tensor]
    images: Mapping[str, Mapping[str, torch.Tensor]]


class Study(NamedTuple):
    """recognizers: which embed images. decoders: by variant, with the name of the recognizer whose templates it decodes.
    size: pixels of the pictures."""

    recognizers: Mapping[str, Recognizer]
    decoders: Mapping[str, tuple[str, Decoder]]
    settings: Occlusions
    size: int

    def trial(self, faces: FaceStore, rows: np.ndarray, templates: Mapping[str, torch.Tensor], people: People) -> Trial:
        """Block, embed and decode the faces at `rows` (N,), of which `templates` has those by recognizer, (N, D)."""
        shade, originals, landmarks = self.settings.shade, faces.views(rows, self.size), landmarks_in_view(faces, rows)
        covered = {region: coverage(blocks(region, landmarks), self.size) for region in self.settings.regions}
        blocked = {
            (name, region): embed_occluded(recognizer, faces, rows, region, shade)
            for name, recognizer in self.recognizers.items()
            for region in covered
        }
        shaded = {region: occlude(originals, part, shade) for region, part in covered.items()}
        images = {"input": {ORIGINAL: originals} | shaded}
        for variant, (name, decoder) in self.decoders.items():
            seen = {ORIGINAL: templates[name]} | {region: blocked[name, region] for region in covered}
            images[variant] = {state: decode(decoder, part) for state, part in seen.items()}
        return Trial(people, faces.geometry, templates, covered, blocked, images)

    def measured(self, trial: Trial) -> dict[str, dict]:
        """By recognizer and region: the `cosine` of its templates, and by variant, `decoded`, what changes in pictures."""
        metrics: dict = {name: {} for name in self.recognizers}
        for (name, region), templates in trial.blocked.items():
            change = template_change(trial.templates[name], templates, trial.people)
            metrics[name][region] = {"cosine": change, "decoded": {}}
        classifier = GenderClassifier(trial.geometry)
        for variant, (name, _) in self.decoders.items():
            recognizer, images = self.recognizers[name], trial.images[variant]
            embedded = {state: embed_images(recognizer, image) for state, image in images.items()}
            p_male = {state: classifier(image) for state, image in images.items()}
            for region, covered in trial.covered.items():
                pictures = trial.images["input"][ORIGINAL], images[ORIGINAL], images[region]
                change = reconstruction_change(*pictures, covered, trial.people)
                sides = trial.templates[name], embedded[ORIGINAL], embedded[region]
                change["cosine"] = identity_kept(*sides, trial.people)
                change["gender_flipped"] = gender_flipped(p_male[ORIGINAL], p_male[region], trial.people)
                metrics[name][region]["decoded"][variant] = change
        return metrics
