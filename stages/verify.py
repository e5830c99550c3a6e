"""Verify people: original against original, rotated, translated, scaled faces, without and with the maps (Table 2)."""

import numpy as np
import pandas as pd

from dfd.core.artefacts import replacing, write_json
from dfd.core.devices import pick_device
from dfd.evaluation.verification import FARS, cosine_pairs, paired_summary, roc_table, verification_summary
from dfd.evaluation.view2 import pair_scores, pairs_without, people_in, too_few, view2_paired, view2_summary
from dfd.faces.leakage import people_seen, refuse_leakage, trained_on
from dfd.faces.pairs import read_pairs
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
    learned = {role: FaceStore(FACES.format(name)) for role, name in trained_on(recognizer, params.train_recognizer).items()}
    fitted = {"maps": FaceStore(FACES.format(params.roles.decoders))}
    leaked = refuse_leakage(fitted | learned, faces, rows, params.roles.allow_leakage)
    identities = faces.identities(rows)
    templates = TemplateStore(TEMPLATES.format(dataset, recognizer), faces).template
    originals = templates[rows]
    module = load_recognizer(RECOGNIZER.format(recognizer), pick_device(params.device))
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    maps = read_transforms(TRANSFORMS.format(recognizer))
    conditions = {
        "rotated": f"rotate{params.verify.rotate:+d}",
        "translated": f"translate-{params.verify.translate}",
        "scaled": f"scale-{params.verify.scale:g}",
    }
    perturbed = {
        condition: embed_views(module, faces, rows, views[name], params.precision) for condition, name in conditions.items()
    }
    mapped = {condition: maps[name](perturbed[condition]) for condition, name in conditions.items()}

    samples, seed = params.evaluate.bootstrap, params.seed
    metrics: dict = {"n_faces": len(rows), "n_identities": len(np.unique(identities)), "leaked_identities": leaked}
    table, curves = _all_pairs(originals.numpy(), perturbed, mapped, identities, samples, seed)
    metrics |= table
    if (listed := params.entry("datasets", dataset).pairs) is not None:
        pairs, keys = read_pairs(listed), faces.faces["key"]
        seen = set().union(*map(people_seen, learned.values()))
        usable = pairs if params.roles.allow_leakage else pairs_without(pairs, seen)
        metrics["view2"] = _counts(pairs, usable, seen)
        if not metrics["view2"].get("view2_note"):
            scores = pair_scores(usable, keys, templates.numpy())
            metrics["view2"] |= view2_summary(usable, scores, samples, generator=np.random.default_rng(seed))
        tested = pairs_without(pairs, set(faces.faces["identity"]) - set(identities))
        metrics["view2_perturbed"] = _counts(pairs, tested, seen.union(*map(people_seen, fitted.values())))
        if not metrics["view2_perturbed"].get("view2_note"):
            metrics["view2_perturbed"] |= _table2(tested, keys.iloc[rows], originals, perturbed, mapped, samples, seed)
    write_json(f"metrics/verify/{recognizer}.json", metrics)
    with replacing(f"plots/verify/{recognizer}.csv") as temporary:
        columns = ["recognizer", "condition", "map", "far", "tar", "threshold"]
        curves.assign(recognizer=recognizer)[columns].to_csv(temporary, index=False, float_format="%.6g")


def _all_pairs(originals, perturbed: dict, mapped: dict, identities, samples: int, seed: int) -> tuple[dict, pd.DataFrame]:
    """Table 2 over all pairs of test faces: metrics by condition, and the ROC curves."""
    fars = (0.0001, *FARS)
    scores = cosine_pairs(originals, originals, identities)
    metrics = {"original": {"without": verification_summary(scores, fars, samples, generator=np.random.default_rng(seed))}}
    curves = [roc_table(scores, points=200).assign(condition="original", map="without")]
    for name, without in perturbed.items():
        sides = {"with": mapped[name], "without": without}
        sides = {side: cosine_pairs(originals, others.numpy(), identities) for side, others in sides.items()}
        metrics[name] = paired_summary(*sides.values(), fars, samples, generator=np.random.default_rng(seed))
        curves += [roc_table(sides[side], points=200).assign(condition=name, map=side) for side in ("without", "with")]
        log.info("%s: EER %.4f without the map", name, metrics[name]["without"]["eer"]["value"])
    return metrics, pd.concat(curves)


def _counts(pairs: pd.DataFrame, used: pd.DataFrame, seen: set[str]) -> dict:
    """How many of the published pairs are used, and how many people in them were seen in training."""
    counts = {"n_pairs": len(used), "pairs_left_out": len(pairs) - len(used), "leaked_identities": len(seen & people_in(used))}
    if note := too_few(used):
        counts |= {"accuracy": None, "view2_note": f"left out: {note} (pairs with people seen in training are not used)"}
    return counts


def _table2(pairs: pd.DataFrame, keys, originals, perturbed: dict, mapped: dict, samples: int, seed: int) -> dict:
    """Table 2 on the published pairs: of each, the second photo is perturbed."""

    def scores(others) -> np.ndarray:
        return pair_scores(pairs, keys, originals.numpy(), others.numpy())

    metrics = {"original": {"without": view2_summary(pairs, scores(originals), samples, generator=np.random.default_rng(seed))}}
    for name, without in perturbed.items():
        metrics[name] = view2_paired(pairs, scores(mapped[name]), scores(without), samples, generator=np.random.default_rng(seed))
    return metrics


if __name__ == "__main__":
    run(main)
