import numpy as np
import pytest
import torch
from PIL import Image

from dfd.rendering.grids import (
    CAPTION,
    EMPTY,
    GAP,
    GROUP_GAP,
    LABEL,
    MARGIN,
    _font,
    _text_width,
    _wrap,
    image_grid,
    spread,
)

COLOURS = [(200, 30, 30), (20, 180, 40), (10, 60, 220)]


def constant(*colours, size=16):
    """Images of one colour each, (C, 3, size, size)."""
    return torch.tensor(colours).float().div(255)[:, :, None, None].expand(-1, -1, size, size)


def pixels(path):
    return np.asarray(Image.open(path))


def cell_of(picture, row, column, rows, columns, cell):
    """A cell of a grid without captions and groups, found from the bottom right corner."""
    bottom = picture.shape[0] - MARGIN - (rows - 1 - row) * (cell + GAP)
    right = picture.shape[1] - MARGIN - (columns - 1 - column) * (cell + GAP)
    return picture[bottom - cell : bottom, right - cell : right]


@pytest.mark.parametrize("size", [16, 40, 90])
def test_a_cell_holds_its_image(tmp_path, size):
    rows = [("first", constant(*COLOURS, size=size)), ("second", constant(*COLOURS[::-1], size=size))]
    image_grid(tmp_path / "grid.png", rows, ["a", "b", "c"], "Title", cell=40)
    picture = pixels(tmp_path / "grid.png")
    for row, colours in enumerate([COLOURS, COLOURS[::-1]]):
        for column, colour in enumerate(colours):
            assert (cell_of(picture, row, column, 2, 3, 40) == colour).all()


def test_an_image_of_the_cells_size_keeps_its_pixels(tmp_path):
    image = torch.randint(0, 256, (1, 3, 48, 48), generator=torch.Generator().manual_seed(0))
    image_grid(tmp_path / "grid.png", [("noise", image / 255)], None, None, cell=48)
    assert (cell_of(pixels(tmp_path / "grid.png"), 0, 0, 1, 1, 48) == image[0].permute(1, 2, 0).numpy()).all()


def test_values_outside_the_range_do_not_wrap_around(tmp_path):
    image = torch.tensor([-0.2, 0.5, 1.3])[None, :, None, None].expand(1, 3, 8, 8)
    image_grid(tmp_path / "grid.png", [("", image)], None, None, cell=8)
    assert (cell_of(pixels(tmp_path / "grid.png"), 0, 0, 1, 1, 8) == (0, 128, 255)).all()


def test_a_missing_image_is_a_grey_cell_with_a_dash(tmp_path):
    image_grid(tmp_path / "grid.png", [("row", [constant(COLOURS[0])[0], None])], None, None, cell=30)
    cell = cell_of(pixels(tmp_path / "grid.png"), 0, 1, 1, 2, 30)
    grey = tuple(bytes.fromhex(EMPTY[1:]))
    assert (cell[:10] == grey).all() and (cell[15, 15] < 60).all()


def size_of(path, rows=1, columns=2, label="", **arguments):
    images = constant(*COLOURS)[[0] * columns]
    image_grid(path, [(label, images)] * rows, **{"columns": None, "title": None, "cell": 50} | arguments)
    return Image.open(path).size


def test_the_size_follows_from_the_arguments(tmp_path):
    path = tmp_path / "grid.png"
    line = {size: sum(_font(size).getmetrics()) for size in (LABEL, CAPTION)}
    width, height = size_of(path)
    assert (width, height) == (2 * MARGIN + 2 * 50 + GAP, 2 * MARGIN + 50)
    assert size_of(path, columns=5) == (width + 3 * (50 + GAP), height)
    assert size_of(path, rows=4) == (width, height + 3 * (50 + GAP))
    assert size_of(path, cell=70) == (width + 40, height + 20)
    assert size_of(path, groups=[0, 1]) == (width + GROUP_GAP, height)
    assert size_of(path, label="vgg") == (width + _text_width(["vgg"], _font(LABEL)) + 2 * GAP, height)
    assert size_of(path, captions=[[None, "cos 0.8"]]) == (width, height + GAP + line[CAPTION])
    assert size_of(path, captions=[[None, ""]]) == (width, height)


def test_column_labels_take_a_line_above(tmp_path):
    path, images = tmp_path / "grid.png", constant(*COLOURS)
    image_grid(path, [("", images)], ["a", "b", "c"], None, cell=50)
    with_labels = Image.open(path).size
    image_grid(path, [("", images)], None, None, cell=50)
    assert with_labels[1] - Image.open(path).size[1] == sum(_font(LABEL).getmetrics()) + GAP


@pytest.mark.parametrize(
    "text", ["resnet-resnet", "linear (resnet)", "averyveryverylongwordwithoutanybreak", "a\nb", "ξ x̂ −30°"]
)
@pytest.mark.parametrize("width", [20, 60, 150])
def test_wrapped_lines_fit_and_lose_nothing(text, width):
    font = _font(LABEL)
    lines = _wrap(text, font, width)
    assert all(font.getlength(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_labels_are_broken_at_hyphens_and_blanks():
    width = int(_font(LABEL).getlength("linear")) + 5
    assert _wrap("resnet-vgg", _font(LABEL), int(_font(LABEL).getlength("resnet-"))) == ["resnet-", "vgg"]
    assert _wrap("linear (vgg)", _font(LABEL), width) == ["linear", "(vgg)"]


def test_nothing_is_drawn_in_the_margin(tmp_path):
    rows = [("a label far too long for one line: resnet-resnet", constant(*COLOURS))]
    captions = [["a caption that is longer than its image is wide"] * 3]
    image_grid(tmp_path / "grid.png", rows, ["translate-right"] * 3, "A title that needs two lines", captions, cell=60)
    picture = pixels(tmp_path / "grid.png")
    edge = MARGIN // 2
    for side in (picture[:edge], picture[-edge:], picture[:, :edge], picture[:, -edge:]):
        assert (side == 255).all()


def test_equal_input_gives_equal_bytes(tmp_path):
    images = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    arguments = ([("vgg-vgg", images)], ["a", "b"], "Title", [["c", None]], 32, [1])
    for name in ("one.png", "two.png"):
        image_grid(tmp_path / name, *arguments)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    image_grid(tmp_path / "two.png", [("vgg-vgg", 1 - images)], *arguments[1:])
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"rows": [("a", constant(*COLOURS)), ("b", constant(*COLOURS[:2]))]}, "row 'b': 2 columns, but row 'a' has 3"),
        ({"columns": ["x"]}, "the column labels: 1 columns"),
        ({"captions": [["x"] * 4]}, "captions of row 'a': 4 columns"),
        ({"captions": [["x"] * 3] * 2}, "captions for 2 rows, but the grid has 1"),
        ({"groups": [3]}, "outside 0 to 2"),
        ({"rows": []}, "at least one row"),
        ({"rows": [("a", constant(*COLOURS)[:, :1])]}, r"shape \(1, 16, 16\)"),
        ({"rows": [("a", constant(*COLOURS) * float("nan"))]}, "NaN"),
    ],
)
def test_arguments_that_disagree_are_refused(tmp_path, arguments, message):
    defaults = {"rows": [("a", constant(*COLOURS))], "columns": None, "title": None}
    with pytest.raises(ValueError, match=message):
        image_grid(tmp_path / "grid.png", **defaults | arguments)
    assert not list(tmp_path.iterdir())


def test_faces_to_show_are_spread_over_people():
    people = np.array(["c", "a", "c", "b", "a", "d", "e"])  # first seen at 1, 3, 0, 5, 6
    assert spread(people, 99).tolist() == [0, 1, 3, 5, 6]
    assert spread(people, 3).tolist() == [0, 3, 6]
    assert spread(people, 1).tolist() == [0]
