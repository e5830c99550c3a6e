"""Verify people: original against original, rotated, translated, scaled faces, without and with the maps (Table 2)."""

import numpy as np
import pandas as pd

from dfd.core.artefacts import write_json, write_table
from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.params import load_params
from dfd.photos.pairs import read_pairs
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.studies.equivariance.maps import read_transforms
from dfd.studies.equivariance.perturbations import perturbations
from dfd.studies.equivariance.verification import all_pairs, listed_pairs
from dfd.studies.equivariance.view2 import pair_scores, pairs_without, people_in, people_of, too_few, view2_summary
from dfd.templates.embedding import embed_views
from dfd.templates.people import first_photos
from dfd.templates.store import TemplateStore
from stages import FACES, RECOGNIZER, TEMPLATES, TRANSFORMS, log, run

COLUMNS = ["recognizer", "condition", "map", "far", "tar", "threshold"]


def main(recognizer: str) -> None:
    params = load_params()
    dataset, samples, seed = params.roles.verification, params.bootstrap, params.seed
    faces = FaceStore(FACES.format(dataset))
    tested = faces.rows("test")
    learned = learned_from([recognizer], params.train_recognizer, FACES)
    fitted = learned_from([recognizer], params.train_recognizer, FACES, maps=params.roles.decoders)
    leaked = refuse_leakage(fitted, faces, tested, params.roles.allow_leakage)
    store = TemplateStore(TEMPLATES.format(dataset, recognizer), faces)
    rows = store.rows("test")
    identities, originals = faces.identities(rows), store.template[rows]
    metrics: dict = {"n_faces": len(rows), "n_identities": len(np.unique(identities)), "leaked_identities": leaked}
    metrics |= {"faces_without_template": len(tested) - len(rows)}

    module = load_recognizer(RECOGNIZER.format(recognizer), pick_device(params.device), params.faces.geometry)
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    maps = read_transforms(TRANSFORMS.format(recognizer))
    conditions = {
        "rotated": f"rotate{params.verify.rotate:+d}",
        "translated": f"translate-{params.verify.translate}",
        "scaled": f"scale-{params.verify.scale:g}",
    }
    perturbed, mapped = {}, {}
    for condition, name in conditions.items():
        if not module.embeds_images or not len(rows):
            left_out = LeftOut(f"{dataset} has no test faces") if module.embeds_images else NO_IMAGES
            metrics |= left_out.metrics(condition)
            continue
        templates = embed_views(module, faces, rows, views[name])
        perturbed[condition], mapped[condition] = templates.numpy(), maps[name](templates).numpy()

    curves = pd.DataFrame(columns=COLUMNS)
    people = len(np.unique(identities))
    if 1 < people < len(rows):
        kept = first_photos(identities, params.verify.photos)
        metrics["faces_beyond_limit"] = len(rows) - len(kept)
        sides = ({name: templates[kept] for name, templates in side.items()} for side in (perturbed, mapped))
        table, curves = all_pairs(originals.numpy()[kept], *sides, People(identities[kept], samples, seed))
        metrics |= table
    else:
        few = LeftOut(
            f"{len(rows)} faces of {people} people: too few for both a person's pair and a pair of two people"
        )
        for condition in ("original", *perturbed):
            metrics |= few.metrics(condition)
    if (listed := params.entry("datasets", dataset).pairs) is not None:
        pairs, seen = read_pairs(listed), set().union(*(own.people for own in learned.values()))
        keys, templates = faces.faces["key"][store.known], store.template[store.known].numpy()
        metrics["view2"], used = _usable(pairs, keys, set() if params.roles.allow_leakage else seen, seen)
        if len(used):
            scores = pair_scores(used, keys, templates)
            metrics["view2"] |= view2_summary(used, scores, people_of(used, samples, seed))
        seen = set().union(*(own.people for own in fitted.values()))
        keys = faces.faces["key"].iloc[rows]
        metrics["view2_perturbed"], used = _usable(pairs, keys, set(faces.faces["identity"]) - set(identities), seen)
        if len(used):
            sides = originals.numpy(), perturbed, mapped
            metrics["view2_perturbed"] |= listed_pairs(used, keys, *sides, people_of(used, samples, seed))
    write_json(f"metrics/verify/{recognizer}.json", metrics)
    write_table(f"plots/verify/{recognizer}.csv", curves.assign(recognizer=recognizer)[COLUMNS])
    log.info("%s: %d faces of %s, %d conditions", recognizer, len(rows), dataset, 1 + len(perturbed))


def _usable(pairs: pd.DataFrame, keys: pd.Series, excluded: set[str], seen: set[str]) -> tuple[dict, pd.DataFrame]:
    """The published pairs without `excluded` people, none where too few remain; their counts, with people `seen` in training.

    keys: of the photos that have a template.
    """
    used = pairs_without(pairs, excluded)
    counts = {
        "n_pairs": len(used),
        "pairs_left_out": len(pairs) - len(used),
        "leaked_identities": len(seen & people_in(used)),
    }
    scored = used["first"].isin(keys) & used["second"].isin(keys)
    if left_out := too_few(used[scored]):
        return counts | left_out.metrics("accuracy", note="view2"), used[:0]
    return counts, used


if __name__ == "__main__":
    run(main)
