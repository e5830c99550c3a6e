"""Fit a recognizer's decoders in closed form: the linear and the quadratic one, baselines."""

from dfd.core.paths import CLOSED_FORM
from dfd.decoder.closed_form import fit
from dfd.decoder.registry import build_decoder, save_decoder
from dfd.faces.examples import Examples
from dfd.project import Project
from stages import log, run


def main(recognizer: str) -> None:
    project = Project()
    params = project.params
    templates = project.templates(params.roles.decoders, recognizer)
    faces = templates.faces
    size = params.decoder.size
    training = Examples(faces, templates.rows("train"), size, templates.template, templates.mirrored, params.memory_gb)
    validation = Examples(faces, templates.rows("validation"), size, templates.template, None, params.memory_gb)
    options_of = {"linear": {"size": size}, "quadratic": {"size": size, "axes": params.closed_form.axes}}
    for architecture, options in options_of.items():
        decoder = build_decoder(architecture, templates.dimension, options)
        fitted = fit(decoder, training, validation)
        config = {"architecture": architecture, "dimension": templates.dimension, "options": options}
        save_decoder(CLOSED_FORM.format(recognizer, architecture), decoder, config)
        log.info(
            "%s decoder of %s: %d faces, strength %g, held-out R² %.3f",
            architecture,
            recognizer,
            fitted.n,
            fitted.strength,
            fitted.r2,
        )


if __name__ == "__main__":
    run(main)
