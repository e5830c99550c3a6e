"""What a stage reads: the params that it looks at, and the files of the project that it opens."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ruamel.yaml import YAML

WRITTEN = (
    "data/",
    "metrics/",
    "plots/",
    "released/",
    "docs/results/",
)  # where stages write, and what is shipped for them

UNDECLARED = {"processes"}  # params that change how fast a stage is, and nothing that it writes


def compared(records: Iterable[dict], pipelines: Iterable[Path]) -> tuple[set[str], set[tuple[str, str]]]:
    """What stages read without declaring it, as lines; and (stage, param or dep) that none of its runs read.

    A name that dvc.yaml takes from an item or a param, `${…}`, stands for any one.
    """
    stages = {}
    for path in pipelines:
        for name, stage in YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))["stages"].items():
            stages[name] = stage.get("do", stage)
    faults, read, ran = set(), {}, set()
    for record in records:
        name = next(
            name for name, stage in stages.items() if _pattern(stage["cmd"], "python -m ").fullmatch(record["command"])
        )
        stage, looked_at = stages[name], read.setdefault(name, set())
        outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage.get("outs", [])]
        files = {path for path in record["read"] if path.startswith(WRITTEN)}
        for kind, names, declared in (
            ("params", record["params"], stage.get("params", [])),
            ("deps", files, stage["deps"]),
        ):
            for one in set(names) - UNDECLARED:
                mark = "." if kind == "params" else "/"
                covering = {other for other in declared if _pattern(other, below=mark).fullmatch(one)}
                # A section that is gone through is read whole; a folder that is listed, only to find what is in it.
                if not covering and not any(_pattern(out, below="/").fullmatch(one) for out in outs):
                    if not any(other.startswith(one + mark) for other in [*declared, *outs]) or kind == "params":
                        faults.add(f"{name} ({record['command']}) reads {one}: not among its {kind}")
                looked_at |= covering
        ran.add(name)
    declared = {
        (name, one)
        for name in ran
        for one in [*stages[name].get("params", []), *(dep for dep in stages[name]["deps"] if dep.startswith(WRITTEN))]
    }
    return faults, {(name, one) for name, one in declared if one not in read[name]}


def _pattern(text: str, prefix: str = "", below: str = "") -> re.Pattern:
    """What `text` stands for, whatever its `${…}` are; with `below`, also what lies below it after that mark."""
    parts = re.split(r"\$\{[^}]*\}", text.removeprefix(prefix))
    return re.compile("[^/. ]+".join(map(re.escape, parts)) + (f"(?:{re.escape(below)}.*)?" if below else ""))


class Recorder:
    """Records from `start` on, until `stop`; as a context, what runs in it. params: dotted names, a section's own name where it
    was read whole. read, written: paths relative to `folder`, of files below it."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.params: set[str] = set()
        self.read: set[str] = set()
        self.written: set[str] = set()
        self.names: dict[int, str] = {}  # dotted name, by the id of a settings object
        self.kept: list = []  # whose ids those are
        self.patched: list[tuple[object, str, object]] = []
        self.replaced: list[tuple] = []  # what stands for what, where the project imported it by name
        self.listening = False

    def start(self) -> "Recorder":
        self.listening = True
        sys.addaudithook(self._audit)
        self._watch_files_opened_outside_python()
        self._watch_params()
        return self

    def stop(self) -> None:
        self.listening = False  # an audit hook stays for ever
        while self.patched:
            setattr(*self.patched.pop())
        while self.replaced:
            _swap(*self.replaced.pop())

    def __enter__(self) -> "Recorder":
        return self.start()

    def __exit__(self, *error) -> None:
        self.stop()

    def record(self, command: str) -> dict:
        """What was read, for `compared`. command: of the stage that ran, `stages.<name> <arguments>`."""
        return {"command": command, "params": sorted(self.params), "read": sorted(self.read)}

    def opened(self, path, writes: bool) -> None:
        try:
            path = Path(path).resolve()
        except (TypeError, ValueError, OSError):  # a descriptor
            return
        if path.is_relative_to(self.folder):
            path = path.relative_to(self.folder).as_posix()
            if writes:
                self.written.add(path)
            elif path not in self.written:  # else it reads what it has written itself
                self.read.add(path)

    def _audit(self, event: str, arguments: tuple) -> None:
        if not self.listening:
            return
        if event == "open" and isinstance(arguments[0], str):
            path, mode, flags = arguments
            self.opened(path, bool(flags & 3) if mode is None else not set(mode).isdisjoint("wax+"))
        elif event in ("os.listdir", "os.scandir") and isinstance(arguments[0], str):
            self.opened(arguments[0], False)

    def _patch(self, owner, name: str, value) -> None:
        self.patched.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def _replace(self, owner, name: str, value) -> None:
        """Patch it, also wherever the project has imported it by name."""
        self.replaced.append((value, getattr(owner, name)))
        self._patch(owner, name, value)
        _swap(self.replaced[-1][1], value)

    def _watch_files_opened_outside_python(self) -> None:
        import h5py
        import pandas
        import safetensors
        import safetensors.torch

        def watched(function):
            def watching(*arguments, **options):
                self.opened(arguments[0], False)
                return function(*arguments, **options)

            return watching

        class File(h5py.File):
            def __init__(file, name, mode="r", *arguments, **options):
                self.opened(name, mode != "r")
                super().__init__(name, mode, *arguments, **options)

        self._patch(h5py, "File", File)
        self._patch(pandas, "read_parquet", watched(pandas.read_parquet))
        self._replace(safetensors, "safe_open", watched(safetensors.safe_open))
        self._patch(safetensors.torch, "safe_open", safetensors.safe_open)
        self._replace(safetensors.torch, "load_file", watched(safetensors.torch.load_file))

    def _watch_params(self) -> None:
        from pydantic import BaseModel

        import dfd.params

        load, get = dfd.params.load_params, BaseModel.__getattribute__
        dump, copy = BaseModel.model_dump, BaseModel.model_copy
        recorder = self

        def load_params(*arguments, **options):
            params = load(*arguments, **options)
            recorder._name(params, "")
            return params

        def __getattribute__(model, key):
            where = recorder.names.get(id(model))
            if where is not None and key in type(model).model_fields:
                value = get(model, key)
                if not isinstance(value, BaseModel | Entries):
                    recorder.params.add(f"{where}{key}")
                return value
            return get(model, key)

        def read_whole(model, without: Iterable[str]) -> None:
            where = recorder.names.get(id(model))
            if where is not None:
                recorder.params |= {f"{where}{key}" for key in type(model).model_fields.keys() - set(without)}

        def model_dump(model, *arguments, **options):
            read_whole(model, options.get("exclude", ()))
            return dump(model, *arguments, **options)

        def model_copy(model, *, update=None, deep=False):
            read_whole(model, update or ())
            return copy(model, update=update, deep=deep)

        self._patch(BaseModel, "__getattribute__", __getattribute__)
        self._patch(BaseModel, "model_dump", model_dump)
        self._patch(BaseModel, "model_copy", model_copy)
        self._replace(dfd.params, "load_params", load_params)

    def _name(self, model, where: str) -> None:
        """Give the settings objects below this one, and it, their dotted names."""
        from pydantic import BaseModel

        self.names[id(model)] = where
        self.kept.append(model)
        for key in type(model).model_fields:
            value = model.__dict__[key]
            if isinstance(value, BaseModel):
                self._name(value, f"{where}{key}.")
            elif isinstance(value, dict):
                for name, entry in value.items():
                    if isinstance(entry, BaseModel):
                        self._name(entry, f"{where}{key}.{name}.")
                model.__dict__[key] = Entries(value, self, f"{where}{key}")


def _swap(old, new) -> None:
    """Put `new` wherever the project's modules hold `old`."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("dfd", "stages"):
            for key in [key for key, held in vars(module).items() if held is old]:
                setattr(module, key, new)


class Entries(dict):
    """A section of entries by name. Who goes through it reads it whole, who asks for a name reads that entry."""

    def __init__(self, entries: dict, recorder: Recorder, where: str):
        super().__init__(entries)
        self.recorder, self.where = recorder, where

    def _read(self, key: str | None = None) -> None:
        self.recorder.params.add(self.where if key is None else f"{self.where}.{key}")

    def __getitem__(self, key):
        self._read(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        self._read(key)
        return super().get(key, default)

    def __contains__(self, key) -> bool:
        self._read(key)
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self._read()
        return super().__iter__()

    def keys(self):
        self._read()
        return super().keys()

    def values(self):
        self._read()
        return super().values()

    def items(self):
        self._read()
        return super().items()

    def __or__(self, other):
        self._read()
        return super().__or__(other)
