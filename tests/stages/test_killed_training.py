"""A training that somebody kills, at whatever moment, goes on when its stage is run again, and ends as if nothing had been."""

import logging
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from processes import forked, in_two
from small_project import ROOT, change, read, stage

from dfd.core.errors import DfdError

VARIANT = "vgg-resnet"
CHECKPOINT = Path(f".checkpoints/{VARIANT}.pt")
OUTS = [
    Path(f"data/decoders/{VARIANT}.safetensors"), Path(f"metrics/train_decoder/{VARIANT}.json"),
    Path(f"plots/train_decoder/{VARIANT}.csv"),
]  # fmt: skip


def train() -> None:
    stage("train_decoder", VARIANT)


@pytest.fixture
def training(project):
    """The project, whose variant is not trained yet, and for so long that it can be killed."""
    change(lambda values: values["train_decoder"].update(epochs=12, patience=12))
    change(lambda values: values.update(device="cpu"))  # a fork has no GPU
    OUTS[0].unlink()
    return project


def outs() -> list[bytes]:
    return [path.read_bytes() for path in OUTS if path.exists()]


def test_killed_at_random_moments_it_ends_with_the_same_bytes(training):
    start = time.perf_counter()
    process = forked(train)
    process.join()
    duration, expected, moments = time.perf_counter() - start, outs(), random.Random(0)
    for path in OUTS:
        path.unlink()
    for attempt in range(4):
        process = forked(train)
        while attempt == 0 and process.is_alive() and not CHECKPOINT.exists():
            time.sleep(0.01)  # however slow the machine is, one is killed that can be resumed
        process.join(moments.uniform(0, 0.5) * duration)
        process.kill()
        process.join()
        # Nothing is lost: it goes on from the checkpoint, or it had written all when it was killed.
        assert process.exitcode != -signal.SIGKILL or CHECKPOINT.exists() or outs() == expected
    process = forked(train)
    process.join()
    assert process.exitcode == 0 and outs() == expected and not CHECKPOINT.exists()


def rank_of(number: int) -> int:
    """The process that a training started with this rank."""
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        run = f"TORCHELASTIC_RUN_ID=train_decoder-{os.getpid()}".encode()
        if run in environment and f"RANK={number}".encode() in environment:
            return int(folder.name)
    raise AssertionError(f"no process with the rank {number}")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_a_killed_process_ends_the_others_and_they_go_on_together(training, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    change(lambda values: values["train_decoder"].update(epochs=30, patience=30, processes=2))
    others = []

    def kill() -> None:
        while not CHECKPOINT.exists():
            time.sleep(0.02)
        others.append(rank_of(0))
        os.kill(rank_of(1), signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with pytest.raises(DfdError, match=r"^train_decoder: process 2 of 2 ended too early \(SIGKILL\); run it again"):
        train()
    thread.join()
    assert capfd.readouterr().err == "" and not Path(f"/proc/{others[0]}").exists()
    assert CHECKPOINT.exists() and not OUTS[0].exists()

    def go_on() -> None:
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)
        train()

    in_two(go_on, tmp_path)
    assert read(f"train_decoder/{VARIANT}")["epochs"] == 30 and not CHECKPOINT.exists()
    assert "resuming" in capfd.readouterr().out
