"""Bootstrap intervals against normal theory, and against resampling written out as a loop."""

import numpy as np
import pytest

from dfd.measures.intervals import _training_shares, bootstrap_weights, mean_interval, paired_interval, within_between


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def width(interval: dict) -> float:
    return interval["ci95_high"] - interval["ci95_low"]


def test_weights_are_counts_of_draws_with_replacement():
    weights = bootstrap_weights(20, 5000, rng())
    assert weights.shape == (5000, 20) and weights.dtype.kind == "i"
    assert (weights.sum(1) == 20).all() and (weights >= 0).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(), 0.95, atol=0.02)  # binomial: n · 1/n · (1 − 1/n)
    assert (bootstrap_weights(20, 5, rng(1)) == bootstrap_weights(20, 5, rng(1))).all()


def test_of_independent_values_it_is_the_normal_interval():
    values = rng(1).normal(3, 2, 400)
    interval = mean_interval(values, np.arange(400), samples=4000, generator=rng())
    error = 1.96 * values.std() / np.sqrt(400)
    assert interval["mean"] == pytest.approx(values.mean())
    assert interval["ci95_low"] == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert interval["ci95_high"] == pytest.approx(values.mean() + error, abs=0.1 * error)


def test_photos_of_one_person_are_no_independent_values():
    people = rng(1).normal(0, 1, 100)
    values, identities = np.repeat(people, 4), np.repeat(np.arange(100), 4)
    clustered = mean_interval(values, identities, samples=4000, generator=rng())
    naive = mean_interval(values, np.arange(400), samples=4000, generator=rng())
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
    interval = mean_interval(values, identities, samples=200, generator=rng(3))
    assert interval["mean"] == pytest.approx(values.mean())
    assert [interval["ci95_low"], interval["ci95_high"]] == pytest.approx(np.percentile(means, [2.5, 97.5]))


def test_pairing_cancels_what_is_common():
    easy = rng(1).normal(0, 5, 200)
    a, b = easy + rng(2).normal(0.5, 0.1, 200), easy
    interval = paired_interval(a, b, np.arange(200), generator=rng())
    assert 0.45 < interval["ci95_low"] < interval["mean"] < interval["ci95_high"] < 0.55
    assert interval["mean"] == pytest.approx(np.mean(a - b))
    assert width(mean_interval(a, np.arange(200), generator=rng())) > 10 * width(interval)
    assert width(paired_interval(a, a, np.arange(200), generator=rng())) == 0


def test_one_identity_has_no_interval():
    interval = mean_interval([1.0, 2.0, 6.0], ["anna"] * 3, generator=rng())
    assert interval["mean"] == 3
    assert interval["ci95_low"] is None and interval["ci95_high"] is None and interval["ci95_note"]


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
        mean_interval(values, identities, generator=rng())


def test_refuses_unpaired_lengths():
    with pytest.raises(ValueError, match="same faces"):
        paired_interval([1.0, 2.0], [1.0], [0, 1], generator=rng())


def pairs_of(people, seed=1):
    """Values of pairs within and between, symmetric: what two people have in common is the sum of theirs."""
    own = rng(seed).normal(5, 1, people)
    noise = rng(seed + 1).normal(0, 0.1, (people, people))
    return rng(seed + 2).normal(2, 1, people), own[:, None] + own + noise + noise.T


def test_within_and_between_people_are_the_resampling_written_out():
    within, between = pairs_of(6)
    found = within_between(within, between, np.divide, 200, generator=rng(3))
    rows = []
    for weights in [np.ones(6, int), *bootstrap_weights(6, 200, rng(3))]:
        drawn = np.repeat(np.arange(6), weights)
        pairs = [between[i, j] for a, i in enumerate(drawn) for j in drawn[:a] if i != j]
        if pairs:
            rows.append((within[drawn].mean(), np.mean(pairs), within[drawn].mean() / np.mean(pairs)))
    for part, name, column in zip(found, ("mean", "mean", "value"), np.array(rows).T, strict=True):
        assert part[name] == pytest.approx(column[0])
        ends = [part["ci95_low"], part["ci95_high"]]
        assert ends == pytest.approx(np.percentile(column[1:], [2.5, 97.5]))


def test_the_interval_of_pairs_knows_that_each_person_is_in_many():
    """Of h(i, j) = a_i + a_j the mean is twice that of a: its error is twice as large."""
    own = rng(1).normal(5, 1, 300)
    found = within_between(own, own[:, None] + own, np.divide, 2000, generator=rng())
    assert width(found[1]) == pytest.approx(2 * width(found[0]), rel=0.05)
    assert width(found[2]) < 0.01  # and always half of it


def test_what_one_or_two_people_cannot_tell():
    within, between = pairs_of(2)
    found = within_between(within, between, np.divide, 100, generator=rng())
    assert found[1]["mean"] == pytest.approx(between[0, 1]) and all(part["ci95_low"] is None for part in found)
    found = within_between(within[:1], between[:1, :1], np.divide, 100, generator=rng())
    assert found[0]["mean"] == within[0] and found[1]["mean"] is None and found[2]["value"] is None
    assert "between_note" in found[1] and "between_note" in found[2]
    found = within_between(np.zeros(4), np.zeros((4, 4)), np.divide, 100, generator=rng())
    assert found[2]["value"] is None and "ratio_note" in found[2] and found[1]["mean"] == 0
    with pytest.raises(ValueError, match="not empty"):
        within_between(np.zeros(0), np.zeros((0, 0)), np.divide, generator=rng())


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
    expected = {"mean": float(values.mean()), "ci95_low": low, "ci95_high": high}
    for given in (values, values[None]):
        assert mean_interval(given, identities, 500, generator=rng()) == expected  # to the last bit


def test_the_interval_holds_the_noise_of_training_too():
    """Its squared width is the sum of that over people and of that over trainings: both are drawn independently."""
    count, people = 25, 100
    for between in (0.0, 0.1, 0.5):
        values = trainings(count, people, between)
        interval = mean_interval(values, np.arange(people), samples=4000, generator=rng())
        effects = values.mean(1)
        error = 1.96 * np.sqrt(values.mean(0).var() / people + effects.var(ddof=1) / count)
        assert interval["mean"] == pytest.approx(values.mean())
        assert width(interval) == pytest.approx(2 * error, rel=0.07)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_of_few_trainings_the_spread_of_their_mean_is_not_underrated(count):
    """Its expectation is the unbiased s² / S, where drawing S of S would give (S − 1) / S of that."""
    shares = _training_shares(count, 200_000, rng())
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
    interval = mean_interval(values, identities, 200, generator=rng(5))
    assert [interval["ci95_low"], interval["ci95_high"]] == pytest.approx(np.percentile(means, [2.5, 97.5]))


def test_what_a_seed_does_to_both_cancels():
    a, b = trainings(3, 50, between=1.0), trainings(3, 50, between=1.0) - 0.5
    paired = paired_interval(a, b, np.arange(50), generator=rng())
    assert (paired["mean"], width(paired)) == (pytest.approx(0.5), pytest.approx(0, abs=1e-9))
    with pytest.raises(ValueError, match="must measure the same faces"):
        paired_interval(a, b[:2], np.arange(50), generator=rng())


def test_several_trainings_on_one_person_have_no_interval():
    assert mean_interval(np.ones((3, 4)), np.zeros(4), generator=rng())["ci95_low"] is None


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 3), (0, 4), ()])
def test_values_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="must be alike"):
        mean_interval(np.ones(shape), np.zeros(4), generator=rng())
