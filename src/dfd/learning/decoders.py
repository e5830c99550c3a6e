"""Learning a decoder from its beginning: faces with templates, fresh weights, the losses of Eq. 2 in balance."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from dfd.core.artefacts import replacing
from dfd.decoder.base import Decoder
from dfd.decoder.registry import build_decoder, save_decoder
from dfd.faces.examples import Examples, on_device
from dfd.faces.store import FaceStore
from dfd.learning.losses import PERCEPTUAL, ReconstructionLoss, balanced_gain
from dfd.learning.person import person_map
from dfd.learning.training import train
from dfd.recognizers.base import Recognizer

BETAS = (0.9, 0.99)  # of Adam: a thousand steps are too few for a memory of a thousand
NO_GRADIENTS = "left out: {} gives no gradients, so nothing can be learned through its features"


class Learned(NamedTuple):
    """A trained decoder, its history (as `train` gives it), φ's gain, and the faces it learned from."""

    decoder: Decoder
    history: pd.DataFrame
    gain: float
    training: Examples
    validation: Examples

    def save(self, folder: str | Path, architecture: str, options: Mapping, name: str = "decoder") -> None:
        """Write <name>.safetensors and history.csv into a folder."""
        config = {"architecture": architecture, "dimension": self.training.targets.shape[1], "options": dict(options)}
        save_decoder(Path(folder) / f"{name}.safetensors", self.decoder, config)
        with replacing(Path(folder) / "history.csv") as temporary:
            self.history.to_csv(temporary, index=False, float_format="%.6g")

    def best(self) -> pd.Series:
        """The validation losses of the epoch whose weights were kept."""
        return self.history[self.history["split"] == "validation"].sort_values("total").iloc[0]


def learning_examples(
    faces: FaceStore, template: torch.Tensor, mirrored: torch.Tensor | None, size: int, memory_gb: float
) -> tuple[Examples, Examples]:
    """The training faces with their templates, mirrored ones included, and the validation faces, at `size` pixels.

    template, mirrored: (N, D) of all `faces`, NaN where a face has none, mirrored None where mirrored faces have none.
    """
    training, validation = (
        rows[~template[rows].isnan().any(1).numpy()] for rows in map(faces.rows, ("train", "validation"))
    )
    return (
        Examples(faces, training, size, template, mirrored, memory_gb),
        Examples(faces, validation, size, template, None, memory_gb),
    )


def fresh_decoder(architecture: str, options: Mapping, training: Examples, validation: Examples, seed: int) -> Decoder:
    """A decoder with weights drawn from `seed`, which knows its training data's statistics."""
    torch.manual_seed(seed)
    decoder = build_decoder(architecture, training.targets.shape[1], dict(options))
    decoder.learn_statistics(training, validation)
    return decoder.to(memory_format=torch.channels_last)


def sample(training: Examples, device: torch.device) -> torch.Tensor:
    """The first training faces, up to 256, on which φ's features are scaled."""
    _, _, images = training.__getitems__(list(range(min(256, len(training)))))
    return on_device(images, device)


def stamp(what_decides: Mapping) -> str:
    """What marks a checkpoint of this training: a digest of everything that decides its weights."""
    return hashlib.sha256(json.dumps(what_decides, sort_keys=True).encode()).hexdigest()


def without_perceptual(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of Eq. 2 with those of the perceptual terms at zero."""
    return {term: 0.0 if term in PERCEPTUAL else weight for term, weight in weights.items()}


def learn(
    faces: FaceStore,
    template: torch.Tensor,
    mirrored: torch.Tensor | None,
    perceptual: Recognizer,
    *,
    architecture: str,
    options: Mapping,
    weights: Mapping[str, float],
    features: str,
    perceptual_share: float,
    settings: Mapping,
    precision: str,
    seed: int,
    device: torch.device,
    memory_gb: float,
    checkpoint: Path,
    decides: Mapping,
    identity: Recognizer | None = None,
    white_box: bool = True,
    person: bool = False,
) -> Learned:
    """Train a decoder of templates (N, D), and of the mirrored faces' templates, of all `faces`, with Eq. 2.

    options: of the architecture, `size` among them. weights: λ by term. features: `balanced` or `raw`. settings: of
    `train`: epochs, patience, batch_size, learning_rate, weight_decay, schedule, averaging, clip. identity, white_box: as
    `ReconstructionLoss` takes them. person: whether the identity loss aims at what of a template is the person's. decides: what else decides the outcome (the files that were read): a checkpoint of
    another training is not resumed.
    """
    training, validation = learning_examples(faces, template, mirrored, options["size"], memory_gb)
    decoder = fresh_decoder(architecture, options, training, validation, seed)
    seen = any(weights.get(term, 0) > 0 for term in PERCEPTUAL)
    gain = balanced_gain(perceptual, sample(training, device)) if seen and features == "balanced" else 1.0
    history = train(
        decoder,
        ReconstructionLoss(
            perceptual,
            weights,
            gain,
            perceptual_share,
            identity,
            white_box,
            person_map(training, validation).to(device) if person and identity else None,
        ),
        training,
        validation,
        **settings,
        betas=BETAS,
        precision=precision,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        stamp=stamp(
            {
                "architecture": architecture, "options": dict(options), "dimension": template.shape[1],
                "weights": dict(weights), "gain": gain, "share": perceptual_share, "person": person, "settings": dict(settings),
                "precision": precision, "seed": seed, "faces": faces.fingerprint,
            } | dict(decides)
        ),
    )  # fmt: skip
    return Learned(decoder, history, gain, training, validation)
