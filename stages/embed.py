"""Compute the templates of every face of a data set, and of mirrored training faces, by one recognizer; or look them up."""

from dfd.core.artefacts import write_json
from dfd.core.errors import DfdError
from dfd.core.paths import RECOGNIZER, TEMPLATES
from dfd.project import Project
from dfd.recognizers.registry import weights_sha256
from dfd.templates.embedding import embed_faces
from dfd.templates.lookup import look_up, matched
from dfd.templates.store import write_templates
from stages import log, run


def main(dataset: str, recognizer: str) -> None:
    project = Project()
    network, faces = project.recognizer(recognizer), project.faces(dataset)
    if network.embeds_images:
        template, mirrored = embed_faces(network, faces)
        metrics = matched(template, len(faces))
        if metrics["faces_without_template"]:
            raise DfdError(
                f"{RECOGNIZER.format(recognizer)}: {metrics['faces_without_template']} of its templates are NaN"
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
