"""What no template may be, wherever it comes from: checked by one function at every door."""

from collections.abc import Sequence

import numpy as np
import torch

from dfd.core.errors import DfdError

BLOCK = 1 << 14  # rows looked at together
SHOWN = 3  # names of a message


def refuse_degenerate(
    templates: np.ndarray | torch.Tensor, keys: Sequence[str] | None, where: str, distinct: bool = False
) -> None:
    """Raise DfdError where templates (N, D) hold what no recognizer gives of a face, naming whose: NaN or infinity, or one
    number repeated, zero for one.

    keys: (N,), of the photos, where they are known. where: the file or the network, which the message names first.
    distinct: also refuse N > 1 templates that are all the same, as of a network that does not see its input.
    """
    parts = [np.asarray(templates[start : start + BLOCK]) for start in range(0, len(templates), BLOCK)]
    infinite = [~np.isfinite(part).all(1) for part in parts]
    _refuse(infinite, keys, f"{where}: templates must be finite numbers; {{}} are not")
    if templates.shape[1] > 1:
        repeated = [(part == part[:, :1]).all(1) for part in parts]
        _refuse(repeated, keys, f"{where}: {{}} of its templates hold nothing but one number, repeated")
    if distinct and len(templates) > 1 and all((part == parts[0][0]).all() for part in parts):
        raise DfdError(f"{where}: all of its {len(templates)} templates are the same, which tells nobody from another")


def _refuse(flags: list[np.ndarray], keys: Sequence[str] | None, message: str) -> None:
    rows = np.flatnonzero(np.concatenate(flags)) if flags else []
    if len(rows):
        first = f"row {rows[0]}" if keys is None or len(keys) <= rows[0] else keys[rows[0]]
        raise DfdError(f"{message.format(len(rows))}, first that of {first} ({named_rows(rows)}, counted from 0)")


def named_rows(rows: Sequence[int]) -> str:
    """Numbers of rows as words: `row 3`, or `rows 3, 7, 8, 9, 12 and 2 more`."""
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(str(row) for row in rows[:5])}{more}"


def few(names: Sequence[str]) -> str:
    """The first of the names, as words."""
    return ", ".join(list(names)[:SHOWN]) + (", …" if len(names) > SHOWN else "")
