"""What could not be computed, and why: the same thing to metrics, tables, pictures and files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import read_json, write_json

NAME = "left_out.json"


@dataclass(frozen=True)
class LeftOut:
    """Stands where a result would that could not be computed. reason: for people, as metrics and pictures show it.

    A stage that cannot do its work still has outs: metrics have null and the reason beside it, a table its columns and no
    rows, a folder of results a file; a picture says the reason (`dfd.rendering.curves.left_out_figure`).
    """

    reason: str

    def __str__(self) -> str:
        return self.reason

    def metrics(self, *names: str, note: str | None = None) -> dict[str, str | None]:
        """Each of the names null, and the reason as `<note>_note`, by default `<the first name>_note`."""
        return dict.fromkeys(names) | {f"{note or names[0]}_note": self.reason}

    def table(self, columns: Sequence[str]) -> pd.DataFrame:
        """The table without a row."""
        return pd.DataFrame(columns=list(columns))

    def write(self, folder: str | Path) -> None:
        """Leave the reason in a folder, in place of results."""
        write_json(Path(folder) / NAME, self.metrics(note="left_out"))

    @classmethod
    def read(cls, folder: str | Path) -> "LeftOut | None":
        """What was left in the folder; None where there are results."""
        path = Path(folder) / NAME
        return cls.among(read_json(path), "left_out") if path.is_file() else None

    @classmethod
    def among(cls, metrics: Mapping, note: str) -> "LeftOut | None":
        """What metrics say as `<note>_note`; None where they say nothing."""
        reason = metrics.get(f"{note}_note")
        return None if reason is None else cls(reason)


def told_apart(folders: Mapping[str, str]) -> tuple[dict[str, str], dict[str, LeftOut]]:
    """Those of the folders, by name, that hold results; and what the others say."""
    missing = {name: left_out for name, folder in folders.items() if (left_out := LeftOut.read(folder))}
    return {name: folder for name, folder in folders.items() if name not in missing}, missing


def left_out_metrics(missing: Mapping[str, LeftOut]) -> dict:
    """The metrics' `left_out`, with each reason by name; empty where nothing was left out."""
    return {"left_out": {name: one.metrics(note="left_out") for name, one in missing.items()}} if missing else {}
