"""Compare published decoders with ours on the templates of one variant, also as attacks on its recognizer (Figs. 6, 7)."""

from pathlib import Path

from dfd.core.left_out import LeftOut
from dfd.decoder.registry import decode, load_decoder
from dfd.project import Project
from dfd.studies.reconstruction.comparison import Comparison, against
from dfd.studies.reconstruction.figures import draw_acceptance
from stages import run

OURS = "ours"


def main(variant: str) -> None:
    project = Project()
    params, settings = project.params, project.params.experiments.competitors
    recognizers = params.entry("variants", variant)
    template, attacked_dataset = recognizers.template, params.roles.verification
    folders = {name: project.experiment("competitors", f"{name}-{variant}") for name in settings.decoders}
    decoders = {OURS: project.decoder(variant)}
    for name, folder in folders.items():  # also as they were after earlier phases of their training
        for file in sorted(Path(folder).glob("decoder*.safetensors")):
            decoders[file.stem.replace("decoder", name)] = load_decoder(file, project.device)
    comparison = Comparison.open(project, against(decoders, OURS), perceptual=recognizers.perceptual)
    acceptance = LeftOut(f"left out: {attacked_dataset} has no test faces").metrics(note="acceptance")
    for tested, templates in comparison.tested(project, [template]):
        images = {name: decode(decoder, templates[template]) for name, decoder in decoders.items()}
        comparison.add(tested, templates, images)
        if tested.faces.name == attacked_dataset:
            acceptance = comparison.acceptance(tested, template, templates[template], images, settings.far)
    histories = {name: f"{folder}/history.csv" for name, folder in folders.items()}
    title = f"Faces from templates of {template} by ours and by competing decoders"
    plots = f"plots/competitors/{variant}"
    comparison.write(
        f"metrics/competitors/{variant}.json", plots, title, OURS, histories, more={"acceptance": acceptance}
    )
    draw_acceptance(f"{plots}/acceptance.png", acceptance, f"Reconstructions that {template} accepts")


if __name__ == "__main__":
    run(main)
