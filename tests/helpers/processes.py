"""Functions in processes of their own, forked: so they start at once, and can be killed."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from dfd.learning import distributed


def forked(function: Callable, *arguments) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def in_two(function: Callable, folder: Path) -> list:
    """What a function gives in each of two processes that train together; folder: for what they write on the way."""

    def work(rank: int) -> None:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
        distributed.started = lambda *_: False  # a stage has been started
        torch.save(function(), folder / f"{rank}.result")
        dist.destroy_process_group()

    for process in [forked(work, rank) for rank in range(2)]:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.result", weights_only=False) for rank in range(2)]
