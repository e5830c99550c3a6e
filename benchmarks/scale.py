"""What a million faces cost: `python benchmarks/scale.py [--faces 20000 200000 1000000] [--dimensions 512 4096] [--cores …]`.

Stores of made-up faces (a few crops of noise, over and over, 14 pixels) and made-up templates are written into a temporary
folder; 1 M × 4096 numbers are 16 GB. What each stage does with them, its core, runs in a process of its own that keeps
nothing in memory that it need not (`memory_gb: 0`), of which time and peak memory are told; over the sizes the exponent of
time is fitted. Time is of the CPU, in all processes: other load changes it little.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from dfd.core.artefacts import state_sha256
from dfd.decoder.closed_form import LinearDecoder, fit
from dfd.faces.examples import Examples, mean_face
from dfd.faces.store import FaceStore, FaceWriter, encode_crop
from dfd.learning.competing_losses import CompetingLoss
from dfd.learning.settings import TrainDecoder
from dfd.learning.training import Conditions, train
from dfd.measures.verification import Pairs, roc_table
from dfd.photos.preprocessing import COLUMNS
from dfd.studies.equivariance.maps import ADDED
from dfd.templates.belonging import statistics
from dfd.templates.linear import Moments, fit_ridge, soft_whitening
from dfd.templates.store import TemplateStore

SIZE = 14  # pixels
PHOTOS = 100  # of a person
BLOCK = 20_000  # faces written at once
MAPS = 100_000  # faces, at most, that a map is fitted to
SCORES = 87_000_000  # all pairs of LFW's 13,233 photos


def write_faces(path: Path, count: int) -> FaceStore:
    """Faces of people with PHOTOS each, 97 % of them for training, 2 % for validation, 1 % for tests."""
    random = np.random.default_rng(0)
    crops = [encode_crop(random.integers(0, 256, (2 * SIZE, 2 * SIZE, 3), np.uint8)) for _ in range(64)]
    lengths = np.array([len(crop) for crop in crops])
    with h5py.File(path, "w") as file:
        writer = FaceWriter(file)
        data, rows = np.frombuffer(b"".join(crops), np.uint8), np.arange(count)
        offsets = np.append(0, np.cumsum(lengths[rows % len(crops)]))
        writer.data.resize((offsets[-1],))
        for start in range(0, count, 64 * 1000):
            part = slice(offsets[start], offsets[min(start + 64 * 1000, count)])
            writer.data[part] = np.resize(data, part.stop - part.start)
        writer.offsets = offsets
        writer.close({"size": SIZE, "context": 2.0, "geometry": "portrait", "fill": "edge"})
    with_box = {"box": [[0.0] * 4] * BLOCK, "landmarks": [[[0.0] * 2] * 5] * BLOCK, "window": [[0.0] * 6] * BLOCK}
    written = None
    for start in range(0, count, BLOCK):
        row = np.arange(start, min(start + BLOCK, count))
        person, place = row // PHOTOS, (row // PHOTOS) % 100
        index = pd.DataFrame({name: values[: len(row)] for name, values in with_box.items()} | {
            "key": [f"n{one:06d}/{number:07d}.jpg" for one, number in zip(person, row)], "row": row,
            "identity": [f"n{one:06d}" for one in person], "sha256": [f"{number:064x}" for number in row],
            "split": np.where(place < 97, "train", np.where(place < 99, "validation", "test")),
        }).reindex(columns=list(COLUMNS)).astype(COLUMNS)  # fmt: skip
        table = pa.Table.from_pandas(index, preserve_index=False, schema=written.schema if written else None)
        written = written or pq.ParquetWriter(path.with_suffix(".parquet"), table.schema)
        written.write_table(table)
    written.close()
    return FaceStore(path)


def write_templates(path: Path, faces: FaceStore, dimension: int) -> None:
    """Templates along whose later axes faces differ less."""
    random = np.random.default_rng(0)
    scales = np.linspace(1, 0.05, dimension, dtype=np.float32)
    block = random.standard_normal((BLOCK, dimension), np.float32) * scales + 0.5
    with h5py.File(path, "w") as file:
        data = file.create_dataset("template", (len(faces), dimension), np.float32)
        for start in range(0, len(faces), BLOCK):
            shift = random.standard_normal(dimension, np.float32) * scales
            data[start : start + BLOCK] = block[: len(faces) - start] + shift
        file.attrs.update({"recognizer": "made-up", "faces_fingerprint": faces.fingerprint})


def opened(folder: Path) -> TemplateStore:
    return TemplateStore(folder / "templates.h5", FaceStore(folder / "faces.h5"))


def examples(store: TemplateStore, split: str) -> Examples:
    return Examples(store.faces, store.rows(split), SIZE, store.template, None, memory_gb=0.0)


def open_store(folder: Path) -> None:
    opened(folder).rows("train")


def whiten(folder: Path) -> None:
    soft_whitening(examples(opened(folder), "train").targets, 1e-8)


def closed_form(folder: Path) -> None:
    store = opened(folder)
    fit(LinearDecoder(store.dimension, SIZE), examples(store, "train"), examples(store, "validation"))


def digest(folder: Path) -> None:
    targets = examples(opened(folder), "train").targets
    state_sha256({"templates": targets})
    statistics(targets, None)


def epoch(folder: Path) -> None:
    """One of training a decoder that is a matrix, so that what is timed is how its faces and templates come to it."""
    store = opened(folder)
    training, validation = examples(store, "train"), examples(store, "validation")
    decoder = LinearDecoder(store.dimension, SIZE)
    decoder.set_statistics(training.targets, mean_face(validation))
    settings = TrainDecoder(
        epochs=1, patience=1, batch_size=64, learning_rate=1e-4, weight_decay=0.0, schedule="constant", averaging=0.0,
        clip=0.0,
        noise=0.05,
    )  # fmt: skip
    conditions = Conditions(torch.device("cpu"), "float32", 0, 0.0)
    loss = CompetingLoss(None, {"absolute": 1.0})
    train(decoder, loss, training, validation, settings, conditions, folder / "checkpoint.pt", "stamp")
    (folder / "checkpoint.pt").unlink()


def maps(folder: Path) -> None:
    """One map, of up to MAPS faces, from templates with noise to templates; the networks' own time is not in it."""
    store, generator = opened(folder), torch.Generator().manual_seed(0)
    moments = []
    for split in ("train", "validation"):
        moments.append(Moments(store.dimension, store.dimension))
        rows = store.rows(split)[:MAPS]
        for part in np.array_split(rows, -(-len(rows) // ADDED)):
            plain = store.template[part]
            moments[-1].add(plain + 0.1 * torch.randn(plain.shape, generator=generator), plain)
    fit_ridge(*moments)


def roc(folder: Path) -> None:
    """The ROC of SCORES made-up scores: not of a store."""
    del folder
    base = memory() + 13 * SCORES / 1e9
    random = np.random.default_rng(0)
    first, second = random.integers(0, 5749, (2, SCORES), np.int32)
    genuine = first == second
    scores = random.standard_normal(SCORES, np.float32) * np.float32(0.12)
    scores[genuine] += 0.45
    np.clip(scores, -1, 1, out=scores)
    before = seconds()
    roc_table(Pairs(scores, genuine, first, second))
    print(json.dumps({"seconds": seconds() - before, "gb": memory() - base}))


CORES = {
    function.__name__: function for function in (open_store, whiten, closed_form, digest, epoch, maps)
}  # each of a folder with a store


def seconds() -> float:
    """Of the CPU, so far, in this process and those that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def memory() -> float:
    """The most that this process, or the largest that it started, has held, in GB."""
    used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(used) * 1024 / 1e9


def run(name: str, folder: Path) -> None:
    """In a process of its own: a core, and what it took; of the memory importing takes a gigabyte."""
    if name == "roc":
        roc(folder)
        return
    before, start = seconds(), time.perf_counter()
    CORES[name](folder)
    print(json.dumps({"seconds": seconds() - before, "wall": time.perf_counter() - start, "gb": memory()}))


def measured(name: str, folder: Path) -> dict:
    command = [sys.executable, "-W", "ignore", __file__, "--run", name, str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faces", type=int, nargs="+", default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[512, 4096])
    parser.add_argument("--cores", nargs="+", default=[*CORES, "roc"], choices=[*CORES, "roc"])
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        run(asked.run[0], Path(asked.run[1]))
        return
    print(
        "| dimension | faces | core | CPU seconds | per million faces | peak GB |\n| --- | --- | --- | --- | --- | --- |"
    )
    cores, times = [name for name in asked.cores if name in CORES], {}
    for dimension, count in itertools.product(asked.dimensions, asked.faces):
        with tempfile.TemporaryDirectory() as folder:
            faces = write_faces(Path(folder, "faces.h5"), count)
            write_templates(Path(folder, "templates.h5"), faces, dimension)
            for name in cores:
                found = measured(name, Path(folder))
                times.setdefault((dimension, name), {})[count] = found["seconds"]
                cells = dimension, count, name, f"{found['seconds']:.1f}", f"{found['seconds'] / count * 1e6:.0f}"
                print("| " + " | ".join(map(str, cells)) + f" | {found['gb']:.2f} |", flush=True)
    for (dimension, name), by_count in times.items():
        if len(by_count) > 1:
            exponent = np.polyfit(np.log(list(by_count)), np.log(list(by_count.values())), 1)[0]
            print(f"{dimension}-d, {name}: time grows with faces to the power {exponent:.2f}")
    if "roc" in asked.cores:
        found = measured("roc", Path("."))
        print(
            f"ROC of {SCORES / 1e6:.0f} M scores: {found['seconds']:.1f} CPU seconds, {found['gb']:.2f} GB beside them"
        )


if __name__ == "__main__":
    main()
