"""Fit the closed-form linear decoder of a recognizer's templates: the baseline that a trained decoder must beat."""

from dfd.decoder.linear import fit_linear_decoder
from dfd.decoder.registry import save_decoder
from dfd.faces.examples import Examples
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.templates.store import TemplateStore
from stages import FACES, LINEAR_DECODER, TEMPLATES, log, run


def main(recognizer: str) -> None:
    params = load_params()
    faces = FaceStore(FACES.format(params.roles.decoders))
    templates = TemplateStore(TEMPLATES.format(params.roles.decoders, recognizer), faces)
    size, memory = params.decoder.size, params.train_decoder.memory_gb
    decoder, fit = fit_linear_decoder(
        Examples(faces, faces.rows("train"), size, templates.template, templates.mirrored, memory),
        Examples(faces, faces.rows("validation"), size, templates.template, None, memory),
        size,
    )
    config = {"architecture": "linear", "dimension": templates.dimension, "options": {"size": size}}
    save_decoder(LINEAR_DECODER.format(recognizer), decoder, config)
    log.info("linear decoder of %s: %d faces, strength %g, held-out R² %.3f", recognizer, fit.n, fit.strength, fit.r2)


if __name__ == "__main__":
    run(main)
