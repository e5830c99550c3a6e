"""Compare published decoders with ours on the templates of one variant, also as attacks on its recognizer (Figs. 6, 7)."""

from pathlib import Path

import torch

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from
from dfd.faces.store import FaceStore
from dfd.learning.decoders import no_features
from dfd.measures.acceptance import attack_summary, unattacked
from dfd.measures.estimates import People
from dfd.measures.quality import load_lpips
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import spread
from dfd.studies.reconstruction.comparison import Comparison, against
from dfd.studies.reconstruction.figures import draw_acceptance, draw_comparison
from dfd.templates.embedding import embed_images
from dfd.templates.store import TemplateStore
from stages import DECODER, EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, run

OURS = "ours"


def main(variant: str) -> None:
    params = load_params()
    settings, device = params.experiments.competitors, pick_device(params.device)
    pair = params.entry("variants", variant)
    folders = {name: EXPERIMENT.format("competitors", f"{name}-{variant}") for name in settings.decoders}
    decoders = _decoders(DECODER.format(variant), folders, device)
    recognizers = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    comparison = Comparison(
        recognizers=recognizers,
        learned=learned_from(recognizers, params.train_recognizer, FACES, decoder=params.roles.decoders),
        allow_leakage=params.roles.allow_leakage,
        lpips=load_lpips(device),
        references=against(decoders, OURS),
        samples=params.bootstrap,
        seed=params.seed,
        size=params.decoder.size,
    )
    metrics, notes, shown = {}, {}, {}
    acceptance: dict = LeftOut(f"left out: {params.roles.verification} has no test faces").metrics(note="acceptance")
    if not recognizers[pair.perceptual].gives_gradients:
        notes |= no_features(pair.perceptual).metrics(note="perceptual")
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in recognizers}
        rows = stores[pair.template].rows("test")[: params.experiments.max_faces]
        if not len(rows):
            notes[f"{dataset}_note"] = "left out: no test face with a template"
            continue
        templates = {name: store.template[rows] for name, store in stores.items()}
        images = {name: decode(decoder, templates[pair.template]) for name, decoder in decoders.items()}
        identities = faces.identities(rows)
        picks = spread(identities, params.reconstruct.faces)
        metrics[dataset], shown[dataset] = comparison.on(faces, rows, images, templates, picks)
        if dataset == params.roles.verification:
            attacked = recognizers[pair.template]
            acceptance = LeftOut(f"left out: of {pair.template}, {NO_IMAGES}").metrics(note="acceptance")
            if attacked.embeds_images:
                photos = templates[pair.template].numpy()
                before = unattacked(photos, identities, settings.far)
                found = attack_summary(
                    {name: embed_images(attacked, image).numpy() for name, image in images.items()},
                    photos,
                    People(identities, params.bootstrap, params.seed),
                    before,
                    comparison.references,
                )
                acceptance = {"unattacked": before, "decoders": found}
    write_json(f"metrics/competitors/{variant}.json", metrics | notes | {"acceptance": acceptance})
    histories = {name: f"{folder}/history.csv" for name, folder in folders.items()}
    title = f"Faces from templates of {pair.template} by ours and by competing decoders"
    draw_comparison(f"plots/competitors/{variant}", title, OURS, metrics, shown, {}, histories)
    draw_acceptance(
        f"plots/competitors/{variant}/acceptance.png", acceptance, f"Reconstructions that {pair.template} accepts"
    )


def _decoders(ours: str, folders: dict[str, str], device: torch.device) -> dict:
    """Ours and the competitors, also as they were after earlier phases of their training."""
    decoders = {OURS: load_decoder(ours, device)}
    for name, folder in folders.items():
        for file in sorted(Path(folder).glob("decoder*.safetensors")):
            decoders[file.stem.replace("decoder", name)] = load_decoder(file, device)
    return decoders


if __name__ == "__main__":
    run(main)
