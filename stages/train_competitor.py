"""Train a competing decoder on the templates of a variant (Figs. 6, 7): published ones by their own losses, the paper's by ours."""

from pathlib import Path

from dfd.core.paths import RECOGNIZER
from dfd.decoder.settings import Decoder
from dfd.learning.competitors import learn_as_published
from dfd.learning.decoders import learn, open_networks
from dfd.learning.training import Conditions
from dfd.project import Project
from stages import log, run


def main(architecture: str, variant: str) -> None:
    project = Project()
    params = project.params
    competitor = params.entry("experiments.competitors.decoders", architecture)
    recognizers, loss = params.entry("variants", variant), params.loss_of(variant)
    conditions = Conditions(project.device, params.precision, params.seed, params.memory_gb)
    templates = project.templates(params.roles.decoders, recognizers.template)
    networks = open_networks(recognizers, loss, RECOGNIZER, project.device, params.faces.geometry)
    decoder = Decoder(architecture=architecture, size=params.decoder.size, options=competitor.options)
    folder = project.experiment("competitors", f"{architecture}-{variant}")
    checkpoint, ours = Path(f".checkpoints/{architecture}-{variant}.pt"), params.training_of(variant)
    if competitor.training is None:
        learned = learn(templates, networks, decoder, loss, ours, conditions, checkpoint)
        learned.save(folder)
        checkpoint.unlink(missing_ok=True)
    else:
        settings = competitor.training, ours
        phases = learn_as_published(templates, networks.perceptual, decoder, *settings, conditions, checkpoint)
        for name, learned in phases:
            learned.save(folder, name)
    log.info("%s of %s: %d parameters", architecture, variant, learned.count_parameters())


if __name__ == "__main__":
    run(main)
