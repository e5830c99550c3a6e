"""How much a person's templates, and their reconstructions, vary beside those of different people (Fig. 14)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.left_out import LeftOut
from dfd.measures.estimates import Estimate, People
from dfd.measures.pixels import pairwise_grey_levels
from dfd.studies.people.aggregation import aggregate
from dfd.studies.people.clustering import centroids, cluster, cluster_cosines


def person_spread(
    templates: torch.Tensor,
    photos: Mapping[str, np.ndarray],
    decoders: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    count: int,
    people: People,
) -> dict:
    """The metrics of one recognizer: of its `templates`, of their `clusters`, and by variant of what is `decoded`.

    templates: (N, D). photos: the positions of each person's photos, two or more. decoders: by variant, templates
    (N, D) to images. people: of one number per person, in their order. What too few photos do not allow is left out, and
    a note says so.
    """
    clustered = [theirs for theirs in photos.values() if len(theirs) > count]
    metrics: dict = {"n_people": len(photos), "n_photos": sum(map(len, photos.values()))}
    metrics |= {"n_clusters": count, "n_people_clustered": len(clustered)}
    if not photos:
        return metrics | LeftOut("left out, as the clusters: nobody has two test photos").metrics("templates")
    metrics["templates"] = template_spread(templates, list(photos.values()), people)
    if not clustered:
        few = LeftOut(f"left out: nobody has more test photos than {count} clusters")
        return metrics | few.metrics("clusters")
    if few := len(photos) - len(clustered):
        note = f"{few} of {len(photos)} people: left out, they have no more test photos than {count} clusters"
        metrics["clusters_note"] = note
    people = people.among(slice(len(clustered)))
    metrics["clusters"] = cluster_spread(templates, clustered, count, people)
    decoded = {name: decoded_spread(decode, templates, clustered, count, people) for name, decode in decoders.items()}
    return metrics | {"decoded": decoded}


def template_spread(templates: torch.Tensor, photos: Sequence[np.ndarray], people: People) -> dict:
    """The cosines within and between people, and the share of the templates' variance that lies within a person.

    templates: (N, D); photos: the positions of each person's photos, two or more. Every person counts the same.
    within_person_cosine, between_people_cosine: mean cosine of two photos of one person, of two people.
    within_person_share: (1 − within) / (1 − between), in [0, 1] as a rule: of unit templates 2 − 2 cos is the squared
    distance, whose mean is twice the variance; so this is the variance within a person as a share of that over all
    people's photos, whatever the range in which a recognizer's cosines lie (0: the photos of a person are one).
    """
    unit = F.normalize(templates.double(), dim=1).numpy()
    counts = np.array([len(theirs) for theirs in photos])
    sums = np.stack([unit[theirs].sum(0) for theirs in photos])
    selves = np.array([(unit[theirs] ** 2).sum() for theirs in photos])  # pairs of a photo with itself
    within = ((sums**2).sum(1) - selves) / (counts * (counts - 1))
    means = sums / counts[:, None]
    found = people.contrast(within, means @ means.T, lambda w, b: (1 - w) / (1 - b))
    return _contrast(("within_person_cosine", "between_people_cosine", "within_person_share"), found)


def _contrast(names: Sequence[str], found: tuple[Estimate, Estimate, Estimate]) -> dict:
    within, between, ratio = found
    note = "between" if between.value is None else "ratio"
    values = within.metrics(), between.metrics(note="between"), ratio.metrics("value", note=note)
    return dict(zip(names, values, strict=True))


def cluster_spread(templates: torch.Tensor, photos: Sequence[np.ndarray], count: int, people: People) -> dict:
    """Mean cosine of two photos of a person in one cluster, and in two of its `count` clusters, over people.

    photos: as above, more than clusters. Clusters of a person that are no more alike inside than across
    would both be at its `within_person_cosine`.
    """
    cosines = [cluster_cosines(templates[theirs], cluster(templates[theirs], count)) for theirs in photos]
    return {
        name: people.mean(values).metrics()
        for name, values in zip(("within_cluster_cosine", "between_cluster_cosine"), zip(*cosines), strict=True)
    }


def decoded_spread(
    decode: Callable[[torch.Tensor], torch.Tensor],
    templates: torch.Tensor,
    photos: Sequence[np.ndarray],
    count: int,
    people: People,
) -> dict:
    """How different the decoded centroids of a person's clusters look, beside the decoded aggregates of people.

    decode: templates (N, D) to images (N, 3, S, S) in [0, 1]. centroid_distance: the mean root mean squared difference
    of two decoded centroids of one person, in grey levels; people_distance: that of two people, each the aggregate of
    all its photos; ratio: the one over the other.
    """
    pairs = np.triu_indices(count, 1)
    within = []
    for theirs in photos:
        distances = pairwise_grey_levels(decode(centroids(templates[theirs], cluster(templates[theirs], count))))
        within.append(float(distances[pairs].mean()))
    between = pairwise_grey_levels(decode(torch.stack([aggregate(templates[theirs]) for theirs in photos]))).numpy()
    found = people.contrast(np.array(within), between, np.divide)
    return _contrast(("centroid_distance", "people_distance", "ratio"), found)
