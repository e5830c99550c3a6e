"""Train a decoder of one layer's templates (Fig. 5)."""

from pathlib import Path

from dfd.core.artefacts import file_sha256
from dfd.core.devices import pick_device
from dfd.core.left_out import write_left_out
from dfd.faces.store import FaceStore
from dfd.learning.decoders import learn, without_perceptual
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.templates.embedding import embed_faces
from stages import EXPERIMENT, FACES, RECOGNIZER, log, run


def main(layer: str) -> None:
    params = load_params()
    settings = params.experiments.template_layer
    folder = EXPERIMENT.format("template_layer", layer)
    device = pick_device(params.device)
    recognizer = load_recognizer(RECOGNIZER.format(settings.recognizer), device, params.faces.geometry)
    if not recognizer.embeds_images:
        write_left_out(folder, f"left out: of {settings.recognizer}, {NO_IMAGES}")
        return
    recognizer.layer = layer
    faces = FaceStore(FACES.format(params.roles.decoders))
    template, mirrored = embed_faces(recognizer, faces)
    perceptual = load_recognizer(RECOGNIZER.format(settings.perceptual), device, params.faces.geometry)
    terms = params.loss.weights()
    options = {"size": params.decoder.size} | params.decoder.options
    checkpoint = Path(f".checkpoints/template_layer-{layer}.pt")
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
            "layer": layer,
            "recognizer": file_sha256(RECOGNIZER.format(settings.recognizer)),
            "perceptual": file_sha256(RECOGNIZER.format(settings.perceptual)),
            "index": file_sha256(faces.path.with_suffix(".parquet")),
        },
    )
    learned.save(folder, params.decoder.architecture, options)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: validation loss %.1f", layer, learned.best()["total"])


if __name__ == "__main__":
    run(main)
