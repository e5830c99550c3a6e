"""Cluster each person's templates and decode the clusters' centroids (Fig. 14)."""

from functools import partial
from pathlib import Path

from dfd.core.artefacts import write_json
from dfd.decoder.registry import decode
from dfd.measures.estimates import People
from dfd.project import Project
from dfd.studies.people.clusters import person_spread
from dfd.studies.people.figures import cluster_grid
from dfd.templates.people import SharedTemplates, photos_of_people
from stages import log, run


def main() -> None:
    project = Project()
    params = project.params
    wanted, size = params.clusters.count, params.decoder.size
    shared = SharedTemplates(project.template_stores(params.roles.verification, params.recognizers))
    learned = project.learned(shared.templates, decoder=params.roles.decoders)
    tested = project.test_rows(shared, learned)
    templates = {name: template[tested.rows] for name, template in shared.templates.items()}
    people = photos_of_people(tested.identities, at_least=2)
    decoders: dict = {name: {} for name in templates}
    for variant, v in params.variants.items():
        if v.template in decoders:
            decoders[v.template][variant] = partial(decode, project.decoder(variant))

    for name, left_out in shared.left_out.items():
        write_json(f"metrics/cluster/{name}.json", left_out.metrics("cluster"))
    resampled = People(range(len(people)), params.bootstrap, params.seed)
    for name, template in templates.items():
        metrics = person_spread(template, people, decoders[name], wanted, resampled)
        write_json(f"metrics/cluster/{name}.json", metrics | {"leaked_identities": tested.leaked})
        log.info("%s: %s", name, metrics.get("templates_note") or metrics["templates"]["within_person_share"])

    Path("plots/cluster").mkdir(parents=True, exist_ok=True)
    for number, (person, photos) in enumerate(list(people.items())[: params.clusters.people], start=1):
        theirs = {name: template[photos] for name, template in templates.items()}
        view = lambda positions, rows=tested.rows[photos]: tested.faces.views(rows[positions], size)
        title = f"{person} of {tested.faces.name}"
        cluster_grid(f"plots/cluster/person-{number}.png", title, theirs, decoders, view, wanted)


if __name__ == "__main__":
    run(main)
