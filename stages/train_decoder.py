"""Train one variant's decoder: templates of one recognizer, perceptual features of another or the same."""

from pathlib import Path

from dfd.core.artefacts import file_sha256, replacing, write_json
from dfd.core.devices import pick_device
from dfd.core.errors import DfdError
from dfd.decoder.provenance import provenance
from dfd.decoder.registry import save_decoder
from dfd.faces.store import FaceStore
from dfd.learning.decoders import learn
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.store import TemplateStore
from stages import DECODER, FACES, RECOGNIZER, TEMPLATES, log, run


def main(variant: str) -> None:
    params = load_params()
    recognizers, settings = params.entry("variants", variant), params.train_decoder
    device = pick_device(params.device)
    perceptual = load_recognizer(RECOGNIZER.format(recognizers.perceptual), device, params.faces.geometry)
    if not perceptual.gives_gradients:
        raise DfdError(
            f"variants.{variant}.perceptual: {recognizers.perceptual} gives templates but no gradients, so no perceptual "
            "features; name another recognizer"
        )
    loss = params.loss_of(variant)
    identity = (
        load_recognizer(RECOGNIZER.format(recognizers.identity), device, params.faces.geometry)
        if loss.identity
        else None
    )
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, recognizers.template), faces)

    options = {"size": params.decoder.size} | params.decoder.options
    checkpoint = Path(f".checkpoints/{variant}.pt")
    learned = learn(
        faces,
        templates.template,
        templates.mirrored,
        perceptual,
        architecture=params.decoder.architecture,
        options=options,
        weights=loss.weights(),
        features=loss.features,
        perceptual_share=loss.perceptual_share,
        settings=settings.model_dump(),
        precision=params.precision,
        seed=params.seed,
        device=device,
        memory_gb=params.memory_gb,
        checkpoint=checkpoint,
        decides={
            "variant": variant,
            "templates": templates.attributes["weights_sha256"],
            "perceptual": file_sha256(RECOGNIZER.format(recognizers.perceptual)),
            "identity": file_sha256(RECOGNIZER.format(recognizers.identity)) if identity else None,
            "index": file_sha256(faces.path.with_suffix(".parquet")),  # it holds the splits
        },
        identity=identity,
        white_box=recognizers.identity == recognizers.template,
        person=loss.person,
    )
    decoder, history, best = learned.decoder, learned.history, learned.best()
    config = provenance(decoder, faces, templates, learned.training.targets, len(learned.training.rows)) | {
        "architecture": params.decoder.architecture,
        "dimension": templates.dimension,
        "options": options,
        "variant": variant,
        "loss": loss.model_dump(),
        "perceptual_gain": learned.gain,
        "faces_fingerprint": faces.fingerprint,
    }
    metrics = {
        "epochs": int(history["epoch"].max()),
        "best_epoch": int(best["epoch"]),
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "n_faces": len(learned.training.rows),
        "perceptual_gain": learned.gain,
        "validation": best.drop(["epoch", "split"]).astype(float).to_dict(),
    }
    save_decoder(DECODER.format(variant), decoder, config)
    with replacing(f"plots/train_decoder/{variant}.csv") as temporary:
        history.to_csv(temporary, index=False, float_format="%.6g")
    write_json(f"metrics/train_decoder/{variant}.json", metrics)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: best validation loss %.1f in epoch %d", variant, best["total"], best["epoch"])


if __name__ == "__main__":
    run(main)
