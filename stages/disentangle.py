"""Split a recognizer's templates into identity and perceived gender (PFRNet), replace either part, decode (Fig. 17)."""

import pandas as pd
import torch

from dfd.core.artefacts import write_json, write_table
from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.decoder.registry import load_decoder
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.measures.gender import GenderClassifier, gender_labels
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.studies.disentangling.effects import cosines_of, fit_probes, measure, modified_faces, pick_faces
from dfd.studies.disentangling.figures import modified_grid
from dfd.studies.disentangling.pfrnet import HISTORY, Faces, fit, parts, too_few
from dfd.templates.store import TemplateStore
from stages import DECODER, FACES, RECOGNIZER, TEMPLATES, log, run

PLOTS = "plots/disentangle/{}/{}"


def main(recognizer: str) -> None:
    params = load_params()
    settings, device = params.disentangling, pick_device(params.device)
    store = _templates(params.roles.decoders, recognizer)
    labels = {
        split: gender_labels(store.faces, store.rows(split), settings.training_faces)
        for split in ("train", "validation")
    }
    if reason := too_few(*(torch.from_numpy(found.male) for found in labels.values())):
        left_out = LeftOut(f"left out: {store.faces.name} has {reason}")
        return _write(recognizer, left_out.table(HISTORY), left_out.metrics(note="left_out"))
    learned = [Faces(store.template[found.rows], torch.from_numpy(found.male)) for found in labels.values()]
    if store.mirrored is not None:
        learned[0] = learned[0]._replace(mirrored=store.mirrored[labels["train"].rows])
    net, history, training = fit(settings, store.template[store.rows("train")], *learned, seed=params.seed)
    metrics: dict = {"training": labels["train"].counts | {"labels_note": labels["train"].note} | training}
    known = {split: parts(net, store.template[found.rows]) for split, found in labels.items()}
    probes = fit_probes(known["train"], labels["train"].male, known["validation"], labels["validation"].male)

    # The white box comes first: its faces are measured.
    variants = [name for name, variant in params.variants.items() if variant.template == recognizer]
    variants.sort(key=lambda name: params.variants[name].perceptual != recognizer)
    decoders = {name: load_decoder(DECODER.format(name), device) for name in variants}
    measured = decoders[variants[0]] if variants else None
    metrics["variant_note"] = (
        f"faces decoded by {variants[0]}" if variants else f"no variant decodes templates of {recognizer}"
    )
    classifier = GenderClassifier(str(store.faces.attributes["geometry"]))
    judges = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    other = next((name for name, judge in judges.items() if name != recognizer and judge.embeds_images), None)
    judges = {name: judges[name] for name in (recognizer, other) if name}
    learned = learned_from(judges, params.train_recognizer, FACES, decoder=params.roles.decoders)

    for dataset in params.datasets:
        stores = {name: _templates(dataset, name) for name in judges}
        faces = stores[recognizer].faces
        found = gender_labels(faces, stores[recognizer].rows("test"), settings.max_faces)
        if len(found.rows) == 0:
            metrics |= LeftOut("left out: no test face has a template and a label").metrics(dataset)
            continue
        leaked = refuse_leakage(learned, faces, found.rows, params.roles.allow_leakage)
        templates = {name: judge.template[found.rows] for name, judge in stores.items()}
        people = People(faces.identities(found.rows), params.bootstrap, params.seed)
        of = (net, probes, measured, classifier, judges, templates, found.male, people)
        metrics[dataset] = measure(*of, settings.cosine_faces)
        metrics[dataset] |= {"leaked_identities": leaked, "labels_note": found.note}
        log.info("%s on %d faces of %s", recognizer, len(found.rows), dataset)
        if not variants:
            continue
        shown = pick_faces(found.male, people.identities, settings.shown)
        images = modified_faces(
            net, decoders, templates[recognizer][shown], faces.views(found.rows[shown], params.decoder.size)
        )
        p_male = {name: {kind: classifier(image) for kind, image in kinds.items()} for name, kinds in images.items()}
        cosines = {name: dict.fromkeys(kinds) for name, kinds in images.items()}
        if other:
            own = templates[other][shown]
            for name, kinds in images.items():
                cosines[name] |= {
                    kind: cosines_of(judges[other], image, own) for kind, image in kinds.items() if kind != "original"
                }
        title = f"PFRNet on {recognizer}, {dataset}: one part replaced by its mean. Below: "
        title += f"cosine by {other}, P(male)" if other else "P(male)"
        modified_grid(PLOTS.format(recognizer, f"{dataset}.png"), images, found.male[shown], p_male, cosines, title)
    _write(recognizer, history, metrics)


def _templates(dataset: str, recognizer: str) -> TemplateStore:
    return TemplateStore(TEMPLATES.format(dataset, recognizer), FaceStore(FACES.format(dataset)))


def _write(recognizer: str, history: pd.DataFrame, metrics: dict) -> None:
    write_table(PLOTS.format(recognizer, "training.csv"), history)
    write_json(f"metrics/disentangle/{recognizer}.json", metrics)


if __name__ == "__main__":
    run(main)
