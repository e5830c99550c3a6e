"""Clusters of templates that are drawn around known centres."""

from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.studies.people.clustering import centroids, cluster, cluster_cosines, nearest


def blobs(sizes, spread=0.05, seed=0):
    """Templates around orthogonal centres, mixed, and their true blobs; lengths differ and mean nothing."""
    generator = torch.Generator().manual_seed(seed)
    truth = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    templates = torch.eye(8)[truth] + spread * torch.randn(len(truth), 8, generator=generator)
    return templates * (1 + 9 * torch.rand(len(truth), 1, generator=generator)), truth


def test_separated_blobs_are_found_the_largest_first():
    templates, truth = blobs([5, 11])
    assert (cluster(templates, 2) == 1 - truth).all()
    for sizes in permutations([2, 4, 6, 8]):
        templates, truth = blobs(sizes)
        assert (cluster(templates, 4) == (4 - np.array(sizes) // 2)[truth]).all()


def test_of_clusters_of_one_size_the_earliest_comes_first():
    labels = cluster(torch.tensor([[0.0, 1], [1, 0], [1, 0.1], [0.1, 1]]), 2)
    assert labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("count", [1, 5])
def test_the_fewest_and_the_most_clusters(count):
    labels = cluster(blobs([3, 2])[0], count)
    assert sorted(set(labels)) == list(range(count))
    assert cluster(torch.ones(1, 4), 1).tolist() == [0]


@pytest.mark.parametrize("count", [0, 6])
def test_impossible_counts_are_refused(count):
    with pytest.raises(ValueError, match=f"5 templates cannot form {count} clusters"):
        cluster(blobs([3, 2])[0], count)


def test_centroids_are_the_mean_directions():
    templates, truth = blobs([6, 3])
    found = centroids(templates, cluster(templates, 2))
    for blob in (0, 1):
        expected = F.normalize(F.normalize(templates[truth == blob]).mean(0), dim=0)
        torch.testing.assert_close(F.normalize(found[blob], dim=0), expected)


def test_the_nearest_photo_is_of_its_own_cluster():
    templates = torch.tensor([[1.0, 0], [0.9, 0.1], [0.9, -0.1], [0, 5], [0.5, 5]])
    assert nearest(templates, np.array([0, 0, 0, 1, 1]))[0] == 0
    # The first cluster's centroid lies nearer to a photo of the second, which is not its own.
    astray = torch.tensor([[1.0, 1], [1, -1], [1, 0], [1, 0.2]])
    assert nearest(astray, np.array([0, 0, 1, 1]))[0] in (0, 1)


def test_cosines_inside_and_across():
    templates = torch.tensor([[2.0, 0], [1, 0], [0, 1], [0, 3]])
    assert cluster_cosines(templates, np.array([0, 0, 1, 1])) == pytest.approx((1, 0))
    assert cluster_cosines(templates, np.array([0, 1, 0, 1])) == pytest.approx((0, 0.5))
    assert np.isnan(cluster_cosines(templates, np.arange(4))[0])
    assert np.isnan(cluster_cosines(templates, np.zeros(4, int))[1])
