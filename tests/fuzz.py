"""Thousands of values that nobody means in params.yaml, and hundreds of damaged files: what becomes of each.

    python tests/fuzz.py [--seed 0] [--loads 2000] [--runs 200] [--files 500]

Prints a table and every failure; exit code 1 where there is any: a traceback, what does not end, nonsense that is accepted.
A test runs a part of it (tests/test_fuzz.py). It needs a system that forks processes, with /proc: Linux.
"""

import argparse
import functools
import importlib
import io
import itertools
import operator
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from ruamel.yaml import YAML

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("tests/helpers", "src", "."))

import pytest
from damage import damages
from fuzzing import Outcome, cases, copied, guarded, loaded, read_values, write_values
from small_project import ROOT, SMALL_FACES, TINY, lay_out

from dfd.core.errors import DfdError
from dfd.decoder.registry import load_decoder
from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.photos.archives import write_photos
from dfd.photos.datasets import orl_photos
from dfd.photos.decoding import Rejected, decode_photo
from dfd.photos.detection import Detector
from dfd.photos.preprocessing import Census, preprocess
from dfd.photos.synthetic import synthetic_photos
from dfd.recognizers.registry import build_recognizer, import_recognizer, load_recognizer
from dfd.studies.equivariance.maps import read_transforms
from dfd.templates.files import read_templates_file
from dfd.templates.store import TemplateStore

CPU = torch.device("cpu")
NOT_RUN = {
    "fetch",
    "import_recognizer",
    "import_decoder",
    "docs",
    "paper",
}  # downloads, other files, the checkout's docs
ENDLESS = (  # what takes as long as its number says: a large one is meant, or is not
    *("epochs", "steps", "iterations", "searches", "draws", "bootstrap", "keys", "patience", "max_faces", "pairs"),
)
QUICK = {
    "closed_form.axes": 5, "attacks.pairs": 4, "attacks.matching_pairs": 8, "attacks.epsilons": [4],
    "attacks.cw_l2.pairs": 2, "attacks.cw_l2.iterations": 3, "aggregation.draws": 4, "aggregation.decoded_draws": 2,
    "aggregation.counts": [1, 2], "transforms.rotate": 90, "transforms.scale": [0.5], "verify.rotate": 90,
    "disentangling.steps": 10, "inversion.max_faces": 10, "inversion.protected_faces": 5, "inversion.refined_faces": 2,
    "inversion.refinement_steps": 2, "inversion.keys": 2, "inversion.protections": ["float16", "biohash"],
}  # fmt: skip
SECONDS, GIGABYTES = 120, 6


class Stage(NamedTuple):
    """arguments: of each of its instances. reads: the params, as parts of dotted keys."""

    arguments: list[list[str]]
    reads: list[list[str]]


def stages(values: dict) -> dict[str, Stage]:
    """Of both pipelines, by command, in the order in which they can run."""
    found: dict[str, Stage] = {}

    def named(text: str) -> list[str]:  # by "${variants}": what that section holds
        return list(functools.reduce(operator.getitem, text.strip("${}").split("."), values))

    for path in ("dvc.yaml", "experiments/dvc.yaml"):
        for stage in YAML(typ="safe").load((ROOT / path).read_text(encoding="utf-8"))["stages"].values():
            told = stage.get("do", stage)
            name, *arguments = told["cmd"].removeprefix("python -m stages.").split()
            axes = {f"item.{axis}": named(own) for axis, own in stage.get("matrix", {}).items()}
            axes |= dict.fromkeys(("key", "item"), named(stage["foreach"])) if "foreach" in stage else {}
            every = list(itertools.product(*(axes[argument.strip("${}")] for argument in arguments)))
            reads = [[part for part in param.split(".") if "$" not in part] for param in told.get("params", ())]
            found[name] = Stage([*found.get(name, Stage([], [])).arguments, *map(list, every)], reads)
    return found


def run_stage(name: str, values: dict, folder: Path) -> Outcome:
    """A stage under other values, in a copy of the project."""

    def main():
        for arguments in stages(values)[name].arguments[:1]:
            importlib.import_module(f"stages.{name}").main(*arguments)

    with copied(folder):
        write_values(values)
        return guarded(main, SECONDS, GIGABYTES)


def tiny_project(folder: Path, patch: pytest.MonkeyPatch) -> dict:
    """Two data sets of few faces and what every stage makes of them; the params' values."""
    raw, stores = folder / "raw", {}
    photos = {
        "orl": (photo for photo in islice(orl_photos(), 40) if int(Path(photo[0]).stem) <= 5),
        "synthetic": synthetic_photos(24, seed=0),
    }
    shares = {"orl": {"test": 1.0}, "synthetic": {"train": 0.5, "validation": 0.25, "test": 0.25}}
    for name, source in photos.items():
        write_photos(raw / f"{name}.tar", source)
        path = folder / f"{name}.h5"
        preprocess(raw / f"{name}.tar", path, Detector((160, 640), 0.3, CPU), SMALL_FACES, Census(shares[name], 0))
        stores[name] = FaceStore(path)
    project = folder / "project"
    project.mkdir()
    lay_out(project, patch, stores)
    (project / "data/raw").mkdir()
    for name in photos:
        (project / f"data/raw/{name}.tar").write_bytes((raw / f"{name}.tar").read_bytes())
    values = YAML(typ="safe").load((project / "params.yaml").read_text(encoding="utf-8"))
    for key, quick in QUICK.items():
        *parents, last = key.split(".")
        functools.reduce(operator.getitem, parents, values)[last] = quick
    write_values(values)
    for name, stage in stages(values).items():
        if name in NOT_RUN | {"preprocess", "train_recognizer", "embed"}:
            continue
        start = time.perf_counter()
        for arguments in stage.arguments:
            try:
                importlib.import_module(f"stages.{name}").main(*arguments)
            except DfdError as error:  # of what so few faces do not give
                print(f"# {name} {arguments}: {error}")
        print(f"# {name}: {time.perf_counter() - start:.1f} s", flush=True)
    return values


# What is tried


def read_texts(count: int, rng: random.Random, folder: Path) -> Iterator[tuple[str, str, Outcome]]:
    """The same of the text of params.yaml."""
    path, text = folder / "params.yaml", (ROOT / "params.yaml").read_bytes()
    texts = [
        b"[" * 2000 + b"]" * 2000,
        b"{a: " * 2000,
        b"&a [*a]",
        b"? [1]\n: 2",
        b"!!python/object:os.system x",
        b"seed: 2001-99-99",
    ]
    for number, damaged in enumerate([*texts, *damages(text, rng.randrange(100))][:count]):
        path.write_bytes(damaged)
        yield "texts read", f"text {number}", guarded(lambda: load_params(path), SECONDS, GIGABYTES)


def run_values(values: dict, count: int, rng: random.Random, project: Path) -> Iterator[tuple[str, str, Outcome]]:
    """What is accepted, in a stage that reads the key."""
    done = 0
    for case in cases(values, rng):
        if done == count:
            return
        last = next((part for part in reversed(case.key.split(".")) if not part.isdigit()), "")
        if last.endswith(ENDLESS) and isinstance(case.value, int) and case.value > 20:
            continue
        if case.nonsense or loaded(case.values)[0].kind != "ok":
            continue
        section = case.key.split(".")
        readers = [
            name
            for name, stage in stages(values).items()
            if name not in NOT_RUN and any(section[: len(read)] == read for read in stage.reads)
        ]
        if not readers:
            continue
        done += 1
        name = rng.choice(readers)
        yield "values run", f"{name} {case.key}: {case.value!r}"[:100], run_stage(name, case.values, project)


def files(project: Path, folder: Path) -> list[tuple[str, str, bytes, Callable[[Path], object]]]:
    """(what, its name, its bytes, what reads it) of every kind of file that a user or a kill can damage."""
    store = FaceStore(project / "data/faces/orl.h5")

    def photo(path: Path):
        try:
            decode_photo(path.read_bytes(), 100, 16)
        except Rejected as rejected:
            raise DfdError(rejected.reason) from rejected

    def faces(path: Path, suffix: str):
        for other in {".h5", ".parquet"} - {suffix}:
            path.with_suffix(other).write_bytes(store.path.with_suffix(other).read_bytes())
        damaged = FaceStore(path.with_suffix(".h5"))
        damaged.crops(range(len(damaged)))

    found = []
    image = Image.open(io.BytesIO(next(islice(orl_photos(), 1))[1])).convert("RGB")
    for suffix in ("jpg", "png", "webp", "tiff", "bmp", "gif"):
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "jpeg"}.get(suffix, suffix))
        found.append(("photos", f"photo.{suffix}", buffer.getvalue(), photo))
    keys, vectors = (
        [f"p{n}/1.jpg" for n in range(20)],
        np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32),
    )
    np.savez(folder / "t.npz", key=keys, template=vectors)
    np.save(folder / "t.npy", vectors)
    pd.DataFrame({"key": keys, "template": list(vectors)}).to_parquet(folder / "t.parquet")
    templates = [folder / "t.npz", folder / "t.npy", folder / "t.parquet", project / "data/templates/orl/vgg.h5"]
    found += [("templates", f"t{path.suffix}", path.read_bytes(), read_templates_file) for path in templates]
    own = {
        "orl.h5": (store.path, lambda path: faces(path, ".h5")),
        "orl.parquet": (store.path.with_suffix(".parquet"), lambda path: faces(path, ".parquet")),
        "store.h5": (project / "data/templates/orl/vgg.h5", lambda path: TemplateStore(path, store)),
        "maps.h5": (project / "data/transforms/vgg.h5", read_transforms),
        "decoder.safetensors": (project / "data/decoders/vgg-vgg.safetensors", lambda path: load_decoder(path, CPU)),
        "recognizer.safetensors": (
            project / "data/recognizers/vgg.safetensors", lambda path: load_recognizer(path, CPU, "portrait")
        ),
    }  # fmt: skip
    found += [("own artefacts", name, path.read_bytes(), reader) for name, (path, reader) in own.items()]
    torch.save(build_recognizer("vgg16", TINY).state_dict(), folder / "w.pth")
    weights = [
        ("w.pth", (folder / "w.pth").read_bytes()),
        ("w.h5", (project / "data/templates/orl/vgg.h5").read_bytes()),
    ]
    found += [
        ("weights", name, content, lambda path: import_recognizer("vgg16", TINY, str(path)))
        for name, content in weights
    ]
    found.append(("weights", "w.onnx", b"\x08\x07", lambda path: import_recognizer("onnx", {}, str(path))))
    return found


def read_files(count: int, rng: random.Random, project: Path, folder: Path) -> Iterator[tuple[str, str, Outcome]]:
    """Damaged files, each kind in turn, as their readers take them."""
    kinds = files(project, folder)
    for number in range(count):
        what, name, content, reader = kinds[number % len(kinds)]
        damaged = list(damages(content, rng.randrange(1 << 30)))
        path = folder / "damaged" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged[number // len(kinds) % len(damaged)])
        yield what, f"{name} {number}", guarded(functools.partial(reader, path), 30, 4)


BAD = ("traceback", "hang", "killed", "nonsense")


def report(tried: Iterator[tuple[str, str, Outcome]]) -> tuple[Counter, list[str]]:
    """How often what came of what, and the failures in words, as they come."""
    counts, failures = Counter(), []
    for what, name, outcome in tried:
        counts[what, outcome.kind] += 1
        if outcome.kind in BAD:
            failures.append(f"{what}: {name}: {outcome.kind} {outcome.text}")
            last = outcome.text.strip().splitlines()[-8:] if outcome.kind == "traceback" else [outcome.text]
            print(f"{what}: {name}: {outcome.kind}\n    " + "\n    ".join(last), flush=True)
    return counts, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in {"seed": 0, "loads": 2000, "runs": 200, "files": 500}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    asked, counts, failures = parser.parse_args(), Counter(), []
    rng = random.Random(asked.seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        values = tiny_project(folder, patch)
        shipped = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        for tried in (
            read_values(shipped, asked.loads, rng),
            read_texts(asked.loads, rng, folder),
            read_files(asked.files, rng, folder / "project", folder),
            run_values(values, asked.runs, rng, folder / "project"),
        ):
            counted, failed = report(tried)
            counts, failures = counts + counted, failures + failed
    kinds = ("ok", "told", *BAD)
    print(f"{'':15}" + "".join(f"{kind:>11}" for kind in kinds))
    for what in dict.fromkeys(what for what, _ in counts):
        print(f"{what:15}" + "".join(f"{counts[what, kind]:>11}" for kind in kinds))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
