"""Split a recognizer's templates into identity and perceived gender (PFRNet), replace either part, decode (Fig. 17)."""

import numpy as np
import pandas as pd
import torch

from dfd.core.artefacts import write_json, write_table
from dfd.core.devices import pick_device
from dfd.decoder.registry import decode, load_decoder
from dfd.evaluation.disentanglement import cosines_of, fit_probes, measure, pick_faces
from dfd.evaluation.gender import GenderClassifier, Labels, gender_labels
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import Disentangling, load_params
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.disentangling import modified_grid
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


def main(recognizer: str) -> None:
    params = load_params()
    settings, device, samples = params.disentangling, pick_device(params.device), params.evaluate.bootstrap
    store = _templates(params.roles.decoders, recognizer)
    labels = {split: gender_labels(store.faces, store.rows(split), settings.training_faces) for split in ("train", "validation")}
    if reason := too_few(*(torch.from_numpy(found.male) for found in labels.values())):
        note = f"left out: {store.faces.name} has {reason}"
        return _write(recognizer, note, pd.DataFrame(columns=HISTORY), {"left_out_note": note})
    net, history, training = _trained(settings, store, labels, params.seed)
    metrics: dict = {"training": training}
    known = {split: parts(net, store.template[found.rows]) for split, found in labels.items()}
    probes = fit_probes(known["train"], labels["train"].male, known["validation"], labels["validation"].male)

    # The white box comes first: its faces are measured.
    variants = [name for name, variant in params.variants.items() if variant.template == recognizer]
    variants.sort(key=lambda name: params.variants[name].perceptual != recognizer)
    decoders = {name: load_decoder(DECODER.format(name), device) for name in variants}
    measured = decoders[variants[0]] if variants else None
    metrics["variant_note"] = f"faces decoded by {variants[0]}" if variants else f"no variant decodes templates of {recognizer}"
    classifier = GenderClassifier(str(store.faces.attributes["geometry"]))
    judges = {name: load_recognizer(RECOGNIZER.format(name), device) for name in params.recognizers}
    other = next((name for name, judge in judges.items() if name != recognizer and judge.embeds_images), None)
    judges = {name: judges[name] for name in (recognizer, other) if name}
    learned = {"decoder": params.roles.decoders}
    for name in judges:
        learned |= trained_on(name, params.train_recognizer)
    learned = {role: FaceStore(FACES.format(dataset)) for role, dataset in learned.items()}

    for dataset in params.datasets:
        stores = {name: _templates(dataset, name) for name in judges}
        faces = stores[recognizer].faces
        found = gender_labels(faces, stores[recognizer].rows("test"), settings.faces)
        if len(found.rows) == 0:
            metrics |= {dataset: None, f"{dataset}_note": "left out: no test face has a template and a label"}
            continue
        leaked = refuse_leakage(learned, faces, found.rows, params.roles.allow_leakage)
        templates = {name: judge.template[found.rows] for name, judge in stores.items()}
        identities, generator = faces.identities(found.rows), np.random.default_rng(params.seed)
        of = (net, probes, measured, classifier, judges, templates, found.male, identities)
        metrics[dataset] = measure(*of, settings.cosine_faces, samples, generator, params.precision)
        metrics[dataset] |= {"leaked_identities": leaked, "labels_note": found.note}
        log.info("%s on %d faces of %s", recognizer, len(found.rows), dataset)
        if not variants:
            continue
        shown = pick_faces(found.male, identities, settings.shown)
        changed, originals = modified(net, templates[recognizer][shown]), faces.views(found.rows[shown], params.decoder.size)
        images, p_male, cosines = {}, {}, {}
        for name, decoder in decoders.items():
            images[name] = {"original": originals} | {kind: decode(decoder, values) for kind, values in changed.items()}
            p_male[name] = {kind: classifier(image) for kind, image in images[name].items()}
            cosines[name] = dict.fromkeys(images[name])
            if other:
                own = templates[other][shown]
                cosines[name] |= {kind: cosines_of(judges[other], images[name][kind], own, params.precision) for kind in changed}
        title = f"PFRNet on {recognizer}, {dataset}: one part replaced by its mean. Below: "
        title += f"cosine by {other}, P(male)" if other else "P(male)"
        modified_grid(PLOTS.format(recognizer, f"{dataset}.png"), images, found.male[shown], p_male, cosines, title)
    _write(recognizer, net, history, metrics)


def _templates(dataset: str, recognizer: str) -> TemplateStore:
    return TemplateStore(TEMPLATES.format(dataset, recognizer), FaceStore(FACES.format(dataset)))


def _trained(settings: Disentangling, store: TemplateStore, labels: dict[str, Labels], seed: int) -> tuple[PFRNet, pd.DataFrame, dict]:
    """The network, its history, and the metrics of its training. labels: of the splits train and validation."""
    torch.manual_seed(seed)
    unlabelled = store.template[store.rows("train")]
    axes = varying_axes(unlabelled)
    net = PFRNet(store.dimension, axes, min(settings.attribute_size, axes // 2), settings.hidden)
    net.set_statistics(unlabelled)
    learned = []
    for found in labels.values():
        mirrored = None if store.mirrored is None else store.mirrored[found.rows]
        learned.append(Faces(store.template[found.rows], torch.from_numpy(found.male), mirrored))
    options = settings.model_dump(include={"steps", "batch_size", "learning_rate", "weight"})
    history = train(net, *learned, **options, generator=torch.Generator().manual_seed(seed))
    best = history[history["split"] == "validation"].sort_values("total").iloc[0]
    metrics = {"n_faces": len(labels["train"].rows)} | labels["train"].counts | {"labels_note": labels["train"].note} | net.config
    metrics |= {"best_step": int(best["step"]), "parameters": sum(parameter.numel() for parameter in net.parameters())}
    return net, history, metrics | {"validation": best.drop(["step", "split"]).astype(float).to_dict()}


def _write(recognizer: str, net: PFRNet | str, history: pd.DataFrame, metrics: dict) -> None:
    save_pfrnet(DISENTANGLED.format(recognizer), net)
    write_table(PLOTS.format(recognizer, "training.csv"), history)
    write_json(f"metrics/disentangle/{recognizer}.json", metrics)


if __name__ == "__main__":
    run(main)
