"""Labelled grids of faces as PNG: one row per recognizer, variant or attack, one column per face."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from dfd.core.artefacts import replacing

MARGIN, GAP, GROUP_GAP = 12, 4, 20  # pixels
LABEL_WIDTH = 150  # pixels; a longer row label is wrapped
TITLE, LABEL, CAPTION = 18, 14, 12  # pixels, font sizes
INK, RULE, EMPTY = "#1a1a1a", "#9a9a9a", "#e0e0e0"


def image_grid(
    path: str | Path,
    rows: Sequence[tuple[str, torch.Tensor | Sequence[torch.Tensor | None]]],
    columns: Sequence[str] | None,
    title: str | None,
    captions: Sequence[Sequence[str | None]] | None = None,
    cell: int = 112,
    groups: Sequence[int] | None = None,
) -> None:
    """Write a labelled grid of images; equal input gives equal bytes.

    rows: (label, C images), the images (C, 3, S, S) or C times (3, S, S) in [0, 1], or None for an empty grey cell;
    values outside [0, 1] are clamped. columns: C labels above. captions: for each row C texts below its images.
    cell: pixels of an image's side; an image of that side keeps its pixels. groups: the columns that start a new group,
    set apart by a rule. Cells lie against the right and, where there are no captions, the bottom margin.

    Raises ValueError where rows, columns and captions do not agree, or an image is not square RGB of finite values.
    """
    count = _column_count(rows, columns, captions, groups)
    label_font, caption_font, title_font = _font(LABEL), _font(CAPTION), _font(TITLE, bold=True)

    labels = [_wrap(label, label_font, LABEL_WIDTH) for label, _ in rows]
    headers = [_wrap(column, label_font, cell) for column in columns or []]
    notes = [[_wrap(note or "", caption_font, cell) for note in row] for row in captions or [[]] * len(rows)]

    label_width = max(_text_width(label, label_font) for label in labels)
    starts = [column for column in sorted(set(groups or [])) if column > 0]  # no rule before the first group
    left = MARGIN + (label_width + 2 * GAP if label_width else 0)
    lefts = [left + i * (cell + GAP) + sum(start <= i for start in starts) * GROUP_GAP for i in range(count)]
    width = lefts[-1] + cell + MARGIN

    heading = _wrap(title or "", title_font, width - 2 * MARGIN)
    above = MARGIN + (_text_height(heading, title_font) + 2 * GAP if heading else 0)
    header_height = max((_text_height(header, label_font) for header in headers), default=0)
    first = above + (header_height + GAP if header_height else 0)
    note_heights = [max(_text_height(note, caption_font) for note in row) if any(row) else 0 for row in notes]
    below = [height + GAP if height else 0 for height in note_heights]
    tops = [first + i * (cell + GAP) + sum(below[:i]) for i in range(len(rows))]
    height = tops[-1] + cell + below[-1] + MARGIN

    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    _text(draw, heading, title_font, MARGIN, MARGIN, "left")
    for x, header in zip(lefts, headers):
        # Headers stand on the images, so that short ones are not left hanging above long neighbours.
        _text(draw, header, label_font, x + cell / 2, first - GAP - _text_height(header, label_font), "centre")
    for start in starts:
        x = lefts[start] - (GROUP_GAP + GAP) // 2
        draw.line([(x, above), (x, height - MARGIN - 1)], fill=RULE, width=2)
    for (_, images), label, y, row in zip(rows, labels, tops, notes, strict=True):
        middle = y + (cell - _text_height(label, label_font)) / 2
        _text(draw, label, label_font, left - 2 * GAP, middle, "right")
        for x, image in zip(lefts, images, strict=True):
            picture.paste(_cell(image, cell), (x, y))
        for x, note in zip(lefts, row):
            _text(draw, note, caption_font, x + cell / 2, y + cell + GAP / 2, "centre")
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def spread(identities: np.ndarray, count: int) -> np.ndarray:
    """Which faces to show of those of `identities` (N,): the first of each of `count` people, spread over all of them.

    Positions, rising; of every person, if there are fewer.
    """
    _, first = np.unique(identities, return_index=True)
    first = np.sort(first)
    return first[np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int)]


def _column_count(rows, columns, captions, groups) -> int:
    """C, the number of columns on which all arguments agree."""
    if not rows or len(rows[0][1]) == 0:
        raise ValueError("an image grid needs at least one row and one column")
    count = len(rows[0][1])
    lengths = {f"row {label!r}": len(images) for label, images in rows}
    if columns is not None:
        lengths["the column labels"] = len(columns)
    if captions is not None:
        if len(captions) != len(rows):
            raise ValueError(f"captions for {len(captions)} rows, but the grid has {len(rows)}")
        lengths |= {f"the captions of row {label!r}": len(row) for (label, _), row in zip(rows, captions)}
    for name, length in lengths.items():
        if length != count:
            raise ValueError(f"{name}: {length} columns, but row {rows[0][0]!r} has {count}")
    if any(not 0 <= start < count for start in groups or []):
        raise ValueError(f"groups {list(groups)} name columns outside 0 to {count - 1}")
    return count


def _cell(image: torch.Tensor | None, side: int) -> Image.Image:
    """An image (3, S, S) in [0, 1] at `side` pixels; None gives a grey cell with a dash."""
    if image is None:
        empty = Image.new("RGB", (side, side), EMPTY)
        middle, half = side // 2, max(side // 14, 2)
        ImageDraw.Draw(empty).rectangle([middle - half, middle - 1, middle + half, middle], fill=INK)
        return empty
    if image.ndim != 3 or image.shape[0] != 3 or image.shape[1] != image.shape[2]:
        raise ValueError(f"an image of the grid has shape {tuple(image.shape)}, not (3, S, S)")
    if not image.isfinite().all():
        raise ValueError("an image of the grid holds NaN or infinity")
    pixels = image.detach().cpu().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, from matplotlib's own files: the font of the curves. Pillow's default font lacks ξ, −, – and é."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
    # The basic layout does not depend on whether the machine has libraqm.
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The lines of `text` at most `width` pixels wide: broken at blanks, after hyphens, else within a word."""
    lines: list[str] = []
    for paragraph in text.split("\n") if text else []:
        line = ""
        for piece in paragraph.replace("-", "-\0").replace(" ", " \0").split("\0"):
            if line and font.getlength((line + piece).rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
            while len(line) > 1 and font.getlength(line.rstrip()) > width:
                fits = max(2, next(n for n in range(len(line) + 1) if font.getlength(line[:n]) > width)) - 1
                lines.append(line[:fits])
                line = line[fits:]
        lines.append(line.rstrip())
    return lines


def _text_width(lines: Sequence[str], font: ImageFont.FreeTypeFont) -> int:
    return max((int(font.getlength(line)) + 1 for line in lines), default=0)


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    return sum(font.getmetrics())


def _text_height(lines: Sequence[str], font: ImageFont.FreeTypeFont) -> int:
    return len(lines) * _line_height(font)


def _text(draw: ImageDraw.ImageDraw, lines: Sequence[str], font, x: float, y: float, align: str) -> None:
    """Draw lines downwards from `y`; `x` is their left, centre or right."""
    shift = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
    for number, line in enumerate(lines):
        # Whole pixels keep the text crisp.
        place = round(x - shift * font.getlength(line)), round(y) + number * _line_height(font)
        draw.text(place, line, font=font, fill=INK)
