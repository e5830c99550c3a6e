"""The template store: templates of every face of a data set by one recognizer, in HDF5."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError
from dfd.core.hdf5 import read_attributes, texts, write_attributes
from dfd.core.rows import Rows, StoredRows
from dfd.core.vectors import refuse_degenerate
from dfd.faces.store import FaceStore

LOOKED_AT = 4096  # templates at once


class Templates:
    """Templates and mirrored faces' templates, float32 (N, D), row for row with the face store they were made from.

    A face without a template has NaN in its row; `mirrored` has NaN outside the training split, and is None where no
    mirrored face has a template. Both are tensors or, in a file, `Rows`: `template[rows]` is a tensor either way.
    """

    def __init__(self, faces: FaceStore, template: torch.Tensor | Rows, mirrored: torch.Tensor | Rows | None):
        self.faces, self.template, self.mirrored = faces, template, mirrored

    @cached_property
    def known(self) -> np.ndarray:
        """Which faces have a template, bool (N,)."""
        whole = np.ones(len(self.template), bool)
        for number, part in enumerate(self.template.split(LOOKED_AT)):
            whole[number * LOOKED_AT : number * LOOKED_AT + len(part)] = ~part.isnan().any(1).numpy()
        return whole

    @property
    def dimension(self) -> int:
        return self.template.shape[1]

    def rows(self, split: str) -> np.ndarray:
        """The rows of a split, as `FaceStore.rows`, that have a template."""
        rows = self.faces.rows(split)
        return rows[self.known[rows]]


class TemplateStore(Templates):
    """Those of a file, which stay in it: rows are read as they are asked for, so that any number of faces is.

    Raises DfdError where the file is missing, no template store, was made from another face store, or holds what no
    template can be, rows of NaN apart.
    """

    def __init__(self, path: str | Path, faces: FaceStore):
        try:
            template = StoredRows(path, "template")
            with h5py.File(path) as file:
                mirrored = StoredRows(path, "mirrored") if "mirrored" in file else None
                self.attributes = read_attributes(file)
            fingerprint = self.attributes["faces_fingerprint"]
        except Exception as error:  # whatever HDF5 makes of a damaged file
            reason = " ".join(str(error).split())
            raise DfdError(f"{path}: not a template store ({reason}); run `dvc repro embed`") from error
        if fingerprint != faces.fingerprint:
            raise DfdError(f"{path}: these templates were not made from {faces.path}; run `dvc repro embed`")
        if len(template.shape) != 2 or len(template) != len(faces) or template.dtype.kind != "f":
            raise DfdError(f"{path}: damaged, no (N, D) templates of {len(faces)} faces; run `dvc repro embed`")
        super().__init__(faces, template, mirrored)
        where = f"{path}, which `dvc repro embed` writes anew"
        refuse_degenerate(template, faces.faces["key"].tolist(), where, distinct=True, gaps=True)


def write_templates(
    path: str | Path, faces: FaceStore, template: np.ndarray, mirrored: np.ndarray | None, attributes: dict
) -> None:
    """Write templates (N, D) of all `faces`, and of mirrored ones if there are any, with what they were made by."""
    with templates_file(path, faces, template.shape[1], mirrored is not None, attributes) as file:
        file["template"][:] = template
        if mirrored is not None:
            file["mirrored"][:] = mirrored


@contextlib.contextmanager
def templates_file(
    path: str | Path, faces: FaceStore, dimension: int, mirrored: bool, attributes: dict
) -> Iterator[h5py.File]:
    """The same file, whose `template` and, if there is to be one, `mirrored`, float32 (N, D), are still to be filled in.

    It is at its path once the block ends, and nothing is where it fails.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name in ["template"] + ["mirrored"] * mirrored:
            file.create_dataset(name, (len(faces), dimension), np.float32)
        yield file
        file.create_dataset("key", data=texts(faces.faces["key"]))
        write_attributes(file, attributes | {"dimension": dimension, "faces_fingerprint": faces.fingerprint})
