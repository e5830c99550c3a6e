"""Train a recognizer by one objective on labelled people, and a decoder of its templates (Fig. 4)."""

from pathlib import Path

import numpy as np
import torch

from dfd.core.artefacts import file_sha256
from dfd.core.devices import pick_device
from dfd.core.left_out import write_left_out
from dfd.faces.examples import Examples
from dfd.faces.store import FaceStore
from dfd.learning.decoders import learn, without_perceptual
from dfd.learning.objectives import OBJECTIVES
from dfd.learning.recognizers import identity_labels, split_people, train_recognizer
from dfd.params import load_params
from dfd.recognizers.registry import build_recognizer, load_recognizer, save_recognizer
from dfd.templates.embedding import embed_faces
from stages import EXPERIMENT, FACES, RECOGNIZER, log, run


def main(objective: str) -> None:
    params = load_params()
    settings = params.experiments.recognizer_loss
    folder = EXPERIMENT.format("recognizer_loss", objective)
    device = pick_device(params.device)
    people = FaceStore(FACES.format(settings.dataset))
    rows, _ = split_people(people, settings.train, params.seed)
    if len(np.unique(people.identities(rows))) < 2:
        write_left_out(
            folder, f"left out: {settings.dataset} has too few labelled people with two photos to learn from"
        )
        return
    torch.manual_seed(params.seed)
    recognizer = build_recognizer(settings.architecture, settings.options).place(params.faces.geometry)
    labels = identity_labels(people, rows)
    examples = Examples(people, rows, recognizer.view_size, labels, labels, params.memory_gb)
    train_recognizer(
        recognizer,
        OBJECTIVES[objective](settings, recognizer.dimension, examples.targets),
        examples,
        epochs=settings.recognizer_epochs,
        triplet_epochs=0,
        triplet_margin=0.0,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        precision=params.precision,
        seed=params.seed,
        device=device,
    )
    weights = f"{folder}/recognizer.safetensors"
    save_recognizer(weights, recognizer, settings.architecture, settings.options)

    faces = FaceStore(FACES.format(params.roles.decoders))
    template, mirrored = embed_faces(recognizer, faces)
    perceptual = load_recognizer(RECOGNIZER.format(settings.perceptual), device, params.faces.geometry)
    terms = params.loss.weights()
    options = {"size": params.decoder.size} | params.decoder.options
    checkpoint = Path(f".checkpoints/recognizer_loss-{objective}.pt")
    learned = learn(
        faces,
        template,
        mirrored,
        perceptual,
        architecture=params.decoder.architecture,
        options=options,
        weights=terms if perceptual.gives_gradients else without_perceptual(terms),
        features=params.loss.features,
        perceptual_share=params.loss.perceptual_share,
        settings=params.train_decoder.model_dump() | {"epochs": settings.epochs},
        precision=params.precision,
        seed=params.seed,
        device=device,
        memory_gb=params.memory_gb,
        checkpoint=checkpoint,
        decides={
            "recognizer": file_sha256(weights),
            "perceptual": file_sha256(RECOGNIZER.format(settings.perceptual)),
            "index": file_sha256(faces.path.with_suffix(".parquet")),
        },
    )
    learned.save(folder, params.decoder.architecture, options)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: validation loss %.1f", objective, learned.best()["total"])


if __name__ == "__main__":
    run(main)
