"""Measure one decoder's reconstructions of every data set's test faces, beside three baselines and as attacks."""

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut
from dfd.decoder.provenance import whom_it_saw
from dfd.project import Project
from dfd.studies.reconstruction.study import Study
from stages import log, run


def main(name: str) -> None:
    project = Project()
    params = project.params
    study = Study.open(project, name)
    template, recognizers = study.recognizer, study.recognizers
    learned = project.learned(recognizers, baselines=params.roles.decoders) | {"decoder": whom_it_saw(study.decoder)}
    metrics: dict = {}
    for dataset in params.datasets:
        stores = project.template_stores(dataset, recognizers)
        tested = project.test_rows(stores[template], learned, lambda rows: rows[: params.evaluate.max_faces])
        missing = len(tested.faces.rows("test")) - len(stores[template].rows("test"))
        if len(tested):
            metrics[dataset] = study.measured(tested.rows, stores)
            metrics[dataset] |= {"leaked_identities": tested.leaked, "faces_without_template": missing}
            log.info("%s on %d faces of %s", name, len(tested), dataset)
        elif missing:
            metrics |= LeftOut(f"left out: {template} has no templates of its {missing} test faces").metrics(dataset)
        else:
            log.info("%s has no test faces: left out", dataset)
    write_json(f"metrics/evaluate/{name}.json", metrics)


if __name__ == "__main__":
    run(main)
