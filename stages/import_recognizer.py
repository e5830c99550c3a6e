"""Read a recognizer's published weights into the project's own format."""

from dfd.params import load_params
from dfd.recognizers.registry import import_recognizer, save_recognizer
from dfd.weights.downloads import fetch
from dfd.weights.manifest import MANIFEST
from stages import RECOGNIZER, log, run


def main(recognizer: str) -> None:
    params = load_params()
    network = params.entry("recognizers", recognizer)
    weights = params.entry("import_recognizer", recognizer).weights
    source = str(fetch(weights)) if weights in MANIFEST else weights
    module = import_recognizer(network.architecture, network.options, source)
    save_recognizer(RECOGNIZER.format(recognizer), module, network.architecture, network.options)
    log.info("%s: %s as %d-d %s", recognizer, weights, module.dimension, network.architecture)


if __name__ == "__main__":
    run(main)
