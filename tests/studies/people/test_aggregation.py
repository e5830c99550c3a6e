"""Aggregates in closed form, and draws of photos."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.studies.people.aggregation import aggregate, draw_photos


@pytest.fixture
def templates():
    return torch.randn(6, 4, 16, generator=torch.Generator().manual_seed(0))


def test_one_template_is_its_own_aggregate(templates):
    torch.testing.assert_close(aggregate(templates[:, :1]), templates[:, 0])
    torch.testing.assert_close(aggregate(templates[:, :1].expand(-1, 3, -1)), templates[:, 0])


def test_every_photo_has_the_same_say():
    short, long = torch.tensor([1.0, 0]), torch.tensor([0, 10.0])
    found = aggregate(torch.stack([short, long]))
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5]) * 5.5)


def test_it_is_the_mean_of_unit_templates_up_to_length(templates):
    expected = F.normalize(F.normalize(templates, dim=-1).mean(1), dim=-1)
    torch.testing.assert_close(F.normalize(aggregate(templates), dim=-1), expected)
    unit = F.normalize(templates, dim=-1)
    torch.testing.assert_close(aggregate(unit), unit.mean(1))


def test_a_template_of_length_zero_gives_no_nan():
    assert aggregate(torch.zeros(2, 5)).isfinite().all()


PEOPLE = [np.array([3, 5, 7, 9]), np.array([0, 1, 2, 4, 6, 8])]


def test_a_draw_takes_each_photo_once_and_of_its_person():
    drawn = draw_photos(PEOPLE, 1, 3, 50, np.random.default_rng(0))
    assert len(drawn) == 50
    for probes, gallery in drawn:
        assert probes.shape == (2, 1) and gallery.shape == (2, 3)
        for own, chosen in zip(PEOPLE, np.hstack([probes, gallery]), strict=True):
            assert len(set(chosen)) == 4 and set(chosen) <= set(own)
    probes = np.concatenate([draw.probes[1] for draw in drawn])
    assert set(probes) == set(PEOPLE[1])  # any photo can be a probe
    assert set(np.concatenate([draw.gallery[1] for draw in drawn])) == set(PEOPLE[1])


def test_draws_are_repeatable_and_more_of_them_leave_the_first_as_they_were():
    few, many = (draw_photos(PEOPLE, 1, 2, count, np.random.default_rng(7)) for count in (2, 9))
    for one, other in zip(few, many):
        assert (one.probes == other.probes).all() and (one.gallery == other.gallery).all()


def test_too_few_photos_are_refused():
    with pytest.raises(ValueError, match="fewer than 2"):
        draw_photos(PEOPLE, 2, 3, 2, np.random.default_rng(0))
