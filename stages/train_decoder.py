"""Train one variant's decoder: templates of one recognizer, perceptual features of another or the same."""

from pathlib import Path

from dfd.core.artefacts import write_json
from dfd.core.errors import DfdError
from dfd.core.paths import DECODER, RECOGNIZER
from dfd.decoder.provenance import provenance
from dfd.decoder.registry import save_decoder
from dfd.learning import distributed
from dfd.learning.decoders import learn, open_networks
from dfd.learning.training import Conditions
from dfd.project import Project
from stages import log, run


def main(variant: str) -> None:
    project = Project()
    params = project.params
    recognizers, loss, training = (
        params.entry("variants", variant),
        params.loss_of(variant),
        params.training_of(variant),
    )
    if distributed.started(training.processes, params.device, "train_decoder", variant):
        return
    conditions = Conditions(project.device, params.precision, params.seed, params.memory_gb)
    networks = open_networks(recognizers, loss, RECOGNIZER, conditions.device, params.faces.geometry)
    if not networks.perceptual.gives_gradients:
        raise DfdError(
            f"variants.{variant}.perceptual: {recognizers.perceptual} gives templates but no gradients, so no perceptual "
            "features; name another recognizer"
        )
    templates = project.templates(params.roles.decoders, recognizers.template)
    checkpoint = Path(f".checkpoints/{variant}.pt")
    learned = learn(templates, networks, params.decoder, loss, training, conditions, checkpoint)
    if distributed.rank():
        return

    origin = provenance(
        learned.decoder, templates.faces, templates, learned.training.targets, len(learned.training.rows)
    )
    header = {
        "variant": variant,
        "loss": loss.model_dump(),
        "perceptual_gain": learned.gain,
        "faces_fingerprint": templates.faces.fingerprint,
    }
    save_decoder(DECODER.format(variant), learned.decoder, origin | learned.config | header)
    learned.save_history(f"plots/train_decoder/{variant}.csv")
    metrics = learned.metrics()
    write_json(f"metrics/train_decoder/{variant}.json", metrics)
    checkpoint.unlink(missing_ok=True)
    log.info(
        "%s: best validation loss %.1f in epoch %d", variant, metrics["validation"]["total"], metrics["best_epoch"]
    )


if __name__ == "__main__":
    run(main)
