"""The pipeline's promises that DVC cannot keep by itself: what it tracks is what its stages read."""

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path

import pytest
from dvc.repo import Repo
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from recorder import UNDECLARED
from ruamel.yaml import YAML

from dfd.core import paths
from dfd.params import Params, load_params

ROOT = Path(__file__).parents[2]
LIBRARY = sorted((ROOT / "src" / "dfd").rglob("*.py"))
STAGE_FILES = sorted(path for path in (ROOT / "stages").glob("*.py") if path.name != "__init__.py")
DOOR = ROOT / "src/dfd/project.py"  # its methods import what they open: a stage imports what those do that it calls
LAZY = "src/dfd/__init__.py"  # a user's `dfd.Workspace`, opened when asked for: no stage does
TRACKED_BY_VALUE = "src/dfd/params.py"  # it only hands on params.yaml: DVC compares the values that a stage declares
# What params.py assembles: the same of a room.
SETTINGS = {path.relative_to(ROOT).as_posix() for path in (ROOT / "src/dfd").rglob("settings.py")}


@cache
def written(file: str) -> dict[str, dict]:
    """The stages of one dvc.yaml, by name, a foreach's body in its place."""
    stages = YAML(typ="safe", pure=True).load((ROOT / file).read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


PIPELINES = ("dvc.yaml", "experiments/dvc.yaml")


def stages() -> dict[str, dict]:
    """The stages of both pipelines, by name: their names do not collide."""
    root, experiments = map(written, PIPELINES)
    assert not root.keys() & experiments.keys()
    return root | experiments


def source(stage: str) -> Path:
    """The file that a stage's command runs."""
    words = stages()[stage]["cmd"].split()
    assert words[:2] == ["python", "-m"] and words[2].startswith("stages."), words
    return ROOT / "stages" / f"{words[2].removeprefix('stages.')}.py"


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# 1. Python's imports, of which DVC knows nothing


def module_file(name: str) -> Path | None:
    """The file of a module of this project; None for anything else."""
    base = (ROOT / "src" if name.split(".")[0] == "dfd" else ROOT).joinpath(*name.split("."))
    if name.split(".")[0] not in ("dfd", "stages"):
        return None
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def attributes(name: str, node: ast.AST) -> set[str]:
    """What is asked of a name: `recognizer` of `project`, where code has `project.recognizer`."""
    asked = (inner for inner in ast.walk(node) if isinstance(inner, ast.Attribute))
    return {inner.attr for inner in asked if isinstance(inner.value, ast.Name) and inner.value.id == name}


@cache
def code(path: Path) -> list[ast.AST]:
    """A file's code, and that of the library's functions which it imports and hands its project to, as in
    `Study.open(project, name)`."""
    parts, origins = [tree(path)], {}
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom):
            origins |= {alias.name: node.module for alias in node.names}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and "project" in map(ast.unparse, node.args):
            names = ast.unparse(node.func).split(".")
            if names[0] in origins:
                scope = tree(module_file(origins[names[0]]))
                for name in names:
                    scope = next(inner for inner in scope.body if getattr(inner, "name", None) == name)
                parts.append(scope)
    return parts


@cache
def opened(path: Path) -> list[ast.AST]:
    """The methods of `Project` that a stage, or what it hands the project to, calls, and those that they call."""
    methods = {node.name: node for node in ast.walk(tree(DOOR)) if isinstance(node, ast.FunctionDef)}
    found, asked = {}, set().union(*(attributes("project", part) for part in code(path)))
    while asked:
        name = asked.pop()
        if name in methods and name not in found:
            found[name] = methods[name]
            asked |= attributes("self", methods[name])
    return list(found.values())


@cache
def imported(path: Path) -> set[Path]:
    """The project's files that a file imports, wherever in it (of the door, at its head), with the packages they lie in."""
    return imports(ast.walk(tree(path)) if path != DOOR else tree(path).body)


def imports(nodes: Iterable[ast.AST]) -> set[Path]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{ast.unparse(node)}: a relative import, which this test cannot follow"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    names |= {".".join(name.split(".")[:length]) for name in names for length in range(1, name.count(".") + 1)}
    return {file for name in names if (file := module_file(name))}


def closure(path: Path) -> set[Path]:
    """What a file imports, itself and what that imports; but of the rooms' settings only those that it imports itself:
    what params.py hands on of them, DVC compares by value."""
    found, open_files = set(), [path, ROOT / "stages" / "__init__.py"]
    while open_files:
        file = open_files.pop()
        if file not in found:
            found.add(file)
            open_files += imported(file) if relative(file) != TRACKED_BY_VALUE else set()
            open_files += [other for method in opened(file) for other in imports(ast.walk(method))]
    return found


def only_a_docstring(path: Path) -> bool:
    body = tree(path).body
    return len(body) <= 1 and all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


@pytest.mark.parametrize("stage", stages())
def test_every_file_that_a_stage_imports_is_tracked(stage):
    deps = [ROOT / dep for dep in stages()[stage]["deps"] if "$" not in dep]
    assert source(stage) in deps and ROOT / "stages" / "__init__.py" in deps
    untracked = {
        relative(file)
        for file in closure(source(stage))
        if not any(file == dep or dep in file.parents for dep in deps)
        and not (file.name == "__init__.py" and only_a_docstring(file))
    }
    assert untracked <= {LAZY, TRACKED_BY_VALUE, *SETTINGS}


@pytest.mark.parametrize("stage", stages())
def test_no_code_is_tracked_that_a_stage_does_not_import(stage):
    files = closure(source(stage))
    for dep in stages()[stage]["deps"]:
        if dep.startswith(("src/", "stages/")):
            assert any(ROOT / dep in (file, *file.parents) for file in files), dep


def test_little_code_is_tracked_for_nothing():
    """A word in code that a stage does not import makes it run again all the same: its lines, of all that are tracked."""
    tracked = idle = 0
    for stage, declared in stages().items():
        used = closure(source(stage))
        for dep in declared["deps"]:
            if dep.startswith("src/"):
                for file in [ROOT / dep] if (ROOT / dep).is_file() else (ROOT / dep).rglob("*.py"):
                    lines = len(file.read_text(encoding="utf-8").splitlines())
                    tracked += lines
                    idle += lines * (file not in used and not only_a_docstring(file))
    print(f"{idle / tracked:.1%} of the {tracked:,} library lines that stages track are not imported by them")
    assert idle / tracked < 0.25


ROOMS = sorted(
    path.name for path in (ROOT / "src/dfd/studies").iterdir() if path.is_dir() and path.name != "__pycache__"
)


@pytest.mark.parametrize("room", ROOMS)
def test_no_study_imports_another(room):
    for path in (ROOT / "src/dfd/studies" / room).rglob("*.py"):
        others = {
            relative(file).split("/")[3]
            for file in imported(path)
            if relative(file).count("/") > 3 and "/studies/" in relative(file)
        }
        assert others <= {room}, relative(path)


def test_the_library_imports_neither_dvc_nor_typer_nor_a_stage():
    for path in LIBRARY:
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names}:
                assert name not in ("dvc", "dvclive", "stages"), f"{relative(path)} imports {name}"
                assert name != "typer" or path.name == "cli.py", f"{relative(path)} imports {name}"


def test_only_params_reads_params():
    # Messages may name the file. The command line copies it; no stage imports that.
    library = [path for path in LIBRARY if path.name != "cli.py"]
    readers = [relative(path) for path in library if "'params.yaml'" in ast.unparse(without_docstrings(tree(path)))]
    assert readers == [TRACKED_BY_VALUE]


def without_docstrings(module: ast.Module) -> ast.Module:
    """The module without its bare strings, in a copy."""
    module = ast.parse(ast.unparse(module))
    for node in ast.walk(module):
        if hasattr(node, "body") and isinstance(node.body, list):
            node.body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
            node.body = node.body or [ast.Pass()]
    return module


@pytest.mark.parametrize("stage", written("dvc.yaml"))  # of the others it is recorded: test_experiments.py
def test_every_store_that_a_stage_opens_is_tracked(stage):
    folders = {name: path.partition("{")[0] for name, path in vars(paths).items() if name.isupper()}
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in stages()[stage].get("outs", [])]
    tracked = [f"{path}/" for path in [*stages()[stage]["deps"], *outs] if path.startswith("data/")]
    parts = [*code(source(stage)), *opened(source(stage))]
    used = {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)} & folders.keys()
    for name in used:
        assert any(path.startswith(folders[name]) for path in tracked), f"{stage} opens {folders[name]}"
    assert {path.split("/")[1] for path in tracked} == {folders[name].split("/")[1] for name in used}


@pytest.mark.parametrize("stage", written("experiments/dvc.yaml"))
def test_experiments_run_at_the_root(stage):
    assert written("experiments/dvc.yaml")[stage]["wdir"] == ".."


def test_the_roots_pipeline_does_not_wait_for_an_experiment():
    """A dep on a folder makes whatever is written into it come first, in another dvc.yaml too."""
    deps = [dep for stage in written("dvc.yaml").values() for dep in stage["deps"]]
    outs = [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in written("experiments/dvc.yaml").values()
        for out in stage["outs"]
    ]
    for out in outs:
        assert not [dep for dep in deps if f"{out}/".startswith(f"{dep}/")], out


# 2. Params, which DVC compares by name


DERIVED = {
    "loss_of": ("loss", "variants.*"),
    "training_of": ("train_decoder", "variants.*"),
}  # what else Params gives, from what


def reads(path: Path) -> set[str]:
    """The params that a stage's source reads: `section`, `section.key`, and `section.*` for one entry of a section.

    Read are attributes of `params`, there, in what it hands its project to and in what it calls of the door, and `params.entry("section", name)`; a section in a name of its own is read whole. Whether
    a name is in a section is a matter of one entry.
    """
    found = set()
    nodes = [node for part in (*code(path), *opened(path)) for node in ast.walk(part)]
    parents = {child: node for node in nodes for child in ast.iter_child_nodes(node)}
    for node in nodes:
        if not (isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in ("params", "self.params")):
            continue
        if not isinstance(node.ctx, ast.Load):
            continue
        keys, up = [], parents[node]
        assert isinstance(up, ast.Attribute), f"{relative(path)}: `params` is used whole"
        while isinstance(up, ast.Attribute):
            keys.append(up.attr)
            node, up = up, parents[up]
        if keys[0] == "entry":
            assert isinstance(up, ast.Call) and isinstance(up.args[0], ast.Constant)
            keys = [*up.args[0].value.split("."), "*"]
        elif isinstance(up, ast.Compare) and isinstance(up.ops[0], ast.In) and up.comparators[0] is node:
            keys.append("*")
        if keys[0] in DERIVED:
            found |= set(DERIVED[keys[0]])
            continue
        found |= {".".join(known([section, *keys[1:]])) for section in GATHERED.get(keys[0], keys[:1])}
    return found


GATHERED = {"decoders": ("variants", "import_decoder")}  # what Params gathers from several sections


def known(keys: list[str]) -> list[str]:
    """The first of `keys` that are sections and keys of params.yaml; `*`, an entry of a dictionary, may end them."""
    fields, length = Params.model_fields, 0
    for key in keys:
        if key != "*" and key not in fields:
            break
        length += 1
        fields = getattr(fields[key].annotation, "model_fields", {}) if key in fields else {}
    return keys[:length]


def declared(stage: str) -> set[str]:
    return {re.sub(r"\$\{[\w.]+\}", "*", name) for name in stages()[stage].get("params", [])}


def covers(name: str, other: str) -> bool:
    return other == name or other.startswith(f"{name}.")


@pytest.mark.parametrize("stage", written("dvc.yaml"))  # of the others it is recorded: test_experiments.py
def test_every_param_that_a_stage_reads_is_declared(stage):
    """Where two stages run one file, over two sections, each declares the entries of its own."""
    alike = {other for other in stages() if source(other) == source(stage)}
    entries = {name for other in alike for name in declared(other) if name.endswith(".*")}
    missing = {
        read
        for read in reads(source(stage)) - UNDECLARED
        if not any(covers(name, read) for name in declared(stage) | entries)
    }
    assert not missing


@pytest.mark.parametrize("stage", written("dvc.yaml"))  # of the others it is recorded: test_experiments.py
def test_no_param_is_declared_that_a_stage_does_not_read(stage):
    read = reads(source(stage))
    unread = {name for name in declared(stage) if not any(covers(name, other) for other in read)}
    assert not unread


def test_the_params_that_are_declared_exist():
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for stage in stages():
        for name in declared(stage):
            section = values
            for key in name.removesuffix(".*").split("."):
                assert key in section, f"{stage}: {name}"
                section = section[key]


def test_every_section_is_declared_by_some_stage():
    sections = set(Params.model_fields) - UNDECLARED
    assert {name.split(".")[0] for stage in stages() for name in declared(stage)} == sections


# 3. The stages as commands


@pytest.fixture
def in_the_checkout(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])  # stages/__init__.py adds to it


def test_every_stage_file_is_a_stage():
    assert {source(stage) for stage in stages()} == set(STAGE_FILES)
    for path in STAGE_FILES:
        assert ast.unparse(tree(path)).endswith("if __name__ == '__main__':\n    run(main)")


@pytest.mark.parametrize("stage", stages())
def test_a_stages_command_is_called_as_dvc_calls_it(stage, in_the_checkout):
    typer, testing = importlib.import_module("typer"), importlib.import_module("typer.testing")
    main = importlib.import_module(f"stages.{source(stage).stem}").main
    arguments = re.sub(r"\$\{[\w.]+\}", "x", stages()[stage]["cmd"]).split()[3:]
    assert len(arguments) == len(inspect.signature(main).parameters)
    app = typer.Typer(add_completion=False)
    app.command()(main)
    runner = testing.CliRunner()
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0 and "Usage" in shown.output
    assert all(name in shown.output.lower() for name in inspect.signature(main).parameters)
    assert runner.invoke(app, [*arguments, "one-too-many"]).exit_code == 2


@pytest.fixture
def copy(tmp_path):
    """The stages and the library in another place, as a temporary experiment has them."""
    for folder in ("stages", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_a_copy_of_the_checkout_runs_its_own_library(copy):
    code = "import stages, dfd.core.errors; print(ascii([stages.__file__, dfd.core.errors.__file__]))"
    run = partial(subprocess.run, cwd=copy, capture_output=True, text=True, check=True)
    files = ast.literal_eval(run([sys.executable, "-c", code]).stdout)
    assert all(Path(file).is_relative_to(copy) for file in files) and len(files) == 2
    elsewhere = ast.literal_eval(run([sys.executable, "-c", "import dfd; print(ascii(dfd.__file__))"]).stdout)
    assert not Path(elsewhere).is_relative_to(copy)  # otherwise this shows nothing


@pytest.mark.parametrize("arguments, code", [(["orl"], 1), ([], 2), (["orl", "more"], 2), (["--help"], 0)])
def test_a_users_mistake_is_one_line_and_a_failure(arguments, code, in_the_checkout, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: yes please\n")
    monkeypatch.setattr(sys, "argv", ["stages.fetch", *arguments])
    run, main = importlib.import_module("stages").run, importlib.import_module("stages.fetch").main
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == code
    if code == 1:
        error = capsys.readouterr().err
        assert error.startswith("error: params.yaml: ") and error.count("\n") == 1
    assert not (tmp_path / "data").exists()


# 4. What DVC, Studio and VS Code show of it


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A project with the committed pipelines and plots, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("dvc.yaml", "params.yaml", "experiments/dvc.yaml", ".dvc/config", ".dvc/plots", "plots"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    subprocess.run(["git", "init", "-q"], check=True, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def shown(bare) -> dict[str, dict]:
    """What `dvc plots show` draws, by path: nothing is missing, and no template or column."""
    command = [sys.executable, "-m", "dvc", "plots", "show", "--json", "-o", str(bare / "shown")]
    ended = subprocess.run(command, check=True, cwd=bare, capture_output=True, text=True)
    found = json.loads(ended.stdout)
    assert "errors" not in found and ended.stderr == ""
    return {path: plot for path, (plot,) in found["data"].items()}


def test_the_plots_that_dvc_shows_have_their_columns_and_templates(shown):
    tables = {path: plot for path, plot in shown.items() if path.endswith(".csv")}
    params = load_params(ROOT / "params.yaml")
    assert set(tables) == {"plots/roc.csv"} | {f"plots/train_decoder/{name}.csv" for name in params.variants} | {
        f"plots/disentangle/{name}/training.csv" for name in params.recognizers
    }
    for path, plot in tables.items():
        content, rows = plot["content"], plot["content"]["data"]["values"]
        assert content["encoding"]["strokeDash"]["field"] in ("map", "split"), path  # our templates, not DVC's own
        fields = {channel["field"] for channel in content["encoding"].values() if "field" in channel}
        assert rows and all(fields <= set(row) for row in rows), path


def test_every_study_shows_its_pictures(shown):
    pictures = {path for path, plot in shown.items() if path.endswith(".png")}
    committed = {relative(path) for path in (ROOT / "plots").rglob("*.png")}
    assert pictures <= committed
    assert {path.split("/")[1] for path in committed - pictures} <= {
        *("roc.png", "losses.png"),  # which DVC draws from their tables
        *(
            "ablation",
            "backbones",
            "competitors",
            "invert",
            "recognizer_loss",
            "rivals",
            "template_layer",
        ),  # some of each
    }
    assert {path.split("/")[1] for path in committed} - {"roc.png", "losses.png"} == {
        path.split("/")[1] for path in pictures
    }


def test_the_artifacts_are_the_shipped_decoders_and_recognizers(bare):
    with Repo(str(bare)) as repo:
        artifacts = repo.artifacts.read()["dvc.yaml"]
        outs = {out.def_path for out in repo.index.outs}
    params = load_params(ROOT / "params.yaml")
    expected = {f"decoder-{name}": f"data/decoders/{name}.safetensors" for name in params.decoders}
    expected |= {f"recognizer-{name}": f"data/recognizers/{name}.safetensors" for name in params.recognizers}
    assert {name: artifact.path for name, artifact in artifacts.items()} == expected
    assert set(expected.values()) <= outs
    assert all(artifact.type == "model" and artifact.desc for artifact in artifacts.values())


# 5. What is shipped


def test_the_shipped_variants_are_the_papers_four():
    params = load_params(ROOT / "params.yaml")
    pairs = {name: (variant.template, variant.perceptual) for name, variant in params.variants.items()}
    assert pairs == {f"{a}-{b}": (a, b) for a in ("vgg", "resnet") for b in ("vgg", "resnet")}
    assert {"synthetic", "orl"} <= set(params.datasets)
    assert (params.roles.decoders, params.roles.verification) == ("synthetic", "orl")


def locked() -> dict[str, list[str]]:
    """Versions by package, of requirements.lock."""
    versions: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            versions.setdefault(canonicalize_name(match[1]), []).append(match[2])
    return versions


def test_the_lock_names_no_host():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for word in ("://", "index-url", "find-links", "trusted-host", "@ file", "-e "):
        assert word not in text


def test_the_lock_pins_every_dependency_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    versions = locked()
    for text in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        requirement = Requirement(text)
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found and all(requirement.specifier.contains(version, prereleases=True) for version in found), text
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line[:80]


def test_no_tracked_file_names_a_place_of_this_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], check=False, cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    places = {str(ROOT), str(Path(sys.prefix)), "/" + "work/main", "/" + "work/shared"}
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            for place in places:
                assert not re.search(rb"(?<![\w.~-])" + re.escape(os.fsencode(place)) + rb"(?![\w-])", content), (
                    f"{name}: {place}"
                )


def test_a_clone_has_the_line_ends_that_the_locks_hash(tmp_path):
    """As Windows clones: with core.autocrlf, which writes CRLF wherever .gitattributes does not forbid it."""
    clone = ["git", "clone", "-q", "-c", "core.autocrlf=true", str(ROOT), "clone"]
    if subprocess.run(clone, check=False, cwd=tmp_path, capture_output=True).returncode:
        pytest.skip("no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--eol"], check=True, cwd=tmp_path / "clone", capture_output=True, text=True
    )
    lines = listed.stdout.splitlines()
    assert not [line for line in lines if "crlf" in line.split("attr/")[0] or "w/mixed" in line]
    binary = {line.rpartition("\t")[2].rpartition(".")[2] for line in lines if "i/-text" in line}
    assert binary == {"png", "safetensors"}  # nothing else passes for binary


def test_a_clone_finds_nothing_to_run(tmp_path):
    """Of what is committed: dvc.lock, metrics and plots are of the code and params beside them."""
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], check=False, cwd=ROOT, capture_output=True)
    if changed.returncode or changed.stdout:
        pytest.skip("no git checkout, or one with changes")
    subprocess.run(["git", "clone", "-q", str(ROOT), "clone"], check=True, cwd=tmp_path)
    command = [sys.executable, "-m", "dvc", "repro", "-P", "--dry", "--allow-missing"]
    found = subprocess.run(command, check=False, cwd=tmp_path / "clone", capture_output=True, text=True)
    assert found.returncode == 0 and "up to date" in found.stdout, found.stdout[-2000:] + found.stderr[-2000:]
