"""Templates of more and more photos: decoded (Fig. 15), and compared with other photos of everybody (Fig. 16)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from dfd.core.artefacts import write_json, write_table
from dfd.core.devices import pick_device
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.estimates import People
from dfd.params import load_params
from dfd.rendering.curves import count_figure
from dfd.rendering.grids import image_grid
from dfd.studies.people.aggregates import aggregation_metrics, by_count_table, mirror_distance, plan
from dfd.studies.people.aggregation import aggregate
from dfd.templates.people import photos_of_people, shared_rows
from dfd.templates.store import TemplateStore
from stages import DECODER, FACES, TEMPLATES, log, run

VERIFICATION = {"tar_at_far_0.001": "TAR at 0.1 % FAR", "eer": "EER"}
DECODED = {"mirror": "difference from the mirror image\n(grey levels)", "spread": "spread over draws (grey levels)"}
TITLES = {"verification": "Verification on {} by the photos in a template", "decoded": "Decoded mean templates of {}"}
PLOTS = "plots/aggregate/{}"


def main() -> None:
    params = load_params()
    settings, size, device = params.aggregation, params.decoder.size, pick_device(params.device)
    faces = FaceStore(FACES.format(params.roles.verification))
    templates = {name: TemplateStore(TEMPLATES.format(faces.name, name), faces).template for name in params.recognizers}
    rows, left_out = shared_rows(faces.rows("test"), templates)
    templates = {name: template[rows] for name, template in templates.items() if name not in left_out}
    learned = learned_from(templates, params.train_recognizer, FACES, decoder=params.roles.decoders)
    leaked = refuse_leakage(learned, faces, rows, params.roles.allow_leakage)
    decoders: dict = {name: {} for name in templates}  # recognizer -> variant -> how its templates are decoded
    variants = {variant: v.template for variant, v in params.variants.items() if v.template in templates}
    for variant, name in variants.items():
        decoders[name][variant] = partial(decode, load_decoder(DECODER.format(variant), device))

    everybody = photos_of_people(faces.identities(rows))
    choice = (settings.counts, settings.max_people, settings.probes, settings.draws)
    planned = plan(everybody, *choice, np.random.default_rng(params.seed))
    samples, tables = params.bootstrap, {"verification": [], "decoded": []}
    if planned.counts:
        looked_at = rows[np.concatenate([draw.gallery[:, 0] for draw in planned.drawn[: settings.decoded_draws]])]
        mirror = mirror_distance(faces.views(looked_at, size)).numpy()
        photo = {"mirror": People(faces.identities(looked_at), samples, params.seed).mean(mirror).metrics()}
        tables["decoded"].append(by_count_table("the photo", {1: photo}, ["mirror"]))
    for name, reason in left_out.items():
        write_json(f"metrics/aggregate/{name}.json", reason.metrics("aggregate"))
    decoded: dict = {}
    people = People(range(len(planned.people)), samples, params.seed)
    for name, template in templates.items():
        metrics = aggregation_metrics(template, decoders[name], planned, settings.decoded_draws, people)
        tables["verification"].append(by_count_table(name, metrics.get("verification") or {}, VERIFICATION))
        decoded |= metrics.get("decoded", {})
        photo_mirror = {"photo_mirror": photo["mirror"]} if planned.counts else {}
        write_json(f"metrics/aggregate/{name}.json", metrics | photo_mirror | {"leaked_identities": leaked})
        log.info("%s: templates of %s photos of %d people", name, planned.counts or "no", len(planned.people))
    tables["decoded"] += [by_count_table(name, decoded[name], DECODED) for name in params.variants if name in decoded]

    for what, labels in (("verification", VERIFICATION), ("decoded", DECODED)):
        table = pd.concat(tables[what]) if tables[what] else by_count_table("", {}, [])
        write_table(PLOTS.format(f"{what}.csv"), table)
        if len(table):
            title = TITLES[what].format(faces.name)
            count_figure(PLOTS.format(f"{what}.png"), table, title, labels, "photos in a template")
    shown = [name for name, photos in everybody.items() if len(photos) > 1][: settings.shown]
    decoded_by = {variant: (templates[name], decoders[name][variant]) for variant, name in variants.items()}
    for number, person in enumerate(shown, start=1):
        order = np.random.default_rng([params.seed, number]).permutation(everybody[person])
        counts = [count for count in settings.counts if count <= len(order)]
        added = faces.views(rows[order[np.array(counts) - 1]], size)
        title = f"{person} of {faces.name}: decoded mean templates"
        _draw_person(PLOTS.format(f"person-{number}.png"), title, added, decoded_by, order, counts)


def _draw_person(
    path: str,
    title: str,
    added: torch.Tensor,
    decoded_by: Mapping[str, tuple[torch.Tensor, Callable]],
    order: np.ndarray,
    counts: Sequence[int],
) -> None:
    """Draw the mean templates of a person's first photos in `order`, by their number.

    added: the last of those photos, by count. decoded_by: by variant, all templates (N, D) and what decodes them.
    """
    grid = [("the last photo that was added", added)]
    for variant, (templates, decoded) in decoded_by.items():
        grid.append((variant, decoded(torch.stack([aggregate(templates[order[:count]]) for count in counts]))))
    image_grid(path, grid, [f"{count} photo" + "s" * (count > 1) for count in counts], title)


if __name__ == "__main__":
    run(main)
