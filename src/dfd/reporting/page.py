"""One self-contained HTML page of a run: tables, pictures and findings, with nothing to load from anywhere.

Style and script are page.css and page.js beside this file.
"""

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from PIL import Image

from dfd.core.artefacts import write_text
from dfd.core.errors import DfdError

LARGE = 60_000  # bytes of a PNG, from which on it is inlined as WebP: a photo grid takes a sixth, and looks the same
QUALITY = 90
INTERVAL = re.compile(r"\[[^\]]*\]")


class Section(NamedTuple):
    """A part of a chapter: a heading, a table, a PNG file or findings (as metrics/findings.json has them), and one
    sentence on what to see in it."""

    heading: str
    content: pd.DataFrame | Path | Mapping
    sentence: str


def write_page(path: str | Path, title: str, lead: str, chapters: Mapping[str, Sequence[Section]]) -> None:
    """Write the page: chapters by name, in order, those without sections left out. Raises DfdError for a missing picture."""
    chapters = {name: sections for name, sections in chapters.items() if sections}
    body = "\n".join(_chapter(number, name, sections) for number, (name, sections) in enumerate(chapters.items()))
    links = "".join(f'<a href="#c{number}">{html.escape(name)}</a>' for number, name in enumerate(chapters))
    here = Path(__file__)
    style, script = (here.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js"))
    text = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<nav><a class="title" href="#top">{html.escape(title)}</a>{links}'
        f'<button id="theme" type="button" hidden>Dark</button></nav>\n'
        f'<main id="top">\n<h1>{html.escape(title)}</h1>\n<p class="lead">{html.escape(lead)}</p>\n{body}\n</main>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )
    write_text(path, text)


def _chapter(number: int, name: str, sections: Sequence[Section]) -> str:
    pictures = [section for section in sections if isinstance(section.content, Path)]
    parts = [f'<section id="c{number}">\n<h2>{html.escape(name)}</h2>']
    parts += [_section(section) for section in sections if not isinstance(section.content, Path)]
    if pictures:
        parts += ['<div class="figures">', *(_figure(section) for section in pictures), "</div>"]
    return "\n".join([*parts, "</section>"])


def _section(section: Section) -> str:
    content = section.content
    body = _table(content) if isinstance(content, pd.DataFrame) else _findings(content)
    return f"<h3>{html.escape(section.heading)}</h3>\n<p>{html.escape(section.sentence)}</p>\n{body}"


def _table(table: pd.DataFrame) -> str:
    """A table that scrolls in itself where the window is narrow; words to the left, numbers to the right."""
    align = [
        "" if any(str(value)[:1].isdigit() for value in table[name]) else ' class="text"' for name in table.columns
    ]
    head = "".join(f"<th{side}>{html.escape(str(name))}</th>" for name, side in zip(table.columns, align))
    rows = [
        "".join(f"<td{side}>{_cell(value)}</td>" for value, side in zip(row, align))
        for row in table.itertuples(index=False)
    ]
    lines = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'


def _cell(value: object) -> str:
    """A cell's text, its interval muted."""
    return INTERVAL.sub(lambda found: f"<small>{found[0]}</small>", html.escape(str(value)))


def _figure(section: Section) -> str:
    if not section.content.is_file():
        raise DfdError(f"{section.content}: no such picture; run the stage that draws it (`dvc repro`)")
    source, width, height = inlined(section.content)
    heading = html.escape(section.heading)
    # Pictures that are all height would tower over the page at full width.
    return (
        f'<figure class="{"narrow" if width < 700 else "wide"}"><h3>{heading}</h3><p>{html.escape(section.sentence)}</p>'
        f'<img alt="{heading}" width="{width}" height="{height}" src="{source}"></figure>'
    )


def inlined(path: Path) -> tuple[str, int, int]:
    """A PNG file as a data URL, and its width and height; a large one as WebP."""
    data, kind = path.read_bytes(), "png"
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        if len(data) > LARGE:
            buffer, kind = io.BytesIO(), "webp"
            image.convert("RGB").save(buffer, format="WEBP", quality=QUALITY)
            data = buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", width, height


def _findings(findings: Mapping) -> str:
    """The claims of `findings`, with a button for each verdict."""
    buttons = [("", "all", sum(findings["counts"].values()))]
    buttons += [(verdict, verdict, count) for verdict, count in findings["counts"].items()]
    filters = "".join(
        f'<button type="button" data-filter="{html.escape(verdict)}" aria-pressed="{"false" if verdict else "true"}">'
        f"{html.escape(name)} <b>{count}</b></button>"
        for verdict, name, count in buttons
    )
    rows = "\n".join(_finding(finding) for finding in findings["claims"].values())
    return (
        f'<p class="filters">{filters}</p>\n<div class="table"><table class="findings"><thead><tr><th>verdict</th><th>claim</th>'
        f"<th>effect [95 % interval]</th><th>claimed</th></tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    )


def _finding(finding: Mapping) -> str:
    verdict, note = finding["verdict"], finding.get("effect_note", "")
    effect = f"{_effect(finding)} {html.escape(finding['unit'])}" if finding["effect"] is not None else "–"
    if "part" in finding and finding["effect"] is not None:
        effect += f" <small>{html.escape(finding['part'])}</small>"
    for dataset, other in finding.get("also", {}).items():
        effect += f"<br><small>{html.escape(dataset)}: {html.escape(other['verdict'])}, {_effect(other)}</small>"
    about = f"{finding['where']} · {finding['compares']}" + (f" · {note}" if note else "")
    return (
        f'<tr data-verdict="{html.escape(verdict)}"><td><span class="verdict">{html.escape(verdict)}</span></td>'
        f"<td>{html.escape(finding['claim'])}<br><small>{html.escape(about)}</small></td>"
        f"<td>{effect}</td><td>{html.escape(finding['claimed'])}</td></tr>"
    )


def _effect(result: Mapping) -> str:
    ends = [result[name] for name in ("effect", "ci95_low", "ci95_high")]
    value, low, high = ("–" if end is None else f"{end:.3g}".replace("-", "−") for end in ends)
    return value if result["ci95_low"] is None else f"{value} <small>[{low}, {high}]</small>"
