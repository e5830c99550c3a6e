"""Measure what each part of the loss is worth (Table 1): the rows' decoders on the same faces, paired, also by seed."""

from dfd.core.left_out import told_apart
from dfd.decoder.registry import decode, load_decoder
from dfd.project import Project
from dfd.studies.reconstruction.comparison import Comparison, against
from stages import run

FULL = "full"
OTHERS = ("global", "perceptual")  # also compared with: for what each loss is worth; for which row is worst


def main() -> None:
    project = Project()
    settings = project.params.experiments.ablation
    template, seeds = project.params.entry("variants", settings.variant).template, settings.seeds
    folders, missing = told_apart({loss: project.experiment("ablation", loss) for loss in settings.losses})
    references = against(folders, FULL, *(other for other in OTHERS if other in settings.losses))
    comparison = Comparison.open(project, references, missing)
    for tested, templates in comparison.tested(project, [template]):
        decoders = {
            loss: [f"{folder}/decoder-{seed}.safetensors" for seed in seeds] for loss, folder in folders.items()
        }
        images = {  # one seed's at a time: those of all rows and seeds would take gigabytes
            loss: (decode(load_decoder(file, project.device), templates[template]) for file in files)
            for loss, files in decoders.items()
        }
        comparison.add(tested, templates, images)["n_seeds"] = len(seeds)
    histories = {loss: f"{folder}/history.csv" for loss, folder in folders.items()}
    title = f"Losses of {settings.variant}"
    comparison.write(f"metrics/ablation/{settings.variant}.json", "plots/ablation", title, FULL, histories)


if __name__ == "__main__":
    run(main)
