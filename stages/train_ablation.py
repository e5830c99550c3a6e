"""Train the decoders of one row of Table 1, with a part of the losses: one for each seed."""

from pathlib import Path

import pandas as pd

from dfd.core.devices import pick_device
from dfd.faces.store import FaceStore
from dfd.learning.decoders import Networks, learn, no_features
from dfd.learning.training import Conditions
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, log, run


def main(loss: str) -> None:
    params = load_params()
    folder = EXPERIMENT.format("ablation", loss)
    losses = params.entry("experiments.ablation.losses", loss).of(params.loss)
    variant = params.entry("variants", params.experiments.ablation.variant)
    device = pick_device(params.device)
    perceptual = load_recognizer(RECOGNIZER.format(variant.perceptual), device, params.faces.geometry)
    if losses.takes_features and not perceptual.gives_gradients:
        no_features(variant.perceptual).write(folder)
        return
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, variant.template), faces)
    settings = params.train_decoder.model_copy(update={"epochs": params.experiments.ablation.epochs})
    histories, checkpoints = [], []
    for seed in params.experiments.ablation.seeds:
        conditions = Conditions(device, params.precision, params.seed + seed, params.memory_gb)
        checkpoints.append(Path(f".checkpoints/ablation-{loss}-{seed}.pt"))
        learned = learn(templates, Networks(perceptual), params.decoder, losses, settings, conditions, checkpoints[-1])
        histories.append(learned.history.assign(seed=seed))
        log.info("%s, seed %d: validation loss %.1f", loss, seed, learned.best()["total"])
        learned._replace(history=pd.concat(histories)).save(folder, f"decoder-{seed}")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
