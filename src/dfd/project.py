"""The door to a project's artefacts, by name: what the pipeline wrote, and test rows that nothing learned from.

What only some stages open is imported where it is opened: a stage depends on the rooms whose things it asks for, and runs
again for a change in these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.core.paths import CLOSED_FORM, DECODER, EXPERIMENT, FACES, PERTURBED, RECOGNIZER, TEMPLATES, TRANSFORMS
from dfd.faces.leakage import Seen, all_seen, learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.params import Params, load_params
from dfd.templates.store import Templates, TemplateStore

if TYPE_CHECKING:
    from dfd.decoder.base import Decoder
    from dfd.recognizers.base import Recognizer
    from dfd.studies.equivariance.perturbed import Perturbed
    from dfd.templates.linear import LinearMap
    from dfd.templates.people import SharedTemplates


@dataclass(frozen=True)
class Tested:
    """Test faces that may be measured: their rows in `faces`, and how many of their identities were seen in training,
    which is more than none only where the params allow it."""

    faces: FaceStore
    rows: np.ndarray
    leaked: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def identities(self) -> np.ndarray:
        """The identity of each row, as strings (N,)."""
        return self.faces.identities(self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """How many faces and people there are, and how many of these were seen in training, as metrics."""
        people = len(np.unique(self.identities))
        return {"n_faces": len(self), "n_identities": people, "leaked_identities": self.leaked}


class Project:
    """The project in the current folder: what the pipeline wrote, opened by name on the device of the params.

    Whatever is opened raises DfdError where its file is missing, damaged or something else.
    """

    def __init__(self, params: Params | None = None):
        self.params = load_params() if params is None else params

    @cached_property
    def device(self) -> torch.device:
        return pick_device(self.params.device)

    def faces(self, dataset: str) -> FaceStore:
        """A data set's faces."""
        return FaceStore(FACES.format(dataset))

    def templates(self, dataset: str | FaceStore, recognizer: str) -> TemplateStore:
        """The templates of a data set's faces, named or opened before, by a recognizer."""
        faces = self.faces(dataset) if isinstance(dataset, str) else dataset
        return TemplateStore(TEMPLATES.format(faces.name, recognizer), faces)

    def template_stores(self, dataset: str | FaceStore, recognizers: Iterable[str]) -> dict[str, TemplateStore]:
        """The same of several recognizers, by name, of one face store."""
        faces = self.faces(dataset) if isinstance(dataset, str) else dataset
        return {name: self.templates(faces, name) for name in recognizers}

    def recognizer(self, name: str) -> Recognizer:
        """A recognizer, placed in faces of the params' geometry."""
        from dfd.recognizers.registry import load_recognizer

        return load_recognizer(RECOGNIZER.format(name), self.device, self.params.faces.geometry)

    def recognizers(self) -> dict[str, Recognizer]:
        """All of the params, by name."""
        return {name: self.recognizer(name) for name in self.params.recognizers}

    def decoder(self, name: str) -> Decoder:
        """A variant's decoder, or an imported one."""
        from dfd.decoder.registry import load_decoder

        return load_decoder(DECODER.format(name), self.device)

    def closed_form(self, recognizer: str) -> dict[str, Decoder]:
        """The `linear` and the `quadratic` decoder of a recognizer's templates."""
        from dfd.decoder.registry import load_decoder

        paths = {kind: CLOSED_FORM.format(recognizer, kind) for kind in ("linear", "quadratic")}
        return {kind: load_decoder(path, self.device) for kind, path in paths.items()}

    def maps(self, recognizer: str) -> dict[str, LinearMap]:
        """By perturbation of the params the map that undoes it in a recognizer's templates (Eq. 6)."""
        from dfd.studies.equivariance.maps import read_transforms
        from dfd.studies.equivariance.perturbations import perturbations

        settings = self.params.transforms
        views = perturbations(settings.rotate, settings.translate, settings.scale)
        return read_transforms(TRANSFORMS.format(recognizer), views)

    def perturbed(self, recognizer: str, faces: FaceStore) -> Perturbed:
        """A recognizer's templates of perturbed test faces of the data set that is verified on."""
        from dfd.studies.equivariance.perturbed import read_perturbed

        return read_perturbed(PERTURBED.format(recognizer), faces)

    def identity_part(self, recognizer: str) -> Callable[[torch.Tensor], torch.Tensor] | LeftOut:
        """What makes of a recognizer's templates (N, D) their identity part (N, K): a PFRNet, learned anew as the stage
        `disentangle` does, in seconds; or why none can be."""
        from dfd.studies.disentangling.pfrnet import parts
        from dfd.studies.disentangling.study import learn_split

        store = self.templates(self.params.roles.decoders, recognizer)
        split = learn_split(store, self.params.disentangling, self.params.seed)
        return split if isinstance(split, LeftOut) else lambda templates: parts(split.net, templates)["identity"]

    def experiment(self, study: str, name: str) -> str:
        """The folder of what was learned for an experiment."""
        return EXPERIMENT.format(study, name)

    def learned(self, recognizers: Iterable[str], **roles: str) -> dict[str, Seen]:
        """By role whom something learned from: the recognizers with their teachers, and `roles`, {role: data set}."""
        return learned_from(recognizers, self.params.train_recognizer, FACES, **roles)

    def barred(self, learned: Mapping[str, Seen]) -> set[str]:
        """The people whom the rule of `test_rows` keeps from being tested: those seen in training, unless the params allow it."""
        return set() if self.params.roles.allow_leakage else all_seen(learned)

    def test_rows(
        self,
        store: FaceStore | Templates | SharedTemplates,
        learned: Mapping[str, Seen],
        choose: Callable[[np.ndarray], np.ndarray] = lambda rows: rows,
    ) -> Tested:
        """A data set's test faces, or those of their rows that `choose` returns, past the one rule that holds for all:

        nobody whom something in the study learned from is tested. Raises DfdError for any such, unless the params allow it.
        store: faces, or templates (or those that several recognizers share), of the faces that have one. learned: as above,
        of all that takes part.
        """
        faces = store if isinstance(store, FaceStore) else store.faces
        rows = choose(store.rows("test"))
        return Tested(faces, rows, refuse_leakage(learned, faces, rows, self.params.roles.allow_leakage))
