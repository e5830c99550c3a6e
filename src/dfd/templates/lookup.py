"""Templates that exist, beside the faces they are of: matched by the photo's key."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import torch

from dfd.core.errors import DfdError
from dfd.core.left_out import LeftOut
from dfd.core.rows import Rows
from dfd.core.vectors import few
from dfd.faces.store import FaceStore
from dfd.templates.store import LOOKED_AT

# What of a key names the photo, where all of it does not: its person's folder and its file, the file, without suffix.
SHORTER = (
    lambda key: "/".join(PurePosixPath(key).parts[-2:]),
    lambda key: PurePosixPath(key).name,
    lambda key: PurePosixPath(key).stem,
)


def match(keys: Sequence[str], photos: Sequence[str]) -> np.ndarray:
    """For each of the templates' keys (N,) the number of its photo among the photos' keys (M,), -1 where it has none.

    Both distinct. A shorter name, as in SHORTER, serves where it is one key's and one photo's alone.
    """
    places = pd.Index(photos, dtype=object).get_indexer(pd.Index(keys, dtype=object))
    for shorter in SHORTER:
        free = np.setdiff1d(np.arange(len(photos)), places)
        theirs, ours = (pd.Series([shorter(key) for key in part], dtype=object) for part in (keys, photos))
        single = ours[~ours.duplicated(keep=False)]
        single = single[single.index.isin(free)]
        positions = pd.Index(single).get_indexer(theirs)
        new = (places < 0) & (positions >= 0) & ~theirs.duplicated(keep=False).to_numpy()
        places[new] = single.index.to_numpy()[positions[new]]
    return places


def people_of(photos: Sequence[str]) -> np.ndarray:
    """Whom each photo shows, by its key: its folder (N,); where all lie at the top, in one folder, each is a person."""
    folders = [str(PurePosixPath(key).parent) for key in photos]
    if len(set(folders)) == 1 and "/" not in folders[0]:
        return np.array(list(photos))
    return np.array(folders)


def look_up(keys: Sequence[str], templates: torch.Tensor, faces: FaceStore) -> tuple[torch.Tensor, dict]:
    """Templates (N, D) of all `faces`, NaN where there is none, and the metrics of the match (see `matched`).

    keys: (M,) distinct, of the photos, `<identity>/<photo>`; templates: (M, D). Raises DfdError where there are
    templates, but none of a face of the store.
    """
    wanted = faces.faces["key"]
    places = pd.Index(keys, dtype=object).get_indexer(wanted)
    if len(keys) and (places < 0).all():
        raise DfdError(
            f"{faces.path}: none of {len(keys)} templates has the key of a face: the templates' keys are like {keys[0]}, "
            f"the photos' like {wanted.iloc[0]}"
        )
    matching = torch.full((len(faces), templates.shape[1]), torch.nan)
    matching[torch.from_numpy(places >= 0)] = templates[torch.from_numpy(places[places >= 0])]
    metrics = matched(matching, len(keys))
    if not len(keys):
        left_out = LeftOut(f"there are no templates of {faces.name}: it is left out wherever they are needed")
        metrics |= left_out.metrics(note="templates")
    if metrics["unmatched_keys"]:
        metrics["unmatched_note"] = _unmatched(pd.Index(keys, dtype=object).difference(wanted, sort=False), faces)
    if len(keys) and metrics["faces_without_template"]:
        metrics["without_template_note"] = f"faces without a template: {few(wanted[places < 0])}"
    return matching, metrics


def matched(templates: torch.Tensor | Rows, given: int) -> dict:
    """The metrics of a store's templates (N, D), NaN rows being none, of which `given` there were to choose from."""
    without = sum(int(part.isnan().any(1).sum()) for part in templates.split(LOOKED_AT))
    n_templates = len(templates) - without
    return {
        "n_faces": len(templates),
        "n_templates": n_templates,
        "unmatched_keys": given - n_templates,
        "faces_without_template": without,
        "dimension": templates.shape[1],
    }


def _unmatched(keys: pd.Index, faces: FaceStore) -> str:
    """Which keys no face has: those of photos that were rejected, with the reason, apart from those of no photo at all."""
    rejected = faces.index.loc[faces.index["row"].isna() & faces.index["key"].isin(keys)]
    parts = []
    if len(rejected):
        reasons = [f"{key} ({reason})" for key, reason in zip(rejected["key"], rejected["reason"])]
        parts.append(f"{len(rejected)} of photos without a face in the store: {few(reasons)}")
    if len(unknown := keys.difference(rejected["key"], sort=False)):
        parts.append(f"{len(unknown)} of no photo: {few(unknown)}")
    return f"templates of no face: {'; '.join(parts)}"
