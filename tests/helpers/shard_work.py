"""What workers do in tests: in a module of its own, where a spawned process finds it."""

import os
import time
from pathlib import Path

import numpy as np
import torch


def square(number: int) -> dict[str, np.ndarray]:
    return {
        "square": np.array(number**2),
        "threads": np.array(torch.get_num_threads()),
        "process": np.array(os.getpid()),
    }


def die(number: int) -> dict[str, np.ndarray]:
    os._exit(9)


def beat(path: Path) -> dict[str, np.ndarray]:
    while True:
        with path.open("a") as file:
            file.write(".")
        time.sleep(0.02)
