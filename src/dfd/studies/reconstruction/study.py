"""One decoder and what it is held against: all that `evaluate` measures of it on a data set's test faces."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dfd.core.left_out import LeftOut
from dfd.decoder.base import Decoder
from dfd.measures.acceptance import unattacked
from dfd.measures.estimates import People
from dfd.measures.quality import Lpips, load_lpips
from dfd.recognizers.base import Recognizer
from dfd.studies.reconstruction.evaluation import (
    Judge,
    Reconstructions,
    evaluate,
    reconstructions,
    stored_reconstructions,
)
from dfd.studies.reconstruction.settings import Evaluate
from dfd.templates.people import first_photos, spread
from dfd.templates.store import Templates

if TYPE_CHECKING:
    from dfd.project import Project

THRESHOLD_FACES = 5000  # at least as many as are evaluated: twelve million pairs, of which 0.1 % set a threshold


class Study(NamedTuple):
    """A decoder of a recognizer's templates. closed_form: the decoders `linear` and `quadratic` of the same templates.
    recognizers: the judges. photos: of each person, at most, that are tried as attacks. samples: of the bootstrap."""

    decoder: Decoder
    closed_form: Mapping[str, Decoder]
    recognizer: str
    recognizers: Mapping[str, Recognizer]
    lpips: Lpips | LeftOut
    settings: Evaluate
    photos: int
    samples: int
    seed: int

    @classmethod
    def open(cls, project: "Project", name: str) -> "Study":
        """The study of a project's decoder, judged by all of its recognizers."""
        params = project.params
        recognizer = params.entry("decoders", name)
        return cls(
            project.decoder(name),
            project.closed_form(recognizer),
            recognizer,
            project.recognizers(),
            load_lpips(project.device),
            params.evaluate,
            params.verify.photos,
            params.bootstrap,
            params.seed,
        )

    def measured(self, rows: np.ndarray, stores: Mapping[str, Templates]) -> dict:
        """The metrics (see `evaluate`) of the faces at `rows` (N,), whose templates the stores hold by recognizer."""
        store = stores[self.recognizer]
        faces, templates = store.faces, store.template[rows]
        identities = faces.identities(rows)
        attempts = first_photos(identities, self.photos)
        stored = spread(attempts, self.settings.storage_faces)
        most = max(THRESHOLD_FACES, len(rows))
        reconstructed = Reconstructions(
            originals=faces.views(rows, self.decoder.size),
            images=reconstructions(self.decoder, self.closed_form, templates),
            people=People(identities, self.samples, self.seed),
            attempts=attempts,
            stored=stored_reconstructions(self.decoder, templates, stored),
            stored_faces=stored,
            geometry=faces.geometry,
        )
        judges = {
            name: Judge(self.recognizers[name], other.template[rows], self._unattacked(other, most))
            for name, other in stores.items()
        }
        return evaluate(reconstructed, judges, self.recognizer, self.lpips)

    def _unattacked(self, store: Templates, most: int) -> dict:
        """A recognizer on the test faces, at most `most` of them and `photos` of each person: see `unattacked`."""
        rows = store.rows("test")
        identities = store.faces.identities(rows)
        kept = first_photos(identities, self.photos)[:most]
        return unattacked(store.template[rows[kept]].numpy(), identities[kept], self.settings.far)
