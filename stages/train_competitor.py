"""Train a competing decoder on the templates of a variant (Figs. 6, 7): published ones by their own losses, the paper's by ours."""

from pathlib import Path

import pandas as pd

from dfd.core.artefacts import file_sha256
from dfd.core.devices import pick_device
from dfd.faces.store import FaceStore
from dfd.learning.competing_losses import PHASES, CompetingLoss, feature_scale, without_features
from dfd.learning.decoders import Learned, fresh_decoder, learn, learning_examples, sample, stamp, without_perceptual
from dfd.learning.training import train
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, log, run


def main(architecture: str, variant: str) -> None:
    params = load_params()
    competitor = params.entry("experiments.competitors.decoders", architecture)
    recognizers, settings = params.entry("variants", variant), competitor.training
    device = pick_device(params.device)
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, recognizers.template), faces)
    perceptual = load_recognizer(RECOGNIZER.format(recognizers.perceptual), device, params.faces.geometry)
    options = {"size": params.decoder.size} | competitor.options
    folder = EXPERIMENT.format("competitors", f"{architecture}-{variant}")
    decides = {
        "templates": templates.attributes["weights_sha256"],
        "perceptual": file_sha256(RECOGNIZER.format(recognizers.perceptual)),
        "index": file_sha256(faces.path.with_suffix(".parquet")),
    }
    checkpoints = []
    if settings is None:
        loss = params.loss_of(variant)
        terms = loss.weights()
        identity = None
        if loss.identity:
            identity = load_recognizer(RECOGNIZER.format(recognizers.identity), device, params.faces.geometry)
        checkpoints.append(Path(f".checkpoints/{architecture}-{variant}.pt"))
        learned = learn(
            faces,
            templates.template,
            templates.mirrored,
            perceptual,
            architecture=architecture,
            options=options,
            weights=terms if perceptual.gives_gradients else without_perceptual(terms),
            features=loss.features,
            perceptual_share=loss.perceptual_share,
            settings=params.train_decoder.model_dump(),
            precision=params.precision,
            seed=params.seed,
            device=device,
            memory_gb=params.memory_gb,
            checkpoint=checkpoints[-1],
            decides=decides | {"identity": file_sha256(RECOGNIZER.format(recognizers.identity)) if identity else None},
            identity=identity,
            person=loss.person,
            white_box=recognizers.identity == recognizers.template,
        )
        learned.save(folder, architecture, options)
    else:
        training, validation = learning_examples(
            faces, templates.template, templates.mirrored, params.decoder.size, params.memory_gb
        )
        decoder = fresh_decoder(architecture, options, training, validation, params.seed)
        phases = PHASES[architecture] if perceptual.gives_gradients else without_features(PHASES[architecture])
        scale = feature_scale(perceptual, sample(training, device)) if perceptual.gives_gradients else 1.0
        epochs_and_rates = settings.epochs_and_rates(list(phases), params.train_decoder.epochs)
        decides |= settings.model_dump() | {
            "architecture": architecture, "options": options, "seed": params.seed, "precision": params.precision,
            "epochs": epochs_and_rates, "patience": params.train_decoder.patience, "faces": faces.fingerprint, "phases": phases,
        }  # fmt: skip
        histories = []
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
                stamp=stamp(decides | {"phase": phase}),
                betas=(settings.beta1, 0.999),
            )
            histories.append(history.assign(phase=phase))
            learned = Learned(decoder, pd.concat(histories), scale, training, validation)
            last = phase == list(phases)[-1]
            learned.save(folder, architecture, options, name="decoder" if last else f"decoder-{phase}")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    parameters = sum(parameter.numel() for parameter in learned.decoder.parameters())
    log.info("%s of %s: %d parameters", architecture, variant, parameters)


if __name__ == "__main__":
    run(main)
