"""Long work in shards: on every core, one process of one thread each, and taken up again where it was killed.

One process of many threads is several times slower where operations are small, and beside any other busy process. What
becomes of a shard depends on its task alone, so neither the number of processes nor a kill shows in the outs.
"""

import contextlib
import hashlib
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal, NamedTuple

import joblib
import numpy as np
import torch

import dfd
from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError

ALONE = 5.0  # seconds that this process works alone: about what it takes workers to start

Shard = dict[str, np.ndarray]


class Sharing(NamedTuple):
    """How many processes share the work, and the folder where finished shards wait for the last one; None: nowhere."""

    processes: int = 1
    folder: Path | None = None

    def finish(self) -> None:
        """Once the outs are written: forget the shards."""
        shutil.rmtree(self.folder, ignore_errors=True)


NOT_SHARED = Sharing()


def shared(name: str, processes: int | Literal["auto"], device: torch.device) -> Sharing:
    """The sharing of a stage's work, whose shards wait under `name`.

    processes: their number, or `auto`: one per usable core where these compute, one where another device does.
    """
    if processes == "auto":
        processes = joblib.cpu_count() if device.type == "cpu" else 1
    return Sharing(processes, Path(".checkpoints") / name)


def in_shards(
    work: Callable[[Any], Shard], tasks: Iterable, sharing: Sharing, stamp: Callable[[Any], str]
) -> Iterator[tuple[Any, Shard]]:
    """Each task with what `work` makes of it, in order.

    work: picklable; it goes once to every worker. stamp: says all that decides a shard, the code excepted; a finished
    shard is used again where that and the code are the same. Raises DfdError where a worker dies.
    """
    waiting: deque[tuple[Any, _Kept, Shard | Future]] = deque()
    alone, code = 0.0, _code_sha256() if sharing.folder else ""
    with contextlib.ExitStack() as stack:
        pool = None
        for number, task in enumerate(tasks):
            kept = _Kept(sharing.folder, number, f"{code} {stamp(task)}" if sharing.folder else "")
            shard: Shard | Future | None = kept.read()
            if shard is None and (sharing.processes == 1 or alone < ALONE):
                start = time.perf_counter()
                shard = kept.write(_on_one_thread(work, task))
                alone += time.perf_counter() - start
            elif shard is None:
                pool = pool or stack.enter_context(_pool(work, sharing.processes))
                shard = pool.submit(_work_in_worker, task)
            waiting.append((task, kept, shard))
            while len(waiting) > (2 * sharing.processes if pool else 0):
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())


def _finished(task: Any, kept: "_Kept", shard: Shard | Future) -> tuple[Any, Shard]:
    return task, kept.write(shard.result()) if isinstance(shard, Future) else shard


class _Kept(NamedTuple):
    """A finished shard's file."""

    folder: Path | None
    number: int
    stamp: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number}.npz"

    def read(self) -> Shard | None:
        if self.folder is None:
            return None
        try:
            with np.load(self.path) as file:
                return {name: file[name] for name in file if name != "stamp"} if file["stamp"] == self.stamp else None
        except Exception:  # of many classes: there is none, or it is damaged
            return None

    def write(self, shard: Shard) -> Shard:
        if self.folder is not None:
            with replacing(self.path) as temporary:
                np.savez(temporary, stamp=np.array(self.stamp), **shard)
        return shard


def _code_sha256() -> str:
    """A digest of this library's source."""
    digest = hashlib.sha256()
    for path in sorted(Path(dfd.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _on_one_thread(work: Callable, task: Any) -> Shard:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work(task)
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _pool(work: Callable, processes: int) -> Iterator[ProcessPoolExecutor]:
    """Workers that know what to do. Spawned, as on every system: a fork would inherit threads' locks."""
    # Pickled here: on its own, multiprocessing would move a network's tensors into shared memory, which may be scarce.
    arguments = (pickle.dumps(work),)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _become_worker, arguments)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise DfdError("a worker process was killed (out of memory?); set `processes` to a smaller number") from error
    finally:
        pool.shutdown(cancel_futures=True)


_work: Callable  # in a worker: what it does


def _become_worker(pickled: bytes) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent stops it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _work = pickle.loads(pickled)


def _end_with_parent() -> None:
    """A killed parent tells nobody, and its workers would wait for their next task for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work_in_worker(task: Any) -> Shard:
    return _work(task)
