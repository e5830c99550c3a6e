"""Verification of original against perturbed faces, without and with the linear map (Table 2)."""

import numpy as np
import pandas as pd

from dfd.core.artefacts import replacing, write_json
from dfd.core.devices import pick_device
from dfd.evaluation.verification import cosine_pairs, paired_difference, roc_table, verification_summary
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.perturbations.geometry import perturbations
from dfd.perturbations.transforms import read_transforms
from dfd.recognizers.registry import load_recognizer
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import FACES, RECOGNIZER, TEMPLATES, TRANSFORMS, log, run


def main(recognizer: str) -> None:
    params = load_params()
    dataset = params.roles.verification
    faces = FaceStore(FACES.format(dataset))
    rows = faces.rows("test")
    trained = {"maps": params.roles.decoders} | trained_on(recognizer, params.train_recognizer)
    stores = {role: FaceStore(FACES.format(name)) for role, name in trained.items()}
    leaked = refuse_leakage(stores, faces, rows, params.roles.allow_leakage)
    identities = faces.identities(rows)
    originals = TemplateStore(TEMPLATES.format(dataset, recognizer), faces).template[rows]
    module = load_recognizer(RECOGNIZER.format(recognizer), pick_device(params.device))
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    maps = read_transforms(TRANSFORMS.format(recognizer))
    conditions = {
        "rotated": f"rotate{params.verify.rotate:+d}",
        "translated": f"translate-{params.verify.translate}",
        "scaled": f"scale-{params.verify.scale:g}",
    }

    pairs = {("original", "without"): cosine_pairs(originals.numpy(), originals.numpy(), identities)}
    for condition, name in conditions.items():
        perturbed = embed_views(module, faces, rows, views[name], params.precision)
        pairs[condition, "without"] = cosine_pairs(originals.numpy(), perturbed.numpy(), identities)
        pairs[condition, "with"] = cosine_pairs(originals.numpy(), maps[name](perturbed).numpy(), identities)

    metrics: dict = {"n_faces": len(rows), "n_identities": len(np.unique(identities)), "leaked_identities": leaked}
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
    write_json(f"metrics/verify/{recognizer}.json", metrics)
    with replacing(f"plots/verify/{recognizer}.csv") as temporary:
        columns = ["recognizer", "condition", "map", "far", "tar", "threshold"]
        pd.concat(tables)[columns].to_csv(temporary, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
