"""The clusters that a person's templates form (paper, section 4.4.1)."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import AgglomerativeClustering

from dfd.studies.people.aggregation import aggregate


def cluster(templates: torch.Tensor, count: int) -> np.ndarray:
    """The cluster of each template (N, D), int (N,) from 0 to `count` − 1: the largest first, of equals the earliest.

    Agglomerative with Ward's linkage (Ward, 1963; the paper names none, scikit-learn's default), on templates of unit
    length, whose squared distance is 2 − 2 cos. Raises ValueError for fewer templates than clusters.
    """
    if not 1 <= count <= len(templates):
        raise ValueError(f"{len(templates)} templates cannot form {count} clusters")
    if count == len(templates):  # also where that is 1, which scikit-learn refuses
        return np.arange(count)
    found = AgglomerativeClustering(count, linkage="ward").fit_predict(F.normalize(templates).double().numpy())
    _, first, sizes = np.unique(found, return_index=True, return_counts=True)
    order = np.lexsort([first, -sizes])
    return np.argsort(order)[found]


def centroids(templates: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """The aggregate of each cluster's templates, (count, D), by rising label; `labels` (N,) as from `cluster`."""
    return torch.stack([aggregate(templates[torch.from_numpy(labels == label)]) for label in np.unique(labels)])


def nearest(templates: torch.Tensor, labels: np.ndarray) -> np.ndarray:
    """For each cluster the position of the template with the highest cosine to its centroid, int (count,)."""
    cosines = (F.normalize(centroids(templates, labels)) @ F.normalize(templates).T).numpy()
    return np.where(labels == np.unique(labels)[:, None], cosines, -np.inf).argmax(1)


def cluster_cosines(templates: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
    """Mean cosine of two templates (N, D) in one cluster, and in two clusters; NaN where there are no such pairs."""
    unit = F.normalize(templates.double()).numpy()
    pairs = np.triu_indices(len(unit), 1)
    cosines, same = (unit @ unit.T)[pairs], (labels[:, None] == labels)[pairs]
    return tuple(float(part.mean()) if len(part) else float("nan") for part in (cosines[same], cosines[~same]))
