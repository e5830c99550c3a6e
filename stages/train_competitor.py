"""Train a published competing decoder on the templates of a variant, with its own losses and φ's features (Figs. 6, 7)."""

from pathlib import Path

import pandas as pd

from dfd.core.artefacts import file_sha256
from dfd.core.devices import pick_device
from dfd.decoder.competing_losses import PHASES, CompetingLoss, feature_scale, without_features
from dfd.decoder.learning import Learned, fresh_decoder, learning_examples, sample, stamp
from dfd.decoder.training import train
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, log, run


def main(architecture: str, variant: str) -> None:
    params = load_params()
    settings = params.entry("experiments.competitors.decoders", architecture)
    recognizers = params.entry("variants", variant)
    device = pick_device(params.device)
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, recognizers.template), faces)
    size, memory = params.decoder.size, params.memory_gb
    training, validation = learning_examples(faces, templates.template, templates.mirrored, size, memory)
    options = {"size": size, "width": settings.width}
    decoder = fresh_decoder(architecture, options, training, validation, params.seed)
    perceptual = load_recognizer(RECOGNIZER.format(recognizers.perceptual), device, params.faces.geometry)
    phases = PHASES[architecture] if perceptual.gives_gradients else without_features(PHASES[architecture])
    scale = feature_scale(perceptual, sample(training, device)) if perceptual.gives_gradients else 1.0
    epochs_and_rates = settings.epochs_and_rates(list(phases), params.train_decoder.epochs)
    what_decides = settings.model_dump() | {
        "architecture": architecture, "options": options, "seed": params.seed, "precision": params.precision,
        "epochs": epochs_and_rates, "patience": params.train_decoder.patience,
        "templates": templates.attributes["weights_sha256"], "faces": faces.fingerprint, "phases": phases,
        "perceptual": file_sha256(RECOGNIZER.format(recognizers.perceptual)),
        "index": file_sha256(faces.path.with_suffix(".parquet")),
    }  # fmt: skip
    folder = EXPERIMENT.format("competitors", f"{architecture}-{variant}")
    histories, checkpoints = [], []
    for phase, weights in phases.items():
        epochs, learning_rate = epochs_and_rates[phase]
        checkpoints.append(Path(f".checkpoints/{architecture}-{variant}-{phase}.pt"))
        history = train(
            decoder,
            CompetingLoss(perceptual, weights, scale),
            training,
            validation,
            epochs=epochs,
            patience=params.train_decoder.patience,
            batch_size=settings.batch_size,
            learning_rate=learning_rate,
            weight_decay=0.0,
            schedule=settings.schedule,
            precision=params.precision,
            seed=params.seed,
            device=device,
            checkpoint=checkpoints[-1],
            stamp=stamp(what_decides | {"phase": phase}),
            betas=(settings.beta1, 0.999),
        )
        histories.append(history.assign(phase=phase))
        learned = Learned(decoder, pd.concat(histories), scale, training, validation)
        last = phase == list(phases)[-1]
        learned.save(folder, architecture, options, name="decoder" if last else f"decoder-{phase}")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    log.info("%s of %s: %d parameters", architecture, variant, sum(parameter.numel() for parameter in decoder.parameters()))


if __name__ == "__main__":
    run(main)
