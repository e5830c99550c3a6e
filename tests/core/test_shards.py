"""Shards: in order, by one process or several; kept until all are done, and used again where nothing has changed."""

import multiprocessing
import os
import time

import numpy as np
import pytest
import torch
from shard_work import beat, die, square

from dfd.core import shards
from dfd.core.errors import DfdError
from dfd.core.shards import Sharing, in_shards, shared


def squares(sharing: Sharing, count: int = 5, work=square, stamp=str) -> list[int]:
    done = list(in_shards(work, range(count), sharing, stamp))
    assert [task for task, _ in done] == list(range(count))
    return [int(shard["square"]) for _, shard in done]


def counted(seen: list[int]):
    def work(number: int) -> dict[str, np.ndarray]:
        seen.append(number)
        return square(number)

    return work


def test_what_is_finished_is_not_done_again(tmp_path, monkeypatch):
    sharing, seen = Sharing(1, tmp_path / "shards"), []
    for _, (task, _) in zip(range(3), in_shards(counted(seen), range(5), sharing, str), strict=False):
        assert task == seen[-1]
    assert squares(sharing, work=counted(seen)) == [0, 1, 4, 9, 16] and seen == [0, 1, 2, 3, 4]
    seen.clear()
    (tmp_path / "shards" / "1.npz").write_bytes(b"PK\3\4 cut off")
    (tmp_path / "shards" / "2.npz").write_bytes(b"")
    stamps = {3: "three: another photo"}
    squares(sharing, work=counted(seen), stamp=lambda number: stamps.get(number, str(number)))
    assert seen == [1, 2, 3]
    seen.clear()
    monkeypatch.setattr(shards, "_code_sha256", lambda: "another version")
    squares(sharing, work=counted(seen))
    assert seen == [0, 1, 2, 3, 4]
    sharing.finish()
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_where_there_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert squares(Sharing()) == [0, 1, 4, 9, 16] and not list(tmp_path.iterdir())


def test_one_thread_does_the_work_and_the_others_are_given_back():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ((_, shard),) = in_shards(square, [1], Sharing(), str)
        assert shard["threads"] == 1 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_workers_give_the_same_in_the_same_order(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ALONE", 0.0)
    sharing = Sharing(2, tmp_path / "shards")
    squares(Sharing(1, tmp_path / "shards"), count=2)
    done = [shard for _, shard in in_shards(square, range(12), sharing, str)]
    assert [int(shard["square"]) for shard in done] == [number**2 for number in range(12)]
    assert {int(shard["threads"]) for shard in done} == {1}
    workers = {int(shard["process"]) for shard in done[2:]}
    assert os.getpid() not in workers and len(workers) <= 2
    assert {int(shard["process"]) for shard in done[:2]} == {os.getpid()}  # those that were there
    assert len(list((tmp_path / "shards").iterdir())) == 12


def test_a_worker_that_dies_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(shards, "ALONE", 0.0)
    with pytest.raises(DfdError, match="worker process was killed.*`processes`"):
        squares(Sharing(2), count=1, work=die)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process to kill it")
def test_workers_end_with_a_killed_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ALONE", 0.0)
    heart = tmp_path / "heart"
    parent = multiprocessing.get_context("fork").Process(
        target=lambda: list(in_shards(beat, [heart], Sharing(2), str)), daemon=False
    )
    parent.start()
    deadline = time.monotonic() + 60
    while not heart.exists():
        assert time.monotonic() < deadline and parent.is_alive()
        time.sleep(0.05)
    parent.kill()
    parent.join()
    time.sleep(0.5)
    beats = heart.stat().st_size
    time.sleep(0.5)
    assert heart.stat().st_size == beats


def test_how_many_processes():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert shared("x", 3, cpu).processes == shared("x", 3, cuda).processes == 3
    assert 1 <= shared("x", "auto", cpu).processes <= os.cpu_count()
    assert shared("x", "auto", cuda).processes == 1
