"""What becomes one line for a user: their mistakes, and memory that is out, however it is said; a fault of ours does not."""

import pytest
import torch

from dfd.core.errors import DfdError, for_the_user

HUGE = 1 << 50  # numbers


def allocate():
    return torch.empty(HUGE)


def overflow():
    return torch.empty(1 << 40, 1 << 40)


def out_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("fail", [allocate, overflow, out_of_memory])
def test_memory_that_is_out_is_told(fail):
    with pytest.raises(RuntimeError) as failed:
        fail()
    assert for_the_user(failed.value).startswith("out of memory; lower the batch size")


def test_mistakes_are_told_and_faults_are_not():
    assert for_the_user(DfdError("seed: no number")) == "seed: no number"
    assert for_the_user(MemoryError()).startswith("out of memory")
    assert for_the_user(RuntimeError("shapes cannot be multiplied")) is None
    assert for_the_user(ValueError("out of memory")) is None
