"""Intervals by resampling people against normal theory, and against resampling written out as a loop."""

import numpy as np
import pytest

from dfd.core.left_out import LeftOut
from dfd.measures.estimates import Estimate, People, bootstrap_weights, training_shares
from dfd.measures.verification import cosine_pairs


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mean_of(values, identities, samples: int = 1000, seed: int = 0) -> Estimate:
    return People(identities, samples, seed).mean(values)


def difference_of(a, b, identities, samples: int = 1000, seed: int = 0) -> Estimate:
    return People(identities, samples, seed).difference(a, b)


def contrast_of(within, between, samples: int = 100, seed: int = 0) -> tuple[Estimate, Estimate, Estimate]:
    return People(range(len(within)), samples, seed).contrast(within, between, np.divide)


def width(interval: Estimate) -> float:
    return interval.high - interval.low


def test_weights_are_counts_of_draws_with_replacement():
    weights = bootstrap_weights(20, 5000, rng())
    assert weights.shape == (5000, 20) and weights.dtype.kind == "i"
    assert (weights.sum(1) == 20).all() and (weights >= 0).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(), 0.95, atol=0.02)  # binomial: n · 1/n · (1 − 1/n)
    assert (bootstrap_weights(20, 5, rng(1)) == bootstrap_weights(20, 5, rng(1))).all()


def test_of_independent_values_it_is_the_normal_interval():
    values = rng(1).normal(3, 2, 400)
    interval = mean_of(values, np.arange(400), samples=4000)
    error = 1.96 * values.std() / np.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.1 * error)


def test_photos_of_one_person_are_no_independent_values():
    people = rng(1).normal(0, 1, 100)
    values, identities = np.repeat(people, 4), np.repeat(np.arange(100), 4)
    clustered = mean_of(values, identities, samples=4000)
    naive = mean_of(values, np.arange(400), samples=4000)
    assert width(clustered) / width(naive) == pytest.approx(2, rel=0.1)  # √4: four copies are one value
    assert width(clustered) == pytest.approx(2 * 1.96 * people.std() / 10, rel=0.1)


def test_it_is_the_resampling_written_out():
    generator = rng(2)
    identities = generator.choice(["anna", "ben", "clara", "dan", "eve"], 30)
    values = generator.random(30) + (identities == "eve")
    names = np.unique(identities)
    means = []
    for weights in bootstrap_weights(len(names), 200, rng(3)):
        drawn = np.repeat(names, weights)
        means.append(np.concatenate([values[identities == name] for name in drawn]).mean())
    interval = mean_of(values, identities, samples=200, seed=3)
    assert interval.value == pytest.approx(values.mean())
    assert [interval.low, interval.high] == pytest.approx(np.percentile(means, [2.5, 97.5]))


def test_pairing_cancels_what_is_common():
    easy = rng(1).normal(0, 5, 200)
    a, b = easy + rng(2).normal(0.5, 0.1, 200), easy
    interval = difference_of(a, b, np.arange(200))
    assert 0.45 < interval.low < interval.value < interval.high < 0.55
    assert interval.value == pytest.approx(np.mean(a - b))
    assert width(mean_of(a, np.arange(200))) > 10 * width(interval)
    assert width(difference_of(a, a, np.arange(200))) == 0


def test_one_identity_has_no_interval():
    interval = mean_of([1.0, 2.0, 6.0], ["anna"] * 3)
    assert interval.value == 3
    assert interval.low is None and interval.high is None and interval.left_out


@pytest.mark.parametrize(
    "values, identities, message",
    [
        ([1.0, np.nan], [0, 1], "1 of 2 values"),
        ([1.0, np.inf], [0, 1], "1 of 2 values"),
        ([], [], "not empty"),
        ([1.0, 2.0], [0], "alike"),
    ],
)
def test_refuses(values, identities, message):
    with pytest.raises(ValueError, match=message):
        mean_of(values, identities)


def test_refuses_unpaired_lengths():
    with pytest.raises(ValueError, match="same faces"):
        difference_of([1.0, 2.0], [1.0], [0, 1])


def pairs_of(people, seed=1):
    """Values of pairs within and between, symmetric: what two people have in common is the sum of theirs."""
    own = rng(seed).normal(5, 1, people)
    noise = rng(seed + 1).normal(0, 0.1, (people, people))
    return rng(seed + 2).normal(2, 1, people), own[:, None] + own + noise + noise.T


def test_within_and_between_people_are_the_resampling_written_out():
    within, between = pairs_of(6)
    found = contrast_of(within, between, 200, seed=3)
    rows = []
    for weights in [np.ones(6, int), *bootstrap_weights(6, 200, rng(3))]:
        drawn = np.repeat(np.arange(6), weights)
        pairs = [between[i, j] for a, i in enumerate(drawn) for j in drawn[:a] if i != j]
        if pairs:
            rows.append((within[drawn].mean(), np.mean(pairs), within[drawn].mean() / np.mean(pairs)))
    for part, column in zip(found, np.array(rows).T, strict=True):
        assert part.value == pytest.approx(column[0])
        ends = [part.low, part.high]
        assert ends == pytest.approx(np.percentile(column[1:], [2.5, 97.5]))


def test_the_interval_of_pairs_knows_that_each_person_is_in_many():
    """Of h(i, j) = a_i + a_j the mean is twice that of a: its error is twice as large."""
    own = rng(1).normal(5, 1, 300)
    found = contrast_of(own, own[:, None] + own, 2000)
    assert width(found[1]) == pytest.approx(2 * width(found[0]), rel=0.05)
    assert width(found[2]) < 0.01  # and always half of it


def test_what_one_or_two_people_cannot_tell():
    within, between = pairs_of(2)
    found = contrast_of(within, between, 100)
    assert found[1].value == pytest.approx(between[0, 1]) and all(part.low is None for part in found)
    found = contrast_of(within[:1], between[:1, :1], 100)
    assert found[0].value == within[0] and found[1].value is None and found[2].value is None
    assert "only one person" in found[1].left_out.reason and "only one person" in found[2].left_out.reason
    found = contrast_of(np.zeros(4), np.zeros((4, 4)), 100)
    assert found[2].value is None and "do not differ" in found[2].left_out.reason and found[1].value == 0
    with pytest.raises(ValueError, match="not empty"):
        contrast_of(np.zeros(0), np.zeros((0, 0)))


# Several trainings


def trainings(count: int, people: int, between: float, seed: int = 0) -> np.ndarray:
    """(count, people): what a person is worth, and what a training is, with deviations 1 and `between`."""
    random = rng(seed)
    return 3 + random.normal(0, 1, people) + random.normal(0, between, count)[:, None]


def test_of_one_training_it_is_what_it_is_without_seeds():
    identities = np.repeat(np.arange(40), 2)
    values = rng(1).normal(3, 1, 80)
    _, codes = np.unique(identities, return_inverse=True)
    weights = bootstrap_weights(40, 500, rng())
    replicates = (weights @ np.bincount(codes, weights=values)) / (weights @ np.bincount(codes))
    low, high = np.percentile(replicates, [2.5, 97.5])
    for given in (values, values[None]):
        assert mean_of(given, identities, 500)[:3] == (float(values.mean()), low, high)  # to the last bit


def test_the_interval_holds_the_noise_of_training_too():
    """Its squared width is the sum of that over people and of that over trainings: both are drawn independently."""
    count, people = 25, 100
    for between in (0.0, 0.1, 0.5):
        values = trainings(count, people, between)
        interval = mean_of(values, np.arange(people), samples=4000)
        effects = values.mean(1)
        error = 1.96 * np.sqrt(values.mean(0).var() / people + effects.var(ddof=1) / count)
        assert interval.value == pytest.approx(values.mean())
        assert width(interval) == pytest.approx(2 * error, rel=0.07)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_of_few_trainings_the_spread_of_their_mean_is_not_underrated(count):
    """Its expectation is the unbiased s² / S, where drawing S of S would give (S − 1) / S of that."""
    shares = training_shares(count, 200_000, rng())
    np.testing.assert_allclose(shares.sum(1), 1)
    effects = rng(1).normal(0, 1, count)
    assert (shares @ effects).var() == pytest.approx(effects.var(ddof=1) / count, rel=0.02)
    assert (shares @ effects).mean() == pytest.approx(effects.mean(), abs=0.01)


def test_people_and_trainings_are_drawn_as_written_out():
    values, identities = rng(1).random((3, 12)), np.repeat(list("abcd"), 3)
    generator = rng(5)
    weights, draws = bootstrap_weights(4, 200, generator), generator.multinomial(2, [1 / 3] * 3, size=200)
    means = []
    for people, seeds in zip(weights, draws, strict=True):
        drawn = np.concatenate([np.flatnonzero(identities == name) for name in np.repeat(list("abcd"), people)])
        means.append(values[np.repeat(np.arange(3), seeds)][:, drawn].mean())
    interval = mean_of(values, identities, 200, seed=5)
    assert [interval.low, interval.high] == pytest.approx(np.percentile(means, [2.5, 97.5]))


def test_what_a_seed_does_to_both_cancels():
    a, b = trainings(3, 50, between=1.0), trainings(3, 50, between=1.0) - 0.5
    paired = difference_of(a, b, np.arange(50))
    assert (paired.value, width(paired)) == (pytest.approx(0.5), pytest.approx(0, abs=1e-9))
    with pytest.raises(ValueError, match="must measure the same faces"):
        difference_of(a, b[:2], np.arange(50))


def test_several_trainings_on_one_person_have_no_interval():
    assert mean_of(np.ones((3, 4)), np.zeros(4)).low is None


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 3), (0, 4), ()])
def test_values_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="must be alike"):
        mean_of(np.ones(shape), np.zeros(4))


# One drawing for all measures


def test_a_measure_alone_and_among_others_has_the_same_interval():
    identities, sizes = rng(1).choice(list("abcdefgh"), 40), rng(1).integers(1, 9, 30)
    values, others = rng(2).random(40), rng(3).random((3, 40))
    within, between = pairs_of(len(set(identities)))
    templates = rng(4).normal(size=(40, 5)).astype(np.float32)
    pairs = cosine_pairs(templates, templates, identities)
    measures = {
        "mean": lambda people: people.mean(values),
        "trainings": lambda people: people.mean(others),
        "difference": lambda people: people.difference(values, others[0]),
        "share": lambda people: people.share(values > 0.5),
        "contrast": lambda people: people.contrast(within, between, np.divide),
        "verification": lambda people: people.verification(pairs).metrics(),
        "among": lambda people: people.among(sizes).mean(values[sizes]),
    }
    alone = {name: measure(People(identities, 100, 5)) for name, measure in measures.items()}
    people = People(identities, 100, 5)
    for order in (measures, reversed(measures)):
        assert all(measures[name](people) == alone[name] for name in order)


def test_a_difference_is_paired_with_the_means_of_both():
    """Every resampling holds the same people for both sides: their difference is that of the replicates."""
    people = People(np.arange(30), 200, 0)
    a, b = rng(1).random((2, 30))
    replicates = [(people.weights @ values) / 30 for values in (a, b)]
    difference = people.difference(a, b)
    assert difference.paired and people.mean(a).paired is None
    assert difference[1:3] == pytest.approx(tuple(np.percentile(replicates[0] - replicates[1], [2.5, 97.5])))


def test_people_are_counted_and_chosen():
    people = People(["b", "a", "b", "c"], 50, 0)
    assert len(people) == 3 and people.counts.tolist() == [1, 2, 1] and people.mean(np.arange(4))[3:5] == (4, 3)
    chosen = people.among(np.array([0, 2, 2]))
    assert chosen.identities.tolist() == ["b"] * 3 and len(chosen) == 1 and (chosen.samples, chosen.seed) == (50, 0)
    assert people.among(slice(2)).names.tolist() == people.among(people.identities != "c").names.tolist() == ["a", "b"]


def test_what_is_drawn_beside_people_is_drawn_anew_and_not_like_them():
    people = People(np.arange(6), 40, 3)
    draws = [people.generator.random(5).tolist() for _ in range(2)]
    generator = rng(3)
    bootstrap_weights(6, 40, generator)
    assert draws[0] == draws[1] == generator.random(5).tolist()


@pytest.mark.parametrize("value", [0, 1])
def test_a_share_of_none_or_all_is_no_certainty(value):
    """No success in n trials: the exact interval ends where n failures have a chance of 2.5 %; all successes mirror it."""
    share = People(list("aabbcd"), 100, 0).share(np.full(6, value))
    open_end = share.high if value == 0 else 1 - share.low
    assert share.value == value and (1 - open_end) ** 4 == pytest.approx(0.025)
    assert (share.low if value == 0 else share.high) == value
    some = np.array([0, 1, 1, 0, 1, 1])
    assert People(list("aabbcd"), 100, 0).share(some) == People(list("aabbcd"), 100, 0).mean(some)


def test_values_that_may_be_infinite_are_left_out():
    equal = LeftOut("equal pictures")
    people = People([0, 1], 100, 0)
    for values in ([1.0, np.inf], [1.0, np.nan]):
        found = people.mean(values, equal)
        assert found == Estimate(None, left_out=equal)
        assert people.difference(values, values, equal) == found._replace(paired=True)


def test_estimates_write_themselves_into_metrics():
    assert Estimate(0.5, 0.25, 0.75, n=8).metrics() == {"mean": 0.5, "ci95_low": 0.25, "ci95_high": 0.75}
    share = Estimate(0.375, 0.25, 0.75, n=8).metrics("value", hits="accepted", n=True)
    assert share == {"value": 0.375, "ci95_low": 0.25, "ci95_high": 0.75, "accepted": 3, "n": 8}
    why = LeftOut("why")
    nothing = {"mean": None, "ci95_low": None, "ci95_high": None}
    assert Estimate(1.0, left_out=LeftOut("few")).metrics() == nothing | {"mean": 1.0, "ci95_note": "few"}
    assert Estimate(None, left_out=why).metrics(note="lpips") == nothing | {"lpips_note": "why"}
    assert Estimate(None, left_out=why).metrics() == nothing | {"mean_note": "why"}
    assert Estimate(None, left_out=why).metrics(hits="count", n=True).items() >= {"count": None, "n": None}.items()
    assert Estimate(None, n=0, left_out=why).metrics(hits="count", n=True).items() >= {"count": 0, "n": 0}.items()


def test_pairs_of_other_people_are_refused():
    templates = rng().normal(size=(4, 3)).astype(np.float32)
    pairs = cosine_pairs(templates, templates, [0, 0, 1, 1])
    with pytest.raises(ValueError, match="pairs of 2 people cannot be resampled as those of 3"):
        People(range(3), 100, 0).verification(pairs)
