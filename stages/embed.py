"""Compute the templates of every face of a data set, and of the mirrored faces, by one recognizer."""

from dfd.core.artefacts import file_sha256
from dfd.core.devices import pick_device
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.embedding import embed_faces
from dfd.templates.store import write_templates
from stages import FACES, RECOGNIZER, TEMPLATES, log, run


def main(dataset: str, recognizer: str) -> None:
    params = load_params()
    module = load_recognizer(RECOGNIZER.format(recognizer), pick_device(params.device))
    faces = FaceStore(FACES.format(dataset))
    template, mirrored = embed_faces(module, faces, params.precision)
    attributes = {
        "recognizer": recognizer,
        "layer": module.layer,
        "weights_sha256": file_sha256(RECOGNIZER.format(recognizer)),
    }
    write_templates(TEMPLATES.format(dataset, recognizer), faces, template.numpy(), mirrored.numpy(), attributes)
    log.info("%d + %d templates of %s by %s, %d-d", len(faces), len(faces), dataset, recognizer, template.shape[1])


if __name__ == "__main__":
    run(main)
