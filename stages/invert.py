"""What templates give away through one decoder: as an attack, beside what is no decoder, and under protection."""

from pathlib import Path

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut
from dfd.decoder.provenance import whom_it_saw
from dfd.project import Project
from dfd.studies.inversion.figures import draw
from dfd.studies.inversion.protections import IDENTITY_PART
from dfd.studies.inversion.study import Study, tried_photos
from dfd.templates.people import SharedTemplates
from stages import log, run

NOT_TRIED = LeftOut("left out: it is not among inversion.protections")


def main(name: str) -> None:
    project = Project()
    params = project.params
    template = params.entry("decoders", name)
    split = project.identity_part(template) if IDENTITY_PART in params.inversion.protections else NOT_TRIED
    study = Study.open(project, name, template, split)
    learned = project.learned(study.recognizers, baselines=params.roles.decoders)
    learned |= {"decoder": whom_it_saw(study.decoder)}
    metrics = {}
    for dataset in params.datasets:
        shared = SharedTemplates(project.template_stores(dataset, study.recognizers))
        tested = project.test_rows(shared, learned, tried_photos(shared.faces, params.verify.photos))
        if len(tested) == 0 or template in shared.left_out:
            nobody = LeftOut("left out: it has no test faces that every recognizer has a template of")
            metrics |= shared.left_out.get(template, nobody).metrics(dataset)
            continue
        templates = {key: every[tested.rows] for key, every in shared.templates.items()}
        trial = study.trial(tested.faces, tested.rows, templates)
        metrics[dataset] = study.measured(trial, whole=dataset == params.roles.verification)
        metrics[dataset]["leaked_identities"] = tested.leaked
        draw(Path("plots/invert", name, dataset), study, trial, metrics[dataset], f"{name} on {dataset}")
        log.info("%s on %d faces of %s", name, len(trial.attacked), dataset)
    write_json(f"metrics/invert/{name}.json", metrics)


if __name__ == "__main__":
    run(main)
