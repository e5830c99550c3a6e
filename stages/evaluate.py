"""Measure one decoder's reconstructions of every data set's test faces, beside three baselines and as attacks."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.left_out import LeftOut
from dfd.decoder.provenance import whom_it_saw
from dfd.decoder.registry import load_decoder
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.measures.acceptance import unattacked
from dfd.measures.estimates import People
from dfd.measures.quality import load_lpips
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.studies.reconstruction.evaluation import (
    Judge,
    Reconstructions,
    evaluate,
    reconstructions,
    stored_reconstructions,
)
from dfd.templates.people import first_photos, spread
from dfd.templates.store import TemplateStore
from stages import CLOSED_FORM, DECODER, FACES, RECOGNIZER, TEMPLATES, log, run

THRESHOLD_FACES = 5000  # at least as many as are evaluated: twelve million pairs, of which 0.1 % set a threshold


def main(name: str) -> None:
    params = load_params()
    template = params.entry("decoders", name)
    device = pick_device(params.device)
    decoder = load_decoder(DECODER.format(name), device)
    closed_form = {kind: load_decoder(CLOSED_FORM.format(template, kind), device) for kind in ("linear", "quadratic")}
    recognizers = {
        key: load_recognizer(RECOGNIZER.format(key), device, params.faces.geometry) for key in params.recognizers
    }
    lpips = load_lpips(device)
    learned = learned_from(recognizers, params.train_recognizer, FACES, baselines=params.roles.decoders)
    learned |= {"decoder": whom_it_saw(decoder)}
    metrics = {}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        if len(faces.rows("test")) == 0:
            log.info("%s has no test faces: left out", dataset)
            continue
        stores = {key: TemplateStore(TEMPLATES.format(dataset, key), faces) for key in recognizers}
        rows = stores[template].rows("test")
        missing = len(faces.rows("test")) - len(rows)
        if len(rows) == 0:
            metrics |= LeftOut(f"left out: {template} has no templates of its {missing} test faces").metrics(dataset)
            log.info("%s: %s", dataset, metrics[f"{dataset}_note"])
            continue
        rows = rows[: params.evaluate.max_faces]
        leaked = refuse_leakage(learned, faces, rows, params.roles.allow_leakage)
        templates, identities = stores[template].template[rows], faces.identities(rows)
        attempts = first_photos(identities, params.verify.photos)
        stored_faces = spread(attempts, params.evaluate.storage_faces)
        most = max(THRESHOLD_FACES, len(rows))
        systems = {
            key: _unattacked(store, params.evaluate.far, params.verify.photos, most) for key, store in stores.items()
        }
        metrics[dataset] = evaluate(
            Reconstructions(
                originals=faces.views(rows, decoder.size),
                images=reconstructions(decoder, closed_form, templates),
                people=People(identities, params.bootstrap, params.seed),
                attempts=attempts,
                stored=stored_reconstructions(decoder, templates, stored_faces),
                stored_faces=stored_faces,
                geometry=faces.geometry,
            ),
            {key: Judge(recognizers[key], store.template[rows], systems[key]) for key, store in stores.items()},
            template,
            lpips,
        )
        metrics[dataset] |= {"leaked_identities": leaked, "faces_without_template": missing}
        psnr = metrics[dataset]["psnr"]
        log.info(
            "%s on %d faces of %s: PSNR %.2f dB, linear %.2f dB", name, len(rows), dataset, psnr["mean"], psnr["linear"]
        )
    write_json(f"metrics/evaluate/{name}.json", metrics)


def _unattacked(store: TemplateStore, far: float, photos: int, most: int) -> dict:
    """A recognizer on the test faces, at most `most` of them and `photos` of each person: see `unattacked`."""
    rows = store.rows("test")
    identities = store.faces.identities(rows)
    kept = first_photos(identities, photos)[:most]
    return unattacked(store.template[rows[kept]].numpy(), identities[kept], far)


if __name__ == "__main__":
    run(main)
