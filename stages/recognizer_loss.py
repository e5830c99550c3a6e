"""Compare what templates of a softmax and of an ArcFace recognizer hold, both trained on the same people (Fig. 4)."""

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import left_out
from dfd.decoder.learning import NO_GRADIENTS
from dfd.decoder.registry import decode, load_decoder
from dfd.evaluation.acceptance import has_pairs
from dfd.evaluation.comparison import compare
from dfd.evaluation.quality import load_lpips
from dfd.evaluation.verification import cosine_pairs, verification_summary
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.recognizers.training import split_people
from dfd.rendering.comparison import draw_comparison
from dfd.rendering.grids import spread
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, run


def main() -> None:
    params = load_params()
    settings = params.experiments.recognizer_loss
    device = pick_device(params.device)
    folders = {name: EXPERIMENT.format("recognizer_loss", name) for name in settings.objectives}
    missing = {name: note for name, folder in folders.items() if (note := left_out(folder))}
    folders = {name: folder for name, folder in folders.items() if name not in missing}
    decoders = {name: load_decoder(f"{folder}/decoder.safetensors", device) for name, folder in folders.items()}
    seeing = {name: load_recognizer(f"{folder}/recognizer.safetensors", device) for name, folder in folders.items()}
    recognizers = {name: load_recognizer(RECOGNIZER.format(name), device) for name in params.recognizers}
    trained = {"decoder": params.roles.decoders, "recognizer": settings.dataset}
    for name in recognizers:
        trained |= trained_on(name, params.train_recognizer)
    trained = {role: FaceStore(FACES.format(name)) for role, name in trained.items()}
    reference = settings.objectives[0]
    lpips, metrics, notes, shown = load_lpips(device), {}, {}, {}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        learned, rows = split_people(faces, settings.train if dataset == settings.dataset else None, params.seed)
        rows = rows[: params.experiments.faces]
        if not len(rows) or not decoders:
            notes[f"{dataset}_note"] = "left out: no test faces, or no decoder"
            continue
        leaked = refuse_leakage(trained, faces, rows, params.roles.allow_leakage)
        identities = faces.identities(rows)
        templates = {name: embed_views(recognizer, faces, rows, precision=params.precision) for name, recognizer in seeing.items()}
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces).template[rows] for name in recognizers}
        images = {name: decode(decoder, templates[name]) for name, decoder in decoders.items()}
        originals = faces.views(rows, params.decoder.size)
        metrics[dataset] = compare(
            originals,
            images,
            identities,
            {name: (recognizer, stores[name]) for name, recognizer in recognizers.items()},
            lpips,
            reference,
            params.evaluate.bootstrap,
            params.seed,
            params.precision,
        ) | {"leaked_identities": leaked}
        if dataset == settings.dataset:
            metrics[dataset]["learned_from"] = {
                "n_faces": len(learned),
                "n_identities": len(np.unique(faces.identities(learned))),
            }
        if has_pairs(identities):
            metrics[dataset]["verification"] = {
                name: verification_summary(
                    cosine_pairs(found.numpy(), found.numpy(), identities),
                    samples=params.evaluate.bootstrap,
                    generator=np.random.default_rng(params.seed),
                )
                for name, found in templates.items()
            }
        picks = spread(faces.identities(rows), params.reconstruct.faces)
        shown[dataset] = originals[picks], {name: image[picks] for name, image in images.items()}
    left = {"left_out": {name: {"left_out_note": note} for name, note in missing.items()}} if missing else {}
    if not recognizers[settings.perceptual].gives_gradients:
        notes["perceptual_note"] = NO_GRADIENTS.format(settings.perceptual)
    write_json(f"metrics/recognizer_loss/{settings.dataset}.json", metrics | notes | left)
    histories = {name: f"{folder}/history.csv" for name, folder in folders.items()}
    title = f"Faces from templates of recognizers trained by different losses on people of {settings.dataset}"
    draw_comparison("plots/recognizer_loss", title, reference, metrics, shown, missing, histories)


if __name__ == "__main__":
    run(main)
