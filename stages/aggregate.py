"""Templates of more and more photos: decoded (Fig. 15), and compared with other photos of everybody (Fig. 16)."""

from functools import partial

import numpy as np

from dfd.core.artefacts import write_json
from dfd.decoder.registry import decode
from dfd.measures.estimates import People
from dfd.project import Project
from dfd.studies.people.aggregates import aggregation_metrics, photos_mirror, plan
from dfd.studies.people.figures import aggregate_curves, aggregate_grid
from dfd.templates.people import SharedTemplates, photos_of_people
from stages import log, run


def main() -> None:
    project = Project()
    params = project.params
    settings, size, resampling = params.aggregation, params.decoder.size, (params.bootstrap, params.seed)
    shared = SharedTemplates(project.template_stores(params.roles.verification, params.recognizers))
    learned = project.learned(shared.templates, decoder=params.roles.decoders)
    tested = project.test_rows(shared, learned)
    faces, rows = tested.faces, tested.rows
    templates = {name: template[rows] for name, template in shared.templates.items()}
    variants = {variant: v.template for variant, v in params.variants.items() if v.template in templates}
    decoders: dict = {name: {} for name in templates}
    for variant, name in variants.items():
        decoders[name][variant] = partial(decode, project.decoder(variant))

    everybody = photos_of_people(tested.identities)
    choice = (settings.counts, settings.max_people, settings.probes, settings.draws)
    planned = plan(everybody, *choice, np.random.default_rng(params.seed))
    photos = {}
    if planned.counts:
        seen = rows[planned.first_photos(settings.decoded_draws)]
        photos = {"photo_mirror": photos_mirror(faces, seen, size, *resampling)}
    people = People(range(len(planned.people)), *resampling)
    measured = {
        name: aggregation_metrics(template, decoders[name], planned, settings.decoded_draws, people)
        for name, template in templates.items()
    }
    for name, left_out in shared.left_out.items():
        write_json(f"metrics/aggregate/{name}.json", left_out.metrics("aggregate"))
    for name, metrics in measured.items():
        write_json(f"metrics/aggregate/{name}.json", metrics | photos | {"leaked_identities": tested.leaked})
        log.info("%s: templates of %s photos of %d people", name, planned.counts or "no", len(planned.people))
    aggregate_curves("plots/aggregate", faces.name, measured, list(params.variants), photos.get("photo_mirror"))
    fewest = max(2, min(settings.counts))  # photos, of a person who is drawn
    drawn = [person for person, photos in everybody.items() if len(photos) >= fewest][: settings.shown]
    for number, person in enumerate(drawn, start=1):
        order = np.random.default_rng([params.seed, number]).permutation(everybody[person])
        counts = [count for count in settings.counts if count <= len(order)]
        decoded = {variant: (templates[name][order], decoders[name][variant]) for variant, name in variants.items()}
        added = faces.views(rows[order[np.array(counts) - 1]], size)
        title = f"{person} of {faces.name}: decoded mean templates"
        aggregate_grid(f"plots/aggregate/person-{number}.png", title, decoded, added, counts)


if __name__ == "__main__":
    run(main)
