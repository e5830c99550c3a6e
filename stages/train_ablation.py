"""Train the decoders of one row of Table 1, with a part of the losses: one for each seed."""

from pathlib import Path

import pandas as pd

from dfd.core.artefacts import file_sha256
from dfd.core.devices import pick_device
from dfd.core.left_out import write_left_out
from dfd.faces.store import FaceStore
from dfd.learning.decoders import NO_GRADIENTS, learn, without_perceptual
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, log, run


def main(loss: str) -> None:
    params = load_params()
    folder = EXPERIMENT.format("ablation", loss)
    row = params.entry("experiments.ablation.losses", loss)
    weights = row.weights(params.loss)
    variant = params.entry("variants", params.experiments.ablation.variant)
    device = pick_device(params.device)
    perceptual = load_recognizer(RECOGNIZER.format(variant.perceptual), device, params.faces.geometry)
    if weights != without_perceptual(weights) and not perceptual.gives_gradients:
        write_left_out(folder, NO_GRADIENTS.format(variant.perceptual))
        return
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, variant.template), faces)
    options = {"size": params.decoder.size} | params.decoder.options
    histories, checkpoints = [], []
    for seed in params.experiments.ablation.seeds:
        checkpoints.append(Path(f".checkpoints/ablation-{loss}-{seed}.pt"))
        learned = learn(
            faces,
            templates.template,
            templates.mirrored,
            perceptual,
            architecture=params.decoder.architecture,
            options=options,
            weights=weights,
            features=params.loss.features,
            # The share is for terms beside others: where φ teaches alone, it teaches from every face.
            perceptual_share=1.0 if row.terms == ["perceptual"] else params.loss.perceptual_share,
            settings=params.train_decoder.model_dump() | {"epochs": params.experiments.ablation.epochs},
            precision=params.precision,
            seed=params.seed + seed,
            device=device,
            memory_gb=params.memory_gb,
            checkpoint=checkpoints[-1],
            decides={
                "templates": templates.attributes["weights_sha256"],
                "perceptual": file_sha256(RECOGNIZER.format(variant.perceptual)),
                "index": file_sha256(faces.path.with_suffix(".parquet")),
            },
        )
        histories.append(learned.history.assign(seed=seed))
        log.info("%s, seed %d: validation loss %.1f", loss, seed, learned.best()["total"])
        learned._replace(history=pd.concat(histories)).save(
            folder, params.decoder.architecture, options, name=f"decoder-{seed}"
        )
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
