"""Compare what templates of a softmax and of an ArcFace recognizer hold, both trained on the same people (Fig. 4)."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import left_out_metrics, told_apart
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from, people_seen
from dfd.faces.store import FaceStore
from dfd.learning.decoders import no_features
from dfd.learning.recognizers import split_people
from dfd.measures.estimates import People
from dfd.measures.quality import load_lpips
from dfd.measures.side_by_side import verification_by_recognizer
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
    settings, device = params.experiments.recognizer_loss, pick_device(params.device)
    reference = settings.objectives[0]
    folders, missing = told_apart({name: EXPERIMENT.format("recognizer_loss", name) for name in settings.objectives})
    decoders = {name: load_decoder(f"{folder}/decoder.safetensors", device) for name, folder in folders.items()}
    compared = {
        name: load_recognizer(f"{folder}/recognizer.safetensors", device, params.faces.geometry)
        for name, folder in folders.items()
    }
    recognizers = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    people = FaceStore(FACES.format(settings.dataset))
    taught, tested = split_people(people, settings.train, params.seed)
    learned = learned_from(recognizers, params.train_recognizer, FACES, decoder=params.roles.decoders)
    learned["recognizers compared"] = people_seen(people, taught)
    comparison = Comparison(
        recognizers=recognizers,
        learned=learned,
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
        rows = (tested if dataset == settings.dataset else faces.rows("test"))[: params.experiments.max_faces]
        if not len(rows) or not decoders:
            notes[f"{dataset}_note"] = "left out: no test faces, or no decoder"
            continue
        seen = {name: embed_views(recognizer, faces, rows) for name, recognizer in compared.items()}
        images = {name: decode(decoder, seen[name]) for name, decoder in decoders.items()}
        templates = {name: TemplateStore(TEMPLATES.format(dataset, name), faces).template[rows] for name in recognizers}
        identities = faces.identities(rows)
        picks = spread(identities, params.reconstruct.faces)
        metrics[dataset], shown[dataset] = comparison.on(faces, rows, images, templates, picks)
        if dataset == settings.dataset:
            metrics[dataset]["learned_from"] = {
                "n_faces": len(taught),
                "n_identities": len(learned["recognizers compared"].people),
            }
        metrics[dataset] |= verification_by_recognizer(
            {name: template.numpy() for name, template in seen.items()},
            People(identities, params.bootstrap, params.seed),
        )
    write_json(f"metrics/recognizer_loss/{settings.dataset}.json", metrics | notes)
    histories = {name: f"{folder}/history.csv" for name, folder in folders.items()}
    title = f"Faces from templates of recognizers trained by different losses on people of {settings.dataset}"
    draw_comparison("plots/recognizer_loss", title, reference, metrics, shown, missing, histories)


if __name__ == "__main__":
    run(main)
