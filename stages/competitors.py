"""Compare published decoders with ours on the templates of one variant, also as attacks on its recognizer (Figs. 6, 7)."""

from pathlib import Path

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.decoder.learning import NO_GRADIENTS
from dfd.decoder.registry import decode, load_decoder
from dfd.evaluation.acceptance import attack_summary
from dfd.evaluation.comparison import compare
from dfd.evaluation.quality import load_lpips
from dfd.faces.leakage import refuse_leakage, trained_on
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.comparison import draw_acceptance, draw_comparison
from dfd.rendering.grids import spread
from dfd.templates.embedding import embed_images
from dfd.templates.store import TemplateStore
from stages import DECODER, EXPERIMENT, FACES, RECOGNIZER, TEMPLATES, run

OURS = "ours"


def main(variant: str) -> None:
    params = load_params()
    settings = params.experiments.competitors
    pair = params.entry("variants", variant)
    device = pick_device(params.device)
    folders = {name: EXPERIMENT.format("competitors", f"{name}-{variant}") for name in settings.decoders}
    ours = load_decoder(DECODER.format(variant), device)
    alone = {f"{OURS}-network": ours.network} if hasattr(ours, "network") else {}  # without the mix
    decoders = {OURS: ours} | alone
    for name, folder in folders.items():
        for file in sorted(Path(folder).glob("decoder*.safetensors")):  # of earlier phases of its training, too
            decoders[file.stem.replace("decoder", name)] = load_decoder(file, device)
    recognizers = {name: load_recognizer(RECOGNIZER.format(name), device) for name in params.recognizers}
    attacked = recognizers[pair.template]
    trained = {"decoder": params.roles.decoders}
    for name in recognizers:
        trained |= trained_on(name, params.train_recognizer)
    trained = {role: FaceStore(FACES.format(name)) for role, name in trained.items()}
    lpips, metrics, notes, shown = load_lpips(device), {}, {}, {}
    acceptance: dict = {"acceptance_note": f"left out: {params.roles.verification} has no test faces"}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in recognizers}
        rows = stores[pair.template].rows("test")[: params.experiments.faces]
        if not len(rows):
            notes[f"{dataset}_note"] = "left out: no test face with a template"
            continue
        leaked = refuse_leakage(trained, faces, rows, params.roles.allow_leakage)
        templates = {name: store.template[rows] for name, store in stores.items()}
        originals = faces.views(rows, params.decoder.size)
        images = {name: decode(decoder, templates[pair.template]) for name, decoder in decoders.items()}
        metrics[dataset] = compare(
            originals,
            images,
            faces.identities(rows),
            {name: (recognizer, templates[name]) for name, recognizer in recognizers.items()},
            lpips,
            OURS,
            params.evaluate.bootstrap,
            params.seed,
            params.precision,
        ) | {"leaked_identities": leaked}
        picks = spread(faces.identities(rows), params.reconstruct.faces)
        shown[dataset] = originals[picks], {name: image[picks] for name, image in images.items()}
        if dataset == params.roles.verification and attacked.embeds_images:
            acceptance = attack_summary(
                {name: embed_images(attacked, image, params.precision).numpy() for name, image in images.items()},
                templates[pair.template].numpy(),
                faces.identities(rows),
                settings.far,
                OURS,
                params.evaluate.bootstrap,
                params.seed,
            )
        elif dataset == params.roles.verification:
            acceptance = {"acceptance_note": f"left out: of {pair.template}, {NO_IMAGES}"}
    if not recognizers[pair.perceptual].gives_gradients:
        notes["perceptual_note"] = NO_GRADIENTS.format(pair.perceptual)
    write_json(f"metrics/competitors/{variant}.json", metrics | notes | {"acceptance": acceptance})
    histories = {name: f"{folder}/history.csv" for name, folder in folders.items()}
    title = f"Faces from templates of {pair.template} by ours and by competing decoders"
    draw_comparison(f"plots/competitors/{variant}", title, OURS, metrics, shown, {}, histories)
    draw_acceptance(f"plots/competitors/{variant}/acceptance.png", acceptance, f"Reconstructions that {pair.template} accepts")


if __name__ == "__main__":
    run(main)
