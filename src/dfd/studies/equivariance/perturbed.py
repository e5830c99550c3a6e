"""Templates of perturbed test faces, the conditions under which people are verified (Table 2), and their file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError
from dfd.core.hdf5 import read_attributes, write_attributes
from dfd.core.left_out import LeftOut
from dfd.faces.store import FaceStore
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.studies.equivariance.settings import Verify
from dfd.templates.embedding import embed_views
from dfd.templates.linear import LinearMap


def conditions(settings: Verify) -> dict[str, str]:
    """The perturbation (a name of `perturbations`) that each verified condition is."""
    return {
        "rotated": f"rotate{settings.rotate:+d}",
        "translated": f"translate-{settings.translate}",
        "scaled": f"scale-{settings.scale:g}",
    }


class Perturbed(NamedTuple):
    """By condition a recognizer's templates (N, D) of the perturbed faces at `rows` (N,) of a face store.

    left_out: why there are none.
    """

    rows: np.ndarray
    templates: dict[str, torch.Tensor]
    left_out: LeftOut | None = None

    def at(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Those of some of the rows, which rise."""
        return {name: templates[np.searchsorted(self.rows, rows)] for name, templates in self.templates.items()}


class Sides(NamedTuple):
    """The sides of Table 2's comparisons, of the same N faces, (N, D) each: their templates; and by condition the perturbed
    faces', as they are and mapped. Any number of conditions."""

    originals: np.ndarray
    perturbed: Mapping[str, np.ndarray]
    mapped: Mapping[str, np.ndarray]

    def among(self, positions: np.ndarray) -> "Sides":
        """Those of some of the faces."""
        perturbed, mapped = ({name: part[positions] for name, part in side.items()} for side in self[1:])
        return Sides(self.originals[positions], perturbed, mapped)


def embed_perturbed(
    recognizer: Recognizer, faces: FaceStore, rows: np.ndarray, views: Mapping[str, np.ndarray]
) -> Perturbed:
    """The templates of `rows` under each condition; views: (2, 3) by condition."""
    if not recognizer.embeds_images:
        return Perturbed(rows, {}, NO_IMAGES)
    if not len(rows):
        return Perturbed(rows, {}, LeftOut(f"{faces.name} has no test faces"))
    return Perturbed(rows, {name: embed_views(recognizer, faces, rows, view) for name, view in views.items()})


def sides(
    originals: torch.Tensor,
    perturbed: Mapping[str, torch.Tensor],
    maps: Mapping[str, LinearMap],
    names: Mapping[str, str],
) -> Sides:
    """originals: (N, D); perturbed: by condition, alike; maps: by perturbation; names: as `conditions` gives them, in whose order the sides have the conditions."""
    plain = {condition: perturbed[condition] for condition in names if condition in perturbed}
    mapped = {condition: maps[names[condition]](templates).numpy() for condition, templates in plain.items()}
    return Sides(originals.numpy(), {condition: part.numpy() for condition, part in plain.items()}, mapped)


def write_perturbed(path: str | Path, faces: FaceStore, perturbed: Perturbed) -> None:
    """One data set per condition, (N, D), and `row`; why there are none, and the faces' fingerprint as attributes."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("row", data=perturbed.rows)
        for name, templates in perturbed.templates.items():
            file.create_dataset(name, data=templates.numpy())
        note = {} if perturbed.left_out is None else {"note": perturbed.left_out.reason}
        write_attributes(file, {"faces_fingerprint": faces.fingerprint} | note)


def read_perturbed(path: str | Path, faces: FaceStore) -> Perturbed:
    """What `write_perturbed` wrote. Raises DfdError where it is missing, something else, or made from other faces."""
    try:
        with h5py.File(path) as file:
            about, rows = read_attributes(file), file["row"][:]
            templates = {name: torch.from_numpy(part[:]) for name, part in file.items() if name != "row"}
    except Exception as error:  # whatever HDF5 makes of a damaged or foreign file
        raise DfdError(f"{path}: no templates of perturbed faces ({error}); run `dvc repro verify`") from error
    if about.get("faces_fingerprint") != faces.fingerprint:
        raise DfdError(f"{path}: these templates were not made from {faces.path}; run `dvc repro verify`")
    return Perturbed(rows, templates, LeftOut(about["note"]) if "note" in about else None)
