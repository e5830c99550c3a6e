"""One page with every figure and table of a run: plots/report.html."""

import html
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .75rem; border-bottom: 1px solid #ddd }
th { text-align: left } td { text-align: right } img { max-width: 100%; margin: 1rem 0 }
"""


def write_report(path: str | Path, title: str, sections: Sequence[tuple[str, pd.DataFrame | Path]]) -> None:
    """Write an HTML page of its own: (heading, table or PNG file) pairs, the pictures linked by relative path."""
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    for heading, content in sections:
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        if isinstance(content, pd.DataFrame):
            parts.append(content.to_html(index=False, border=0))
        else:
            if not content.is_file():
                raise DfdError(f"{content}: no such picture; run the stage that draws it (`dvc repro`)")
            source = os.path.relpath(content, Path(path).parent).replace(os.sep, "/")
            parts.append(f'<img alt="{html.escape(heading)}" src="{html.escape(source)}">')
    with replacing(path) as temporary:
        temporary.write_text("\n".join(parts) + "\n", encoding="utf-8")
