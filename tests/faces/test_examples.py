"""Examples for training: mirrored ones, any order, and the same batches from memory and from disk."""

from multiprocessing import get_context

import pytest
import torch
from torch.utils.data import DataLoader

from dfd.core.errors import DfdError
from dfd.faces import examples as module
from dfd.faces.examples import Examples, mean_face, on_device

SIZE = 24
ROWS = [7, 2, 11]


@pytest.fixture(scope="module")
def targets(orl_store) -> torch.Tensor:
    return torch.randn(len(orl_store), 5, generator=torch.Generator().manual_seed(0))


def make(store, targets, mirrored=None, memory_gb: float = 1.0, rows=ROWS) -> Examples:
    return Examples(store, rows, SIZE, targets, mirrored, memory_gb)


def test_faces_then_mirrored_faces(orl_store, targets):
    examples = make(orl_store, targets, -targets)
    assert len(examples) == 6
    index, found, images = examples.__getitems__([4, 0, 5, 1])
    assert index.tolist() == [4, 0, 5, 1] and images.dtype == torch.uint8
    torch.testing.assert_close(found, torch.stack([-targets[2], targets[7], -targets[11], targets[2]]))
    faces = (orl_store.views(ROWS, SIZE) * 255).round()
    torch.testing.assert_close(images.float(), torch.stack([faces[1].flip(2), faces[0], faces[2].flip(2), faces[1]]))


def test_without_mirrored_targets_there_are_no_mirrored_faces(orl_store, targets):
    examples = make(orl_store, targets)
    assert len(examples) == 3
    torch.testing.assert_close(examples.targets, targets[ROWS])


def test_an_epoch_is_every_face_once_mirrored_or_not(orl_store, targets):
    torch.manual_seed(0)
    both, plain = make(orl_store, targets, -targets), make(orl_store, targets)
    epochs = [both.shuffled() for _ in range(50)]
    assert all(sorted((epoch % 3).tolist()) == [0, 1, 2] for epoch in epochs)
    assert {tuple(sorted(epoch.tolist())) for epoch in epochs} >= {(0, 1, 2), (3, 4, 5)}
    assert sorted(plain.shuffled().tolist()) == [0, 1, 2]


@pytest.mark.parametrize("opened_before, start", [(True, None), (False, None), (True, "spawn")])
def test_from_memory_and_from_disk_alike(orl_store, targets, opened_before, start, monkeypatch):
    """start: how macOS and Windows start the workers, and Python 3.14; what they get is pickled."""
    monkeypatch.setattr(module, "LOADERS", 1 if start else 2)
    if start:
        monkeypatch.setattr(
            DataLoader, "multiprocessing_context", property(lambda _: get_context(start), lambda *_: None)
        )
    if opened_before:
        orl_store.crops([0])
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    in_memory, on_disk = (make(orl_store, targets, -targets, memory_gb) for memory_gb in (1.0, 0.0))
    assert in_memory.images is not None and on_disk.images is None
    torch.manual_seed(0)
    drawn = torch.get_rng_state()
    pairs = list(zip(in_memory.batches(order, 4), on_disk.batches(order, 4), strict=True))
    assert len(pairs) == 2 and torch.equal(torch.get_rng_state(), drawn)  # training draws alike after both
    for mine, theirs in pairs:
        for one, other in zip(mine, theirs, strict=True):
            assert torch.equal(one, other)


def test_batches_follow_the_order_and_leave_out_a_single_last_one(orl_store, targets):
    examples = make(orl_store, targets, targets)

    def indices(order: list[int], size: int) -> list[list[int]]:
        return [index.tolist() for index, _, _ in examples.batches(torch.tensor(order), size)]

    assert indices([3, 1, 4, 0, 2], 3) == [[3, 1, 4], [0, 2]]
    assert indices([3, 1, 4, 0, 2], 4) == [[3, 1, 4, 0]]
    assert indices([5], 4) == [[5]]


def test_the_mean_face(orl_store, targets):
    faces = (orl_store.views(ROWS, SIZE) * 255).round() / 255
    torch.testing.assert_close(mean_face(make(orl_store, targets)), faces.mean(0))
    torch.testing.assert_close(mean_face(make(orl_store, targets, targets)), (faces + faces.flip(3)).mean(0) / 2)


def test_on_device():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    moved = on_device(images, torch.device("cpu"))
    assert moved.dtype == torch.float32 and moved.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(moved[0, :, 0, 0], torch.tensor([0.0, 0.2, 1.0]))


def test_no_rows_is_an_error_for_the_user(orl_store, targets):
    with pytest.raises(DfdError, match="orl"):
        make(orl_store, targets, rows=orl_store.rows("train"))
