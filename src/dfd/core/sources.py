"""Files outside the project that params name: DVC does not watch them, so whoever reads one notes how it was.

They cannot be DVC's own dependencies: dvc.lock would hold this machine's paths, and every stage of a `foreach` would need as
many. The notes are .sources/<stage>/<name>.json, in neither git nor DVC.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from dfd.core.artefacts import read_json, write_text

NOTES = Path(".sources")
# stage -> the section of params whose entry it is run with, and that entry's keys that name the files it reads
READ = {
    "fetch": ("datasets", ("path", "identities", "mapping")),
    "preprocess": ("datasets", ("attributes", "pairs", "landmarks", "identities", "mapping")),
    "import_recognizer": ("import_recognizer", ("weights", "templates")),
    "import_decoder": ("import_decoder", ("adapter",)),  # its weights are a dependency
}
ALSO = {"pairs": " verify"}  # key -> stages that read the file anew, besides


def states(stage: str, entry: Mapping) -> dict[str, dict[str, str | None]]:
    """How the files are now that a stage reads: by key, a digest by path. entry: of params, in READ's section of the stage."""
    named = {key: entry[key] for key in READ[stage][1] if entry.get(key)}
    files = {key: value.values() if isinstance(value, Mapping) else [value] for key, value in named.items()}
    return {key: {path: _state(path) for path in paths} for key, paths in files.items()}


def note(stage: str, name: str, noted: Mapping) -> None:
    """Keep the `states` from before the stage read the files of the entry `name`."""
    write_text(NOTES / stage / f"{name}.json", json.dumps(noted, indent=2) + "\n")


def changed(names: Collection[str]) -> Iterator[str]:
    """A line for each file of these entries that is not as it was when a stage read it: which, and what to run.

    A file that is gone has nothing new to read.
    """
    for path in sorted(NOTES.glob("*/*.json")):
        stage, name = path.parent.name, path.stem
        if name not in names:
            continue
        for key, files in read_json(path).items():
            for file, noted in files.items():
                if None not in (noted, state := _state(file)) and state != noted:
                    yield (
                        f"{file} has changed since {stage}@{name} read it; "
                        f"run `dvc repro -sf {stage}@{name}{ALSO.get(key, '')}`, then `dvc repro`"
                    )


def _state(path: str) -> str | None:
    """A digest of the names, sizes and times of a file, or of all files below a folder; None where there is none."""
    file = Path(path).expanduser()
    if not os.path.exists(file):
        return None
    digest = hashlib.sha256()
    for each in files_below(file) if file.is_dir() else [file]:
        status = os.stat(each) if os.path.exists(each) else os.lstat(each)
        name = os.fsencode(each.relative_to(file))
        digest.update(name + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted. Linked folders are followed, but not those that hold the link.

    A folder that cannot be read comes as if it were a file.
    """
    return _below(folder, frozenset())


def _below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """above: (device, inode) of the folders that hold this one."""
    status = folder.stat()
    above |= {(status.st_dev, status.st_ino)}
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        yield folder
        return
    for entry in entries:
        if not os.path.isdir(entry):
            yield entry
        elif ((status := entry.stat()).st_dev, status.st_ino) not in above:
            yield from _below(entry, above)
