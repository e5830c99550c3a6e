"""Adversarial noise against one recognizer, before and after its templates are decoded (Figs. 12 and 13)."""

from pathlib import Path

from dfd.core.artefacts import replacing, write_json
from dfd.measures.estimates import People
from dfd.project import Project
from dfd.studies.attack.figures import draw
from dfd.studies.attack.study import Attacked, study_attacks
from dfd.studies.attack.targeted import why_not, with_most_photos
from stages import log, run


def main(recognizer: str) -> None:
    project = Project()
    params = project.params
    settings, faces = params.attacks, project.faces(params.roles.verification)
    learned = project.learned([recognizer], decoder=params.roles.decoders)
    most = lambda rows: rows[with_most_photos(faces.identities(rows), settings.max_people, settings.photos)]
    tested = project.test_rows(faces, learned, most)
    templates, network = project.templates(faces, recognizer).template[tested.rows], project.recognizer(recognizer)
    variants = [name for name, variant in params.variants.items() if variant.template == recognizer]
    decoders = {name: project.decoder(name) for name in variants}

    people = People(tested.identities, params.bootstrap, params.seed)
    metrics, plots = tested.counts, Path(f"plots/attack/{recognizer}")
    if left_out := why_not(network, len(people)):
        log.info("%s: %s", recognizer, left_out)
        with replacing(plots / "note.txt") as temporary:  # DVC misses a folder that is not there
            temporary.write_text(f"{left_out}\n", encoding="utf-8")
        return write_json(f"metrics/attack/{recognizer}.json", metrics | left_out.metrics("attack"))
    if not variants:
        metrics["decoding_note"] = f"no variant decodes templates of {recognizer}: everything is before decoding"
    attacked = Attacked(network, decoders, faces, tested.rows, templates)
    outcomes = study_attacks(attacked, settings, people, params.seed)
    draw(plots, outcomes, settings, variants, recognizer, faces.name)
    write_json(f"metrics/attack/{recognizer}.json", metrics | outcomes.metrics)


if __name__ == "__main__":
    run(main)
