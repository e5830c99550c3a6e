"""Computing templates: e = ξ(x), always in float32.

Templates vary along many axes by less than a thousandth of what they vary along others, and what bfloat16 or TF32 round off
is more: it would be read as information by whatever whitens them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import h5py
import numpy as np
import torch
from tqdm import tqdm

from dfd.core.artefacts import state_sha256
from dfd.core.devices import exact_convolutions
from dfd.core.shards import NOT_SHARED, Shard, Sharing, in_shards
from dfd.core.vectors import refuse_degenerate
from dfd.faces.geometry import after
from dfd.faces.store import MIRROR, PLAIN, FaceStore
from dfd.recognizers.base import Recognizer

DEGENERATE = "the recognizer sees no face, or its weights are damaged"  # before what is wrong with its templates
BATCH = {"cpu": 8}  # a CPU's cache holds no more of a ResNet's activations; other devices take 256

SHARD = 256  # faces, in whole batches: a killed run has at most some of these to do again


def batches(rows: Sequence[int], device: torch.device) -> Iterator[np.ndarray]:
    """`rows` in the order given, cut to the batch size that suits the device."""
    size = BATCH.get(device.type, 256)
    for start in range(0, len(rows), size):
        yield np.asarray(rows[start : start + size])


@torch.inference_mode()
def embed_images(recognizer: Recognizer, images: torch.Tensor) -> torch.Tensor:
    """Templates (N, D), float32 on the CPU, of plain views (N, 3, H, W) in [0, 1]."""
    parts = [_embedded(recognizer, recognizer, images[rows]) for rows in batches(range(len(images)), recognizer.device)]
    return torch.cat(parts)


@torch.inference_mode()
def embed_views(
    recognizer: Recognizer, faces: FaceStore, rows: Sequence[int], view: np.ndarray = PLAIN
) -> torch.Tensor:
    """Templates (N, D) of one view of `rows`: the recognizer's window in it, sampled from the stored crops at once.

    Raises DfdError where one is degenerate, naming the face.
    """
    parts = [embed_crops(recognizer, faces, faces.crops(batch), view) for batch in batches(rows, recognizer.device)]
    templates = torch.cat(parts)
    refuse_degenerate(templates, faces.faces["key"].iloc[rows].tolist(), DEGENERATE)
    return templates


@torch.inference_mode()
def embed_crops(
    recognizer: Recognizer, faces: FaceStore, crops: torch.Tensor, view: np.ndarray = PLAIN
) -> torch.Tensor:
    """The same of context crops that are already decoded."""
    window = faces.views_of(crops, recognizer.size, view if recognizer.seen is None else after(view, recognizer.seen))
    return _embedded(recognizer, recognizer.embed, window)


def _embedded(recognizer: Recognizer, embed: Callable, images: torch.Tensor) -> torch.Tensor:
    with exact_convolutions():
        return embed(images.to(recognizer.device).contiguous(memory_format=torch.channels_last)).float().cpu()


def embed_faces(recognizer: Recognizer, faces: FaceStore) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Templates (N, D) of all faces of a store, and of the mirrored ones of its training split, None where it has none:
    see `embed_into`."""
    names = ["template"] + ["mirrored"] * bool(len(faces.rows("train")))
    filled = {name: np.empty((len(faces), recognizer.dimension), np.float32) for name in names}
    embed_into(filled, recognizer, faces)
    return tuple(torch.from_numpy(filled[name]) if name in filled else None for name in ("template", "mirrored"))


def embed_into(
    out: Mapping[str, np.ndarray | h5py.Dataset],
    recognizer: Recognizer,
    faces: FaceStore,
    sharing: Sharing = NOT_SHARED,
) -> None:
    """Fill in `template` (N, D), of all faces of a store, and `mirrored`, if it is there: of the mirrored faces of its
    training split, of which alone anything learns, and NaN in the other rows. A file is written shard by shard: more
    templates than memory holds.

    Raises DfdError where one is degenerate, naming the face, and where all are the same.
    """
    trains = np.zeros(len(faces), bool)
    trains[faces.rows("train")] = True
    starts = range(0, len(faces), SHARD)
    tasks = [(np.arange(len(faces))[start : start + SHARD], trains[start : start + SHARD]) for start in starts]
    decides = ""
    if sharing.folder:
        seen = None if recognizer.seen is None else recognizer.seen.tolist()
        everything = [recognizer.decides(), state_sha256(recognizer.state_dict()), seen, recognizer.device.type]
        decides = json.dumps([*everything, faces.fingerprint], sort_keys=True)

    def stamp(task: tuple[np.ndarray, np.ndarray]) -> str:
        rows, mirrored = task
        parts = [decides.encode(), rows.tobytes(), mirrored.tobytes(), *faces.encoded(rows)]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    progress = tqdm(total=len(faces), desc=f"templates of {faces.name}", unit=" faces", disable=None)
    for (rows, _), shard in in_shards(partial(_embedded_shard, recognizer, faces), tasks, sharing, stamp):
        for name, templates in shard.items():  # in this order a file is laid out: its bytes are always the same
            if name in out:
                out[name][rows[0] : rows[-1] + 1] = templates
        progress.update(len(rows))
    keys = faces.faces["key"].tolist()
    refuse_degenerate(out["template"], keys, DEGENERATE, distinct=True)
    if "mirrored" in out:
        refuse_degenerate(out["mirrored"], keys, DEGENERATE, gaps=~trains)


def _embedded_shard(recognizer: Recognizer, faces: FaceStore, task: tuple[np.ndarray, np.ndarray]) -> Shard:
    """Templates of rows (n,), and of those mirrored that are marked, NaN for the others: (n, D) each."""
    plain, mirrored = [], []
    for part in batches(range(len(task[0])), recognizer.device):
        rows, marked = (values[part] for values in task)
        crops = faces.crops(rows)
        plain.append(embed_crops(recognizer, faces, crops))
        flipped = torch.full_like(plain[-1], torch.nan)
        if marked.any():
            flipped[marked] = embed_crops(recognizer, faces, crops[marked], MIRROR)
        mirrored.append(flipped)
    return {"template": torch.cat(plain).numpy(), "mirrored": torch.cat(mirrored).numpy()}
