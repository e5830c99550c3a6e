"""The tables of README and docs are written from the metrics, and nothing else of them is touched."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest

from dfd.core.artefacts import file_sha256

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


FILES = ("README.md", "docs/results.md", "docs/experiments.md")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function: the three files with their blocks filled from the checkout's metrics, of which `evaluate` is changed."""
    for folder in ("metrics", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("params.yaml", "README.md"):
        shutil.copy(ROOT / file, tmp_path)
    monkeypatch.chdir(tmp_path)

    def run() -> dict[str, str]:
        path = Path("metrics/evaluate/vgg-vgg.json")
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["synthetic"]["psnr"] |= {"mean": 98.7654, "ci95_low": 98.1, "ci95_high": 99.3}
        path.write_text(json.dumps(metrics), encoding="utf-8")
        runpy.run_path(str(ROOT / "benchmarks/readme.py"))["main"]()
        return {file: Path(file).read_text(encoding="utf-8") for file in FILES}

    return run


def test_the_tables_hold_this_runs_numbers(write):
    before = {file: (ROOT / file).read_text(encoding="utf-8") for file in FILES}
    after = write()
    assert "| vgg-vgg | 98.77 [98.10, 99.30] |" in after["docs/results.md"] and "98.77" not in before["docs/results.md"]
    assert all(MARKS.sub("", after[file]) == MARKS.sub("", before[file]) for file in FILES)
    blocks = {name: block for file in FILES for name, block in MARKS.findall(after[file])}
    assert set(blocks) == {"headline", "quality", "verification", "findings"}
    assert all(len(row.split(" | ")) == 4 for row in blocks["headline"].splitlines())
    found = json.loads(Path("metrics/findings.json").read_text(encoding="utf-8"))
    rows = [line for line in blocks["findings"].splitlines() if line.startswith("|")]
    assert len(rows) == 2 + sum(not key.endswith("-lpips") for key in found["claims"])
    assert f"Of {len(found['claims'])} claims {found['counts']['holds']} hold" in blocks["findings"]


def test_without_a_mark_all_is_left_as_it_is(write):
    readme = Path("README.md").read_text(encoding="utf-8")
    Path("docs/results.md").write_text("<!-- quality -->\n<!-- /quality -->\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="docs/results.md: 0 places are marked verification, not one"):
        write()
    assert Path("README.md").read_text(encoding="utf-8") == readme


def test_the_readme_is_a_door():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!http)([^)]+)\)", "\n".join(lines))]
    assert links and not [link for link in links if link and not (ROOT / link).exists()]


@pytest.mark.parametrize("file", sorted((ROOT / "docs").rglob("*.md")), ids=lambda file: file.name)
def test_links_of_the_docs_lead_somewhere(file):
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!http)([^)]+)\)", file.read_text(encoding="utf-8"))]
    assert not [link for link in links if link and not (file.parent / link).exists()]


@pytest.mark.parametrize("file", FILES)
def test_no_block_is_empty_and_nothing_is_left_to_fill_in(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not re.search(r"^[A-Z]{4,}$", text, re.MULTILINE)
    assert all(block.strip() for _, block in MARKS.findall(text))


@pytest.mark.parametrize("file", sorted((ROOT / "released").glob("*.safetensors")), ids=lambda file: file.stem)
def test_the_cards_are_of_the_files(file):
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert file_sha256(file) in card and f"{file.stat().st_size:,} bytes" in card
