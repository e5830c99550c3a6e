"""Learning a decoder from its beginning: faces with templates, fresh weights, the losses of Eq. 2 in balance."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from dfd.core.artefacts import state_sha256, write_table
from dfd.decoder.base import NOISE, Decoder, Whitening
from dfd.decoder.registry import build_decoder, save_decoder
from dfd.decoder.settings import Decoder as DecoderSettings
from dfd.faces.examples import Examples, on_device
from dfd.learning import distributed
from dfd.learning.losses import ReconstructionLoss, balanced_gain
from dfd.learning.settings import Loss, TrainDecoder, Variant
from dfd.learning.training import Conditions, train
from dfd.recognizers.base import Recognizer
from dfd.recognizers.registry import load_recognizer, weights_sha256
from dfd.templates.store import Templates

BETAS = (0.9, 0.99)  # of Adam: a thousand steps are too few for a memory of a thousand


class Networks(NamedTuple):
    """The frozen networks that a decoder learns through: φ, and for the identity term a recognizer ξ.

    white_box: whether the decoded templates are ξ's own.
    """

    perceptual: Recognizer
    identity: Recognizer | None = None
    white_box: bool = True


def open_networks(variant: Variant, loss: Loss, files: str, device: torch.device, geometry: str) -> Networks:
    """Those of a variant, ξ where its loss has the identity term. files: the path of a recognizer's file, `{}` for its name."""
    perceptual, identity = (
        load_recognizer(files.format(name), device, geometry) if name else None
        for name in (variant.perceptual, variant.identity if loss.identity else None)
    )
    return Networks(perceptual, identity, variant.identity == variant.template)


class Learned(NamedTuple):
    """A trained decoder, what rebuilds it, its history (as `train` gives it), φ's gain, and the faces it learned from."""

    decoder: Decoder
    config: dict
    history: pd.DataFrame
    gain: float
    training: Examples
    validation: Examples

    def save(self, folder: str | Path, name: str = "decoder") -> None:
        """Write <name>.safetensors and history.csv into a folder."""
        save_decoder(Path(folder) / f"{name}.safetensors", self.decoder, self.config)
        self.save_history(Path(folder) / "history.csv")

    def save_history(self, path: str | Path) -> None:
        write_table(path, self.history)

    def best(self) -> pd.Series:
        """The validation losses of the epoch whose weights were kept."""
        return self.history[self.history["split"] == "validation"].sort_values("total").iloc[0]

    def count_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.decoder.parameters())

    def metrics(self) -> dict:
        """What is told of a training: how long it was, of how much, and its best epoch's validation losses."""
        best = self.best()
        return {
            "epochs": int(self.history["epoch"].max()),
            "best_epoch": int(best["epoch"]),
            "parameters": self.count_parameters(),
            "n_faces": len(self.training.rows),
            "perceptual_gain": self.gain,
            "validation": best.drop(["epoch", "split"]).astype(float).to_dict(),
        }


def learning_examples(templates: Templates, size: int, memory_gb: float) -> tuple[Examples, Examples]:
    """The training faces with their templates, mirrored ones included, and the validation faces, at `size` pixels."""
    faces, template = templates.faces, templates.template
    return (
        Examples(faces, templates.rows("train"), size, template, templates.mirrored, memory_gb),
        Examples(faces, templates.rows("validation"), size, template, None, memory_gb),
    )


def fresh_decoder(
    settings: DecoderSettings, training: Examples, validation: Examples, seed: int, noise: float = NOISE
) -> Decoder:
    """A decoder with weights drawn from `seed`, which knows its training data's statistics. noise: of the whitened
    templates that it will be trained with."""
    torch.manual_seed(seed)
    decoder = build_decoder(settings.architecture, training.targets.shape[1], settings.all_options())
    for part in decoder.modules():
        if isinstance(part, Whitening):
            part.noise = noise
    if distributed.rank() == 0:
        decoder.learn_statistics(training, validation)
    distributed.share(decoder)
    return decoder.to(memory_format=torch.channels_last)


def rebuilt_from(settings: DecoderSettings, training: Examples) -> dict:
    """What `load_decoder` builds a decoder of these settings from."""
    return {
        "architecture": settings.architecture,
        "dimension": training.targets.shape[1],
        "options": settings.all_options(),
    }


def sample(training: Examples, device: torch.device) -> torch.Tensor:
    """The first training faces, up to 256, on which φ's features are scaled."""
    _, _, images = training.__getitems__(list(range(min(256, len(training)))))
    return on_device(images, device)


def stamp(
    training: Examples, validation: Examples, networks: Iterable[Recognizer], conditions: Conditions, decides: Mapping
) -> str:
    """What marks a checkpoint of this training: a digest of everything that decides its weights, in numbers and words
    what the examples and the networks that it learns through do not say."""
    parts = {"training": training, "validation": validation}
    read = {f"{name}.templates": examples.targets for name, examples in parts.items()}
    read |= {f"{name}.rows": torch.from_numpy(examples.rows) for name, examples in parts.items()}
    every = {
        "faces": training.faces.fingerprint,
        "examples": state_sha256(read),
        "networks": [[weights_sha256(recognizer), recognizer.tap] for recognizer in networks],
        "precision": conditions.precision,
        "seed": conditions.seed,
    }
    return hashlib.sha256(json.dumps(every | dict(decides), sort_keys=True).encode()).hexdigest()


def learn(
    templates: Templates,
    networks: Networks,
    decoder: DecoderSettings,
    loss: Loss,
    settings: TrainDecoder,
    conditions: Conditions,
    checkpoint: Path,
) -> Learned:
    """Train a decoder of templates, and of the mirrored faces' templates, with Eq. 2; without its perceptual terms where φ
    gives no gradients. A checkpoint of another training is not resumed."""
    if not networks.perceptual.gives_gradients:
        loss = loss.without_features()
    device = conditions.device
    training, validation = learning_examples(templates, decoder.size, conditions.memory_gb)
    learning = fresh_decoder(decoder, training, validation, conditions.seed, settings.noise)
    balanced = loss.takes_features and loss.features == "balanced"
    gain = 1.0
    if balanced:
        gain = distributed.from_first(lambda: balanced_gain(networks.perceptual, sample(training, device)))
    terms = ReconstructionLoss(
        networks.perceptual, loss.weights(), gain, loss.perceptual_share, networks.identity, networks.white_box
    )
    config = rebuilt_from(decoder, training)
    seen = [networks.perceptual] * loss.takes_features + [networks.identity] * (networks.identity is not None)
    decides = {"decoder": config, "loss": loss.model_dump(), "gain": gain, "settings": settings.model_dump()}
    decides |= {"white_box": networks.white_box}
    mark = distributed.from_first(lambda: stamp(training, validation, seen, conditions, decides))
    history = train(learning, terms, training, validation, settings, conditions, checkpoint, mark, betas=BETAS)
    return Learned(learning, config, history, gain, training, validation)
