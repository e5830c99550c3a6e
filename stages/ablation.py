"""Measure what each part of the loss is worth (Table 1): the rows' decoders on the same faces, paired, also by seed."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import left_out_metrics, told_apart
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from
from dfd.faces.store import FaceStore
from dfd.measures.quality import load_lpips
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import spread
from dfd.studies.reconstruction.comparison import Comparison, against
from dfd.studies.reconstruction.figures import draw_comparison
from dfd.templates.store import TemplateStore
from stages import EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, run

FULL = "full"
OTHERS = ("global", "perceptual")  # also compared with: for what each loss is worth; for which row is worst


def main() -> None:
    params = load_params()
    device, losses, seeds = (
        pick_device(params.device),
        params.experiments.ablation.losses,
        params.experiments.ablation.seeds,
    )
    key = params.experiments.ablation.variant
    variant = params.entry("variants", key)
    folders, missing = told_apart({loss: EXPERIMENT.format("ablation", loss) for loss in losses})
    recognizers = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    comparison = Comparison(
        recognizers=recognizers,
        learned=learned_from(recognizers, params.train_recognizer, FACES, decoder=params.roles.decoders),
        allow_leakage=params.roles.allow_leakage,
        lpips=load_lpips(device),
        references=against(folders, FULL, *(other for other in OTHERS if other in losses)),
        samples=params.bootstrap,
        seed=params.seed,
        size=params.decoder.size,
    )
    metrics, notes, shown = {}, left_out_metrics(missing), {}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in recognizers}
        rows = stores[variant.template].rows("test")[: params.experiments.max_faces]
        if not len(rows) or not folders:
            notes[f"{dataset}_note"] = "left out: no test face with a template, or no decoder"
            continue
        templates = {name: store.template[rows] for name, store in stores.items()}
        decoders = {
            loss: [f"{folder}/decoder-{seed}.safetensors" for seed in seeds] for loss, folder in folders.items()
        }
        images = {  # one seed's at a time: those of all rows and seeds would take gigabytes
            loss: (decode(load_decoder(file, device), templates[variant.template]) for file in files)
            for loss, files in decoders.items()
        }
        picks = spread(faces.identities(rows), params.reconstruct.faces)
        metrics[dataset], shown[dataset] = comparison.on(faces, rows, images, templates, picks)
        metrics[dataset]["n_seeds"] = len(seeds)
    write_json(f"metrics/ablation/{key}.json", metrics | notes)
    histories = {loss: f"{folder}/history.csv" for loss, folder in folders.items()}
    title = f"Losses of {key}"
    draw_comparison("plots/ablation", title, FULL, metrics, shown, missing, histories)


if __name__ == "__main__":
    run(main)
