"""What no template may be, wherever it comes from: checked by one function at every door."""

from collections.abc import Sequence

import numpy as np
import torch

from dfd.core.errors import DfdError
from dfd.core.rows import Rows

BLOCK = 1 << 14  # rows looked at together
SHOWN = 3  # names of a message


def refuse_degenerate(
    templates: np.ndarray | torch.Tensor | Rows,
    keys: Sequence[str] | None,
    where: str,
    distinct: bool = False,
    gaps: bool | np.ndarray = False,
) -> None:
    """Raise DfdError where templates (N, D) hold what no recognizer gives of a face, naming whose: NaN or infinity, or one
    number repeated, zero for one.

    keys: (N,), of the photos, where they are known. where: the file or the network, which the message names first.
    distinct: also refuse N > 1 templates that are all the same, as of a network that does not see its input. gaps: which
    rows, all or bool (N,), may be nothing but NaN: there is no template, and they are passed over.
    """
    may_be_none = np.broadcast_to(gaps, len(templates))
    infinite, repeated, first, count, same = [], [], None, 0, True
    for start in range(0, len(templates), BLOCK):
        part = np.asarray(templates[start : start + BLOCK])
        given = ~(may_be_none[start : start + BLOCK] & np.isnan(part).all(1))
        infinite.append(given & ~np.isfinite(part).all(1))
        repeated.append((part == part[:, :1]).all(1))
        first = part[given][:1] if first is None or not len(first) else first
        count, same = count + given.sum(), same and bool((part[given] == first).all())
    _refuse(infinite, keys, f"{where}: templates must be finite numbers; {{}} are not")
    if templates.shape[1] > 1:
        _refuse(repeated, keys, f"{where}: {{}} of its templates hold nothing but one number, repeated")
    if distinct and count > 1 and same:
        raise DfdError(f"{where}: all of its {count} templates are the same, which tells nobody from another")


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
