"""Verification of original against perturbed faces, without and with the linear map (Table 2)."""

import numpy as np
import pandas as pd

from dfd.core.artefacts import replacing, write_json
from dfd.core.devices import pick_device
from dfd.evaluation.pairs import read_pairs
from dfd.evaluation.verification import cosine_pairs, paired_difference, roc_table, verification_summary
from dfd.evaluation.view2 import pair_scores, view2_summary
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.perturbations.geometry import perturbations
from dfd.perturbations.transforms import read_transforms
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import FACES, RECOGNIZER, TEMPLATES, TRANSFORMS, log, run


def main(recognizer: str) -> None:
    params = load_params()
    dataset = params.roles.verification
    faces = FaceStore(FACES.format(dataset))
    rows = faces.rows("test")
    allowed = params.roles.allow_leakage
    learned = {role: FaceStore(FACES.format(name)) for role, name in trained_on(recognizer, params.train_recognizer).items()}
    leaked = refuse_leakage({"maps": FaceStore(FACES.format(params.roles.decoders))} | learned, faces, rows, allowed)
    templates = TemplateStore(TEMPLATES.format(dataset, recognizer), faces)
    missing, rows = len(rows) - len(templates.rows("test")), templates.rows("test")
    identities, originals = faces.identities(rows), templates.template[rows]
    module = load_recognizer(RECOGNIZER.format(recognizer), pick_device(params.device))
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    maps = read_transforms(TRANSFORMS.format(recognizer))
    conditions = {
        "rotated": f"rotate{params.verify.rotate:+d}",
        "translated": f"translate-{params.verify.translate}",
        "scaled": f"scale-{params.verify.scale:g}",
    }

    pairs = {("original", "without"): cosine_pairs(originals.numpy(), originals.numpy(), identities)}
    left_out = {} if module.embeds_images else dict.fromkeys(conditions, NO_IMAGES)
    genuine = pairs["original", "without"].genuine
    if genuine.all() or not genuine.any():
        note = f"{len(rows)} faces with a template: too few for both a person's pair and a pair of two people"
        pairs, left_out = {}, dict.fromkeys(["original", *conditions], note)
    conditions = {condition: name for condition, name in conditions.items() if condition not in left_out}
    for condition, name in conditions.items():
        perturbed = embed_views(module, faces, rows, views[name], params.precision)
        pairs[condition, "without"] = cosine_pairs(originals.numpy(), perturbed.numpy(), identities)
        pairs[condition, "with"] = cosine_pairs(originals.numpy(), maps[name](perturbed).numpy(), identities)

    metrics: dict = {"n_faces": len(rows), "n_identities": len(np.unique(identities))}
    metrics |= {"leaked_identities": leaked, "faces_without_template": missing}
    for condition, note in left_out.items():
        metrics |= {condition: None, f"{condition}_note": note}
        log.info("%s: left out, %s", condition, note)
    columns = ["recognizer", "condition", "map", "far", "tar", "threshold"]
    tables = []
    for (condition, mapped), scores in pairs.items():
        summary = verification_summary(
            scores, samples=params.evaluate.bootstrap, generator=np.random.default_rng(params.seed)
        )
        metrics.setdefault(condition, {})[mapped] = summary
        tables.append(roc_table(scores, points=200).assign(recognizer=recognizer, condition=condition, map=mapped))
        log.info("%s %s the map: EER %.4f", condition, mapped, summary["eer"]["value"])
    for condition in conditions:
        metrics[condition]["difference"] = paired_difference(
            pairs[condition, "with"],
            pairs[condition, "without"],
            samples=params.evaluate.bootstrap,
            generator=np.random.default_rng(params.seed),
        )
    if (listed := params.entry("datasets", dataset).pairs) is not None:
        seen = refuse_leakage(learned, faces, np.arange(len(faces)), allow=True)
        metrics["view2"] = _view2(recognizer, listed, templates, seen, allowed, params.evaluate.bootstrap, params.seed)
    write_json(f"metrics/verify/{recognizer}.json", metrics)
    with replacing(f"plots/verify/{recognizer}.csv") as temporary:
        table = pd.concat(tables) if tables else pd.DataFrame(columns=columns)
        table[columns].to_csv(temporary, index=False, float_format="%.6g")


def _view2(recognizer: str, listed: str, store: TemplateStore, seen: int, allowed: bool, samples: int, seed: int) -> dict:
    """The published protocol, on all people of its list: only for a recognizer that learned from none of them."""
    if seen and not allowed:
        return {"accuracy": None, "view2_note": f"left out: {recognizer} learned from {seen} people of this data set"}
    if not store.known.any():
        return {"accuracy": None, "view2_note": f"left out: {recognizer} has no templates of this data set"}
    pairs = read_pairs(listed)
    scores = pair_scores(pairs, store.faces.faces["key"][store.known], store.template[store.known].numpy())
    summary = view2_summary(pairs, scores, samples, generator=np.random.default_rng(seed))
    log.info("view 2: accuracy %.4f, %d pairs without a face", summary["accuracy"]["mean"], summary["failures"]["pairs"])
    return summary | {"leaked_identities": seen}


if __name__ == "__main__":
    run(main)
