"""Values nobody means, and files as they are damaged: made by the hundred, and each tried in a process of its own."""

import contextlib
import copy
import multiprocessing
import os
import random
import re
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from dfd.core.errors import DfdError, for_the_user
from dfd.params import Params, _checked

NONSENSE = {
    float: [float("nan"), float("inf"), -float("inf"), -1.0, -1e-9, 1e-300, 1e12, 1e300, 10**400, "1.0", "", True, None, [1.0], {}],
    int: [-1, -(2**70), 2**70, 10**400, float("nan"), float("inf"), 1e300, "3", "", False, None, [3], {}],
    bool: ["false", "no", "yes", "", 0, 1, None, [True], {}],
    str: [3, 0.5, True, None, ["a"], {"a": 1}],
}  # fmt: skip
WORDS = [
    "",
    " ",
    "nonsense",
    "../..",
    "/",
    "a b",
    "a:b",
    "CON",
    "ä",
    "\n",
    "x" * 300,
    "$(true)",
    "@",
    "-",
    ".",
    "null\0",
]
FREE = re.compile(  # settings that may be any word, being looked up or opened later
    r"\.(path|identities|attributes|pairs|weights|adapter|layer|tap|layers|templates)(\.|$)"
)
NEXT_TO_NOTHING = re.compile(  # of these 1e-300 is as good as 0, which they may be
    r"(min_probability|shade|memory_gb|split\.\w+|dropout|averaging|beta1|margin|confidence)$"
)

OPTIONAL = re.compile(
    r"(experiments\.recognizer_loss\.train|perceptual_learning_rate|training|datasets\.\w+\.faces|options\.\w+)$"
)


class Case(NamedTuple):
    """params.yaml's values with one change, at a dotted key. nonsense: whether it must be refused when it is read."""

    key: str
    value: Any
    values: dict
    nonsense: bool


class Outcome(NamedTuple):
    """kind: `ok`, `told` (one line for the user), `traceback`, `hang`, `killed`. text: what was said."""

    kind: str
    text: str = ""


def leaves(values, where: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Every setting's place and value, sections and elements of lists too."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield (*where, key), value
        yield from leaves(value, (*where, key))


def put(section: dict, place: Sequence, value: Any) -> None:
    """Set a value at a place, keys from the outermost in; `...` removes what is there."""
    *parents, last = place
    for parent in parents:
        section = section[parent]
    if value is ...:
        del section[last]
    else:
        section[last] = value


def changed(values: dict, place: tuple, value: Any) -> dict:
    """A copy with another value at a place; `...` removes it."""
    values = copy.deepcopy(values)
    put(values, place, value)
    return values


def cases(values: dict, rng: random.Random) -> Iterator[Case]:
    """Every setting with every kind of nonsense, and with values that may be meant; in random order."""
    found = []
    for place, old in leaves(values):
        key = ".".join(map(str, place))
        changes = [(value, True) for value in NONSENSE.get(type(old), ())]
        if isinstance(old, str):
            changes += [(word, not FREE.search(f".{key}")) for word in WORDS]
        elif isinstance(old, bool):
            changes.append((not old, False))
        elif isinstance(old, int):
            changes += [(value, False) for value in {0, 1, 2, old - 1, old + 1, 2 * old, old // 2, 7, 1.5}]
        elif isinstance(old, float):
            changes += [(value, False) for value in {0.0, 1.0, old / 2, old * 2, 0.1, 0.9, 1e-6, 1e6, 3}]
        elif isinstance(old, list):
            changes += [([], False), (old + old, not key.endswith("channels")), (old[:1], False), (old[::-1], False)]
            changes += [(3, True), ({}, True), (None, True), ([[]], True)]
        elif isinstance(old, dict):
            changes += [({}, False), (3, True), ([], True), (None, True), (old | {"nonsense": 1}, True)]
        changes.append((..., False))
        for value, nonsense in changes:
            nonsense = nonsense and not (value == 1e-300 and NEXT_TO_NOTHING.search(key))
            nonsense = nonsense and not (value is None and OPTIONAL.search(key))
            nonsense = nonsense and not (value == 3 and place[-1] == "processes")  # `auto`, or a number
            found.append((place, value, nonsense))
    rng.shuffle(found)
    for place, value, nonsense in found:
        yield Case(".".join(map(str, place)), value, changed(values, place, value), nonsense)


def loaded(values: dict) -> tuple[Outcome, Params | None]:
    """What becomes of values when they are read."""
    try:
        return Outcome("ok"), _checked(values, "params.yaml")
    except DfdError as error:
        return Outcome("told" if len(str(error).splitlines()) == 1 else "traceback", str(error)), None
    except Exception:
        return Outcome("traceback", traceback.format_exc()), None


def read_values(values: dict, count: int, rng: random.Random) -> Iterator[tuple[str, str, Outcome]]:
    """(what, how it is named, what came of it) of changed values that are read."""
    for case in islice(cases(values, rng), count):
        outcome, _ = loaded(case.values)
        if outcome.kind == "ok" and case.nonsense:
            outcome = Outcome("nonsense")
        yield "values read", f"{case.key}: {case.value!r}"[:100], outcome


def guarded(call: Callable[[], object], seconds: float, gigabytes: float = 0) -> Outcome:
    """Call something in a forked process, with a limit on the processor's time (ten times as long on the clock, for busy
    machines) and on the memory it may take beyond what it has."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_called, args=(call, send, seconds, gigabytes))
    process.start()
    send.close()
    outcome = Outcome("hang", f"more than {seconds:g} s")
    with contextlib.suppress(EOFError):
        if receive.poll(10 * seconds):
            outcome = Outcome("killed")
            outcome = receive.recv()
    process.join(2)
    if process.is_alive():
        process.kill()
    process.join()
    if process.exitcode == -signal.SIGXCPU:
        return Outcome("hang", f"more than {seconds:g} s of the processor")
    return outcome


def _called(call: Callable, send, seconds: float, gigabytes: float) -> None:
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    import resource  # which is only where processes are forked at all

    spent = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + int(seconds), spent + int(seconds) + 5))
    if gigabytes:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + int(gigabytes * 2**30),) * 2)
    try:
        call()
        outcome = Outcome("ok")
    except Exception as error:
        line = for_the_user(error)
        told = line is not None and "\n" not in line
        outcome = Outcome("told", line) if told else Outcome("traceback", line or traceback.format_exc())
    send.send(outcome)
    os._exit(0)


@contextlib.contextmanager
def copied(folder: Path) -> Iterator[None]:
    """A copy of a project as the current folder. Files are linked: every writer replaces them whole."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        copy_of = Path(place) / "project"
        shutil.copytree(folder, copy_of, copy_function=os.link)
        os.chdir(copy_of)
        try:
            yield
        finally:
            os.chdir(before)


def write_values(values: dict) -> None:
    """params.yaml, in the current folder, in place of a link to it."""
    Path("params.yaml").unlink(missing_ok=True)
    with open("params.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)
