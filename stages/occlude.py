"""Block the eyes and the mouth of test faces: what the templates and their reconstructions make of it (Fig. 11)."""

from pathlib import Path

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.measures.gender import GenderClassifier
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import image_grid
from dfd.studies.occlusion.blocks import blocks, coverage, embed_occluded, landmarks_in_view, occlude
from dfd.studies.occlusion.effects import gender_flipped, identity_kept, reconstruction_change, template_change
from dfd.templates.embedding import embed_images
from dfd.templates.people import spread
from dfd.templates.store import TemplateStore
from stages import DECODER, FACES, RECOGNIZER, TEMPLATES, log, run


def main() -> None:
    params = load_params()
    settings, size, device = params.occlusions, params.decoder.size, pick_device(params.device)
    modules = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    metrics: dict = {name: {} for name in modules}
    for name in [name for name, module in modules.items() if not module.embeds_images]:
        metrics[name] |= LeftOut(f"left out: {NO_IMAGES}").metrics("occlude")
        del modules[name]
        log.info("%s: left out, %s", name, NO_IMAGES)
    variants = {key: v.template for key, v in params.variants.items() if v.template in modules}
    learned = learned_from(modules, params.train_recognizer, FACES, decoder=params.roles.decoders)
    Path("plots/occlude").mkdir(parents=True, exist_ok=True)
    for dataset in params.datasets if modules else ():
        faces = FaceStore(FACES.format(dataset))
        rows = spread(faces.rows("test"), settings.max_faces)
        if len(rows) == 0:
            for name in modules:
                metrics[name] |= LeftOut("left out: it has no test faces").metrics(dataset)
            log.info("%s has no test faces: left out", dataset)
            continue
        leaked = refuse_leakage(learned, faces, rows, params.roles.allow_leakage)
        shown = spread(np.arange(len(rows)), settings.shown)
        originals = faces.views(rows, size)
        people = People(faces.identities(rows), params.bootstrap, params.seed)
        landmarks, classifier = landmarks_in_view(faces, rows), GenderClassifier(str(faces.attributes["geometry"]))
        covered = {region: coverage(blocks(region, landmarks), size) for region in settings.regions}

        clean = {name: TemplateStore(TEMPLATES.format(dataset, name), faces).template[rows] for name in modules}
        blocked = {}
        for name, module in modules.items():
            metrics[name][dataset] = {"n_faces": len(rows), "n_identities": len(people)}
            metrics[name][dataset]["leaked_identities"] = leaked
            for region in settings.regions:
                templates = embed_occluded(module, faces, rows, region, settings.shade)
                change = template_change(clean[name], templates, people)
                metrics[name][dataset][region] = {"cosine": change, "decoded": {}}
                blocked[name, region] = templates
                log.info("%s, %s of %s blocked: cosine %.3f", name, region, dataset, change["mean"])

        inputs = [occlude(originals[shown], covered[region][shown], settings.shade) for region in settings.regions]
        grid = [("input", _by_face([originals[shown], *inputs]))]
        for variant, name in variants.items():
            decoder = load_decoder(DECODER.format(variant), device)
            plain = decode(decoder, clean[name])
            images, embedded, p_male = [plain[shown]], embed_images(modules[name], plain), classifier(plain)
            for region in settings.regions:
                image = decode(decoder, blocked[name, region])
                again = embed_images(modules[name], image)
                change = reconstruction_change(originals, plain, image, covered[region], people)
                change["cosine"] = identity_kept(clean[name], embedded, again, people)
                change["gender_flipped"] = gender_flipped(p_male, classifier(image), people)
                metrics[name][dataset][region]["decoded"][variant] = change
                images.append(image[shown])
            grid.append((variant, _by_face(images)))
        columns = ["original", *(f"{region} blocked" for region in settings.regions)]
        groups = list(range(0, len(grid[0][1]), len(columns)))
        title = f"Faces of {dataset} with a block, and their reconstructions"
        image_grid(f"plots/occlude/{dataset}.png", grid, columns * len(shown), title, groups=groups)
    for name, values in metrics.items():
        write_json(f"metrics/occlude/{name}.json", values)


def _by_face(images: list) -> list:
    """Images by state, each (N, 3, S, S), as one list: the states of the first face, of the second …"""
    return [image for face in zip(*images, strict=True) for image in face]


if __name__ == "__main__":
    run(main)
