"""Training a recognizer: losses fall, triplet batches group identities, the same seed gives the same weights."""

import pytest
import torch

from dfd.core.errors import DfdError
from dfd.faces.examples import Examples
from dfd.faces.store import FaceStore
from dfd.learning.objectives import OBJECTIVES, Softmax
from dfd.learning.recognizers import PER_IDENTITY, grouped_order, identity_labels, split_people, train_recognizer
from dfd.learning.settings import RecognizerTraining
from dfd.learning.training import Conditions
from dfd.recognizers.registry import build_recognizer

TRAINING = {
    "margin": 0.2,
    "arcface_scale": 8.0,
    "epochs": 4,
    "triplet_epochs": 0,
    "triplet_margin": 0.2,
    "batch_size": 10,
    "learning_rate": 2e-3,
}


def conditions(seed: int = 0) -> Conditions:
    return Conditions(torch.device("cpu"), "float32", seed, 1.0)


def tiny():
    torch.manual_seed(0)
    return build_recognizer("vgg16", {"size": 32, "width": 0.05, "normalise": True})


def train(store, targets, mirrored, objective: str, seed: int = 0, **changes):
    recognizer = tiny()
    examples = Examples(store, range(len(store)), recognizer.view_size, targets, mirrored, memory_gb=1.0)
    settings = RecognizerTraining(objective=objective, **TRAINING | changes)
    head = OBJECTIVES[objective](settings, recognizer.dimension, examples.targets)
    history = train_recognizer(recognizer, head, examples, settings, conditions(seed))
    return recognizer, history


@pytest.fixture(scope="module")
def labels(orl_store) -> torch.Tensor:
    return identity_labels(orl_store, orl_store.rows("test"))


@pytest.fixture(scope="module")
def teacher(orl_store) -> torch.Tensor:
    """Templates that can be learned: the faces' own 4×4 pixels."""
    return orl_store.views(range(len(orl_store)), 4).mean(1).flatten(1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_lowers_its_loss(orl_store, labels, teacher, objective):
    targets = teacher if objective == "distil" else labels
    mirrored = teacher.view(-1, 4, 4).flip(2).flatten(1) if objective == "distil" else labels
    recognizer, history = train(orl_store, targets, mirrored, objective, epochs=10)
    assert history["phase"].tolist() == ["objective"] * 10 and history["epoch"].tolist() == list(range(1, 11))
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    assert not recognizer.training and not any(parameter.requires_grad for parameter in recognizer.parameters())


def test_a_triplet_phase_follows(orl_store, labels):
    recognizer, history = train(orl_store, labels, labels, "softmax", epochs=2, triplet_epochs=4)
    assert history["phase"].tolist() == ["objective"] * 2 + ["triplet"] * 4
    assert history["epoch"].tolist() == [1, 2, 1, 2, 3, 4]
    triplet = history.loc[history["phase"] == "triplet", "loss"]
    assert triplet.iloc[-1] < triplet.iloc[0]
    assert all(torch.isfinite(tensor).all() for tensor in recognizer.state_dict().values())


def test_the_seed_decides(orl_store, labels):
    first, again, other = (
        train(orl_store, labels, None, "softmax", epochs=1, seed=seed)[0].state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc7.weight"], other["fc7.weight"])


@pytest.mark.parametrize("epochs, batch_size", [(1, 20), (5, 10), (10, 20), (1, 19), (1, 100)])
def test_any_number_of_steps_can_be_scheduled(orl_store, labels, epochs, batch_size):
    """1, 10 and 10 steps, two batches of which the single last face is left out, and fewer faces than a batch holds."""
    _, history = train(orl_store, labels, None, "softmax", epochs=epochs, batch_size=batch_size)
    assert len(history) == epochs and history["loss"].notna().all()


def test_a_triplet_phase_needs_identities_with_two_faces(synthetic_store):
    rows, targets = synthetic_store.rows("train"), torch.arange(len(synthetic_store))
    examples = Examples(synthetic_store, rows, 32, targets, None, 1.0)
    settings = RecognizerTraining(objective="softmax", **TRAINING | {"epochs": 1, "triplet_epochs": 1})
    with pytest.raises(DfdError, match="two photos"):
        train_recognizer(tiny(), Softmax(205, len(targets)), examples, settings, conditions())


# The order of a triplet phase

LABELS = torch.tensor([3] * 11 + [0] * 4 + [7] + [2] * 2)[
    torch.randperm(18, generator=torch.Generator().manual_seed(2))
]


@pytest.mark.parametrize("seed", range(4))
def test_grouped_order_is_a_permutation_in_runs_of_one_identity(seed):
    torch.manual_seed(seed)
    order = grouped_order(LABELS, len(LABELS))
    assert sorted(order.tolist()) == list(range(18))
    runs = torch.unique_consecutive(LABELS[order], return_counts=True)
    # 11 faces make groups of 4, 4 and 3; two groups of one identity may come to lie beside each other
    groups = -(-LABELS.unique(return_counts=True)[1] // PER_IDENTITY)
    assert len(runs[0]) <= int(groups.sum()) == 6
    for label, count in ((0, 4), (7, 1), (2, 2)):
        assert runs[1][runs[0] == label].tolist() == [count]


def test_grouped_order_is_drawn_anew():
    torch.manual_seed(0)
    orders = [grouped_order(LABELS, len(LABELS)) for _ in range(5)]
    assert len({tuple(order.tolist()) for order in orders}) == 5
    assert len({tuple(LABELS[order].tolist()) for order in orders}) > 1
    companions = {frozenset(grouped_order(torch.zeros(8).long(), 8)[:4].tolist()) for _ in range(5)}
    assert len(companions) > 1  # who is grouped with whom changes too


def test_grouped_order_needs_two_photos_of_somebody():
    with pytest.raises(DfdError, match="two photos"):
        grouped_order(torch.arange(5).repeat(2), photos=5)  # a mirrored photo is no second photo


def test_labels_are_of_the_training_identities(orl_store, synthetic_store):
    assert identity_labels(orl_store, range(5, 15)).tolist() == [-1] * 5 + [0] * 5 + [1] * 5 + [-1] * 5
    with pytest.raises(DfdError, match="none of its people has two photos"):
        identity_labels(synthetic_store, synthetic_store.rows("train"))


@pytest.mark.parametrize("share, learned", [(0.5, 2), (0.75, 3), (0.1, 0)])
def test_a_share_of_the_people_learns_and_the_others_test(orl_store, share, learned):
    train, test = split_people(orl_store, share, seed=0)
    people = [set(orl_store.identities(rows)) for rows in (train, test)]
    assert len(people[0]) == learned and not people[0] & people[1] and len(people[0] | people[1]) == 4
    assert sorted([*train, *test]) == list(range(20))
    again, _ = split_people(orl_store, share, seed=0)
    assert train.tolist() == again.tolist()


def test_people_with_one_photo_do_not_learn(synthetic_store):
    train, test = split_people(synthetic_store, 0.75, seed=0)
    assert not len(train) and test.tolist() == synthetic_store.rows("test").tolist()
    train, test = split_people(synthetic_store, None, seed=0)
    assert not len(train) and test.tolist() == synthetic_store.rows("test").tolist()


def test_without_a_share_the_stores_own_splits_count(orl_photos, to_store, tmp_path):
    to_store(orl_photos, tmp_path / "orl.h5", shares={"train": 0.5, "test": 0.5}, size=64)
    store = FaceStore(tmp_path / "orl.h5")
    train, test = split_people(store, None, seed=0)
    assert train.tolist() == store.rows("train").tolist() and test.tolist() == store.rows("test").tolist()
