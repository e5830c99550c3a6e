"""Aggregates of many photos: pairs and weights written out, and decoders whose pictures are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfd.measures.estimates import People
from dfd.studies.people.aggregates import (
    aggregation_metrics,
    by_count_table,
    decoded_by_count,
    draw_weights,
    gallery_pairs,
    mirror_distance,
    plan,
    verification_by_count,
)
from dfd.studies.people.aggregation import aggregate


def rng(seed=0):
    return np.random.default_rng(seed)


def resampled(people, samples: int = 100) -> People:
    return People(range(people if isinstance(people, int) else len(people)), samples, 0)


def people_of(sizes, within=0.5, seed=0, dimension=32):
    generator = torch.Generator().manual_seed(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    templates = torch.randn(len(sizes), dimension, generator=generator)[truth]
    templates = templates + within * torch.randn(len(truth), dimension, generator=generator)
    return templates, {f"p{i}": np.flatnonzero(truth == i) for i in range(len(sizes))}


def decode(templates):
    """Stands for a decoder, linear: the template's first numbers are the picture."""
    return templates[:, :12].reshape(-1, 3, 2, 2)


def planned_of(people, counts=(1, 3), probes=2, draws=4, most=50):
    return plan(people, list(counts), most, probes, draws, rng())


def test_the_people_with_most_photos_and_the_counts_they_allow():
    people = {name: np.arange(n) for name, n in (("a", 9), ("b", 7), ("c", 6), ("d", 2))}
    found = planned_of(people, counts=[1, 4, 5, 20])
    assert len(found.people) == 3 and found.counts == [1, 4] and len(found.drawn) == 4
    assert found.notes["counts_note"].startswith(
        "templates of 5, 20 photos: left out, one of the 3 people has 6 photos"
    )
    found = planned_of(people, counts=[1, 4, 5], most=2)
    assert len(found.people) == 2 and found.counts == [1, 4, 5] and not found.notes
    found = planned_of({"a": np.arange(2), "b": np.arange(1)})
    assert found[:3] == ([], [], []) and "2 test photos to be probes" in found.notes["aggregate_note"]
    assert found.notes["aggregate"] is None


def test_who_has_few_photos_does_not_hold_back_everybody_else():
    sizes = {"a": 9, "b": 9, "c": 8, "d": 7, "e": 7, "f": 7, "g": 4, "h": 3}
    people = {name: np.arange(size) for name, size in sizes.items()}
    found = planned_of(people, counts=[1, 2, 5, 6])  # of eight people, two may be left out
    assert [len(own) for own in found.people] == [9, 9, 8, 7, 7, 7] and found.counts == [1, 2, 5]
    assert found.notes["people_note"].startswith("2 of 8 people: left out, they have fewer than 7 photos")
    assert found.notes["counts_note"].startswith("templates of 6 photos: left out, one of the 6 people has 7 photos")
    # Nobody is left out for nothing, and no more than those whose photos are too few.
    assert len(planned_of(people, counts=[1]).people) == 8
    assert len(planned_of(people, counts=[1, 2]).people) == 7
    # Three people may be a quarter of nothing: they stay.
    assert len(planned_of({name: people[name] for name in "agh"}, counts=[1, 2, 5]).people) == 3


def test_pairs_are_aggregates_against_the_probes_of_their_draw():
    templates, people = people_of([6, 5, 7])
    drawn = planned_of(people).drawn
    found = gallery_pairs(templates, drawn, 3)
    assert len(found.scores) == 4 * 3 * 3 * 2 and found.genuine.sum() == 4 * 3 * 2
    scores = iter(found.scores)
    for draw in drawn:
        for person in range(3):
            enrolled = aggregate(templates[draw.gallery[person, :3]])
            for other in range(3):
                for probe in draw.probes[other]:
                    expected = float(F.cosine_similarity(enrolled, templates[probe], dim=0))
                    assert next(scores) == pytest.approx(expected, abs=1e-6)
    codes = [n * 3 + p for n in range(4) for p in range(3) for _ in range(6)]
    assert found.first.tolist() == codes and (found.first // 3 == found.second // 3).all()


def test_weights_resample_people_and_halve_the_draws():
    weights = draw_weights(resampled(5, 400), 6).reshape(400, 6, 5)
    kept = weights.any(2)
    assert (kept.sum(1) == 3).all()
    for replicate, drawn in zip(weights, kept, strict=True):
        assert (replicate[drawn] == replicate[drawn][0]).all()  # the same people in every draw
    assert (weights.sum(2)[kept] == 5).all()
    np.testing.assert_allclose(kept.mean(0), 0.5, atol=0.08)
    with pytest.raises(ValueError, match="no half"):
        draw_weights(resampled(5, 10), 3)


def test_half_of_the_draws_varies_as_a_mean_of_all_should():
    values = rng(1).normal(size=20)
    kept = draw_weights(resampled(1, 20000), 20)
    means = (kept @ values) / kept.sum(1)
    assert means.std() == pytest.approx(values.std(ddof=1) / 20**0.5, rel=0.03)


def test_more_photos_verify_better_and_a_single_one_as_usual():
    templates, people = people_of([12] * 15, within=1.5)
    drawn = planned_of(people, counts=[1, 3, 10], draws=6).drawn
    found = verification_by_count(templates, drawn, [1, 3, 10], resampled(people))
    areas = [found[count]["auc"]["value"] for count in (1, 3, 10)]
    assert areas[0] < areas[1] < areas[2]
    gain = found[10]["minus_1"]["auc"]
    assert gain["difference"] == pytest.approx(areas[2] - areas[0]) and gain["ci95_low"] > 0
    assert found[10]["minus_3"]["auc"]["difference"] == pytest.approx(areas[2] - areas[1])
    assert (
        not [key for key in found[1] if key.startswith("minus")]
        and found[1]["tar_at_far_0.001"]["n_genuine"] == 6 * 15 * 2
    )
    plain = resampled(6 * 15).verification(gallery_pairs(templates, drawn, 1)).metrics()
    for name in ("tar_at_far_0.001", "eer", "auc"):
        assert plain[name]["value"] == found[1][name]["value"]
        assert found[1][name]["ci95_low"] <= found[1][name]["value"] <= found[1][name]["ci95_high"]
    # One person in six draws is no six people: intervals over the codes as if they were would be too narrow.
    widths = [s["auc"]["ci95_high"] - s["auc"]["ci95_low"] for s in (found[1], plain)]
    assert widths[0] > 1.5 * widths[1]


def test_two_people_have_no_interval():
    templates, people = people_of([8, 8], within=2)
    found = verification_by_count(templates, planned_of(people).drawn, [1, 3], resampled(people))
    assert found[3]["eer"]["ci95_low"] is None and "ci95_note" in found[3]["minus_1"]["auc"]


def test_a_symmetric_image_is_its_own_mirror_image():
    image = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    assert (mirror_distance(image + image.flip(3)) == 0).all()
    step = torch.zeros(1, 3, 4, 4)
    step[..., 2:] = 0.2
    assert mirror_distance(step).item() == pytest.approx(51)


def test_the_spread_of_a_linear_decoder_falls_with_the_root_of_the_photos():
    """Whatever share of a person's photos is drawn: what the correction for drawing without replacement is for."""
    templates, people = people_of([12] * 60, within=0.1)
    templates = F.normalize(templates + 3)  # one length: aggregates are plain means
    planned = planned_of(people, counts=[1, 4, 9], probes=1, draws=20, most=60)
    found = decoded_by_count(decode, templates, planned.drawn, planned.counts, [12] * 60, resampled(people))
    spreads = np.array([found[count]["spread"]["mean"] for count in (1, 4, 9)])
    np.testing.assert_allclose(spreads * [1, 2, 3] / spreads[0], 1, atol=0.03)
    own = np.mean([decode(templates[photos]).var(0).mean() ** 0.5 for photos in people.values()]) * 255
    assert spreads[0] == pytest.approx(own, rel=0.03)


def test_mirror_distances_by_count():
    templates, people = people_of([6, 6, 6])
    planned = planned_of(people)
    symmetric = lambda t: (decode(t) + decode(t).flip(3)) / 2
    found = decoded_by_count(symmetric, templates, planned.drawn, [1, 3], [6] * 3, resampled(people))
    assert found[1]["mirror"]["mean"] == 0 and found[3]["mirror"]["minus_1"]["mean"] == 0
    found = decoded_by_count(decode, templates, planned.drawn, [1, 3], [6] * 3, resampled(people))
    expected = [mirror_distance(decode(templates[draw.gallery[:, 0]])).mean() for draw in planned.drawn]
    assert found[1]["mirror"]["mean"] == pytest.approx(float(np.mean(expected)), rel=1e-5)
    found = decoded_by_count(decode, templates, planned.drawn[:1], [1], [6] * 3, resampled(people))
    assert found[1]["spread"]["mean"] is None and "spread_note" in found[1]["spread"]


def test_all_metrics_of_a_recognizer_and_their_table():
    templates, people = people_of([6, 5, 7])
    found = aggregation_metrics(templates, {"v": decode}, planned_of(people), 2, resampled(people))
    assert found["n_people"] == 3 and found["n_photos"] == 18 and found["n_draws"] == 4
    assert list(found["verification"]) == list(found["decoded"]["v"]) == [1, 3]
    table = by_count_table("v", found["decoded"]["v"], ["mirror", "spread"])
    assert list(table) == ["series", "measure", "count", "value", "low", "high"] and len(table) == 4
    assert table["value"].iloc[0] == found["decoded"]["v"][1]["mirror"]["mean"]
    assert by_count_table("v", {}, ["mirror"]).empty


def test_what_few_people_do_not_allow_is_left_out():
    templates, people = people_of([6])
    found = aggregation_metrics(templates, {"v": decode}, planned_of(people), 2, resampled(people))
    assert found["verification"] is None and "only one person" in found["verification_note"]
    assert found["decoded"]["v"][3]["mirror"]["ci95_low"] is None
    found = aggregation_metrics(templates, {"v": decode}, planned_of({}), 2, resampled({}))
    assert "aggregate_note" in found and "decoded" not in found and found["n_people"] == 0
