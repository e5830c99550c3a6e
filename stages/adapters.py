"""How many leaked pairs an attacker needs: other recognizers' templates, through adapters, by one decoder."""

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut
from dfd.decoder.provenance import whom_it_saw
from dfd.measures.estimates import People
from dfd.project import Project
from dfd.recognizers.base import NO_IMAGES
from dfd.studies.inversion.adapting import adapter_metrics, draw_pairs, leaked_pairs, opened_system
from dfd.templates.people import first_photos
from stages import log, run


def main() -> None:
    project = Project()
    params, settings = project.params, project.params.experiments.adapters
    template, decoder = params.entry("decoders", settings.decoder), project.decoder(settings.decoder)
    names = list(dict.fromkeys([template, *settings.recognizers]))
    recognizers = {name: project.recognizer(name) for name in names}
    leaks = {name: project.templates(params.roles.decoders, name) for name in names}
    stores = {name: project.templates(params.roles.verification, name) for name in names}
    faces = stores[template].faces
    learned = project.learned(names, adapter=params.roles.decoders) | {"decoder": whom_it_saw(decoder)}
    tested = project.test_rows(faces, learned)
    for name in settings.recognizers:
        rows = np.intersect1d(stores[name].rows("test"), stores[template].rows("test"))
        if not len(rows):
            result = LeftOut(f"{faces.name} has no test faces")
        elif not all(recognizers[key].embeds_images for key in (name, template)):
            result = NO_IMAGES
        else:
            rows = rows[first_photos(faces.identities(rows), params.verify.photos)]
            attacked = People(faces.identities(rows[: settings.max_faces]), params.bootstrap, params.seed)
            system, native = (
                opened_system(recognizers[key], stores[key], rows, attacked, params.evaluate.far)
                for key in (name, template)
            )
            pairs = leaked_pairs(leaks[name], leaks[template], params.seed)
            result = adapter_metrics(decoder, pairs, settings.pairs, system, native, params.seed)
            result |= {"leaked_identities": tested.leaked}
        nothing = isinstance(result, LeftOut)
        metrics = result.metrics("own", *map(str, settings.pairs), note="adapters") if nothing else result
        write_json(f"metrics/adapters/{name}.json", metrics)
        title = f"Templates of {name}, decoded by {settings.decoder}\nthrough an adapter: unseen people of {faces.name}"
        accepted = f"accepted by {name} at {100 * params.evaluate.far:g} % FAR"
        draw_pairs(f"plots/adapters/{name}", result, settings.pairs, title, accepted)
        log.info("%s: adapters of %s pairs into %s", name, ", ".join(map(str, settings.pairs)), settings.decoder)


if __name__ == "__main__":
    run(main)
