"""Compare what templates of different layers, and so of different sizes, hold (Fig. 5)."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import left_out_metrics, told_apart
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from
from dfd.faces.store import FaceStore
from dfd.learning.decoders import no_features
from dfd.measures.quality import load_lpips
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import spread
from dfd.studies.reconstruction.comparison import Comparison, against
from dfd.studies.reconstruction.figures import draw_comparison
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, run


def main() -> None:
    params = load_params()
    settings, device = params.experiments.template_layer, pick_device(params.device)
    reference = settings.layers[0]
    folders, missing = told_apart({layer: EXPERIMENT.format("template_layer", layer) for layer in settings.layers})
    decoders = {layer: load_decoder(f"{folder}/decoder.safetensors", device) for layer, folder in folders.items()}
    recognizers = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    recognizer = load_recognizer(RECOGNIZER.format(settings.recognizer), device, params.faces.geometry)
    comparison = Comparison(
        recognizers=recognizers,
        learned=learned_from(recognizers, params.train_recognizer, FACES, decoder=params.roles.decoders),
        allow_leakage=params.roles.allow_leakage,
        lpips=load_lpips(device),
        references=against(decoders, reference),
        samples=params.bootstrap,
        seed=params.seed,
        size=params.decoder.size,
    )
    metrics, notes, shown = {}, left_out_metrics(missing), {}
    if not recognizers[settings.perceptual].gives_gradients:
        notes |= no_features(settings.perceptual).metrics(note="perceptual")
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        rows = faces.rows("test")[: params.experiments.max_faces]
        if not len(rows) or not decoders:
            notes[f"{dataset}_note"] = "left out: no test faces, or no decoder"
            continue
        images = {}
        for layer, decoder in decoders.items():
            recognizer.layer = layer
            images[layer] = decode(decoder, embed_views(recognizer, faces, rows))
        templates = {name: TemplateStore(TEMPLATES.format(dataset, name), faces).template[rows] for name in recognizers}
        picks = spread(faces.identities(rows), params.reconstruct.faces)
        metrics[dataset], shown[dataset] = comparison.on(faces, rows, images, templates, picks)
        metrics[dataset]["dimensions"] = {layer: decoder.dimension for layer, decoder in decoders.items()}
    write_json(f"metrics/template_layer/{settings.recognizer}.json", metrics | notes)
    histories = {layer: f"{folder}/history.csv" for layer, folder in folders.items()}
    title = f"Faces from templates of different layers of {settings.recognizer}"
    draw_comparison("plots/template_layer", title, reference, metrics, shown, missing, histories)


if __name__ == "__main__":
    run(main)
