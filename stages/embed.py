"""Compute the templates of every face of a data set, and of mirrored training faces, by one recognizer; or look them up."""

from dfd.core.artefacts import write_json
from dfd.core.paths import TEMPLATES
from dfd.core.shards import shared
from dfd.project import Project
from dfd.recognizers.registry import weights_sha256
from dfd.templates.colours import prefers_other_order
from dfd.templates.embedding import embed_faces
from dfd.templates.lookup import look_up, matched
from dfd.templates.store import write_templates
from stages import log, run


def main(dataset: str, recognizer: str) -> None:
    project = Project()
    network, faces = project.recognizer(recognizer), project.faces(dataset)
    sharing = shared(f"embed-{dataset}-{recognizer}", project.params.processes, network.device)
    if network.embeds_images:
        template, mirrored = embed_faces(network, faces, sharing)
        metrics = matched(template, len(faces))
        if prefers_other_order(network, faces, template):
            log.warning(
                "%s tells people of %s apart better with red and blue exchanged: try its option bgr the other way round",
                recognizer,
                dataset,
            )
    else:
        template, metrics = look_up(*network.templates_of(dataset), faces)
        mirrored = None
    attributes = {
        "recognizer": recognizer,
        "layer": network.layer,
        "weights_sha256": weights_sha256(network),
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
