"""Train the decoder of one row of Table 1, with a part of the losses."""

from pathlib import Path

from dfd.core.artefacts import file_sha256
from dfd.core.devices import pick_device
from dfd.core.left_out import write_left_out
from dfd.decoder.learning import NO_GRADIENTS, learn, without_perceptual
from dfd.faces.store import FaceStore
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
    checkpoint = Path(f".checkpoints/ablation-{loss}.pt")
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
        seed=params.seed,
        device=device,
        memory_gb=params.memory_gb,
        checkpoint=checkpoint,
        decides={
            "templates": templates.attributes["weights_sha256"],
            "perceptual": file_sha256(RECOGNIZER.format(variant.perceptual)),
            "index": file_sha256(faces.path.with_suffix(".parquet")),
        },
    )
    learned.save(folder, params.decoder.architecture, options)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: validation loss %.1f", loss, learned.best()["total"])


if __name__ == "__main__":
    run(main)
