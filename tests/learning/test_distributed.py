"""Several processes learn what one learns, up to the order of sums, and end together."""

from functools import partial

import pandas as pd
import processes
import pytest
import torch

from dfd.core.errors import DfdError
from dfd.decoder.settings import Decoder
from dfd.faces.examples import Examples
from dfd.learning import distributed
from dfd.learning.decoders import Networks, learn
from dfd.learning.losses import TERMS
from dfd.learning.objectives import OBJECTIVES
from dfd.learning.recognizers import identity_labels, train_recognizer
from dfd.learning.settings import Loss, RecognizerTraining, TrainDecoder
from dfd.learning.training import Conditions
from dfd.recognizers.registry import build_recognizer
from dfd.templates.store import Templates

CONDITIONS = Conditions(torch.device("cpu"), "float32", 0, 1.0)
SETTINGS = TrainDecoder(
    epochs=3, patience=3, batch_size=9, learning_rate=1e-3, weight_decay=0.01, schedule="one-cycle", averaging=0.5, clip=1.0, noise=0.0
)  # fmt: skip
LOSS = Loss(**dict.fromkeys(TERMS, 1.0) | {"identity": 0.0}, local=True, perceptual_share=1.0, features="balanced")
# Nothing is drawn at random while it learns, nor normalised over a batch.
DECODER = Decoder(
    architecture="inverted-vgg", size=14, options={
        "width": 0.02, "hidden": 64, "channels": [64, 64, 64, 64, 64], "dropout": 0.0, "normalise": "none", "output": "linear",
    },
)  # fmt: skip


@pytest.fixture
def in_two(tmp_path):
    return partial(processes.in_two, folder=tmp_path)


@pytest.fixture
def lesson(synthetic_store, phi, tmp_path):
    """A function: trains a decoder, and gives its history and its weights."""
    generator = torch.Generator().manual_seed(0)
    both = (torch.randn(len(synthetic_store), 6, generator=generator) for _ in range(2))
    templates = Templates(synthetic_store, *both)

    def run(name: str) -> tuple[pd.DataFrame, dict]:
        learned = learn(templates, Networks(phi), DECODER, LOSS, SETTINGS, CONDITIONS, tmp_path / name)
        return learned.history, learned.decoder.state_dict()

    return run


def test_two_processes_train_a_decoder_as_one_does(lesson, in_two, tmp_path):
    alone, weights = lesson("one.pt")
    (first, state), (second, others) = in_two(lambda: lesson("two.pt"))
    assert first.equals(second) and all(torch.equal(state[name], others[name]) for name in state)
    assert list(first) == list(alone) and len(alone) == 6
    pd.testing.assert_frame_equal(first, alone, rtol=1e-4)
    for name, weight in weights.items():
        torch.testing.assert_close(state[name], weight, rtol=1e-3, atol=1e-4)
    assert torch.load(tmp_path / "two.pt", weights_only=True)["history"]


def test_two_processes_train_a_recognizer_as_one_does(orl_store, in_two):
    labels = identity_labels(orl_store, range(len(orl_store)))
    settings = RecognizerTraining(
        objective="softmax", margin=0.2, arcface_scale=8.0, epochs=2, triplet_epochs=0, triplet_margin=0.2, batch_size=7,
        learning_rate=1e-3,
    )  # fmt: skip

    def run() -> tuple[pd.DataFrame, dict]:
        torch.manual_seed(0)
        recognizer = build_recognizer("vgg16", {"size": 32, "width": 0.05, "normalise": False, "dropout": 0.0})
        examples = Examples(orl_store, range(len(orl_store)), recognizer.view_size, labels, labels, 1.0)
        head = OBJECTIVES["softmax"](settings, recognizer.dimension, examples.targets)
        return train_recognizer(recognizer, head, examples, settings, CONDITIONS), recognizer.state_dict()

    alone, weights = run()
    (first, state), (second, _) = in_two(run)
    assert first.equals(second)
    pd.testing.assert_frame_equal(first, alone, rtol=1e-4)
    for name, weight in weights.items():
        torch.testing.assert_close(state[name], weight, rtol=1e-3, atol=1e-4)


def test_shares_make_the_batches(orl_store):
    examples = Examples(orl_store, range(20), 14, torch.zeros(20), None, 1.0)

    def indices(size: int, processes: int) -> list[list[list[int]]]:
        order = torch.arange(20)
        return [
            [index.tolist() for index, _, _ in examples.batches(order, size, process, processes)]
            for process in range(processes)
        ]

    assert indices(8, 2) == [[[0, 1, 2, 3], [8, 9, 10, 11], [16, 17]], [[4, 5, 6, 7], [12, 13, 14, 15], [18, 19]]]
    assert indices(9, 2) == [[[0, 1, 2, 3, 4], [9, 10, 11, 12, 13]], [[5, 6, 7, 8], [14, 15, 16, 17]]]  # 2 for two
    assert indices(20, 3) == [[list(range(7))], [list(range(7, 14))], [list(range(14, 20))]]


def test_gradients_are_those_of_the_mean_over_all(in_two):
    def run() -> torch.Tensor:
        own = torch.tensor([1.0, 2.0, 6.0])[[slice(0, 2), slice(2, 3)][distributed.rank()]]
        parameter = torch.nn.Parameter(torch.zeros(2, 1))
        (own * parameter.sum()).mean().backward()
        distributed.average([parameter, torch.nn.Parameter(torch.zeros(3))], len(own))  # the other one has none
        return parameter.grad

    for gradient in in_two(run):
        torch.testing.assert_close(gradient, torch.full((2, 1), 3.0))


def test_batch_normalisation_ends_as_in_the_first_process(in_two):
    def run() -> tuple:
        norm = torch.nn.BatchNorm1d(3)
        norm.running_mean += distributed.rank() + 1
        distributed.share(norm)
        told = distributed.from_first(lambda: f"told by {distributed.rank()}")
        return norm.running_mean[0], told, distributed.gathered(distributed.rank())

    assert in_two(run) == [(1.0, "told by 0", [0, 1])] * 2


def test_batches_too_small_to_share_are_refused(monkeypatch):
    distributed.refuse_small(1, 1, "train_decoder")
    monkeypatch.setattr(distributed, "size", lambda: 3)
    distributed.refuse_small(6, 6, "train_decoder")
    with pytest.raises(DfdError, match="train_decoder: 3 processes need a batch_size, and faces, of 6 at least"):
        distributed.refuse_small(5, 100, "train_decoder")


def test_one_process_is_this_one(monkeypatch):
    assert not distributed.started(1, "cpu", "train_decoder", "x") and not distributed.started("auto", "cpu", "x", "x")
    monkeypatch.setattr(distributed, "pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DfdError, match="train_decoder: 4 processes need a GPU each; here are 2, and device is auto"):
        distributed.started(4, "auto", "train_decoder", "x")
