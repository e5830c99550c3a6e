"""Train the decoders of one row of Table 1, with a part of the losses: one for each seed."""

from pathlib import Path

import pandas as pd

from dfd.learning.decoders import Networks, learn
from dfd.learning.training import Conditions
from dfd.project import Project
from dfd.recognizers.base import no_features
from stages import log, run


def main(loss: str) -> None:
    project = Project()
    params, ablation = project.params, project.params.experiments.ablation
    folder = project.experiment("ablation", loss)
    losses = params.entry("experiments.ablation.losses", loss).applied_to(params.loss)
    variant = params.entry("variants", ablation.variant)
    perceptual = project.recognizer(variant.perceptual)
    if losses.takes_features and not perceptual.gives_gradients:
        return no_features(variant.perceptual).write(folder)
    templates = project.templates(params.roles.decoders, variant.template)
    settings = params.train_decoder.model_copy(update={"epochs": ablation.epochs})
    histories, checkpoints = [], []
    for seed in ablation.seeds:
        conditions = Conditions(project.device, params.precision, params.seed + seed, params.memory_gb)
        checkpoints.append(Path(f".checkpoints/ablation-{loss}-{seed}.pt"))
        learned = learn(templates, Networks(perceptual), params.decoder, losses, settings, conditions, checkpoints[-1])
        histories.append(learned.history.assign(seed=seed))
        log.info("%s, seed %d: validation loss %.1f", loss, seed, learned.best()["total"])
        learned._replace(history=pd.concat(histories)).save(folder, f"decoder-{seed}")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
