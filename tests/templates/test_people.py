import numpy as np
import pytest
import torch

from dfd.templates.people import SharedTemplates, first_photos, photos_of_people, shared_rows, spread
from dfd.templates.store import Templates

IDENTITIES = np.array(["b", "c", "c", "a", "b", "d", "c", "a"])


def test_who_has_most_comes_first_and_of_equals_the_first():
    found = photos_of_people(IDENTITIES)
    assert list(found) == ["c", "b", "a", "d"]
    assert {name: list(photos) for name, photos in found.items()} == {
        "c": [1, 2, 6],
        "b": [0, 4],
        "a": [3, 7],
        "d": [5],
    }
    assert list(photos_of_people(IDENTITIES, at_least=3)) == ["c"] and photos_of_people(IDENTITIES, at_least=4) == {}
    assert photos_of_people(IDENTITIES[:0]) == {}


def test_the_first_photos_of_everybody():
    assert first_photos(IDENTITIES, 2).tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert first_photos(IDENTITIES, 1).tolist() == [0, 1, 3, 5] and first_photos(IDENTITIES, 9).tolist() == list(
        range(8)
    )
    assert first_photos(IDENTITIES[:0], 2).tolist() == []


def test_rows_that_everybody_has_a_template_of():
    some, none, full = torch.ones(6, 2), torch.full((6, 3), torch.nan), torch.ones(6, 4)
    some[[0, 4]] = torch.nan
    rows, left_out = shared_rows([0, 1, 4, 5], {"some": some, "none": none, "full": full})
    assert rows.tolist() == [1, 5] and list(left_out) == ["none"] and "4 test faces" in left_out["none"].reason
    rows, left_out = shared_rows([0, 4], {"some": some})
    assert len(rows) == 0 and list(left_out) == ["some"]
    rows, left_out = shared_rows([], {"full": full})
    assert len(rows) == 0 and not left_out


@pytest.mark.parametrize("count, expected", [(9, [0, 1, 2, 3, 4]), (5, [0, 1, 2, 3, 4]), (3, [0, 2, 4]), (1, [0])])
def test_spread_keeps_order_and_ends(count, expected):
    assert spread(np.arange(5), count).tolist() == expected


def test_templates_are_shared_by_all_that_have_any_of_a_test_face(orl_store):
    every, rows = torch.zeros(len(orl_store), 2), orl_store.rows("test")
    some, none = every.clone(), torch.full_like(every, torch.nan)
    some[rows[0]] = torch.nan
    stores = {"every": every, "some": some, "none": none}
    shared = SharedTemplates({name: Templates(orl_store, template, None) for name, template in stores.items()})
    assert shared.rows("test").tolist() == rows[1:].tolist() and list(shared.templates) == ["every", "some"]
    assert (
        list(shared.left_out) == ["none"] and f"no templates of the {len(rows)} test" in shared.left_out["none"].reason
    )
    alone = SharedTemplates({"none": Templates(orl_store, none, None)})
    assert alone.templates == {} and not len(alone.rows("test"))
