"""Train a recognizer by one objective on labelled people, and a decoder of its templates (Fig. 4)."""

from pathlib import Path

import numpy as np
import torch

from dfd.core.left_out import LeftOut
from dfd.faces.examples import Examples
from dfd.learning.decoders import Networks, learn
from dfd.learning.objectives import OBJECTIVES
from dfd.learning.recognizers import identity_labels, split_people, train_recognizer
from dfd.learning.training import Conditions
from dfd.project import Project
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.templates.embedding import embed_faces
from dfd.templates.store import Templates
from stages import log, run


def main(objective: str) -> None:
    project = Project()
    params, settings = project.params, project.params.experiments.recognizer_loss
    folder = project.experiment("recognizer_loss", objective)
    conditions = Conditions(project.device, params.precision, params.seed, params.memory_gb)
    people = project.faces(settings.dataset)
    rows, _ = split_people(people, settings.train, params.seed)
    if len(np.unique(people.identities(rows))) < 2:
        few = f"left out: {settings.dataset} has too few labelled people with two photos to learn from"
        return LeftOut(few).write(folder)
    torch.manual_seed(params.seed)
    recognizer = build_recognizer(settings.architecture, settings.options).place(params.faces.geometry)
    labels, training = identity_labels(people, rows), settings.training(objective)
    examples = Examples(people, rows, recognizer.view_size, labels, labels, params.memory_gb)
    head = OBJECTIVES[objective](training, recognizer.dimension, examples.targets)
    train_recognizer(recognizer, head, examples, training, conditions)
    save_recognizer(f"{folder}/recognizer.safetensors", recognizer, settings.architecture, settings.options)

    faces = project.faces(params.roles.decoders)
    templates = Templates(faces, *embed_faces(recognizer, faces))
    perceptual = project.recognizer(settings.perceptual)
    ours = params.train_decoder.model_copy(update={"epochs": settings.epochs})
    checkpoint = Path(f".checkpoints/recognizer_loss-{objective}.pt")
    learned = learn(templates, Networks(perceptual), params.decoder, params.loss, ours, conditions, checkpoint)
    learned.save(folder)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: validation loss %.1f", objective, learned.best()["total"])


if __name__ == "__main__":
    run(main)
