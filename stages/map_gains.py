"""Compare what the linear maps gain in verification for one recognizer and for another, on the same people (Table 2)."""

from functools import reduce

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut
from dfd.measures.estimates import People
from dfd.project import Project
from dfd.recognizers.base import NO_IMAGES
from dfd.studies.equivariance.perturbed import conditions, sides
from dfd.studies.equivariance.verification import gains_by_recognizer
from dfd.templates.people import first_photos
from stages import run


def main() -> None:
    project = Project()
    params = project.params
    faces = project.faces(params.roles.verification)
    perturbed = {name: project.perturbed(name, faces) for name in params.recognizers}
    blind = [name for name, part in perturbed.items() if part.left_out == NO_IMAGES]
    notes = {f"{name}_note": f"left out: {NO_IMAGES}" for name in blind}
    stores = project.template_stores(faces, [name for name in perturbed if name not in blind])
    rows = reduce(np.intersect1d, [store.rows("test") for store in stores.values()], faces.rows("test"))
    if len(stores) < 2 or not len(rows):
        none = f"{faces.name} has no test faces with templates"
        left_out = LeftOut(f"left out: {none if len(stores) > 1 else 'there are no two recognizers to be compared'}")
        return write_json(f"metrics/map_gains/{faces.name}.json", notes | left_out.metrics(note="maps"))
    learned = project.learned(stores, maps=params.roles.decoders)
    some = rows[first_photos(faces.identities(rows), params.verify.photos)]  # as verify has them
    tested = project.test_rows(faces, learned, lambda _: some)
    names = conditions(params.verify)
    compared = {
        name: sides(store.template[tested.rows], perturbed[name].at(tested.rows), project.maps(name), names)
        for name, store in stores.items()
    }
    people = People(tested.identities, params.bootstrap, params.seed)
    metrics = tested.counts | gains_by_recognizer(compared, people) | notes
    write_json(f"metrics/map_gains/{faces.name}.json", metrics)


if __name__ == "__main__":
    run(main)
