"""Measure one variant's reconstructions of the test faces of every data set, beside two baselines."""

import numpy as np

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.decoder.provenance import whom_it_saw
from dfd.decoder.registry import decode, load_decoder
from dfd.evaluation.quality import load_lpips
from dfd.evaluation.reconstruction import evaluate
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.recognizers.registry import load_recognizer
from dfd.templates.store import TemplateStore
from stages import CLOSED_FORM, DECODER, FACES, RECOGNIZER, TEMPLATES, log, run


def main(variant: str) -> None:
    params = load_params()
    template = params.entry("variants", variant).template
    device = pick_device(params.device)
    decoder = load_decoder(DECODER.format(variant), device)
    linear = load_decoder(CLOSED_FORM.format(template, "linear"), device)
    recognizers = {name: load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry) for name in params.recognizers}
    lpips = load_lpips(device)
    learned = learned_from(recognizers, params.train_recognizer, FACES, decoder=params.roles.decoders)
    learned["this decoder"] = whom_it_saw(decoder)
    metrics = {}
    for dataset in params.datasets:
        faces = FaceStore(FACES.format(dataset))
        if len(faces.rows("test")) == 0:
            log.info("%s has no test faces: left out", dataset)
            continue
        stores = {name: TemplateStore(TEMPLATES.format(dataset, name), faces) for name in recognizers}
        rows = stores[template].rows("test")
        missing = len(faces.rows("test")) - len(rows)
        if len(rows) == 0:
            metrics |= {dataset: None, f"{dataset}_note": f"left out: {template} has no templates of its {missing} test faces"}
            log.info("%s: %s", dataset, metrics[f"{dataset}_note"])
            continue
        rows = rows[: params.evaluate.faces]
        leaked = refuse_leakage(learned, faces, rows, params.roles.allow_leakage)
        templates = stores[template].template[rows]
        images = {
            "decoder": decode(decoder, templates),
            "linear": decode(linear, templates),
            "mean_face": linear.mean_face.cpu().clamp(0, 1).expand(len(rows), -1, -1, -1),
        }
        metrics[dataset] = evaluate(
            faces.views(rows, params.decoder.size),
            images,
            faces.identities(rows),
            recognizers,
            {name: store.template[rows] for name, store in stores.items()},
            lpips,
            params.evaluate.bootstrap,
            np.random.default_rng(params.seed),
        )
        metrics[dataset] |= {"leaked_identities": leaked, "faces_without_template": missing}
        psnr = metrics[dataset]["psnr"]
        log.info("%s on %d faces of %s: PSNR %.2f dB, linear %.2f dB", variant, len(rows), dataset, psnr["mean"], psnr["linear"])
    write_json(f"metrics/evaluate/{variant}.json", metrics)


if __name__ == "__main__":
    run(main)
