"""Train one variant's decoder: templates of one recognizer, perceptual features of another or the same."""

import hashlib
import json
from pathlib import Path

import torch

from dfd.core.artefacts import file_sha256, replacing, write_json
from dfd.core.devices import pick_device
from dfd.core.errors import DfdError
from dfd.decoder.losses import ReconstructionLoss, balanced_gain
from dfd.decoder.mixed import MixedDecoder
from dfd.decoder.registry import build_decoder, load_decoder, save_decoder
from dfd.decoder.training import train
from dfd.faces.examples import Examples, mean_face, on_device
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.store import TemplateStore
from stages import CLOSED_FORM, DECODER, FACES, RECOGNIZER, TEMPLATES, log, run


def main(variant: str) -> None:
    params = load_params()
    recognizers, settings = params.entry("variants", variant), params.train_decoder
    device = pick_device(params.device)
    perceptual = load_recognizer(RECOGNIZER.format(recognizers.perceptual), device)
    if not perceptual.gives_gradients:
        raise DfdError(
            f"variants.{variant}.perceptual: {recognizers.perceptual} gives templates but no gradients, so no perceptual "
            "features; name another recognizer"
        )
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, recognizers.template), faces)

    size, memory = params.decoder.size, params.memory_gb
    torch.manual_seed(params.seed)
    options = params.decoder.model_dump(exclude={"architecture", "mix"})
    decoder = build_decoder(params.decoder.architecture, templates.dimension, options)
    training = Examples(faces, templates.rows("train"), size, templates.template, templates.mirrored, memory)
    validation = Examples(faces, templates.rows("validation"), size, templates.template, None, memory)
    decoder.set_statistics(training.targets, mean_face(training))

    gain = 1.0
    if params.loss.features == "balanced":
        _, _, sample = training.__getitems__(list(range(min(256, len(training)))))
        gain = balanced_gain(perceptual, on_device(sample, device))
    config = {
        "architecture": params.decoder.architecture,
        "dimension": templates.dimension,
        "options": options,
        "mix": None,
        "variant": variant,
        "loss": params.loss.model_dump(),
        "perceptual_gain": gain,
        "templates_of": templates.attributes["weights_sha256"],
        "faces_fingerprint": faces.fingerprint,
    }
    what_decides = config | settings.model_dump() | {
        "seed": params.seed, "precision": params.precision, "perceptual": file_sha256(RECOGNIZER.format(recognizers.perceptual)),
        "index": file_sha256(faces.path.with_suffix(".parquet")),  # it holds the splits
    }  # fmt: skip
    checkpoint = Path(f".checkpoints/{variant}.pt")
    history = train(
        decoder,
        ReconstructionLoss(perceptual, params.loss.weights(), gain, params.loss.perceptual_share),
        training,
        validation,
        epochs=settings.epochs,
        patience=settings.patience,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        precision=params.precision,
        seed=params.seed,
        device=device,
        checkpoint=checkpoint,
        stamp=hashlib.sha256(json.dumps(what_decides, sort_keys=True).encode()).hexdigest(),
    )
    best = history[history["split"] == "validation"].sort_values("total").iloc[0]
    metrics = {
        "epochs": int(history["epoch"].max()),
        "best_epoch": int(best["epoch"]),
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "n_faces": len(training.rows),
        "perceptual_gain": gain,
        "validation": best.drop(["epoch", "split"]).astype(float).to_dict(),
    }
    if params.decoder.mix != "none":
        closed_form = load_decoder(CLOSED_FORM.format(recognizers.template, params.decoder.mix), device)
        decoder = MixedDecoder(decoder, closed_form)
        config["mix"] = {name: closed_form.config[name] for name in ("architecture", "options")}
        metrics["mix"] = decoder.choose_share(validation)
    save_decoder(DECODER.format(variant), decoder, config)
    with replacing(f"plots/train_decoder/{variant}.csv") as temporary:
        history.to_csv(temporary, index=False, float_format="%.6g")
    write_json(f"metrics/train_decoder/{variant}.json", metrics)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: best validation loss %.1f in epoch %d", variant, best["total"], best["epoch"])


if __name__ == "__main__":
    run(main)
