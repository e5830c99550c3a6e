"""Fit, for each geometric perturbation, the linear map in template space that undoes it (Eq. 6)."""

from dfd.core.artefacts import write_json
from dfd.core.paths import TRANSFORMS
from dfd.project import Project
from dfd.recognizers.base import NO_IMAGES
from dfd.studies.equivariance.maps import fit_transforms, write_transforms
from dfd.studies.equivariance.perturbations import perturbations
from stages import log, run


def main(recognizer: str) -> None:
    project = Project()
    params = project.params
    settings, network = params.transforms, project.recognizer(recognizer)
    views = perturbations(settings.rotate, settings.translate, settings.scale)
    if not network.embeds_images:
        write_transforms(TRANSFORMS.format(recognizer), NO_IMAGES)
        write_json(f"metrics/fit_transforms/{recognizer}.json", NO_IMAGES.metrics(*views, note="maps"))
        log.info("no maps of templates by %s: %s", recognizer, NO_IMAGES)
        return
    templates = project.templates(params.roles.decoders, recognizer)
    faces = templates.faces
    rows, held_out = faces.rows("train")[: settings.faces], faces.rows("validation")[: settings.held_out]
    fits = fit_transforms(network, faces, templates.template, rows, held_out, views)
    write_transforms(TRANSFORMS.format(recognizer), fits, views=views)
    metrics = {name: {"n": fit.n, "ridge": fit.strength, "held_out_r2": fit.r2} for name, fit in fits.items()}
    if len(held_out) < settings.held_out:
        metrics["held_out_note"] = f"{len(held_out)} validation faces of {faces.name}, all it has"
    write_json(f"metrics/fit_transforms/{recognizer}.json", metrics)
    log.info("%d maps of %d-d templates by %s", len(fits), templates.dimension, recognizer)


if __name__ == "__main__":
    run(main)
