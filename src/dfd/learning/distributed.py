"""Training in several processes, as torchrun starts them: each learns from its share of every batch, their gradients are
averaged, and the first of them writes.

On one machine a stage starts them by itself (`started`); over several machines torchrun does, see docs/scale.md. Where there
is one process only, every function here is what a newcomer may skip: it gives back what it gets, or does nothing.
"""

import atexit
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from dfd.core.devices import pick_device
from dfd.core.errors import DfdError
from dfd.learning.settings import Processes

PATIENCE = timedelta(days=7)  # with another process: the first one fits statistics to all faces while the others wait
FORSAKEN = 83  # the exit code of a process that lost another one, which is the one to be told of


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def started(processes: Processes, device: str, stage: str, key: str) -> bool:
    """Whether a stage's training ran in processes that this call started and waited for, so that nothing is left to do.

    Not so where one process is enough, nor in a process that was started for it, which joins the others here. Raises
    DfdError where one of them ends before its time.
    """
    kind = pick_device(device).type
    if dist.is_torchelastic_launched():
        _join(kind)
        return False
    gpus = torch.cuda.device_count() if kind == "cuda" else 0
    count = max(1, gpus) if processes == "auto" else processes
    if count == 1:
        return False
    if gpus and (count > gpus or ":" in device):
        raise DfdError(f"{stage}: {count} processes need a GPU each; here are {gpus}, and device is {device}")
    _launch(stage, key, count)
    return True


def _launch(stage: str, key: str, count: int) -> None:
    """Run a stage in so many processes, of which the first one is heard."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.ERROR)  # what went wrong is told below, in one line
    with tempfile.TemporaryDirectory() as folder:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=count, max_restarts=0, rdzv_backend="c10d",
            rdzv_endpoint="localhost:0", local_addr="localhost", run_id=f"{stage}-{os.getpid()}",
            logs_specs=DefaultLogsSpecs(folder, redirects={number: Std.ALL for number in range(1, count)}),
        )  # fmt: skip
        try:
            elastic_launch(config, sys.executable)("-m", f"stages.{stage}", key)
        except SignalException as error:
            sys.exit(128 + error.sigval)
        except ChildFailedError as error:
            failures = {n: failure for n, failure in error.failures.items() if failure.exitcode != FORSAKEN}
            number, failure = min(failures.items(), key=lambda item: item[1].timestamp, default=(0, None))
            if failure is None or (number == 0 and failure.exitcode > 0):  # it has said why itself
                sys.exit(1)
            told = [
                line
                for path in Path(folder).rglob(f"{number}/stderr.log")
                for line in path.read_text(encoding="utf-8", errors="replace").split("\n")
            ]
            last = ([line for line in told if line.strip()] or [f"exit code {failure.exitcode}"])[-1]
            reason = failure.signal_name() if failure.exitcode < 0 else last.removeprefix("error: ")
            raise DfdError(
                f"{stage}: process {number + 1} of {count} ended too early ({reason}); run it again: a decoder's training "
                "goes on after its last whole epoch"
            ) from None
        finally:
            logging.disable(logging.NOTSET)


def _join(kind: str) -> None:
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ["LOCAL_WORLD_SIZE"])))
    dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End with the stage that was killed: what is left of it would write beside the one that is run again."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(FORSAKEN)


def _together(operation: Callable, *arguments) -> None:
    """An operation of all processes. Ends this one quietly where another has ended: that one is told of."""
    try:
        operation(*arguments)
    except RuntimeError:
        os._exit(FORSAKEN)


def refuse_small(batch_size: int, faces: int, where: str) -> None:
    """Raise DfdError where batches, or the faces, are too few to be shared: two for each process (batch normalisation)."""
    if min(batch_size, faces) < 2 * size() > 2:
        raise DfdError(f"{where}: {size()} processes need a batch_size, and faces, of {2 * size()} at least")


def from_first(function: Callable[[], Any]) -> Any:
    """What a function gives in the first process, where alone it is called: in all of them."""
    if size() == 1:
        return function()
    told = [function() if rank() == 0 else None]
    _together(dist.broadcast_object_list, told)
    return told[0]


def gathered(value: Any) -> list:
    """What every process has, in their order."""
    if size() == 1:
        return [value]
    values = [None] * size()
    _together(dist.all_gather_object, values, value)
    return values


def share(*modules: nn.Module) -> None:
    """Give all processes the weights and buffers of the first one: each normalises batches of its own."""
    if size() == 1:
        return
    for module in modules:
        for tensor in module.state_dict().values():
            same = tensor.contiguous()
            _together(dist.broadcast, same, 0)
            tensor.copy_(same)


def average(parameters: Iterable[nn.Parameter], examples: int) -> None:
    """The gradients of all processes' mean loss, from those of each one's mean over its own number of examples."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_ones(1)]) * examples
    _together(dist.all_reduce, flat)
    flat = flat[:-1] / flat[-1]
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))
