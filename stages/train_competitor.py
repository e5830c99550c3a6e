"""Train a competing decoder on the templates of a variant (Figs. 6, 7): published ones by their own losses, the paper's by ours."""

from pathlib import Path

from dfd.core.devices import pick_device
from dfd.decoder.settings import Decoder
from dfd.faces.store import FaceStore
from dfd.learning.competitors import learn_as_published
from dfd.learning.decoders import learn, open_networks
from dfd.learning.training import Conditions
from dfd.params import load_params
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, log, run


def main(architecture: str, variant: str) -> None:
    params = load_params()
    competitor = params.entry("experiments.competitors.decoders", architecture)
    recognizers, loss = params.entry("variants", variant), params.loss_of(variant)
    conditions = Conditions(pick_device(params.device), params.precision, params.seed, params.memory_gb)
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, recognizers.template), faces)
    networks = open_networks(recognizers, loss, RECOGNIZER, conditions.device, params.faces.geometry)
    decoder = Decoder(architecture=architecture, size=params.decoder.size, options=competitor.options)
    folder = EXPERIMENT.format("competitors", f"{architecture}-{variant}")
    checkpoint = Path(f".checkpoints/{architecture}-{variant}.pt")
    if competitor.training is None:
        learned = learn(templates, networks, decoder, loss, params.train_decoder, conditions, checkpoint)
        learned.save(folder)
        checkpoint.unlink(missing_ok=True)
    else:
        of = templates, networks.perceptual, decoder, competitor.training, params.train_decoder, conditions, checkpoint
        for name, learned in learn_as_published(*of):
            learned.save(folder, name)
    log.info("%s of %s: %d parameters", architecture, variant, learned.count_parameters())


if __name__ == "__main__":
    run(main)
