"""Compute the templates of every face of a data set, and of mirrored training faces, by one recognizer; or look them up."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.shards import shared
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer, weights_sha256
from dfd.templates.colours import prefers_other_order
from dfd.templates.embedding import embed_faces
from dfd.templates.lookup import look_up, matched
from dfd.templates.store import write_templates
from stages import FACES, RECOGNIZER, TEMPLATES, log, run


def main(dataset: str, recognizer: str) -> None:
    params = load_params()
    module = load_recognizer(RECOGNIZER.format(recognizer), pick_device(params.device), params.faces.geometry)
    faces = FaceStore(FACES.format(dataset))
    sharing = shared(f"embed-{dataset}-{recognizer}", params.processes, module.device)
    if module.embeds_images:
        template, mirrored = embed_faces(module, faces, sharing)
        metrics = matched(template, len(faces))
        if prefers_other_order(module, faces, template):
            log.warning(
                "%s tells people of %s apart better with red and blue exchanged: try its option bgr the other way round",
                recognizer,
                dataset,
            )
    else:
        template, metrics = look_up(*module.templates_of(dataset), faces)
        mirrored = None
    attributes = {
        "recognizer": recognizer,
        "layer": module.layer,
        "weights_sha256": weights_sha256(module),
    }
    arrays = template.numpy(), None if mirrored is None else mirrored.numpy()
    write_templates(TEMPLATES.format(dataset, recognizer), faces, *arrays, attributes)
    write_json(f"metrics/embed/{dataset}/{recognizer}.json", metrics)
    sharing.finish()
    log.info(
        "%d templates of %d faces of %s by %s, %d-d",
        metrics["n_templates"],
        len(faces),
        dataset,
        recognizer,
        template.shape[1],
    )
    for note in (value for name, value in metrics.items() if name.endswith("_note")):
        log.info("%s", note)


if __name__ == "__main__":
    run(main)
