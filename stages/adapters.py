"""How many leaked pairs an attacker needs: other recognizers' templates, through adapters, by one decoder."""

import numpy as np

from dfd.core.artefacts import write_json, write_table
from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.decoder.provenance import whom_it_saw
from dfd.decoder.registry import load_decoder
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.acceptance import unattacked
from dfd.measures.estimates import People
from dfd.params import load_params
from dfd.recognizers.base import NO_IMAGES
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.curves import count_figure, left_out_figure
from dfd.studies.inversion.adapting import Pairs, System, attack, attacks_by_pairs, pairs_table
from dfd.templates.people import first_photos
from dfd.templates.store import TemplateStore
from stages import DECODER, FACES, RECOGNIZER, TEMPLATES, log, run

PLOT = "plots/adapters/{}"


def main() -> None:
    params = load_params()
    settings, device, far = params.experiments.adapters, pick_device(params.device), params.evaluate.far
    seed = params.seed
    template = params.entry("decoders", settings.decoder)
    decoder = load_decoder(DECODER.format(settings.decoder), device)
    names = list(dict.fromkeys([template, *settings.recognizers]))
    recognizers = {name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in names}
    leaking, faces = FaceStore(FACES.format(params.roles.decoders)), FaceStore(FACES.format(params.roles.verification))
    leaks = {name: TemplateStore(TEMPLATES.format(leaking.name, name), leaking) for name in names}
    stores = {name: TemplateStore(TEMPLATES.format(faces.name, name), faces) for name in names}
    learned = learned_from(names, params.train_recognizer, FACES, adapter=params.roles.decoders)
    learned |= {"decoder": whom_it_saw(decoder)}
    leaked = refuse_leakage(learned, faces, faces.rows("test"), params.roles.allow_leakage)
    for name in settings.recognizers:
        rows = np.intersect1d(stores[name].rows("test"), stores[template].rows("test"))
        if not len(rows) or not all(recognizers[key].embeds_images for key in (name, template)):
            left_out = NO_IMAGES if len(rows) else LeftOut(f"{faces.name} has no test faces")
            write_json(
                f"metrics/adapters/{name}.json",
                left_out.metrics("own", *map(str, settings.pairs), note="adapters"),
            )
            write_table(PLOT.format(f"{name}.csv"), pairs_table({}, []))
            left_out_figure(PLOT.format(f"{name}.png"), left_out)
            continue
        rows = rows[first_photos(faces.identities(rows), params.verify.photos)]
        systems, attacked = {}, rows[: settings.max_faces]
        for key in (name, template):
            before = unattacked(stores[key].template[rows].numpy(), faces.identities(rows), far)
            people = People(faces.identities(attacked), params.bootstrap, seed)
            systems[key] = System(recognizers[key], stores[key].template[attacked], people, before)
        order = np.random.default_rng(seed).permutation(
            np.intersect1d(leaks[name].rows("train"), leaks[template].rows("train"))
        )
        mirrored = leaks[template].mirrored
        pairs = Pairs(
            source=leaks[name].template[order],
            target=leaks[template].template[order],
            mirrored=None if mirrored is None else mirrored[order],
            people=leaking.identities(order),
        )
        truth = systems[template].templates
        metrics = attacks_by_pairs(decoder, pairs, settings.pairs, systems[name], truth, seed)
        table = pairs_table(metrics, settings.pairs)
        metrics |= {
            "own": attack(decoder, truth, systems[template]),
            "unattacked": systems[name].before,
            "n_faces": len(attacked),
            "n_identities": len(systems[name].people),
            "leaked_identities": leaked,
        }
        write_json(f"metrics/adapters/{name}.json", metrics)
        write_table(PLOT.format(f"{name}.csv"), table)
        if len(table):
            title = (
                f"Templates of {name}, decoded by {settings.decoder}\nthrough an adapter: unseen people of {faces.name}"
            )
            label = {"accepted": f"accepted by {name} at {100 * far:g} % FAR"}
            count_figure(PLOT.format(f"{name}.png"), table, title, label, "leaked pairs of templates")
        else:
            left_out_figure(
                PLOT.format(f"{name}.png"), LeftOut("no number of pairs that the data set has, or no threshold")
            )
        log.info("%s: adapters of %s pairs into %s", name, ", ".join(map(str, settings.pairs)), settings.decoder)


if __name__ == "__main__":
    run(main)
