"""What is tried beside a variant's decoder: ours by each loss, and competitors, as experiments trained them."""

from pathlib import Path
from typing import TYPE_CHECKING

from dfd.core.left_out import LeftOut, told_apart
from dfd.decoder.base import Decoder
from dfd.decoder.registry import load_decoder

if TYPE_CHECKING:
    from dfd.project import Project


def rivals_of(project: "Project", variant: str) -> tuple[dict[str, list[Decoder]], dict[str, LeftOut]]:
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
