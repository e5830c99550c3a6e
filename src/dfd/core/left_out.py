"""A stage that cannot do its work for lack of something still has outs: a folder with a note that says why."""

import json
from collections.abc import Mapping
from pathlib import Path

from dfd.core.artefacts import write_json

NAME = "left_out.json"


def write_left_out(folder: str | Path, note: str) -> None:
    """Leave `note` in the folder, in place of results."""
    write_json(Path(folder) / NAME, {"left_out_note": note})


def left_out(folder: str | Path) -> str | None:
    """The note in the folder; None where there are results."""
    path = Path(folder) / NAME
    return json.loads(path.read_text(encoding="utf-8"))["left_out_note"] if path.is_file() else None


def told_apart(folders: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those of the folders, by name, that hold results; and the notes of the others."""
    notes = {name: note for name, folder in folders.items() if (note := left_out(folder))}
    return {name: folder for name, folder in folders.items() if name not in notes}, notes


def left_out_metrics(notes: Mapping[str, str]) -> dict:
    """The metrics' `left_out`, with each note by name; empty where nothing was left out."""
    return {"left_out": {name: {"left_out_note": note} for name, note in notes.items()}} if notes else {}
