"""Compare what templates of different layers, and so of different sizes, hold (Fig. 5)."""

from dfd.core.left_out import told_apart
from dfd.decoder.registry import decode, load_decoder
from dfd.project import Project
from dfd.studies.reconstruction.comparison import Comparison, against
from dfd.templates.embedding import embed_views
from stages import run


def main() -> None:
    project = Project()
    settings = project.params.experiments.template_layer
    folders, missing = told_apart({layer: project.experiment("template_layer", layer) for layer in settings.layers})
    decoders = {
        layer: load_decoder(f"{folder}/decoder.safetensors", project.device) for layer, folder in folders.items()
    }
    recognizer = project.recognizer(settings.recognizer)
    reference = settings.layers[0]
    comparison = Comparison.open(project, against(decoders, reference), missing, settings.perceptual)
    for tested, templates in comparison.tested(project):
        images = {}
        for layer, decoder in decoders.items():
            recognizer.layer = layer
            images[layer] = decode(decoder, embed_views(recognizer, tested.faces, tested.rows))
        dimensions = {layer: decoder.dimension for layer, decoder in decoders.items()}
        comparison.add(tested, templates, images)["dimensions"] = dimensions
    histories = {layer: f"{folder}/history.csv" for layer, folder in folders.items()}
    title = f"Faces from templates of different layers of {settings.recognizer}"
    metrics = f"metrics/template_layer/{settings.recognizer}.json"
    comparison.write(metrics, "plots/template_layer", title, reference, histories)


if __name__ == "__main__":
    run(main)
