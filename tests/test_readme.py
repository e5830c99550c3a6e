"""README and docs: `dvc repro` keeps their tables fresh, nothing else of them is touched, and their links lead somewhere."""

import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dfd.core.artefacts import file_sha256
from dfd.core.errors import DfdError
from dfd.findings.tables import findings_page

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)
FILES = ("README.md", "docs/results.md")  # with tables of the stage `docs` in them


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of what the stage `docs` reads and writes, as the current folder."""
    for folder in ("metrics", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("params.yaml", "README.md"):
        shutil.copy(ROOT / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    return tmp_path


def texts(folder: Path) -> dict[str, str]:
    return {file: (folder / file).read_text(encoding="utf-8") for file in FILES}


def write() -> dict[str, str]:
    """The texts after the stage `docs`."""
    importlib.import_module("stages.docs").main()
    return texts(Path())


def change(path: str, edit) -> None:
    metrics = json.loads(Path(path).read_text(encoding="utf-8"))
    edit(metrics)
    Path(path).write_text(json.dumps(metrics), encoding="utf-8")


def test_what_is_committed_is_fresh(checkout):
    assert write() == texts(ROOT)
    found = json.loads((ROOT / "metrics/findings.json").read_text(encoding="utf-8"))
    assert findings_page(found) == (ROOT / "docs/findings.md").read_text(encoding="utf-8")


def test_the_tables_hold_this_runs_numbers(checkout):
    psnr = {"mean": 98.7654, "ci95_low": 98.1, "ci95_high": 99.3}
    change("metrics/evaluate/vgg-vgg.json", lambda metrics: metrics["synthetic"]["psnr"].update(psnr))
    change("metrics/evaluate/resnet-identity.json", lambda metrics: metrics["orl"]["psnr"].update(psnr))
    change("docs/results/lfw.json", lambda metrics: metrics["evaluate"]["resnet-identity"]["ssim"].update(mean=0.8765))
    rate = {"value": 0.54321, "ci95_low": None}
    change("metrics/verify/vgg.json", lambda metrics: metrics["rotated"]["without"]["tar_at_far_0.001"].update(rate))
    before, after = texts(ROOT), write()
    assert all(MARKS.sub("", after[file]) == MARKS.sub("", before[file]) for file in FILES)
    blocks = {name: block for file in FILES for name, block in MARKS.findall(after[file])}
    assert set(blocks) == {"headline", "quality", "verification"}
    assert "| vgg-vgg | 98.77 [98.10, 99.30] |" in blocks["quality"]
    assert "| vgg | rotated | 54.3 |" in blocks["verification"]
    rows = {row.split(" | ")[0]: row for row in blocks["headline"].splitlines()}
    assert "98.77 [98.10, 99.30]" in rows["| its reconstructions, PSNR (dB)"] and "0.876 [" in rows["| and SSIM"]
    assert all(len(row.split(" | ")) == 4 for row in rows.values())


def test_a_run_on_something_else_has_dashes(checkout):
    """Another data set, no released decoder, and a recognizer of another name."""
    text = Path("params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^  verification: orl", "  verification: synthetic", text)
    Path("params.yaml").write_text(text, encoding="utf-8")
    Path("metrics/evaluate/resnet-identity.json").unlink()
    Path("metrics/verify/resnet.json").unlink()
    block = dict(MARKS.findall(write()["README.md"]))["headline"]
    header, _, *rows = [row.strip("| ").split(" | ") for row in block.splitlines()]
    assert header[2:] == ["here, SYNTHETIC", "here, LFW"] and len(rows) == 8
    assert {row[2] for row in rows} == {"–", "– → –"} and not any(row[3].startswith("–") for row in rows)


def test_without_a_mark_all_is_left_as_it_is(checkout):
    change("metrics/evaluate/resnet-identity.json", lambda metrics: metrics["orl"]["psnr"].update(mean=98.7654))
    Path("docs/results.md").write_text("<!-- quality -->\n<!-- /quality -->\n", encoding="utf-8")
    with pytest.raises(DfdError, match="docs/results.md: 0 places are marked verification, not one"):
        write()
    assert texts(Path())["README.md"] == texts(ROOT)["README.md"]
    Path("docs/results.md").unlink()
    with pytest.raises(DfdError, match="docs/results.md: no such file"):
        write()


def test_the_readme_is_a_door():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!http)([^)]+)\)", "\n".join(lines))]
    assert links and not [link for link in links if link and not (ROOT / link).exists()]


@pytest.mark.parametrize("file", sorted((ROOT / "docs").rglob("*.md")), ids=lambda file: file.name)
def test_links_of_the_docs_lead_somewhere(file):
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!http)([^)]+)\)", file.read_text(encoding="utf-8"))]
    assert not [link for link in links if link and not (file.parent / link).exists()]


def test_every_stage_and_what_it_measures_is_explained():
    """Stages by name in docs/experiments.md, and folders of metrics there or in docs/metrics.md."""
    stages = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
    metrics = stages + (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    names = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert len(names) > 25 and not [name for name in names if f"`{name}`" not in stages]
    folders = [path.name for path in (ROOT / "metrics").iterdir()]
    assert not [name for name in folders if f"{name}/" not in metrics and f"`{name}`" not in metrics]


@pytest.mark.parametrize("file", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=lambda file: file.name)
def test_params_and_files_that_are_named_are_there(file):
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in re.findall(r"`((?:\w+\.)+\w+)(?:: [^`]*)?`", file.read_text(encoding="utf-8")):
        section = values
        for key in name.split(".") if name.partition(".")[0] in values else ():
            assert key in section, name
            section = section[key]
    for name in re.findall(
        r"`((?:stages|src/dfd|metrics|plots|released|profiles|benchmarks)/[^`<* ]*)`", file.read_text("utf-8")
    ):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("file", FILES)
def test_no_block_is_empty_and_nothing_is_left_to_fill_in(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not re.search(r"^[A-Z]{4,}$", text, re.MULTILINE)
    assert all(block.strip() for _, block in MARKS.findall(text))


@pytest.mark.parametrize("file", sorted((ROOT / "released").glob("*.safetensors")), ids=lambda file: file.stem)
def test_the_cards_are_of_the_files(file):
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert file_sha256(file) in card and f"{file.stat().st_size:,} bytes" in card
