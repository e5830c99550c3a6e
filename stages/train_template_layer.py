"""Train a decoder of one layer's templates (Fig. 5)."""

from pathlib import Path

from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.faces.store import FaceStore
from dfd.learning.decoders import Networks, learn
from dfd.learning.training import Conditions
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.templates.embedding import embed_faces
from dfd.templates.store import Templates
from stages import EXPERIMENT, FACES, RECOGNIZER, log, run


def main(layer: str) -> None:
    params = load_params()
    settings = params.experiments.template_layer
    folder = EXPERIMENT.format("template_layer", layer)
    conditions = Conditions(pick_device(params.device), params.precision, params.seed, params.memory_gb)
    recognizer, perceptual = (
        load_recognizer(RECOGNIZER.format(name), conditions.device, params.faces.geometry)
        for name in (settings.recognizer, settings.perceptual)
    )
    if not recognizer.embeds_images:
        LeftOut(f"left out: of {settings.recognizer}, {NO_IMAGES}").write(folder)
        return
    recognizer.layer = layer
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = Templates(faces, *embed_faces(recognizer, faces))
    training = params.train_decoder.model_copy(update={"epochs": settings.epochs})
    checkpoint = Path(f".checkpoints/template_layer-{layer}.pt")
    learned = learn(templates, Networks(perceptual), params.decoder, params.loss, training, conditions, checkpoint)
    learned.save(folder)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: validation loss %.1f", layer, learned.best()["total"])


if __name__ == "__main__":
    run(main)
