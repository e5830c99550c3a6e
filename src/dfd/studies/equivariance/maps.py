"""Linear maps in template space that undo a perturbation of the face (Eq. 6), and their file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from tqdm import tqdm

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError
from dfd.core.hdf5 import write_attributes
from dfd.core.left_out import LeftOut
from dfd.core.rows import Rows
from dfd.faces.store import FaceStore
from dfd.recognizers.base import Recognizer
from dfd.templates.embedding import batches, embed_crops
from dfd.templates.linear import Fit, LinearMap, Moments, fit_ridge

ADDED = 512  # templates to the moments at once: with fewer, adding 4096 numbers' takes longer than computing them


def fit_transforms(
    recognizer: Recognizer,
    faces: FaceStore,
    templates: torch.Tensor | Rows,
    training: Sequence[int],
    held_out: Sequence[int],
    views: Mapping[str, np.ndarray],
) -> dict[str, Fit]:
    """For each view the map from perturbed to original templates, by ridge regression over the `training` rows.

    templates: (N, D), the originals of the whole store. held_out: rows of other identities, on which λ is chosen.
    """
    device, dimension = recognizer.device, templates.shape[1]
    moments = {name: (Moments(dimension, dimension), Moments(dimension, dimension)) for name in views}
    progress = tqdm(total=(len(training) + len(held_out)) * len(views), desc="perturbed templates", disable=None)
    for part, rows_of_part in enumerate((training, held_out)):
        for start in range(0, len(rows_of_part), ADDED):
            added = rows_of_part[start : start + ADDED]
            perturbed: dict[str, list[torch.Tensor]] = {name: [] for name in views}
            for rows in batches(added, device):
                crops = faces.crops(rows)
                for name, view in views.items():
                    perturbed[name].append(embed_crops(recognizer, faces, crops, view))
                    progress.update(len(rows))
            for name, parts in perturbed.items():
                moments[name][part].add(torch.cat(parts), templates[added])
    return {name: fit_ridge(*moments.pop(name)) for name in views}  # a map takes less than the moments that go


def write_transforms(
    path: str | Path, fits: Mapping[str, Fit] | LeftOut, views: Mapping[str, np.ndarray] | None = None
) -> None:
    """One group per perturbation: `weight` (D, D) and `bias` (D,) with e = weight · e′ + bias; N, λ, R² as attributes.

    fits: or why there are none. views: by perturbation, what its map undoes: an attribute too.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        if isinstance(fits, LeftOut):
            write_attributes(file, {"note": fits.reason})
            return
        for name, fit in fits.items():
            group = file.create_group(name)
            group.create_dataset("weight", data=fit.map.weight.numpy())
            group.create_dataset("bias", data=fit.map.bias.numpy())
            group.attrs.update({"n": fit.n, "ridge": fit.strength, "held_out_r2": fit.r2})
            if views is not None:
                group.attrs["view"] = views[name]


def read_transforms(path: str | Path, views: Mapping[str, np.ndarray] | None = None) -> dict[str, LinearMap]:
    """The maps by perturbation; none where the file says why. Raises DfdError where it is missing or something else.

    views: the perturbations of params; DfdError too where the file has not a map for each.
    """
    try:
        with h5py.File(path) as file:
            maps = {
                name: LinearMap(torch.from_numpy(group["weight"][:]), torch.from_numpy(group["bias"][:]))
                for name, group in file.items()
            }
            if not maps and "note" not in file.attrs:
                raise KeyError("it holds no map")
            undone = {name: group.attrs["view"] for name, group in file.items() if "view" in group.attrs}
    except Exception as error:  # whatever HDF5 makes of a damaged or foreign file
        reason = " ".join(str(error).split())
        raise DfdError(f"{path}: not a file of transforms ({reason}); run `dvc repro fit_transforms`") from error
    for name, view in (views or {}).items() if maps else ():
        if name not in maps or not np.allclose(undone.get(name, view), view):
            raise DfdError(
                f"{path}: the params' `transforms` have changed since it was written, it has no map for {name}; "
                "run `dvc repro fit_transforms`"
            )
    return maps
