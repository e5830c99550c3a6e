"""Verify people: original against original, rotated, translated, scaled faces, without and with the maps (Table 2)."""

import numpy as np

from dfd.core.artefacts import write_json, write_table
from dfd.core.paths import PERTURBED
from dfd.faces.leakage import all_seen
from dfd.photos.pairs import read_pairs
from dfd.project import Project
from dfd.studies.equivariance.perturbations import perturbations
from dfd.studies.equivariance.perturbed import conditions, embed_perturbed, sides, write_perturbed
from dfd.studies.equivariance.verification import photos_compared, view2_of_photos, view2_of_sides
from stages import log, run

COLUMNS = ["recognizer", "condition", "map", "far", "tar", "threshold"]


def main(recognizer: str) -> None:
    project = Project()
    params = project.params
    dataset, resampling = params.roles.verification, (params.bootstrap, params.seed)
    faces, learned = project.faces(dataset), project.learned([recognizer])
    fitted = project.learned([recognizer], maps=params.roles.decoders)
    tested = project.test_rows(faces, fitted)
    store = project.templates(faces, recognizer)
    rows = store.rows("test")
    identities = faces.identities(rows)
    metrics: dict = {"n_faces": len(rows), "n_identities": len(np.unique(identities))}
    metrics |= {"leaked_identities": tested.leaked, "faces_without_template": len(tested) - len(rows)}

    names = conditions(params.verify)
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    perturbed = embed_perturbed(
        project.recognizer(recognizer), faces, rows, {condition: views[name] for condition, name in names.items()}
    )
    write_perturbed(PERTURBED.format(recognizer), faces, perturbed)
    if perturbed.left_out:
        for condition in names:
            metrics |= perturbed.left_out.metrics(condition)
    compared = sides(store.template[rows], perturbed.templates, project.maps(recognizer), names)
    table, curves = photos_compared(compared, identities, params.verify.photos, *resampling)
    metrics |= table
    if (listed := params.entry("datasets", dataset).pairs) is not None:
        pairs = read_pairs(listed)
        metrics["view2"] = view2_of_photos(pairs, store, project.barred(learned), all_seen(learned), *resampling)
        metrics["view2_perturbed"] = view2_of_sides(pairs, store, rows, compared, all_seen(fitted), *resampling)
    write_json(f"metrics/verify/{recognizer}.json", metrics)
    write_table(f"plots/verify/{recognizer}.csv", curves.assign(recognizer=recognizer)[COLUMNS])
    log.info("%s: %d faces of %s, %d conditions", recognizer, len(rows), dataset, 1 + len(perturbed.templates))


if __name__ == "__main__":
    run(main)
