"""Where a decoder comes from: its header's account of what it learned from, and what that account forbids."""

from collections.abc import Mapping

import numpy as np
import torch

from dfd.core.artefacts import FORMAT
from dfd.core.errors import DfdError
from dfd.core.rows import Rows
from dfd.decoder.base import Decoder
from dfd.faces.leakage import Seen, people_seen, person_hash
from dfd.faces.store import FaceStore
from dfd.templates.belonging import Axes, doubts, rounding, statistics
from dfd.templates.files import TemplatesFile
from dfd.templates.store import TemplateStore


def provenance(
    decoder: Decoder, faces: FaceStore, templates: TemplateStore, training: torch.Tensor | Rows, n_faces: int
) -> dict:
    """What a decoder's header says of its training.

    training: the templates (M, D) that it learned from, mirrored faces' among them; n_faces: of how many faces.

    format; recognizer (its name), weights_sha256 and layer: whose templates it decodes; geometry and fill: of the faces
    that it shows; dataset and n_faces; people: the hashes of everybody's name whom the training or its validation saw,
    sorted, so that nobody of them is evaluated elsewhere either; training_templates: as `statistics` gives them.
    """
    return {
        "format": FORMAT,
        "recognizer": str(templates.attributes["recognizer"]),
        "weights_sha256": str(templates.attributes["weights_sha256"]),
        "layer": str(templates.attributes["layer"]),
        "geometry": faces.geometry,
        "fill": str(faces.attributes["fill"]),
        "dataset": faces.name,
        "n_faces": n_faces,
        "people": sorted({person_hash(name) for name in people_seen(faces).people}),
        "training_templates": statistics(training, axes(decoder)),
    }


def axes(decoder: Decoder) -> Axes | None:
    """The axes along which a decoder sees templates, on the CPU; None for one that takes the numbers as they are."""
    state = decoder.state_dict()
    if "whitening.matrix" not in state:
        return None
    return Axes(*(state[f"whitening.{name}"].cpu() for name in Axes._fields))


def restored(decoder: Decoder, templates: torch.Tensor) -> torch.Tensor:
    """All templates (N, D) of a file as they most likely were before they were rounded, if they were: what to decode.

    Without axes to tell that by (a decoder that does not whiten, or one behind an adapter) they stay as they are.
    """
    seen = axes(decoder)
    rounded = None if seen is None else rounding(templates.numpy())
    return templates if rounded is None else seen.restored(templates, rounded.noise)


def decoder_facts(decoder: Decoder) -> dict:
    """What a decoder is, as metrics."""
    config = decoder.config
    facts = {
        "dimension": decoder.dimension,
        "size": decoder.size,
        "parameters": sum(p.numel() for p in decoder.parameters()),
    }
    if "people" in config:
        facts |= {"n_faces": config["n_faces"], "n_people": len(config["people"])}
        facts["training_note"] = f"learned from faces of {config['dataset']}, templates of {config['recognizer']}"
    else:
        facts["training_note"] = "the file does not say what it learned from"
    return facts


def whom_it_saw(decoder: Decoder) -> Seen:
    """Whom a decoder's training saw, by the hashes in its header, for `refuse_leakage`. Raises DfdError where none are."""
    if "people" not in decoder.config:
        raise DfdError("this decoder's file does not say whom its training saw; train and release it again")
    return Seen(decoder.config["dataset"], frozenset(decoder.config["people"]))


def refuse_other_faces(config: Mapping, where: str, recognizer: str, weights_sha256: str, geometry: str) -> None:
    """Raise DfdError where a decoder learned other templates, or faces cut otherwise, than it is to get.

    config: its header, let pass where it has no provenance; where: what the message names first. recognizer,
    weights_sha256: whose templates it is to decode; geometry: of params.
    """
    if config.get("weights_sha256", weights_sha256) != weights_sha256:
        raise DfdError(
            f"{where}: learned from templates of {config['recognizer']} with the weights "
            f"{config['weights_sha256'][:12]}…; those of {recognizer} here are {weights_sha256[:12]}…; train it again, or name its own recognizer as `template`"
        )
    if config.get("geometry", geometry) != geometry:
        raise DfdError(
            f"{where}: learned faces of the geometry {config['geometry']}, and faces.geometry is {geometry}; "
            "set it to the decoder's, or train the decoder again"
        )


def admit(decoder: Decoder, templates: TemplatesFile, name: str) -> tuple[torch.Tensor, list[str]]:
    """The door to a decoder for templates from a file: the templates (N, D) to decode, `restored`, and what makes them
    doubtful, in words, [] for nothing.

    A file that says whose templates they are is believed; of another, the numbers are looked at. name: the decoder's.
    Raises DfdError where they have another dimension, or another network than the decoder's gave them.
    """
    config, vectors = decoder.config, templates.template
    if vectors.shape[1] != decoder.dimension:
        raise DfdError(f"{templates.path}: templates of shape {vectors.shape}; {name} decodes (N, {decoder.dimension})")
    seen, rounded = axes(decoder), rounding(vectors, templates.stored)
    admitted = torch.from_numpy(vectors)
    if seen is not None and rounded is not None:
        admitted = seen.restored(admitted, rounded.noise)
    if templates.weights_sha256 is not None and "weights_sha256" in config:
        if templates.weights_sha256 == config["weights_sha256"]:
            return admitted, _other_geometry(templates, config, name)
        raise DfdError(
            f"{templates.path}: templates of {templates.recognizer or 'a recognizer'} with the weights "
            f"{templates.weights_sha256[:12]}…; {name} decodes those of {config['recognizer']} with "
            f"{config['weights_sha256'][:12]}…"
        )
    if "training_templates" not in config:
        return admitted, []
    doubted = doubts(np.asarray(vectors), config["training_templates"], seen, rounded)
    return admitted, [f"{templates.path}: {doubt}" for doubt in doubted]


def _other_geometry(templates: TemplatesFile, config: Mapping, name: str) -> list[str]:
    """That templates are of faces cut otherwise than those that the decoder learned, where both say so; else nothing.

    Behind an adapter they may be: it learned from such templates.
    """
    geometry = config.get("geometry", templates.geometry)
    if templates.geometry in (None, geometry) or "adapter" in config:
        return []
    return [f"{templates.path}: of faces of the geometry {templates.geometry}; {name} learned from {geometry} ones"]
