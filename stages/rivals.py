"""Ours by each loss, and competing decoders, as attacks beside the variant's own: on the same faces, by every recognizer."""

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut, left_out_metrics
from dfd.project import Project
from dfd.studies.inversion.figures import draw_ensembles, draw_sources
from dfd.studies.inversion.rivals import rivals_of
from dfd.studies.inversion.study import Study, tried_photos
from dfd.templates.people import SharedTemplates
from stages import log, run

NO_PROTECTIONS = LeftOut("left out: protections are tried of variants alone")


def main() -> None:
    project = Project()
    params = project.params
    dataset, experiments = params.roles.verification, params.experiments
    learned = project.learned(params.recognizers, decoder=params.roles.decoders)
    shared = SharedTemplates(project.template_stores(dataset, params.recognizers))
    for variant in dict.fromkeys([experiments.ablation.variant, *experiments.competitors.variants]):
        template = params.entry("variants", variant).template
        rivals, missing = rivals_of(project, variant)
        firsts = {name: trainings[0] for name, trainings in rivals.items()}
        study = Study.open(project, variant, template, NO_PROTECTIONS, firsts)
        tested = project.test_rows(shared, learned, tried_photos(shared.faces, params.verify.photos))
        metrics = left_out_metrics(missing)
        if len(tested) == 0 or template in shared.left_out:
            nobody = LeftOut(f"left out: {dataset} has no test faces that every recognizer has a template of")
            metrics |= nobody.metrics(*rivals, note="rivals")
        else:
            templates = {key: every[tested.rows] for key, every in shared.templates.items()}
            trial = study.trial(tested.faces, tested.rows, templates)
            metrics |= study.compared(trial, rivals) | {"leaked_identities": tested.leaked}
            ensembles = {name: study.ensemble(trial, every) for name, every in rivals.items() if len(every) > 1}
            for name, ensemble in ensembles.items():
                metrics[name]["ensemble"] = ensemble.metrics
            draw_sources(f"plots/rivals/{variant}/sources.png", study, trial, f"{variant} on {dataset}, beside others")
            draw_ensembles(f"plots/rivals/{variant}", study, trial, ensembles)
        write_json(f"metrics/rivals/{variant}.json", {dataset: metrics})
        log.info("%d rivals of %s on %d faces of %s", len(rivals), variant, len(tested), dataset)


if __name__ == "__main__":
    run(main)
