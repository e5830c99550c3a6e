"""The page of a run: what it holds, and that a browser shows it."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from browser import Browser, needs_chromium
from PIL import Image

from dfd.core.errors import DfdError
from dfd.reporting.page import LARGE, Section, inlined, write_page

TABLE = pd.DataFrame({"variant": ["vgg-vgg"], "PSNR (dB)": ["16.21 [16.09, 16.34]"]})


def claim(verdict: str, **more) -> dict:
    return {
        "claim": f"Claim that {verdict}", "where": "4.2", "compares": "A minus B", "unit": "dB", "claimed": "above 0",
        "dataset": "orl", "effect": 0.5, "ci95_low": 0.25, "ci95_high": 0.75, "interval": "paired", "verdict": verdict,
    } | more  # fmt: skip


FOUND = {
    "counts": {"holds": 2, "does not hold": 1, "undecided": 1},
    "claims": {
        "a": claim("holds", also={"synthetic": claim("does not hold", effect=-0.5, ci95_low=-1, ci95_high=-0.25)}),
        "b": claim("does not hold", part="vgg"),
        "c": claim("undecided", effect=None, ci95_low=None, ci95_high=None, effect_note="no <metric>"),
        "d": claim("holds"),
    },
}


class Page(HTMLParser):
    """The elements of a page, in order, and its text without script and style."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] not in ("script", "style"):
            self.text += data


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "grid.png"
    Image.new("RGB", (5, 4), "red").save(path)
    return path


@pytest.fixture
def page(tmp_path, picture):
    wide = pd.DataFrame({f"a column with a long name {i}": ["0.123 [0.111, 0.135]"] for i in range(20)})
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 1600, 3), np.uint8)).save(noise)
    path = tmp_path / "plots" / "report.html"
    write_page(path, "Deep faces", "What is here.", {
        "Numbers": [Section("Key", TABLE, "Higher is better."), Section("Wide", wide, "Scroll.")],
        "Faces": [Section("A grid", picture, "Look at the eyes."), Section("Noise", noise, "Much of it.")],
        "Nothing": [],
        "Findings": [Section("Claims", FOUND, "Choose.")],
    })  # fmt: skip
    return path


def test_the_page_holds_everything_and_needs_nothing(page):
    html = page.read_text(encoding="utf-8")
    read = Page(html)
    tags = [tag for tag, _ in read.elements if tag in ("h1", "h2", "table", "img")]
    assert tags == ["h1", "h2", "table", "table", "h2", "img", "img", "h2", "table"]
    for words in ("Deep faces", "What is here.", "Higher is better.", "Look at the eyes.", "16.21 [16.09, 16.34]"):
        assert words in read.text
    links = {attributes["href"] for tag, attributes in read.elements if tag == "a"}
    assert links == {"#top", "#c0", "#c1", "#c2"} and {a.get("id") for _, a in read.elements} >= {"c0", "c1", "c2"}
    assert "no <metric>" in read.text and "synthetic: does not hold, −0.5 [−1, −0.25]" in read.text
    sources = [attributes["src"] for tag, attributes in read.elements if tag == "img"]
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"""(src|href)=["']?(https?:|//|\.)|url\(|@import|fetch\(""", html)


def test_small_pictures_stay_as_they_are_and_large_ones_shrink(page, picture):
    source, width, height = inlined(picture)
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == picture.read_bytes()
    assert (width, height) == (5, 4)
    noise = page.parents[1] / "noise.png"
    assert noise.stat().st_size > LARGE
    source, width, height = inlined(noise)
    assert source.startswith("data:image/webp;base64,") and (width, height) == (1600, 300)
    assert len(source) < noise.stat().st_size


def test_what_looks_like_html_is_text(tmp_path, picture):
    evil = '<script>alert("1")</script> & "quotes"'
    sections = [Section(evil, pd.DataFrame({evil: [evil]}), evil), Section(evil, picture, evil)]
    sections.append(Section(evil, {"counts": {"holds": 1}, "claims": {"a": claim("holds", claim=evil)}}, evil))
    write_page(tmp_path / "report.html", evil, evil, {evil: sections})
    read = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len([tag for tag, _ in read.elements if tag == "script"]) == 1
    assert [attributes["alt"] for tag, attributes in read.elements if tag == "img"] == [evil]
    assert read.text.count(evil) >= 10


def test_equal_input_gives_equal_bytes_and_a_missing_picture_no_page(tmp_path, picture):
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, "Faces", "", {"All": [Section("Faces", picture, "Look.")]})
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(DfdError, match="gone.png"):
        write_page(tmp_path / "c.html", "Faces", "", {"All": [Section("Gone", tmp_path / "gone.png", "Look.")]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html", "grid.png"]


@needs_chromium
def test_a_browser_shows_it(page, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        for width in (390, 1440):
            browser.open(page.as_uri(), width)
            assert browser.overflow() <= 0 and browser.errors == []
            loaded = "[...document.images].map(image => image.complete && image.naturalWidth)"
            assert browser.run(loaded) == [5, 1600]
        visible = "[...document.querySelectorAll('[data-verdict]')].filter(row => row.offsetHeight).length"
        assert browser.run(visible) == 4
        for verdict, count in (("holds", 2), ("does not hold", 1), ("undecided", 1), ("", 4)):
            browser.run(f"document.querySelector(`[data-filter='{verdict}']`).click()")
            assert browser.run(visible) == count
        ground = "getComputedStyle(document.body).backgroundColor"
        light = browser.run(ground)
        browser.run("document.getElementById('theme').click()")
        assert (dark := browser.run(ground)) != light
        browser.open(page.as_uri(), dark=True)
        assert browser.run(ground) == dark
        browser.run("document.getElementById('theme').click()")
        assert browser.run(ground) == light
        browser.command("Emulation.setEmulatedMedia", media="print")
        assert not browser.run("document.querySelector('nav').offsetHeight")
        assert browser.errors == []
