"""What holds on one machine and breaks on the next: encodings, line ends, names of files, calls that only some systems have."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("src", "stages", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
POSIX = {"fork", "geteuid", "getuid", "sysconf", "statvfs", "uname", "mkfifo", "killpg", "setsid", "sched_getaffinity"}


TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
CALLS = [(name, node) for name, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.Call)]


def called(*names: str, method: bool):
    """Every call of a method, or of a function, of these names, as (file and line, its arguments as they are written)."""
    for file, call in CALLS:
        name = getattr(call.func, "attr" if method else "id", None)
        if name in names:
            yield f"{file}:{call.lineno}", ast.unparse(call)


def test_text_names_its_encoding():
    """By default it is the machine's: cp1252 on Windows, ASCII where LC_ALL=C."""
    read = [*called("read_text", "write_text", method=True), *called("open", method=False)]
    binary = re.compile(r"open\(.*[\"'][rwa]b[\"']")
    assert not [where for where, text in read if not re.search("utf-8|encoding=", text) and not binary.match(text)]


def test_text_is_written_in_one_place():
    """`dfd.core.artefacts.write_text`, with the same line ends everywhere; DVC hashes what is written."""
    tables = [where for where, text in called("to_csv", method=True) if "to_csv(index" not in text]
    texts = [where for where, text in called("write_text", method=True) if "newline" not in text]
    assert not tables
    assert {where.split(":")[0] for where in texts} <= {"benchmarks/paper_cost.py"}  # in a temporary folder of its own


def test_nothing_is_called_that_only_some_systems_have():
    assert not [where for where, _ in called(*POSIX, method=True)]
    for file, tree in TREES.items():
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        assert not {name.name for node in imports for name in node.names} & {"fcntl", "resource", "pwd", "grp"}, file


def test_tracked_names_are_files_on_every_system():
    """None differs from another by its capitals alone, or has what Windows and macOS do not keep."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=False, cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    names = listed.stdout.decode().rstrip("\0").split("\0")
    assert len({name.lower() for name in names}) == len(names)
    assert not [name for name in names if set(name) & set('<>:"\\|?*') or not name.isascii() or len(name) > 120]


def test_the_command_reads_and_writes_utf_8_in_the_c_locale(tmp_path):
    """Where LC_ALL=C, and Python's own UTF-8 mode is off, a params.yaml with an umlaut is read, and told of, all the same."""
    values = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("my-photos:", "grüße:")
    (tmp_path / "params.yaml").write_text(values.replace("seed: 0 ", "größe: 1\nseed: 0 "), encoding="utf-8")
    code = "import json, sys; from dfd.core.errors import DfdError; from dfd.params import load_params\n"
    code += "try: load_params()\nexcept DfdError as error: print(json.dumps(str(error)))"
    environment = {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert json.loads(told.stdout) == "params.yaml: größe: Extra inputs are not permitted"
