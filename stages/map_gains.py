"""Compare what the linear maps gain in verification for one recognizer and for another, on the same people (Table 2)."""

from functools import reduce

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.measures.side_by_side import gains_by_recognizer
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.studies.equivariance.maps import read_transforms
from dfd.studies.equivariance.perturbations import perturbations
from dfd.templates.embedding import embed_views
from dfd.templates.people import first_photos
from dfd.templates.store import TemplateStore
from stages import FACES, RECOGNIZER, TEMPLATES, TRANSFORMS, run


def main() -> None:
    params = load_params()
    dataset, device = params.roles.verification, pick_device(params.device)
    faces = FaceStore(FACES.format(dataset))
    modules = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    notes = {f"{name}_note": f"left out: {NO_IMAGES}" for name, module in modules.items() if not module.embeds_images}
    modules = {name: module for name, module in modules.items() if module.embeds_images}
    if len(modules) < 2:
        notes["maps_note"] = "left out: there are no two recognizers to be compared"
        return write_json(f"metrics/map_gains/{dataset}.json", notes)
    stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in modules}
    rows = reduce(np.intersect1d, [store.rows("test") for store in stores.values()])
    if not len(rows):
        notes["maps_note"] = f"left out: {dataset} has no test faces with templates"
        return write_json(f"metrics/map_gains/{dataset}.json", notes)
    rows = rows[first_photos(faces.identities(rows), params.verify.photos)]  # as verify has them
    learned = learned_from(modules, params.train_recognizer, FACES, maps=params.roles.decoders)
    leaked = refuse_leakage(learned, faces, rows, params.roles.allow_leakage)

    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    settings = params.verify
    conditions = {
        "rotated": f"rotate{settings.rotate:+d}",
        "translated": f"translate-{settings.translate}",
        "scaled": f"scale-{settings.scale:g}",
    }
    perturbed: dict = {name: {} for name in modules}
    mapped: dict = {name: {} for name in modules}
    for name, module in modules.items():
        maps = read_transforms(TRANSFORMS.format(name), views)
        for condition, view in conditions.items():
            templates = embed_views(module, faces, rows, views[view])
            perturbed[name][condition], mapped[name][condition] = templates.numpy(), maps[view](templates).numpy()
    originals = {name: store.template[rows].numpy() for name, store in stores.items()}
    people = People(faces.identities(rows), params.bootstrap, params.seed)
    metrics = {"n_faces": len(rows), "n_identities": len(people), "leaked_identities": leaked}
    metrics |= gains_by_recognizer(originals, perturbed, mapped, people)
    write_json(f"metrics/map_gains/{dataset}.json", metrics | notes)


if __name__ == "__main__":
    run(main)
