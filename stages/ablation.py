"""Measure what each part of the loss is worth (Table 1): every row's decoder against that of the full loss, paired."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import left_out
from dfd.decoder.registry import decode, load_decoder
from dfd.evaluation.comparison import compare
from dfd.evaluation.quality import load_lpips
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.comparison import draw_comparison
from dfd.rendering.grids import spread
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, run

REFERENCE = "full"


def main() -> None:
    params = load_params()
    device = pick_device(params.device)
    variant = params.entry("variants", params.experiments.ablation.variant)
    folders = {loss: EXPERIMENT.format("ablation", loss) for loss in params.experiments.ablation.losses}
    missing = {loss: note for loss, folder in folders.items() if (note := left_out(folder))}
    folders = {loss: folder for loss, folder in folders.items() if loss not in missing}
    decoders = {loss: load_decoder(f"{folder}/decoder.safetensors", device) for loss, folder in folders.items()}
    recognizers = {name: load_recognizer(RECOGNIZER.format(name), device) for name in params.recognizers}
    trained = {"decoder": params.roles.decoders}
    for name in recognizers:
        trained |= trained_on(name, params.train_recognizer)
    trained = {role: FaceStore(FACES.format(name)) for role, name in trained.items()}
    lpips, metrics, notes, shown = load_lpips(device), {}, {}, {}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in recognizers}
        rows = stores[variant.template].rows("test")[: params.experiments.faces]
        if not len(rows) or not decoders:
            notes[f"{dataset}_note"] = "left out: no test face with a template, or no decoder"
            continue
        leaked = refuse_leakage(trained, faces, rows, params.roles.allow_leakage)
        templates = {name: store.template[rows] for name, store in stores.items()}
        originals = faces.views(rows, params.decoder.size)
        images = {loss: decode(decoder, templates[variant.template]) for loss, decoder in decoders.items()}
        metrics[dataset] = compare(
            originals,
            images,
            faces.identities(rows),
            {name: (recognizer, templates[name]) for name, recognizer in recognizers.items()},
            lpips,
            REFERENCE,
            params.evaluate.bootstrap,
            params.seed,
            params.precision,
        ) | {"leaked_identities": leaked}
        picks = spread(faces.identities(rows), params.reconstruct.faces)
        shown[dataset] = originals[picks], {loss: image[picks] for loss, image in images.items()}
    left = {"left_out": {loss: {"left_out_note": note} for loss, note in missing.items()}} if missing else {}
    write_json(f"metrics/ablation/{params.experiments.ablation.variant}.json", metrics | notes | left)
    histories = {loss: f"{folder}/history.csv" for loss, folder in folders.items()}
    title = f"Losses of {params.experiments.ablation.variant}, the network alone"
    draw_comparison("plots/ablation", title, REFERENCE, metrics, shown, missing, histories)


if __name__ == "__main__":
    run(main)
