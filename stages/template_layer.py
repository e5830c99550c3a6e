"""Compare what templates of different layers, and so of different sizes, hold (Fig. 5)."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import left_out
from dfd.decoder.learning import NO_GRADIENTS
from dfd.decoder.registry import decode, load_decoder
from dfd.evaluation.comparison import compare
from dfd.evaluation.quality import load_lpips
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.comparison import draw_comparison
from dfd.rendering.grids import spread
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, run


def main() -> None:
    params = load_params()
    settings = params.experiments.template_layer
    device = pick_device(params.device)
    folders = {layer: EXPERIMENT.format("template_layer", layer) for layer in settings.layers}
    missing = {layer: note for layer, folder in folders.items() if (note := left_out(folder))}
    folders = {layer: folder for layer, folder in folders.items() if layer not in missing}
    decoders = {layer: load_decoder(f"{folder}/decoder.safetensors", device) for layer, folder in folders.items()}
    recognizers = {name: load_recognizer(RECOGNIZER.format(name), device) for name in params.recognizers}
    seeing = load_recognizer(RECOGNIZER.format(settings.recognizer), device)
    trained = {"decoder": params.roles.decoders}
    for name in recognizers:
        trained |= trained_on(name, params.train_recognizer)
    trained = {role: FaceStore(FACES.format(name)) for role, name in trained.items()}
    lpips, metrics, notes, shown = load_lpips(device), {}, {}, {}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        rows = faces.rows("test")[: params.experiments.faces]
        if not len(rows) or not decoders:
            notes[f"{dataset}_note"] = "left out: no test faces, or no decoder"
            continue
        leaked = refuse_leakage(trained, faces, rows, params.roles.allow_leakage)
        images = {}
        for layer, decoder in decoders.items():
            seeing.layer = layer
            images[layer] = decode(decoder, embed_views(seeing, faces, rows, precision=params.precision))
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces).template[rows] for name in recognizers}
        originals = faces.views(rows, params.decoder.size)
        metrics[dataset] = compare(
            originals,
            images,
            faces.identities(rows),
            {name: (recognizer, stores[name]) for name, recognizer in recognizers.items()},
            lpips,
            settings.layers[0],
            params.evaluate.bootstrap,
            params.seed,
            params.precision,
        ) | {
            "leaked_identities": leaked,
            "dimensions": {layer: int(decoder.template_mean.numel()) for layer, decoder in decoders.items()},
        }
        picks = spread(faces.identities(rows), params.reconstruct.faces)
        shown[dataset] = originals[picks], {layer: image[picks] for layer, image in images.items()}
    left = {"left_out": {layer: {"left_out_note": note} for layer, note in missing.items()}} if missing else {}
    if not recognizers[settings.perceptual].gives_gradients:
        notes["perceptual_note"] = NO_GRADIENTS.format(settings.perceptual)
    write_json(f"metrics/template_layer/{settings.recognizer}.json", metrics | notes | left)
    histories = {layer: f"{folder}/history.csv" for layer, folder in folders.items()}
    title = f"Faces from templates of different layers of {settings.recognizer}"
    draw_comparison("plots/template_layer", title, settings.layers[0], metrics, shown, missing, histories)


if __name__ == "__main__":
    run(main)
