"""Split a recognizer's templates into identity and perceived gender (PFRNet), replace either part, decode (Fig. 17)."""

from functools import partial

import numpy as np
import pandas as pd
import torch

from dfd.core.artefacts import replacing, write_json
from dfd.core.devices import pick_device
from dfd.decoder.registry import decode, load_decoder
from dfd.evaluation.disentanglement import cosines_of, fit_probes, measure, pick_faces
from dfd.evaluation.gender import GenderClassifier, Labels, gender_labels
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import image_grid
from dfd.templates.disentangling import (
    HISTORY,
    Faces,
    PFRNet,
    modified,
    parts,
    save_pfrnet,
    too_few,
    train,
    varying_axes,
)
from dfd.templates.store import TemplateStore
from stages import DECODER, DISENTANGLED, FACES, RECOGNIZER, TEMPLATES, log, run

PLOTS = "plots/disentangle/{}/{}"
TITLE = "PFRNet on {}, {}: one part replaced by its mean. Below: cosine by {}, P(male)"


def main(recognizer: str) -> None:
    params = load_params()
    settings, device = params.disentangling, pick_device(params.device)
    faces = FaceStore(FACES.format(params.roles.decoders))
    store = TemplateStore(TEMPLATES.format(faces.name, recognizer), faces)
    labels = {split: _labels(faces, store, split, settings.training_faces) for split in ("train", "validation")}
    learned = {split: _faces(store, found) for split, found in labels.items()}
    if reason := too_few(learned["train"].male, learned["validation"].male):
        _write(
            recognizer,
            f"{faces.name} has {reason}",
            pd.DataFrame(columns=HISTORY),
            {"left_out_note": f"{faces.name} has {reason}"},
        )
        return
    torch.manual_seed(params.seed)
    unlabelled = store.template[store.rows("train")]
    axes = varying_axes(unlabelled)
    net = PFRNet(store.dimension, axes, min(settings.attribute_size, axes // 2), settings.hidden)
    net.set_statistics(unlabelled)
    options = settings.model_dump(include={"steps", "batch_size", "learning_rate", "weight"})
    history = train(
        net, learned["train"], learned["validation"], **options, generator=torch.Generator().manual_seed(params.seed)
    )
    best = history[history["split"] == "validation"].sort_values("total").iloc[0]
    training = {"n_faces": len(labels["train"].rows)} | labels["train"].counts | {"labels_note": labels["train"].note}
    training |= net.config | {
        "best_step": int(best["step"]),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
    }
    metrics: dict = {"training": training | {"validation": best.drop(["step", "split"]).astype(float).to_dict()}}
    known = {split: parts(net, found.templates) for split, found in learned.items()}
    probes = fit_probes(known["train"], labels["train"].male, known["validation"], labels["validation"].male)

    variants = [name for name, variant in params.variants.items() if variant.template == recognizer]
    variants.sort(
        key=lambda name: params.variants[name].perceptual != recognizer
    )  # the white box first: it is measured
    decoders = {name: load_decoder(DECODER.format(name), device) for name in variants}
    metrics["variant_note"] = (
        f"faces decoded by {variants[0]}" if variants else f"no variant decodes templates of {recognizer}"
    )
    classifier = GenderClassifier(str(faces.attributes["geometry"]))
    judges = {name: load_recognizer(RECOGNIZER.format(name), device) for name in params.recognizers}
    others = [name for name, judge in judges.items() if name != recognizer and judge.embeds_images]
    judges = {name: judges[name] for name in [recognizer, *others[:1]]}
    roles = {"decoder": faces.name}
    for name in judges:
        roles |= trained_on(name, params.train_recognizer)
    seen = {role: FaceStore(FACES.format(dataset)) for role, dataset in roles.items()}

    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in judges}
        found = _labels(faces, stores[recognizer], "test", settings.faces)
        if len(found.rows) == 0:
            metrics |= {dataset: None, f"{dataset}_note": "left out: no test face has a template and a label"}
            continue
        leaked = refuse_leakage(seen, faces, found.rows, params.roles.allow_leakage)
        templates = {name: store.template[found.rows] for name, store in stores.items()}
        identities = faces.identities(found.rows)
        metrics[dataset] = measure(
            net,
            probes,
            decoders[variants[0]] if variants else None,
            classifier,
            judges,
            templates,
            found.male,
            identities,
            settings.cosine_faces,
            params.evaluate.bootstrap,
            np.random.default_rng(params.seed),
            params.precision,
        ) | {"leaked_identities": leaked, "labels_note": found.note}
        shown = pick_faces(found.male, identities, settings.shown)
        if variants:
            images = {
                name: {"original": faces.views(found.rows[shown], params.decoder.size)}
                | {
                    kind: decode(decoder, changed)
                    for kind, changed in modified(net, templates[recognizer][shown]).items()
                }
                for name, decoder in decoders.items()
            }
            judge = others[0] if others else None
            cosines = judge and partial(
                cosines_of, judges[judge], templates=templates[judge][shown], precision=params.precision
            )
            title = TITLE.format(recognizer, dataset, judge or "no recognizer")
            _draw(PLOTS.format(recognizer, f"{dataset}.png"), title, images, found.male[shown], classifier, cosines)
        log.info("%s on %d faces of %s", recognizer, len(found.rows), dataset)
    _write(recognizer, net, history, metrics)


def _labels(faces: FaceStore, store: TemplateStore, split: str, count: int) -> Labels:
    return gender_labels(faces, store.rows(split), count)


def _faces(store: TemplateStore, labels: Labels) -> Faces:
    mirrored = None if store.mirrored is None else store.mirrored[labels.rows]
    return Faces(store.template[labels.rows], torch.from_numpy(labels.male), mirrored)


def _draw(path: str, title: str, images: dict, male: np.ndarray, classifier: GenderClassifier, cosines) -> None:
    """A row for each face and variant, a column for each replacement; `cosines` gives those of N images, or is None."""
    rows, captions, by_variant = [], [], {}
    for variant, kinds in images.items():
        p_male = [classifier(image) for image in kinds.values()]
        cosine = [None if cosines is None or kind == "original" else cosines(image) for kind, image in kinds.items()]
        by_variant[variant] = [
            [
                f"{p[face]:.2f}" if c is None else f"{c[face]:.2f}  {p[face]:.2f}"
                for p, c in zip(p_male, cosine, strict=True)
            ]
            for face in range(len(male))
        ]
    for face, is_male in enumerate(male):
        for variant, kinds in images.items():
            label = f"{'male' if is_male else 'female'} {face + 1}, {variant}"
            rows.append((label, torch.stack([image[face] for image in kinds.values()])))
            captions.append(by_variant[variant][face])
    columns = [kind.replace("-", ": ") for kind in next(iter(images.values()))]
    image_grid(path, rows, columns, title, captions, cell=96, groups=[1, 2, 5])


def _write(recognizer: str, net: PFRNet | str, history: pd.DataFrame, metrics: dict) -> None:
    save_pfrnet(DISENTANGLED.format(recognizer), net)
    with replacing(PLOTS.format(recognizer, "training.csv")) as temporary:
        history.to_csv(temporary, index=False, float_format="%.6g")
    write_json(f"metrics/disentangle/{recognizer}.json", metrics)


if __name__ == "__main__":
    run(main)
