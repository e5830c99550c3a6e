"""Read a recognizer's published weights, or its templates alone, into the project's own format; say what it can be used for."""

from dfd.core.artefacts import write_json
from dfd.core.paths import RECOGNIZER
from dfd.params import load_params
from dfd.recognizers.precomputed import Precomputed
from dfd.recognizers.registry import import_recognizer, recognizer_facts, save_recognizer
from dfd.recognizers.settings import PRECOMPUTED
from dfd.templates.files import read_keyed_templates
from dfd.weights.downloads import fetch
from dfd.weights.manifest import MANIFEST
from stages import log, run


def main(recognizer: str) -> None:
    params = load_params()
    network = params.entry("recognizers", recognizer)
    settings = params.entry("import_recognizer", recognizer)
    weights, options = settings.weights, network.options
    if network.architecture == PRECOMPUTED:
        module = Precomputed({dataset: read_keyed_templates(path) for dataset, path in settings.templates.items()})
        options = module.options
    else:
        source = str(fetch(weights)) if weights in MANIFEST else weights
        module = import_recognizer(network.architecture, options, source)
    save_recognizer(RECOGNIZER.format(recognizer), module, network.architecture, options)
    facts = recognizer_facts(module)
    write_json(f"metrics/import_recognizer/{recognizer}.json", facts)
    log.info("%s: %s as %d-d %s", recognizer, weights, facts["dimension"], network.architecture)


if __name__ == "__main__":
    run(main)
