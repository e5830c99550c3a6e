"""What becomes one line for a user: their mistakes, and memory that is out, however it is said; a fault of ours does not."""

import os
import signal

import pytest
import torch

from dfd.core.errors import DfdError, for_the_user

HUGE = 1 << 50  # numbers


def allocate():
    return torch.empty(HUGE)


def overflow():
    return torch.empty(1 << 40, 1 << 40)


class Killed(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, _):
        os.kill(os.getpid(), signal.SIGKILL)


def worker_killed():
    list(torch.utils.data.DataLoader(Killed(), num_workers=1))


def out_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("fail", [allocate, overflow, worker_killed, out_of_memory])
def test_memory_that_is_out_is_told(fail):
    with pytest.raises(RuntimeError) as failed:
        fail()
    assert for_the_user(failed.value).startswith("out of memory; lower the batch size")


def test_mistakes_are_told_and_faults_are_not():
    assert for_the_user(DfdError("seed: no number")) == "seed: no number"
    assert for_the_user(MemoryError()).startswith("out of memory")
    assert for_the_user(RuntimeError("shapes cannot be multiplied")) is None
    assert for_the_user(ValueError("out of memory")) is None


def test_files_that_are_missing_or_closed_are_told(tmp_path):
    with pytest.raises(OSError) as failed:
        open(tmp_path / "a.csv", encoding="utf-8")
    assert (
        for_the_user(failed.value) == f"{tmp_path / 'a.csv'}: no such file; run the stage that writes it (`dvc repro`)"
    )
    with pytest.raises(OSError) as failed:
        open(tmp_path, encoding="utf-8")
    assert for_the_user(failed.value).startswith(f"{tmp_path}: ")
    assert for_the_user(OSError("no file is named")) is None
