"""One recognizer under attack: what is attacked, and all that is measured of it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from dfd.decoder.base import Decoder
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.recognizers.base import Recognizer
from dfd.studies.attack.attacks import ATTACKS
from dfd.studies.attack.settings import Attacks
from dfd.studies.attack.targeted import Shown, attack_identification
from dfd.studies.attack.verification import Scored, attacked_pairs, verification_metrics


class Attacked(NamedTuple):
    """A recognizer, by variant the decoders of its templates, and N faces: their rows, and their templates (N, D)."""

    recognizer: Recognizer
    decoders: Mapping[str, Decoder]
    faces: FaceStore
    rows: np.ndarray
    templates: torch.Tensor


class Outcomes(NamedTuple):
    """Metrics of identification (see `attack_identification`, whose photos are `columns`) and of verification (see
    `verification_metrics`, of these `pairs`)."""

    identification: dict
    columns: Mapping[str, Shown]
    pairs: Scored
    verification: dict

    @property
    def metrics(self) -> dict:
        return self.identification | {"verification": self.verification}


def study_attacks(attacked: Attacked, settings: Attacks, people: People, seed: int) -> Outcomes:
    """Attack identification and verification; people: whom the faces show."""
    options = options_by_attack(settings)
    identification = attack_identification(*attacked, settings.enrol, options, people, np.random.default_rng(seed))
    pairs = attacked_pairs(*attacked, settings.every_epsilon, settings.matching_pairs, np.random.default_rng(seed))
    return Outcomes(*identification, pairs, verification_metrics(pairs, settings.epsilon, people))


def options_by_attack(settings: Attacks) -> dict[str, tuple[int, dict]]:
    """Each attack's number of pairs and its options."""
    separate = {"cw-l2": settings.cw_l2.model_dump()}
    separate = {name: (options.pop("pairs"), options) for name, options in separate.items()}
    return {name: separate.get(name, (settings.pairs, {"epsilon": settings.epsilon})) for name in ATTACKS}
