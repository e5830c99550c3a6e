"""Compute the templates of every face of a data set, and of mirrored training faces, by one recognizer; or look them up."""

from dfd.core.artefacts import write_json
from dfd.core.paths import TEMPLATES
from dfd.core.rows import StoredRows
from dfd.core.shards import shared
from dfd.project import Project
from dfd.recognizers.registry import weights_sha256
from dfd.templates.colours import prefers_other_order
from dfd.templates.embedding import embed_into
from dfd.templates.lookup import look_up, matched
from dfd.templates.store import templates_file, write_templates
from stages import log, run


def main(dataset: str, recognizer: str) -> None:
    project = Project()
    network, faces = project.recognizer(recognizer), project.faces(dataset)
    path = TEMPLATES.format(dataset, recognizer)
    attributes = {"recognizer": recognizer, "layer": network.layer, "weights_sha256": weights_sha256(network)}
    sharing = shared(f"embed-{dataset}-{recognizer}", project.params.processes, network.device)
    if network.embeds_images:
        mirrored = len(faces.rows("train")) > 0
        with templates_file(path, faces, network.dimension, mirrored, attributes) as file:
            embed_into(file, network, faces, sharing)
        templates = StoredRows(path, "template")
        metrics = matched(templates, len(faces))
        if prefers_other_order(network, faces, templates):
            log.warning(
                "%s tells people of %s apart better with red and blue exchanged: try its option bgr the other way round",
                recognizer,
                dataset,
            )
    else:
        templates, metrics = look_up(*network.templates_of(dataset), faces)
        write_templates(path, faces, templates.numpy(), None, attributes)
    write_json(f"metrics/embed/{dataset}/{recognizer}.json", metrics)
    sharing.finish()
    log.info(
        "%d templates of %d faces of %s by %s, %d-d",
        metrics["n_templates"],
        len(faces),
        dataset,
        recognizer,
        metrics["dimension"],
    )
    for note in (value for name, value in metrics.items() if name.endswith("_note")):
        log.info("%s", note)


if __name__ == "__main__":
    run(main)
