"""Spread within and between people: independent sums over all pairs, and templates whose spread is known."""

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.measures.estimates import People
from dfd.measures.pixels import grey_levels
from dfd.studies.people.aggregation import aggregate
from dfd.studies.people.clustering import centroids, cluster
from dfd.studies.people.clusters import decoded_spread, person_spread, template_spread


def resampled(people, samples: int = 100) -> People:
    return People(range(len(people)), samples, 0)


def people_of(sizes, within=0.5, seed=0):
    """(templates, positions by person): people are random directions, their photos scatter by `within`."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(len(sizes), 32, generator=generator)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    templates = centres[truth] + within * torch.randn(len(truth), 32, generator=generator)
    return templates, {f"p{i}": np.flatnonzero(truth == i) for i in range(len(sizes))}


def decode(templates):
    """Stands for a decoder: the template's first numbers are the picture."""
    return torch.sigmoid(templates[:, :12]).view(-1, 3, 2, 2)


def test_cosines_are_means_over_all_pairs():
    templates, people = people_of([2, 5, 3])
    found = template_spread(templates, list(people.values()), resampled(people))
    cosine = lambda i, j: float(F.cosine_similarity(templates[i], templates[j], dim=0))
    within = np.mean([np.mean([cosine(i, j) for i, j in combinations(own, 2)]) for own in people.values()])
    between = np.mean([np.mean([cosine(i, j) for i in a for j in b]) for a, b in combinations(people.values(), 2)])
    assert found["within_person_cosine"]["mean"] == pytest.approx(within, abs=1e-6)
    assert found["between_people_cosine"]["mean"] == pytest.approx(between, abs=1e-6)
    assert found["within_person_share"]["value"] == pytest.approx((1 - within) / (1 - between), abs=1e-6)


@pytest.mark.parametrize("within, share", [(1e-4, 0), (1e3, 1)])
def test_the_share_of_people_that_are_all_or_nothing(within, share):
    templates, people = people_of([6] * 40, within)
    found = template_spread(templates, list(people.values()), resampled(people, 200))["within_person_share"]
    assert found["value"] == pytest.approx(share, abs=0.02)
    assert found["ci95_low"] <= found["value"] <= found["ci95_high"]


def test_the_share_is_the_share_of_the_variance():
    """Of templates near one direction, where the unit sphere is flat: σ² within, 1 between."""
    templates, people = people_of([5] * 400, within=0.5)
    flat = F.normalize(torch.cat([torch.full((len(templates), 1), 500.0), templates], dim=1))
    found = template_spread(flat, list(people.values()), resampled(people, 200))["within_person_share"]
    assert found["value"] == pytest.approx(0.25 / 1.25, abs=0.01)
    assert found["ci95_low"] < 0.2 < found["ci95_high"] and found["ci95_high"] - found["ci95_low"] < 0.03


def test_decoded_distances_are_means_over_all_pairs():
    templates, people = people_of([4, 6, 5])
    found = decoded_spread(decode, templates, list(people.values()), 3, resampled(people))
    distance = lambda a, b: float(grey_levels(decode(a[None]), decode(b[None])))
    own = [centroids(templates[photos], cluster(templates[photos], 3)) for photos in people.values()]
    within = np.mean([np.mean([distance(a, b) for a, b in combinations(c, 2)]) for c in own])
    means = [aggregate(templates[photos]) for photos in people.values()]
    between = np.mean([distance(a, b) for a, b in combinations(means, 2)])
    assert found["centroid_distance"]["mean"] == pytest.approx(within, rel=1e-5)
    assert found["people_distance"]["mean"] == pytest.approx(between, rel=1e-5)
    assert found["ratio"]["value"] == pytest.approx(within / between, rel=1e-5)


def numbers(values, where=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def test_all_metrics_of_a_recognizer():
    templates, people = people_of([8, 7, 6, 3])
    found = person_spread(templates, people, {"v": decode}, 4, resampled(people))
    assert (found["n_people"], found["n_photos"], found["n_people_clustered"], found["n_clusters"]) == (4, 24, 3, 4)
    inside, across = (found["clusters"][f"{name}_cluster_cosine"]["mean"] for name in ("within", "between"))
    assert inside > across
    assert found.pop("clusters_note").startswith("1 of 4 people: left out")
    assert all(value is not None and np.isfinite(value) for _, value in numbers(found))
    again = person_spread(templates, people, {"v": decode}, 4, resampled(people))
    del again["clusters_note"]
    assert dict(numbers(found)) == dict(numbers(again))


def test_too_few_photos_are_left_out_with_a_note():
    templates, people = people_of([3, 2])
    found = person_spread(templates, people, {"v": decode}, 4, resampled(people))
    assert found["clusters"] is None and "4 clusters" in found["clusters_note"] and "decoded" not in found
    assert found["templates"]["within_person_share"]["ci95_low"] is None  # two people
    found = person_spread(templates, {}, {"v": decode}, 4, resampled({}))
    assert found["templates"] is None and "two test photos" in found["templates_note"] and found["n_people"] == 0
    found = person_spread(templates, {"p0": people["p0"]}, {"v": decode}, 2, resampled([0]))
    nulls = [key for key, value in numbers(found) if value is None]
    for key in nulls:
        assert any(k.rpartition(".")[0] == key.rpartition(".")[0] and k.endswith("_note") for k, _ in numbers(found)), (
            key
        )
