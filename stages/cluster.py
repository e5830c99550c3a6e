"""Cluster each person's templates and decode the clusters' centroids (Fig. 14)."""

from functools import partial
from pathlib import Path

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.params import load_params
from dfd.rendering.grids import image_grid
from dfd.studies.people.clustering import centroids, cluster, nearest
from dfd.studies.people.clusters import person_spread
from dfd.templates.people import photos_of_people, shared_rows
from dfd.templates.store import TemplateStore
from stages import DECODER, FACES, TEMPLATES, log, run


def main() -> None:
    params = load_params()
    faces = FaceStore(FACES.format(params.roles.verification))
    templates = {name: TemplateStore(TEMPLATES.format(faces.name, name), faces).template for name in params.recognizers}
    rows, left_out = shared_rows(faces.rows("test"), templates)
    templates = {name: template[rows] for name, template in templates.items() if name not in left_out}
    learned = learned_from(templates, params.train_recognizer, FACES, decoder=params.roles.decoders)
    leaked = refuse_leakage(learned, faces, rows, params.roles.allow_leakage)
    people = photos_of_people(faces.identities(rows), at_least=2)
    device, wanted = pick_device(params.device), params.clusters.count
    decoders: dict = {name: {} for name in templates}  # recognizer -> variant -> how its templates are decoded
    for variant, v in params.variants.items():
        if v.template in decoders:
            decoders[v.template][variant] = partial(decode, load_decoder(DECODER.format(variant), device))

    for name, reason in left_out.items():
        write_json(f"metrics/cluster/{name}.json", reason.metrics("cluster"))
    resampled = People(range(len(people)), params.bootstrap, params.seed)
    for name, template in templates.items():
        metrics = person_spread(template, people, decoders[name], wanted, resampled)
        write_json(f"metrics/cluster/{name}.json", metrics | {"leaked_identities": leaked})
        log.info("%s: %s", name, metrics.get("templates_note") or metrics["templates"]["within_person_share"])

    Path("plots/cluster").mkdir(parents=True, exist_ok=True)
    for number, (person, photos) in enumerate(list(people.items())[: params.clusters.people], start=1):
        count, grid, captions = min(wanted, len(photos)), [], []
        for name, template in templates.items():
            labels = cluster(template[photos], count)
            shown = rows[photos[nearest(template[photos], labels)]]
            grid.append((f"photo nearest to the centroid ({name})", faces.views(shown, params.decoder.size)))
            grid += [(v, decoded(centroids(template[photos], labels))) for v, decoded in decoders[name].items()]
            sizes = [f"{size} photo" + "s" * (size > 1) for size in np.bincount(labels).tolist()]
            captions += [sizes] * (1 + len(decoders[name]))
        fewer = f", for want of photos not {wanted}" if count < wanted else ""
        title = f"{person} of {faces.name}, {len(photos)} templates in {count} clusters{fewer}: their centroids"
        image_grid(f"plots/cluster/person-{number}.png", grid, None, title, captions)


if __name__ == "__main__":
    run(main)
