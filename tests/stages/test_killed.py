"""A stage killed at any moment (SIGKILL) and run again writes what an uninterrupted one does, and leaves nothing else.

At four random moments each; at more with DFD_KILLS=20.
"""

import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_project import change, stage

from dfd.photos import preprocessing
from dfd.templates import embedding

KILLS = int(os.environ.get("DFD_KILLS", "4"))

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="stages are forked to be killed: no imports to wait for"
)


def started(work: Callable) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def files() -> dict[str, bytes]:
    """All that lies in the project, but params and what was there before."""
    folders = [Path(name) for name in ("data", "metrics", ".checkpoints")]
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name, arguments, outs",
    [
        ("preprocess", ("orl",), ["data/faces/orl.h5", "data/faces/orl.parquet", "metrics/preprocess/orl.json"]),
        ("embed", ("synthetic", "vgg"), ["data/templates/synthetic/vgg.h5", "metrics/embed/synthetic/vgg.json"]),
    ],
)
def test_a_killed_stage_loses_nothing(project, orl_photos, monkeypatch, name, arguments, outs):
    monkeypatch.setattr(preprocessing, "BATCH", 2)
    monkeypatch.setattr(embedding, "SHARD", 2)
    change(lambda values: values.update(device="cpu"))  # a fork has no GPU
    Path("data/raw").mkdir()
    shutil.copy(orl_photos, "data/raw/orl.tar")

    def work() -> None:
        stage(name, *arguments)

    def without_outs() -> None:
        for out in outs:
            Path(out).unlink(missing_ok=True)

    without_outs()
    work()
    expected = files()
    assert set(outs) <= expected.keys() and not any("checkpoints" in path for path in expected)

    moments, resumed = random.Random(0), 0
    for _ in range(KILLS):
        without_outs()
        process, finished = started(work), moments.randrange(10)  # of ten shards or more
        while process.is_alive() and len(list(Path(".checkpoints").rglob("[0-9]*.npz"))) < finished:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        resumed += any(Path(".checkpoints").rglob("[0-9]*.npz"))
        process = started(work)
        process.join()
        assert process.exitcode == 0
        assert files() == expected
    assert resumed, "no kill came while shards were finished and others not"
