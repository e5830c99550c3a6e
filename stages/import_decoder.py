"""Bring a decoder that was trained elsewhere into the project, if it is of the recognizer and the geometry used here."""

from pathlib import Path

import torch

from dfd.core.artefacts import write_json
from dfd.core.paths import DECODER, RECOGNIZER
from dfd.decoder.adapted import adapted
from dfd.decoder.provenance import decoder_facts, refuse_other_faces
from dfd.decoder.registry import load_decoder, save_decoder
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer, weights_sha256
from dfd.templates.adapters import load_adapter
from stages import log, run


def main(variant: str) -> None:
    params = load_params()
    settings, geometry = params.entry("import_decoder", variant), params.faces.geometry
    cpu = torch.device("cpu")
    decoder = load_decoder(Path(settings.weights).expanduser(), cpu)
    if settings.adapter:
        decoder = adapted(decoder, load_adapter(Path(settings.adapter).expanduser(), cpu))
    recognizer = load_recognizer(RECOGNIZER.format(settings.template), cpu, geometry)
    refuse_other_faces(decoder.config, settings.weights, settings.template, weights_sha256(recognizer), geometry)
    save_decoder(DECODER.format(variant), decoder, decoder.config | {"variant": variant})
    facts = decoder_facts(decoder)
    write_json(f"metrics/import_decoder/{variant}.json", facts)
    log.info("%s: %s, %d-d templates to faces of %d px", variant, settings.weights, facts["dimension"], facts["size"])


if __name__ == "__main__":
    run(main)
