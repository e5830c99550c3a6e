"""A stage that cannot do its work for lack of something still has outs: a folder with a note that says why."""

import json
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
