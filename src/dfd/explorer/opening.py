"""From a file to a `Space`: whose templates these are, who decodes them, and where their photos lie."""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import torch

from dfd.core.artefacts import read_config
from dfd.core.errors import DfdError
from dfd.core.hdf5 import read_attributes
from dfd.core.paths import FACES
from dfd.core.vectors import refuse_degenerate
from dfd.decoder.adapted import adapted
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import admit
from dfd.explorer.space import Space, png
from dfd.faces.store import FaceStore
from dfd.templates.adapters import load_adapter
from dfd.templates.files import TEMPLATE, TemplatesFile, read_templates_file
from dfd.templates.lookup import match, people_of
from dfd.templates.people import spread
from dfd.workspace import Workspace

MOST = 50_000  # templates on a map; of more, as many spread evenly

Photo = Callable[[int], bytes | None]


def open_space(
    project: Workspace,
    path: Path,
    names: Sequence[str] = (),
    faces: Path | None = None,
    adapter: Path | None = None,
    template: str = TEMPLATE,
) -> tuple[Space, list[str]]:
    """The templates of a file, or of one of the pipeline's stores, and notes for whoever opened it.

    names: of decoders; without any, all at hand that take such templates. faces: the face store with the photos of the
    templates' keys; by default that which a store was made from. adapter: a file of `dfd adapt`. template: the name of
    the file's array or column of templates.
    Raises DfdError where no decoder is at hand or fits, and as `read_templates_file`.
    """
    file, store = _read(path, template)
    notes = [] if len(file.template) <= MOST else [f"{path}: showing {MOST:,} of {len(file.template):,} templates"]
    rows = spread(np.arange(len(file.template)), MOST)
    keys = [str(row) for row in rows] if file.key is None else [file.key[row] for row in rows]
    file = file._replace(key=keys, template=file.template[rows])
    decoders = {}
    for name, decoder in _decoders(project, file, names, adapter).items():
        vectors, doubts = admit(decoder, file, name if adapter is None else f"{name} behind {adapter}")
        decoders[name] = decoder, vectors
        notes += [doubt for doubt in doubts if doubt not in notes]
    columns = _columns(path, rows)
    people = columns.get("identity") or (keys if all(key.isdigit() for key in keys) else people_of(keys).tolist())
    photo = _of_column(columns["face"]) if "face" in columns else None
    if faces is None and store and Path(FACES.format(path.parent.name)).is_file():
        faces = Path(FACES.format(path.parent.name))
    if faces is not None:
        photo, people = _of_store(FaceStore(faces), keys, people)
    return Space(path.name if not store else f"{path.parent.name}, {path.stem}", torch.from_numpy(file.template), keys, people, decoders, photo), notes  # fmt: skip


def _read(path: Path, template: str) -> tuple[TemplatesFile, bool]:
    """A file's templates, and whether it is one of the pipeline's stores, whose rows may have none."""
    if path.suffix in (".h5", ".hdf5") and path.is_file() and h5py.is_hdf5(path):
        with h5py.File(path) as file:
            if "faces_fingerprint" in file.attrs:
                templates, keys = file["template"][:], [key.decode() for key in file["key"][:]]
                rows = np.flatnonzero(~np.isnan(templates).all(1))
                if not len(rows):
                    raise DfdError(f"{path}: no face of this store has a template")
                refuse_degenerate(templates[rows], [keys[row] for row in rows], str(path))
                source = (str(read_attributes(file)[name]) for name in ("recognizer", "weights_sha256"))
                return TemplatesFile(path, [keys[row] for row in rows], templates[rows], templates.dtype, *source), True
    return read_templates_file(path, template), False


def _decoders(
    project: Workspace, file: TemplatesFile, names: Sequence[str], adapter: Path | None
) -> dict[str, Decoder]:
    """The decoders by name: those asked for, or all at hand that take templates like the file's."""
    if adapter is not None:
        linear = load_adapter(adapter, project.device)
        return {name: adapted(project.decoder(name), linear) for name in names or [linear.config["to"]["decoder"]]}
    if names:
        return {name: project.decoder(name) for name in names}
    there = [name for name in project.params.decoders if project.decoder_file(name).is_file()]
    if not there:
        project.decoders_at_hand()  # says what is missing
    headers = {name: read_config(project.decoder_file(name)) for name in there}
    fitting = [
        name
        for name, header in headers.items()
        if header.get("dimension") == file.template.shape[1]
        and file.weights_sha256 in (None, header.get("weights_sha256", file.weights_sha256))
    ]
    if not fitting:
        dimensions = ", ".join(f"{name} ({header.get('dimension')})" for name, header in headers.items())
        raise DfdError(
            f"{file.path}: templates of {file.template.shape[1]} numbers"
            + (f" of {file.recognizer}" if file.recognizer else "")
            + f"; none of the decoders at hand takes such ({dimensions}); fit an --adapter with `dfd adapt`"
        )
    return {name: project.decoder(name) for name in fitting}


def _columns(path: Path, rows: np.ndarray) -> dict[str, list]:
    """`identity` and `face` of a table that `dfd embed --images` wrote."""
    if path.suffix != ".parquet":
        return {}
    names = [name for name in ("identity", "face") if name in pq.read_schema(path).names]
    return {name: pq.read_table(path, columns=[name])[name].take(rows).to_pylist() for name in names}


def _of_column(pictures: list) -> Photo:
    return lambda row: pictures[row]["bytes"] if isinstance(pictures[row], dict) else pictures[row]


def _of_store(faces: FaceStore, keys: list[str], people: list[str]) -> tuple[Photo, list[str]]:
    """The photos by the templates' keys, and whom the store says that they show. Raises DfdError where none matches."""
    places = match(keys, faces.faces["key"].tolist())
    if (places < 0).all():
        raise DfdError(
            f"{faces.path}: none of {len(keys)} templates has the key of a face: the templates' keys are like {keys[0]}, "
            f"the photos' like {faces.faces['key'].iloc[0]}"
        )
    named = faces.identities(np.arange(len(faces)))
    people = [str(named[place]) if place >= 0 else person for place, person in zip(places, people, strict=True)]
    return lambda row: png(faces.views([places[row]], faces.size)[0]) if places[row] >= 0 else None, people
