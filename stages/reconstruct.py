"""Draw reconstructions: of all variants (Fig. 3), and of perturbed faces without and with the map (Figs. 8–10)."""

import numpy as np
import torch

from dfd.core.devices import pick_device
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.perturbations.geometry import perturbations
from dfd.perturbations.transforms import read_transforms
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import image_grid
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import CLOSED_FORM, DECODER, FACES, RECOGNIZER, TEMPLATES, TRANSFORMS, log, run

FOLDER = "plots/reconstruct/{}.png"
FAMILIES = {"rotate": "rotated", "translate": "translated", "scale": "scaled"}


def main() -> None:
    params = load_params()
    device = pick_device(params.device)
    stores = {name: FaceStore(FACES.format(name)) for name in params.datasets}
    shown = {name: faces for name, faces in stores.items() if len(faces.rows("test"))}
    picks = {name: faces.spread(faces.rows("test"), params.reconstruct.faces) for name, faces in shown.items()}
    size = params.decoder.size
    decoders = {variant: load_decoder(DECODER.format(variant), device) for variant in params.variants}
    linear = {name: load_decoder(CLOSED_FORM.format("linear", name), device) for name in params.recognizers}
    templates = {
        name: torch.cat([TemplateStore(TEMPLATES.format(data, name), shown[data]).template[rows] for data, rows in picks.items()])
        for name in params.recognizers
    }

    rows = [("original", torch.cat([shown[data].views(rows, size) for data, rows in picks.items()]))]
    rows += [(variant, decode(decoders[variant], templates[v.template])) for variant, v in params.variants.items()]
    rows += [(f"linear ({name})", decode(decoder, templates[name])) for name, decoder in linear.items()]
    columns = [data for data, rows_of in picks.items() for _ in rows_of]
    starts = np.cumsum([0] + [len(rows_of) for rows_of in picks.values()])[:-1].tolist()
    image_grid(FOLDER.format("variants"), rows, columns, "Faces reconstructed from their templates", groups=starts)

    recognizers = {name: load_recognizer(RECOGNIZER.format(name), device) for name in params.recognizers}
    maps = {name: read_transforms(TRANSFORMS.format(name)) for name in params.recognizers}
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    for family, word in FAMILIES.items():
        names = [name for name in views if name.startswith(family)]
        for data, faces in shown.items():
            row = picks[data][:1]
            rows = [("input", torch.cat([faces.views(row, size, views[name]) for name in names]))]
            perturbed = {
                key: {name: embed_views(module, faces, row, views[name], params.precision) for name in names}
                for key, module in recognizers.items()
            }
            for variant, v in params.variants.items():
                plain = torch.cat([perturbed[v.template][name] for name in names])
                mapped = torch.cat([maps[v.template][name](perturbed[v.template][name]) for name in names])
                rows += [(f"{variant} without map", decode(decoders[variant], plain))]
                rows += [(f"{variant} with map", decode(decoders[variant], mapped))]
            title = f"A face of {data}, {word}, and its reconstructions without and with the map"
            image_grid(FOLDER.format(f"{family}-{data}"), rows, names, title, cell=96)
    log.info("wrote %d grids to %s", 1 + len(FAMILIES) * len(shown), FOLDER.format("*"))


if __name__ == "__main__":
    run(main)
