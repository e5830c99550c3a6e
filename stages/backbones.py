"""Compare the variants on the same faces: whose templates, and whose φ (Fig. 3, Table 1)."""

from functools import reduce

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from
from dfd.faces.store import FaceStore
from dfd.measures.quality import load_lpips
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import spread
from dfd.studies.reconstruction.comparison import Comparison
from dfd.studies.reconstruction.figures import comparison_figures, comparison_grid, comparison_table
from dfd.templates.store import TemplateStore
from stages import DECODER, FACES, RECOGNIZER, TEMPLATES, run

TITLE = "Faces from templates of two recognizers"


def main() -> None:
    params = load_params()
    device, variants = pick_device(params.device), params.variants
    decoders = {name: load_decoder(DECODER.format(name), device) for name in variants}
    recognizers = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    comparison = Comparison(
        recognizers=recognizers,
        learned=learned_from(recognizers, params.train_recognizer, FACES, decoder=params.roles.decoders),
        allow_leakage=params.roles.allow_leakage,
        lpips=load_lpips(device),
        references={
            name: [  # those that differ in one of the two
                other
                for other, others in variants.items()
                if (others.template == own.template) != (others.perceptual == own.perceptual)
            ]
            for name, own in variants.items()
        },
        samples=params.bootstrap,
        seed=params.seed,
        size=params.decoder.size,
    )
    metrics, notes, shown = {}, {}, {}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in recognizers}
        known = [stores[variant.template].rows("test") for variant in variants.values()]
        rows = reduce(np.intersect1d, known)[: params.experiments.max_faces]
        if not len(rows):
            notes[f"{dataset}_note"] = "left out: no test face has templates of all recognizers that are decoded"
            continue
        templates = {name: store.template[rows] for name, store in stores.items()}
        images = {name: decode(decoder, templates[variants[name].template]) for name, decoder in decoders.items()}
        picks = spread(faces.identities(rows), params.reconstruct.faces)
        metrics[dataset], shown[dataset] = comparison.on(faces, rows, images, templates, picks)
    write_json("metrics/backbones/variants.json", metrics | notes)
    reference = next(iter(variants))
    comparison_figures("plots/backbones", comparison_table(metrics, reference), TITLE, reference)
    if shown:
        comparison_grid("plots/backbones/faces.png", TITLE, shown, {})


if __name__ == "__main__":
    run(main)
