"""How well a decoder reconstructs faces: beside baselines, to the eyes of recognizers, from templates as people store
them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import restored
from dfd.decoder.registry import decode
from dfd.faces.geometry import face_view, shrunk
from dfd.measures.acceptance import attack_summary, no_attack
from dfd.measures.estimates import Estimate, People
from dfd.measures.quality import INFINITE, Lpips, psnr, ssim
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.studies.reconstruction.noise import noise
from dfd.templates.embedding import embed_images
from dfd.templates.storage import FORMATS

BASELINES = ("mean_face", "linear", "quadratic")
REFERENCES = ("linear", "quadratic")  # of the baselines, those that the decoder's differences are taken from


class Judge(NamedTuple):
    """A recognizer that looks at reconstructions, its templates (N, D) of the original faces, and how it fares before
    any attack, see `unattacked`."""

    recognizer: Recognizer
    templates: torch.Tensor
    unattacked: Mapping


class Reconstructions(NamedTuple):
    """Faces and what a decoder made of their templates; all images RGB in [0, 1].

    originals: (N, 3, S, S). images: the same shape, by source: `decoder` and BASELINES. people: whom they show. attempts:
    which of the faces, as positions (A,), are tried as attacks on recognizers; few enough of each person that nobody
    dominates. stored: by format, decoded from templates that were stored in it, (M, 3, S, S) of the positions
    `stored_faces` (M,). geometry: of the faces.
    """

    originals: torch.Tensor
    images: Mapping[str, torch.Tensor]
    people: People
    attempts: np.ndarray
    stored: Mapping[str, torch.Tensor]
    stored_faces: np.ndarray
    geometry: str


def reconstructions(
    decoder: Decoder, closed_form: Mapping[str, Decoder], templates: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What `decoder` and the baselines make of templates (N, D): by source, (N, 3, S, S), at the decoder's own size.

    closed_form: the `linear` and the `quadratic` decoder. A baseline of another size is resized, bilinearly, averaged
    where it shrinks: it is measured on the pixels that the decoder is.
    """
    images = {name: _resized(decode(baseline, templates), decoder.size) for name, baseline in closed_form.items()}
    mean_face = closed_form["linear"].mean_face.cpu().clamp(0, 1)[None]
    images["mean_face"] = _resized(mean_face, decoder.size).expand(len(templates), -1, -1, -1)
    return images | {"decoder": decode(decoder, templates)}


def _resized(images: torch.Tensor, size: int) -> torch.Tensor:
    return images if images.shape[-1] == size else shrunk(images, size)


def stored_reconstructions(decoder: Decoder, templates: torch.Tensor, positions: np.ndarray) -> dict[str, torch.Tensor]:
    """By format, the faces at `positions` (M,), decoded from a file of all the templates (N, D) in that format."""
    return {
        name: decode(decoder, restored(decoder, read_back(templates))[positions]) for name, read_back in FORMATS.items()
    }


def evaluate(
    faces: Reconstructions,
    judges: Mapping[str, Judge],
    attacked: str,
    lpips: Lpips | LeftOut,
) -> dict:
    """The metrics of one decoder on one data set.

    attacked: whose templates were decoded, of the judges. Quality, `psnr`, `ssim`, `lpips` and `cosine.<judge>`: see
    `_beside_baselines`; `face.psnr` and `face.ssim` are those of the face alone, see `face_view`. `acceptance`: the decoder as an attack on the recognizer, and `transfer.<judge>` on each other one that
    embeds images: `unattacked`, `type_1` and `type_2` as `attack_summary` has them. `noise`: see there.
    `storage.<format>`: see `_storage`.

    What cannot be had is null, with a note: LPIPS without its network, what wants embedded images of a recognizer that
    embeds none, acceptance without a threshold.
    """
    metrics: dict = {"n_faces": len(faces.originals), "n_identities": len(faces.people)}
    measures = {"psnr": psnr, "ssim": ssim}
    if isinstance(lpips, LeftOut):
        metrics["lpips"] = _nothing("lpips", lpips)
    else:
        measures["lpips"] = lpips
    for name, measure in measures.items():
        values = {source: measure(image, faces.originals).numpy() for source, image in faces.images.items()}
        metrics[name] = _beside_baselines(name, values, faces.people)
    views = {source: face_view(image, faces.geometry) for source, image in faces.images.items()}
    originals = face_view(faces.originals, faces.geometry)
    metrics["face"] = {}
    for name, measure in {"psnr": psnr, "ssim": ssim}.items():
        values = {source: measure(view, originals).numpy() for source, view in views.items()}
        metrics["face"][name] = _beside_baselines(name, values, faces.people)
    embedded = {
        name: _embedded(judge.recognizer, faces.images)
        for name, judge in judges.items()
        if judge.recognizer.embeds_images
    }
    metrics |= {"cosine": {}, "acceptance": {}, "transfer": {}}
    for name, judge in judges.items():
        if name not in embedded:
            metrics["cosine"][name] = _nothing("cosine", NO_IMAGES)
            continue
        values = {
            source: F.cosine_similarity(vectors, judge.templates).numpy() for source, vectors in embedded[name].items()
        }
        metrics["cosine"][name] = _beside_baselines("cosine", values, faces.people)
        metrics["transfer"][name] = _acceptance(faces, judge, embedded[name]["decoder"])
    metrics["acceptance"] = metrics["transfer"].pop(
        attacked, {"unattacked": judges[attacked].unattacked} | no_attack(NO_IMAGES)
    )
    metrics["noise"] = noise(faces.images["decoder"], faces.originals)
    exact = embedded[attacked]["decoder"] if attacked in embedded else None
    return metrics | {"storage": _storage(faces, judges[attacked], exact)}


def _embedded(recognizer: Recognizer, images: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Templates by source, (N, D); of the mean face, which is every face's, one, (1, D)."""
    distinct = {source: image[:1] if source == "mean_face" else image for source, image in images.items()}
    return {source: embed_images(recognizer, image) for source, image in distinct.items()}


def _beside_baselines(name: str, values: Mapping[str, np.ndarray], people: People) -> dict:
    """The decoder's mean with its interval, the baselines' means by name, and the paired differences from the linear and
    the quadratic decoder, `minus_<name>`."""
    if any(np.isinf(value).any() for value in values.values()):
        return _nothing(name, INFINITE)
    means = {baseline: float(values[baseline].mean()) for baseline in BASELINES}
    differences = {
        f"minus_{reference}": people.difference(values["decoder"], values[reference]).metrics()
        for reference in REFERENCES
    }
    return people.mean(values["decoder"]).metrics() | means | differences


def _nothing(name: str, left_out: LeftOut) -> dict:
    """The same of a measure that could not be taken."""
    return Estimate(None, left_out=left_out).metrics(note=name) | dict.fromkeys(BASELINES)


def _acceptance(faces: Reconstructions, judge: Judge, embedded: torch.Tensor) -> dict:
    """The judge before the attack, and how many of the attempts it accepts, of both types."""
    attacks = {"decoder": embedded.numpy()[faces.attempts]}
    templates, people = judge.templates.numpy()[faces.attempts], faces.people.among(faces.attempts)
    summary = attack_summary(attacks, templates, people, judge.unattacked, {"decoder": []})
    return {"unattacked": judge.unattacked} | summary["decoder"]


def _storage(faces: Reconstructions, judge: Judge, embedded: torch.Tensor | None) -> dict:
    """By format, of reconstructions from stored templates: `psnr`, in dB, to the photo, as `value` with the number of
    faces `n`, and `type_1`, the share that the recognizer accepts; each with its 95 % interval, and `minus_exact`, the
    paired difference from what the decoder makes of the same faces' exact templates.

    embedded: templates (N, D) of the latter; None where the recognizer embeds no images.
    """
    kept, people = faces.stored_faces, faces.people.among(faces.stored_faces)
    originals = faces.originals[kept]
    exact = psnr(faces.images["decoder"][kept], originals).numpy()
    references = {"exact": []} | {name: ["exact"] for name in faces.stored}
    left_out = NO_IMAGES if embedded is None else LeftOut.among(judge.unattacked, "threshold")
    if left_out is None:  # else nothing needs to be embedded
        attacks = {"exact": embedded[kept]} | {
            name: embed_images(judge.recognizer, image) for name, image in faces.stored.items()
        }
        attacks = {name: attack.numpy() for name, attack in attacks.items()}
        accepted = attack_summary(attacks, judge.templates.numpy()[kept], people, judge.unattacked, references)
    else:
        accepted = {name: no_attack(left_out, references[name]) for name in faces.stored}
    metrics = {}
    for name, image in faces.stored.items():
        values = psnr(image, originals).numpy()
        quality = people.mean(values, INFINITE).metrics("value", n=True, note="psnr")
        quality["minus_exact"] = people.difference(values, exact, INFINITE).metrics(note="difference")
        metrics[name] = {"psnr": quality, "type_1": accepted[name]["type_1"]}
    return metrics
