"""Ours by each loss, and competing decoders, as attacks beside the variant's own: on the same faces, by every recognizer."""

from pathlib import Path

from dfd.core.artefacts import write_json
from dfd.core.left_out import LeftOut, left_out_metrics, told_apart
from dfd.decoder.base import Decoder
from dfd.decoder.registry import load_decoder
from dfd.measures.quality import load_lpips
from dfd.project import Project
from dfd.studies.inversion.figures import draw_ensembles, draw_sources
from dfd.studies.inversion.study import Study, tried_photos
from dfd.templates.people import SharedTemplates
from stages import log, run

NO_PROTECTIONS = LeftOut("left out: protections are tried of variants alone")


def main() -> None:
    project = Project()
    params, recognizers = project.params, project.recognizers()
    dataset, experiments = params.roles.verification, params.experiments
    learned = project.learned(recognizers, decoder=params.roles.decoders)
    shared = SharedTemplates(project.template_stores(dataset, recognizers))
    for variant in dict.fromkeys([experiments.ablation.variant, *experiments.competitors.variants]):
        template = params.entry("variants", variant).template
        rivals, missing = _rivals(project, variant)
        study = Study(
            project.decoder(variant),
            project.closed_form(template) | {name: trainings[0] for name, trainings in rivals.items()},
            recognizers,
            template,
            project.templates(params.roles.decoders, template),
            NO_PROTECTIONS,
            load_lpips(project.device),
            params.inversion,
            params.evaluate.far,
            params.bootstrap,
            params.seed,
        )
        tested = project.test_rows(shared, learned, tried_photos(shared.faces, params.verify.photos))
        metrics = left_out_metrics(missing)
        if len(tested) == 0 or template in shared.left_out:
            nobody = LeftOut(f"left out: {dataset} has no test faces that every recognizer has a template of")
            metrics |= nobody.metrics(*rivals, note="rivals")
        else:
            templates = {key: every[tested.rows] for key, every in shared.templates.items()}
            trial = study.trial(tested.faces, tested.rows, templates)
            metrics |= study.compared(trial, rivals) | {"leaked_identities": tested.leaked}
            several = {name: trainings for name, trainings in rivals.items() if len(trainings) > 1}
            ensembles = {name: study.ensemble(trial, trainings) for name, trainings in several.items()}
            for name, ensemble in ensembles.items():
                metrics[name]["ensemble"] = ensemble.metrics
            draw_sources(f"plots/rivals/{variant}/sources.png", study, trial, f"{variant} on {dataset}, beside others")
            draw_ensembles(f"plots/rivals/{variant}", study, trial, ensembles)
        write_json(f"metrics/rivals/{variant}.json", {dataset: metrics})
        log.info("%d rivals of %s on %d faces of %s", len(rivals), variant, len(tested), dataset)


def _rivals(project: Project, variant: str) -> tuple[dict[str, list[Decoder]], dict[str, LeftOut]]:
    """By name the trainings of each decoder of the variant's templates that experiments trained, and why others are none:
    ours by each loss, from every seed, and competitors, also as they were after earlier phases."""
    ablation, competitors = project.params.experiments.ablation, project.params.experiments.competitors
    files: dict[str, list[Path]] = {}
    left_out: dict[str, LeftOut] = {}
    if variant == ablation.variant:
        folders, left_out = told_apart(
            {f"loss-{loss}": project.experiment("ablation", loss) for loss in ablation.losses}
        )
        files |= {
            name: [Path(folder, f"decoder-{seed}.safetensors") for seed in ablation.seeds]
            for name, folder in folders.items()
        }
    if variant in competitors.variants:
        folders = {name: project.experiment("competitors", f"{name}-{variant}") for name in competitors.decoders}
        folders, missing = told_apart(folders)
        left_out |= missing
        for name, folder in folders.items():
            found = sorted(Path(folder).glob("decoder*.safetensors"))
            files |= {file.stem.replace("decoder", name): [file] for file in found}
    return {name: [load_decoder(file, project.device) for file in found] for name, found in files.items()}, left_out


if __name__ == "__main__":
    run(main)
