"""Draw reconstructions: by all decoders (Fig. 3), and of perturbed faces without and with the map (Figs. 8–10)."""

from dfd.decoder.provenance import whom_it_saw
from dfd.project import Project
from dfd.recognizers.base import NO_IMAGES
from dfd.studies.equivariance.figures import FAMILIES, perturbed_grid
from dfd.studies.equivariance.perturbations import perturbations
from dfd.studies.reconstruction.variants import faces_to_draw, variants_grid
from stages import log, run

FOLDER = "plots/reconstruct/{}.png"


def main() -> None:
    project = Project()
    params = project.params
    # Faces of a data set that no decoder is trained on come first: they are the hardest.
    datasets = sorted(params.datasets, key=lambda name: name == params.roles.decoders)
    faces = {dataset: project.faces(dataset) for dataset in datasets}
    faces = {dataset: store for dataset, store in faces.items() if len(store.rows("test"))}
    stores = {dataset: project.template_stores(store, params.recognizers) for dataset, store in faces.items()}
    every = params.import_decoder | params.variants
    decoders = {name: (decodes.template, project.decoder(name)) for name, decodes in every.items()}
    learned = project.learned(params.recognizers, baselines=params.roles.decoders, maps=params.roles.decoders)
    learned |= {f"decoder {name}": whom_it_saw(decoder) for name, (_, decoder) in decoders.items()}
    rows = {}
    for dataset, templates in stores.items():
        drawn = faces_to_draw(templates, params.reconstruct.faces)
        rows[dataset] = project.test_rows(faces[dataset], learned, lambda _, drawn=drawn: drawn).rows
    size = max([params.decoder.size, *(decoder.size for _, decoder in decoders.values())])
    linear = {f"linear ({name})": (name, project.closed_form(name)["linear"]) for name in params.recognizers}
    variants_grid(FOLDER.format("variants"), rows, stores, decoders | linear, size)

    recognizers = {
        name: (recognizer, project.maps(name))
        for name, recognizer in project.recognizers().items()
        if recognizer.embeds_images
    }
    variants = {variant: decoders[variant] for variant, v in params.variants.items() if v.template in recognizers}
    for variant in params.variants.keys() - variants.keys():
        log.info("%s of perturbed faces: left out, %s", variant, NO_IMAGES)
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    for family in FAMILIES if variants else ():
        for dataset, store in faces.items():
            path = FOLDER.format(f"{family}-{dataset}")
            perturbed_grid(path, family, store, rows[dataset][0], views, recognizers, variants, size)
    log.info("wrote the grids of %d data sets to %s", len(faces), FOLDER.format("*"))


if __name__ == "__main__":
    run(main)
