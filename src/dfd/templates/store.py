"""The template store: templates of every face of a data set by one recognizer, in HDF5."""

from pathlib import Path

import h5py
import numpy as np
import torch

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError
from dfd.core.vectors import refuse_degenerate
from dfd.faces.store import FaceStore


class Templates:
    """Templates and mirrored faces' templates, float32 (N, D), row for row with the face store they were made from.

    A face without a template has NaN in its row; `mirrored` has NaN outside the training split, and is None where no
    mirrored face has a template. `known`: which faces have one, bool (N,).
    """

    def __init__(self, faces: FaceStore, template: torch.Tensor, mirrored: torch.Tensor | None):
        self.faces, self.template, self.mirrored = faces, template, mirrored
        self.known = ~template.isnan().any(1).numpy()

    @property
    def dimension(self) -> int:
        return self.template.shape[1]

    def rows(self, split: str) -> np.ndarray:
        """The rows of a split, as `FaceStore.rows`, that have a template."""
        rows = self.faces.rows(split)
        return rows[self.known[rows]]


class TemplateStore(Templates):
    """Those of a file. Raises DfdError where it is missing, no template store, was made from another face store, or holds
    what no template can be, rows of NaN apart."""

    def __init__(self, path: str | Path, faces: FaceStore):
        try:
            with h5py.File(path) as file:
                template = torch.from_numpy(file["template"][:])
                mirrored = torch.from_numpy(file["mirrored"][:]) if "mirrored" in file else None
                self.attributes = dict(file.attrs)
                fingerprint = file.attrs["faces_fingerprint"]
        except Exception as error:  # whatever HDF5 makes of a damaged file
            reason = " ".join(str(error).split())
            raise DfdError(f"{path}: not a template store ({reason}); run `dvc repro embed`") from error
        if fingerprint != faces.fingerprint:
            raise DfdError(f"{path}: these templates were not made from {faces.path}; run `dvc repro embed`")
        if template.ndim != 2 or len(template) != len(faces) or not template.is_floating_point():
            raise DfdError(f"{path}: damaged, no (N, D) templates of {len(faces)} faces; run `dvc repro embed`")
        super().__init__(faces, template, mirrored)
        given = np.flatnonzero(~template.isnan().all(1).numpy())
        keys = faces.faces["key"].iloc[given].tolist()
        refuse_degenerate(template[given], keys, f"{path}, which `dvc repro embed` writes anew", distinct=True)


def write_templates(
    path: str | Path, faces: FaceStore, template: np.ndarray, mirrored: np.ndarray | None, attributes: dict
) -> None:
    """Write templates (N, D) of all `faces`, and of mirrored ones if there are any, with what they were made by."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("template", data=template)
        if mirrored is not None:
            file.create_dataset("mirrored", data=mirrored)
        file.create_dataset("key", data=faces.faces["key"].to_list(), dtype=h5py.string_dtype())
        file.attrs.update(attributes | {"dimension": template.shape[1], "faces_fingerprint": faces.fingerprint})
