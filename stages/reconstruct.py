"""Draw reconstructions: by all decoders (Fig. 3), and of perturbed faces without and with the map (Figs. 8–10)."""

from collections.abc import Iterable

import numpy as np
import torch

from dfd.core.devices import pick_device
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import image_grid, spread
from dfd.studies.equivariance.maps import read_transforms
from dfd.studies.equivariance.perturbations import perturbations
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import CLOSED_FORM, DECODER, FACES, RECOGNIZER, TEMPLATES, TRANSFORMS, log, run

FOLDER = "plots/reconstruct/{}.png"
FAMILIES = {"rotate": "rotated", "translate": "translated", "scale": "scaled"}


def main() -> None:
    params = load_params()
    device = pick_device(params.device)
    # Faces of a data set that no decoder is trained on come first: they are the hardest.
    datasets = sorted(params.datasets, key=lambda name: name == params.roles.decoders)
    stores = {name: FaceStore(FACES.format(name)) for name in datasets}
    shown = {name: faces for name, faces in stores.items() if len(faces.rows("test"))}
    opened = {
        data: {name: TemplateStore(TEMPLATES.format(data, name), faces) for name in params.recognizers}
        for data, faces in shown.items()
    }
    picks = {data: _picks(faces, opened[data].values(), params.reconstruct.faces) for data, faces in shown.items()}
    every = params.import_decoder | params.variants
    decoders = {name: load_decoder(DECODER.format(name), device) for name in every}
    size = max([params.decoder.size, *(decoder.size for decoder in decoders.values())])
    linear = {name: load_decoder(CLOSED_FORM.format(name, "linear"), device) for name in params.recognizers}
    templates = {
        name: torch.cat([opened[data][name].template[rows] for data, rows in picks.items()])
        for name in params.recognizers
    }

    rows = [("original", torch.cat([shown[data].views(rows, size) for data, rows in picks.items()]))]
    rows += [(name, _decoded(decoders[name], templates[decodes.template])) for name, decodes in every.items()]
    rows += [(f"linear ({name})", _decoded(decoder, templates[name])) for name, decoder in linear.items()]
    columns = [data for data, rows_of in picks.items() for _ in rows_of]
    starts = np.cumsum([0] + [len(rows_of) for rows_of in picks.values()])[:-1].tolist()
    image_grid(FOLDER.format("variants"), rows, columns, "Faces reconstructed from their templates", groups=starts)

    recognizers = {
        name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers
    }
    recognizers = {name: module for name, module in recognizers.items() if module.embeds_images}
    variants = {variant: v for variant, v in params.variants.items() if v.template in recognizers}
    for variant in (variant for variant in params.variants if variant not in variants):
        log.info("%s of perturbed faces: left out, %s", variant, NO_IMAGES)
    families = FAMILIES if variants else {}
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    maps = {name: read_transforms(TRANSFORMS.format(name), views) for name in params.recognizers}
    for family, word in families.items():
        names = [name for name in views if name.startswith(family)]
        for data, faces in shown.items():
            row = picks[data][:1]
            rows = [("input", torch.cat([faces.views(row, size, views[name]) for name in names]))]
            perturbed = {
                key: {name: embed_views(module, faces, row, views[name]) for name in names}
                for key, module in recognizers.items()
            }
            for variant, v in variants.items():
                plain = torch.cat([perturbed[v.template][name] for name in names])
                mapped = torch.cat([maps[v.template][name](perturbed[v.template][name]) for name in names])
                rows += [(f"{variant} without map", decode(decoders[variant], plain))]
                rows += [(f"{variant} with map", decode(decoders[variant], mapped))]
            title = f"A face of {data}, {word}, and its reconstructions without and with the map"
            image_grid(FOLDER.format(f"{family}-{data}"), rows, names, title, cell=96)
    log.info("wrote %d grids to %s", 1 + len(families) * len(shown), FOLDER.format("*"))


def _picks(faces: FaceStore, templates: Iterable[TemplateStore], count: int) -> np.ndarray:
    """The first test face of each of `count` identities, spread over all of them: of faces that have all templates.

    Where none has, or a recognizer has no templates of the data set at all, that is no reason to leave a face out.
    """
    rows = faces.rows("test")
    for store in templates:
        if len(known := np.intersect1d(rows, store.rows("test"))):
            rows = known
    return rows[spread(faces.identities(rows), count)]


def _decoded(decoder: torch.nn.Module, templates: torch.Tensor) -> list[torch.Tensor | None]:
    """The reconstructions of templates (N, D), None where there is no template."""
    known = ~templates.isnan().any(1)
    images = iter(decode(decoder, templates[known]) if known.any() else [])
    return [next(images) if has else None for has in known]


if __name__ == "__main__":
    run(main)
