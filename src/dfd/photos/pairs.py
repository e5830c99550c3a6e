"""Lists of pairs: LFW's pairs.txt (view 2, ten folds), pairsDevTrain.txt and pairsDevTest.txt (view 1, one fold); own ones."""

import csv
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from dfd.core.downloads import download
from dfd.core.errors import DfdError
from dfd.faces.leakage import identity_of

FOLDS = 10  # of an own list that names none
GENUINE = {"1": True, "true": True, "0": False, "false": False}


def read_pairs(path: str | Path) -> pd.DataFrame:
    """The pairs of a list, in its order: fold (1, 2, …), first, second (keys of photos, `Name/Name_0001.jpg`) and genuine.

    path: of a file, or `published`: view 2, downloaded from where scikit-learn has it, and checked by its hash.
    Format, LFW's: a line `folds pairs` (or `pairs`, for one fold), then in each fold so many lines `name n m` (one person)
    and as many `name n other m`. Or, of any data set: a CSV file with the columns first, second, genuine and fold (see
    `_own`). Raises DfdError naming the line that does not belong there.
    """
    try:
        path = _published() if path == "published" else path
        lines = Path(path).expanduser().read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DfdError(f"{path}: cannot be read as text ({error}); give LFW's pairs.txt") from error
    if lines and {"first", "second"} <= set(columns := [name.strip() for name in lines[0].split(",")]):
        return _own(path, lines[1:], columns)
    header = lines[0].split() if lines else []
    if len(header) not in (1, 2) or not all(_positive(field) for field in header):
        raise DfdError(f"{path}: line 1 is not `folds pairs`, as in `10 300`, or `pairs`; give LFW's pairs.txt")
    folds, count = (1, *map(int, header))[-2:]
    if len(lines) != 1 + 2 * folds * count:
        raise DfdError(
            f"{path}: {len(lines) - 1} pairs, where its first line tells of {2 * folds * count}; get it anew"
        )
    rows = []
    for number, line in enumerate(lines[1:]):
        fold, genuine = number // (2 * count) + 1, number % (2 * count) < count
        match line.split():
            case [name, n, m] if genuine and _positive(n) and _positive(m):
                rows.append((fold, _key(name, n), _key(name, m), True))
            case [name, n, other, m] if not genuine and name != other and _positive(n) and _positive(m):
                rows.append((fold, _key(name, n), _key(other, m), False))
            case _:
                expected = (
                    "`name n m`, two photos of one person" if genuine else "`name n other m`, photos of two people"
                )
                raise DfdError(f"{path}: line {number + 2} is not {expected}: {line.strip() or 'it is empty'}")
    return pd.DataFrame(rows, columns=["fold", "first", "second", "genuine"])


def _own(path: str | Path, lines: list[str], columns: list[str]) -> pd.DataFrame:
    """The pairs of a CSV file: two keys, as in data/faces/<dataset>.parquet, and whether they show one person (1, true)
    or not (0, false). Without the column fold, the pairs of either kind are dealt in turn to ten folds."""
    if "genuine" not in columns:
        raise DfdError(
            f"{path}: line 1: the columns are first,second,genuine and, if you like, fold; genuine is missing"
        )
    rows, dealt = [], Counter()
    for number, line in enumerate(csv.DictReader(lines, columns, restval="", skipinitialspace=True), 2):
        genuine = GENUINE.get(line["genuine"].strip().lower())
        fold = str(dealt[genuine] % FOLDS + 1) if "fold" not in columns else line["fold"].strip()
        if genuine is None or not _positive(fold) or not line["first"] or not line["second"]:
            raise DfdError(f"{path}: line {number} is not two keys, true or false{', a fold' * ('fold' in columns)}")
        dealt[genuine] += 1
        rows.append((int(fold), line["first"], line["second"], genuine))
    return pd.DataFrame(rows, columns=["fold", "first", "second", "genuine"])


def _published() -> Path:
    from sklearn.datasets._lfw import TARGETS  # here: the import takes a second

    remote = next(file for file in TARGETS if file.filename == "pairs.txt")
    return download(remote.filename, remote.url, remote.checksum)


def people_of(path: str | Path, folds: Collection[int]) -> set[str]:
    """Everybody in these folds of a list of pairs; no fold, nobody. Raises DfdError for a fold that it does not have."""
    if not folds:
        return set()
    pairs = read_pairs(path)
    if missing := set(folds) - set(pairs["fold"]):
        raise DfdError(f"{path}: has no fold {min(missing)}; correct `test_folds`: it has 1 to {pairs['fold'].max()}")
    chosen = pairs[pairs["fold"].isin(folds)]
    return {identity_of(key) for column in ("first", "second") for key in chosen[column]}


def _positive(field: str) -> bool:
    return field.isascii() and field.isdigit() and int(field) > 0


def _key(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"
