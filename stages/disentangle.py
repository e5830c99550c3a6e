"""Split a recognizer's templates into identity and perceived gender (PFRNet), replace either part, decode (Fig. 17)."""

import pandas as pd

from dfd.core.artefacts import write_json, write_table
from dfd.core.left_out import LeftOut
from dfd.measures.estimates import People
from dfd.measures.gender import GenderClassifier, gender_labels
from dfd.project import Project
from dfd.studies.disentangling.figures import modified_grid
from dfd.studies.disentangling.pfrnet import HISTORY
from dfd.studies.disentangling.study import Study, Trial, learn_split
from stages import log, run


def main(recognizer: str) -> None:
    project = Project()
    params = project.params
    settings, store = params.disentangling, project.templates(params.roles.decoders, recognizer)
    split = learn_split(store, settings, params.seed)
    if isinstance(split, LeftOut):
        return _write(recognizer, split.table(HISTORY), split.metrics(note="left_out"))

    # The white box comes first: its faces are measured.
    variants = [name for name, variant in params.variants.items() if variant.template == recognizer]
    variants.sort(key=lambda name: params.variants[name].perceptual != recognizer)
    decoders = {name: project.decoder(name) for name in variants}
    judges = project.recognizers()
    other = next((name for name, judge in judges.items() if name != recognizer and judge.embeds_images), None)
    judges = {name: judges[name] for name in (recognizer, other) if name}
    study = Study(split, decoders, judges, GenderClassifier(store.faces.geometry), settings)
    learned = project.learned(judges, decoder=params.roles.decoders)

    note = f"faces decoded by {variants[0]}" if variants else f"no variant decodes templates of {recognizer}"
    metrics: dict = {"training": split.metrics, "variant_note": note}
    for dataset in params.datasets:
        stores = project.template_stores(dataset, judges)
        faces = stores[recognizer].faces
        labels = gender_labels(faces, stores[recognizer].rows("test"), settings.max_faces)
        if len(labels.rows) == 0:
            metrics |= LeftOut("left out: no test face has a template and a label").metrics(dataset)
            continue
        tested = project.test_rows(faces, learned, lambda _, labels=labels: labels.rows)
        people = People(tested.identities, params.bootstrap, params.seed)
        trial = Trial(labels, {name: judge.template[tested.rows] for name, judge in stores.items()}, people)
        metrics[dataset] = study.measured(trial) | {"leaked_identities": tested.leaked, "labels_note": labels.note}
        log.info("%s on %d faces of %s", recognizer, len(tested), dataset)
        if variants:
            title = f"PFRNet on {recognizer}, {dataset}: one part replaced by its mean. Below: "
            title += f"cosine by {other}, P(male)" if other else "P(male)"
            path = f"plots/disentangle/{recognizer}/{dataset}.png"
            modified_grid(path, *study.drawn(trial, faces, params.decoder.size), title)
    _write(recognizer, split.history, metrics)


def _write(recognizer: str, history: pd.DataFrame, metrics: dict) -> None:
    write_table(f"plots/disentangle/{recognizer}/training.csv", history)
    write_json(f"metrics/disentangle/{recognizer}.json", metrics)


if __name__ == "__main__":
    run(main)
