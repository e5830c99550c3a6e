"""The page with every figure and table."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from PIL import Image

from dfd.core.errors import DfdError
from dfd.reporting.page import write_report


class Page(HTMLParser):
    """The elements of a page, in order, and its text."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "grid.png"
    Image.new("RGB", (5, 4), "red").save(path)
    return path


def test_the_page_holds_its_tables_and_pictures(tmp_path, picture):
    table = pd.DataFrame({"variant": ["vgg-vgg"], "PSNR (dB)": ["16.21 [16.09, 16.34]"]})
    write_report(tmp_path / "plots" / "report.html", "Deep faces", [("Numbers", table), ("Faces", picture)])
    html = (tmp_path / "plots" / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert [tag for tag, _ in page.elements if tag in ("h1", "h2", "table", "img")] == [
        "h1",
        "h2",
        "table",
        "h2",
        "img",
    ]
    text = "".join(page.text)
    assert all(words in text for words in ("Deep faces", "Numbers", "Faces", "vgg-vgg", "16.21 [16.09, 16.34]"))
    (image,) = [attributes for tag, attributes in page.elements if tag == "img"]
    assert image["alt"] == "Faces"
    assert (tmp_path / "plots" / image["src"]).read_bytes() == picture.read_bytes()
    assert not re.search(r"(src|href)=.?https?:", html)  # it needs no network
    assert "charset=utf-8" in html


def test_what_looks_like_html_is_text(tmp_path, picture):
    evil = '<script>alert("1")</script> & "quotes"'
    write_report(tmp_path / "report.html", evil, [(evil, pd.DataFrame({evil: [evil]})), (evil, picture)])
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.elements if tag == "script"]
    assert "".join(page.text).count(evil) == 6  # the title twice, two headings, a column and its cell
    assert [attributes["alt"] for tag, attributes in page.elements if tag == "img"] == [evil]


def test_equal_input_gives_equal_bytes_and_a_missing_picture_no_page(tmp_path, picture):
    sections = [("Numbers", pd.DataFrame({"a": [1]})), ("Faces", picture)]
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, "Faces", sections)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(DfdError, match="gone.png"):
        write_report(tmp_path / "c.html", "Faces", [("Gone", tmp_path / "gone.png")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html", "grid.png"]
