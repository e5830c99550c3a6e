"""What templates give away through one decoder: as an attack, beside what is no decoder, and under protection."""

from pathlib import Path

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.decoder.provenance import whom_it_saw
from dfd.decoder.registry import load_decoder
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.quality import load_lpips
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.studies.inversion.figures import draw
from dfd.studies.inversion.protections import check_names
from dfd.studies.inversion.study import Study
from dfd.templates.people import first_photos, shared_rows
from dfd.templates.store import TemplateStore
from stages import CLOSED_FORM, DECODER, FACES, RECOGNIZER, TEMPLATES, log, run

MOST = 5000  # test faces: twelve million pairs, of which the smallest FMR sets a threshold


def main(name: str) -> None:
    params = load_params()
    settings, template, device = params.inversion, params.entry("decoders", name), pick_device(params.device)
    check_names(settings.protections)
    decoder = load_decoder(DECODER.format(name), device)
    closed_form = {kind: load_decoder(CLOSED_FORM.format(template, kind), device) for kind in ("linear", "quadratic")}
    recognizers = {
        key: load_recognizer(RECOGNIZER.format(key), device, params.faces.geometry) for key in params.recognizers
    }
    learned = learned_from(recognizers, params.train_recognizer, FACES, baselines=params.roles.decoders)
    learned |= {"decoder": whom_it_saw(decoder)}
    gallery = FaceStore(FACES.format(params.roles.decoders))
    store = TemplateStore(TEMPLATES.format(gallery.name, template), gallery)
    lpips, far, samples, seed = load_lpips(device), params.evaluate.far, params.bootstrap, params.seed
    study = Study(decoder, closed_form, recognizers, template, store, lpips, settings, far, samples, seed)
    metrics, folder = {}, Path("plots/invert", name)
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        stores = {key: TemplateStore(TEMPLATES.format(dataset, key), faces).template for key in recognizers}
        rows, left_out = shared_rows(faces.rows("test"), stores)
        rows = rows[first_photos(faces.identities(rows), params.verify.photos)][:MOST]
        if len(rows) == 0 or template in left_out:
            nobody = LeftOut("left out: it has no test faces that every recognizer has a template of")
            reason = left_out.get(template, nobody)
            metrics |= reason.metrics(dataset)
            log.info("%s: %s", dataset, reason)
            continue
        leaked = refuse_leakage(learned, faces, rows, params.roles.allow_leakage)
        trial = study.trial(faces, rows, {key: store[rows] for key, store in stores.items() if key not in left_out})
        metrics[dataset] = study.measured(trial, whole=dataset == params.roles.verification)
        metrics[dataset]["leaked_identities"] = leaked
        draw(folder / dataset, study, trial, metrics[dataset], f"{name} on {dataset}")
        log.info("%s on %d faces of %s", name, len(trial.attacked), dataset)
    write_json(f"metrics/invert/{name}.json", metrics)


if __name__ == "__main__":
    run(main)
