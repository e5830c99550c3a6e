"""Splitting one recognizer's templates: what is learned for it, and what is measured of a data set's test faces."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from dfd.core.left_out import LeftOut
from dfd.decoder.base import Decoder
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.measures.gender import GenderClassifier, Labels, gender_labels
from dfd.recognizers.base import Recognizer
from dfd.studies.disentangling.effects import Probe, cosines_of, fit_probes, measure, modified_faces, pick_faces
from dfd.studies.disentangling.pfrnet import Faces, PFRNet, fit, parts, too_few
from dfd.studies.disentangling.settings import Disentangling
from dfd.templates.store import Templates


class Split(NamedTuple):
    """A network that splits templates, a probe of each part, the losses of its training, and this as metrics."""

    net: PFRNet
    probes: Mapping[str, Probe]
    history: pd.DataFrame
    metrics: dict


def learn_split(store: Templates, settings: Disentangling, seed: int) -> Split | LeftOut:
    """Learn from a store's training faces, choose on its validation faces; or why there are too few of a class."""
    train, validation = (
        gender_labels(store.faces, store.rows(split), settings.training_faces) for split in ("train", "validation")
    )
    if reason := too_few(torch.from_numpy(train.male), torch.from_numpy(validation.male)):
        return LeftOut(f"left out: {store.faces.name} has {reason}")
    learned = [Faces(store.template[part.rows], torch.from_numpy(part.male)) for part in (train, validation)]
    if store.mirrored is not None:
        learned[0] = learned[0]._replace(mirrored=store.mirrored[train.rows])
    net, history, training = fit(settings, store.template[store.rows("train")], *learned, seed=seed)
    features = [parts(net, store.template[part.rows]) for part in (train, validation)]
    probes = fit_probes(features[0], train.male, features[1], validation.male)
    return Split(net, probes, history, train.counts | {"labels_note": train.note} | training)


class Trial(NamedTuple):
    """N test faces: their labels, templates (N, D) by judge, and whom they show."""

    labels: Labels
    templates: Mapping[str, torch.Tensor]
    people: People


class Drawn(NamedTuple):
    """Some faces, of labels male (K,) bool: by variant and replacement the pictures (K, 3, S, S), P(male) (K,), and the
    cosine (K,) by another recognizer, None where there is none."""

    images: Mapping[str, Mapping[str, torch.Tensor]]
    male: np.ndarray
    p_male: Mapping[str, Mapping[str, np.ndarray]]
    cosines: Mapping[str, Mapping[str, np.ndarray | None]]


class Study(NamedTuple):
    """judges: the recognizer whose templates are split, then, if there is one, another that embeds images. decoders: by
    variant; the faces of the first are measured."""

    split: Split
    decoders: Mapping[str, Decoder]
    judges: Mapping[str, Recognizer]
    classifier: GenderClassifier
    settings: Disentangling

    @property
    def other(self) -> str | None:
        return next(iter([*self.judges][1:]), None)

    def measured(self, trial: Trial) -> dict:
        """See `measure`."""
        decoder = next(iter(self.decoders.values()), None)
        learned, seen = (self.split.net, self.split.probes), (trial.templates, trial.labels.male, trial.people)
        return measure(*learned, decoder, self.classifier, self.judges, *seen, self.settings.cosine_faces)

    def drawn(self, trial: Trial, faces: FaceStore, size: int) -> Drawn:
        """What is drawn of a trial, whose labels are of `faces`, at `size` pixels."""
        some = pick_faces(trial.labels.male, trial.people.identities, self.settings.shown)
        templates = {name: part[some] for name, part in trial.templates.items()}
        given, originals = templates[next(iter(self.judges))], faces.views(trial.labels.rows[some], size)
        images = modified_faces(self.split.net, self.decoders, given, originals)
        p_male = {
            name: {kind: self.classifier(image) for kind, image in kinds.items()} for name, kinds in images.items()
        }
        cosines: dict = {name: dict.fromkeys(kinds) for name, kinds in images.items()}
        for name, kinds in images.items() if self.other else ():
            judge, photos = self.judges[self.other], templates[self.other]
            cosines[name] |= {
                kind: cosines_of(judge, image, photos) for kind, image in kinds.items() if kind != "original"
            }
        return Drawn(images, trial.labels.male[some], p_male, cosines)
