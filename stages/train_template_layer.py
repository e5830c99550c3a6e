"""Train a decoder of one layer's templates (Fig. 5)."""

from pathlib import Path

from dfd.core.left_out import LeftOut
from dfd.learning.decoders import Networks, learn
from dfd.learning.training import Conditions
from dfd.project import Project
from dfd.recognizers.base import NO_IMAGES
from dfd.templates.embedding import embed_faces
from dfd.templates.store import Templates
from stages import log, run


def main(layer: str) -> None:
    project = Project()
    params, settings = project.params, project.params.experiments.template_layer
    folder = project.experiment("template_layer", layer)
    conditions = Conditions(project.device, params.precision, params.seed, params.memory_gb)
    recognizer, perceptual = project.recognizer(settings.recognizer), project.recognizer(settings.perceptual)
    if not recognizer.embeds_images:
        return LeftOut(f"left out: of {settings.recognizer}, {NO_IMAGES}").write(folder)
    recognizer.layer = layer
    faces = project.faces(params.roles.decoders)
    templates = Templates(faces, *embed_faces(recognizer, faces))
    training = params.train_decoder.model_copy(update={"epochs": settings.epochs})
    checkpoint = Path(f".checkpoints/template_layer-{layer}.pt")
    learned = learn(templates, Networks(perceptual), params.decoder, params.loss, training, conditions, checkpoint)
    learned.save(folder)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: validation loss %.1f", layer, learned.best()["total"])


if __name__ == "__main__":
    run(main)
