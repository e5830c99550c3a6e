"""Block the eyes and the mouth of test faces: what the templates and their reconstructions make of it (Fig. 11)."""

from pathlib import Path

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut
from dfd.measures.estimates import People
from dfd.project import Project
from dfd.recognizers.base import NO_IMAGES
from dfd.studies.occlusion.figures import occlusion_grid
from dfd.studies.occlusion.study import Study
from dfd.templates.people import spread
from stages import log, run


def main() -> None:
    project = Project()
    params = project.params
    settings, every = params.occlusions, project.recognizers()
    metrics: dict = {name: {} for name in every}
    recognizers = {name: recognizer for name, recognizer in every.items() if recognizer.embeds_images}
    for name in every.keys() - recognizers.keys():
        metrics[name] |= LeftOut(f"left out: {NO_IMAGES}").metrics("occlude")
    variants = {variant: v.template for variant, v in params.variants.items() if v.template in recognizers}
    decoders = {variant: (name, project.decoder(variant)) for variant, name in variants.items()}
    study = Study(recognizers, decoders, settings, params.decoder.size)
    learned = project.learned(recognizers, decoder=params.roles.decoders)
    Path("plots/occlude").mkdir(parents=True, exist_ok=True)
    for dataset in params.datasets if recognizers else ():
        faces = project.faces(dataset)
        tested = project.test_rows(faces, learned, lambda rows: spread(rows, settings.max_faces))
        if len(tested) == 0:
            for name in recognizers:
                metrics[name] |= LeftOut("left out: it has no test faces").metrics(dataset)
            log.info("%s has no test faces: left out", dataset)
            continue
        stores = project.template_stores(faces, recognizers)
        templates = {name: store.template[tested.rows] for name, store in stores.items()}
        people = People(tested.identities, params.bootstrap, params.seed)
        trial = study.trial(faces, tested.rows, templates, people)
        for name, measured in study.measured(trial).items():
            metrics[name][dataset] = tested.counts | measured
        title = f"Faces of {dataset} with a block, and their reconstructions"
        picks = spread(np.arange(len(tested)), settings.shown)
        occlusion_grid(f"plots/occlude/{dataset}.png", trial.images, picks, title)
        log.info("%d faces of %s, with blocks over %s", len(tested), dataset, " and ".join(settings.regions))
    for name, values in metrics.items():
        write_json(f"metrics/occlude/{name}.json", values)


if __name__ == "__main__":
    run(main)
