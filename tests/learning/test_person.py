import numpy as np
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.learning.person import person_map


class Faces:
    path = "faces.h5"

    def __init__(self, identities):
        self._identities = np.array(identities)

    def identities(self, rows):
        return self._identities[rows]


class Known:
    """The first rows are photos as they are; those after them mirrored ones, which are not to be looked at."""

    def __init__(self, identities, templates):
        self.faces, self.rows = Faces(identities), np.arange(len(identities))
        self.targets = torch.cat([templates, torch.full_like(templates, 1e6)])


def people(count, photos, seed):
    """Templates (N, 4): the first two numbers are the person's, of variance 1, the others the photo's, of variance 4."""
    generator = torch.Generator().manual_seed(seed)
    person = torch.randn(count, 1, 2, generator=generator).expand(-1, photos, -1)
    photo = 2 * torch.randn(count, photos, 2, generator=generator)
    return Known(np.repeat(np.arange(count), photos).astype(str), torch.cat([person, photo], 2).flatten(0, 1) + 3)


def test_keeps_what_photos_of_one_person_share_and_drops_what_they_do_not():
    kept = person_map(people(3000, 2, seed=0), people(500, 2, seed=1))
    np.testing.assert_allclose(kept.weight, np.diag([1.0, 1, 0, 0]), atol=0.06)
    np.testing.assert_allclose(kept(torch.full((1, 4), 3.0)), np.full((1, 4), 3.0), atol=0.1)


def test_shrinks_towards_the_mean_by_the_share_of_the_variance_that_is_the_persons():
    """One number, person and photo of variance 1 each: E[another photo | this one] is half of it (Fisher's intraclass
    correlation)."""
    generator = torch.Generator().manual_seed(0)
    noisy = [
        Known(np.repeat(np.arange(n), 3).astype(str), (p + torch.randn(n, 3, 1, generator=generator)).flatten(0, 1))
        for n in (4000, 500)
        for p in [torch.randn(n, 1, 1, generator=generator)]
    ]
    assert float(person_map(*noisy).weight) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("lonely", ["training", "validation"])
def test_refuses_faces_of_which_nobody_has_two(lonely):
    some, alone = people(20, 2, seed=0), people(20, 1, seed=1)
    with pytest.raises(DfdError, match="loss.person: faces.h5 has nobody with two photos"):
        person_map(*((alone, some) if lonely == "training" else (some, alone)))
