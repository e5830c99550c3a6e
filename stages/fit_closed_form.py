"""Fit a recognizer's decoders in closed form: the linear and the quadratic one, baselines."""

from dfd.decoder.closed_form import fit
from dfd.decoder.registry import build_decoder, save_decoder
from dfd.faces.examples import Examples
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.templates.store import TemplateStore
from stages import CLOSED_FORM, FACES, TEMPLATES, log, run


def main(recognizer: str) -> None:
    params = load_params()
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, recognizer), faces)
    size = params.decoder.size
    training = Examples(faces, templates.rows("train"), size, templates.template, templates.mirrored, params.memory_gb)
    validation = Examples(faces, templates.rows("validation"), size, templates.template, None, params.memory_gb)
    fitted = {"linear": {"size": size}, "quadratic": {"size": size, "axes": params.closed_form.axes}}
    for architecture, options in fitted.items():
        decoder = build_decoder(architecture, templates.dimension, options)
        found = fit(decoder, training, validation)
        config = {"architecture": architecture, "dimension": templates.dimension, "options": options}
        save_decoder(CLOSED_FORM.format(recognizer, architecture), decoder, config)
        log.info(
            "%s decoder of %s: %d faces, strength %g, held-out R² %.3f",
            architecture,
            recognizer,
            found.n,
            found.strength,
            found.r2,
        )


if __name__ == "__main__":
    run(main)
