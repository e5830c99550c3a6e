"""The README's tables are written from the metrics, and nothing else of it is touched."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function: a README with these blocks filled from the checkout's metrics, of which `evaluate` is changed."""
    shutil.copytree(ROOT / "metrics", tmp_path / "metrics")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(text: str) -> str:
        path = Path("metrics/evaluate/vgg-vgg.json")
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["synthetic"]["psnr"] |= {"mean": 98.7654, "ci95_low": 98.1, "ci95_high": 99.3}
        path.write_text(json.dumps(metrics), encoding="utf-8")
        Path("README.md").write_text(text, encoding="utf-8")
        runpy.run_path(str(ROOT / "benchmarks/readme.py"))["main"]()
        return Path("README.md").read_text(encoding="utf-8")

    return run


def test_the_tables_hold_this_runs_numbers(write):
    before = (ROOT / "README.md").read_text(encoding="utf-8")
    after = write(before)
    assert "| vgg-vgg | 98.77 [98.10, 99.30] |" in after and "98.77" not in before
    assert MARKS.sub("", after) == MARKS.sub("", before)
    blocks = {name: block for name, block in MARKS.findall(after)}
    assert set(blocks) == {"quality", "verification", "findings"}
    found = json.loads(Path("metrics/findings.json").read_text(encoding="utf-8"))
    rows = [line for line in blocks["findings"].splitlines() if line.startswith("|")]
    assert len(rows) == 2 + sum(not key.endswith("-lpips") for key in found["claims"])
    assert f"Of {len(found['claims'])} claims {found['counts']['holds']} hold" in blocks["findings"]


def test_a_readme_without_a_mark_is_left_as_it_is(write):
    with pytest.raises(SystemExit, match="README.md: 0 places are marked verification, not one"):
        write("<!-- quality -->\n<!-- /quality -->\n")
    assert Path("README.md").read_text(encoding="utf-8") == "<!-- quality -->\n<!-- /quality -->\n"
