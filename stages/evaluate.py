"""Measure one decoder's reconstructions of every data set's test faces, beside three baselines and as attacks."""

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut
from dfd.decoder.provenance import whom_it_saw
from dfd.measures.quality import load_lpips
from dfd.project import Project
from dfd.studies.reconstruction.study import Study
from stages import log, run


def main(name: str) -> None:
    project = Project()
    params = project.params
    template, decoder, recognizers = params.entry("decoders", name), project.decoder(name), project.recognizers()
    study = Study(
        decoder,
        project.closed_form(template),
        template,
        recognizers,
        load_lpips(project.device),
        params.evaluate,
        params.verify.photos,
        params.bootstrap,
        params.seed,
    )
    learned = project.learned(recognizers, baselines=params.roles.decoders) | {"decoder": whom_it_saw(decoder)}
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
