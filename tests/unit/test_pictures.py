"""The SVG pictures look the same everywhere: no network, no font of their own, nothing cut."""

import io
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jeton_host.paths import docs_dir
from jeton_host.terminal.picture import save, standalone, text_of

NS = "{http://www.w3.org/2000/svg}"
PICTURES = sorted(docs_dir().rglob("*.svg"))
TERMINALS = [path for path in PICTURES if "<desc>" in path.read_text(encoding="utf-8")]
CELL_W, CELL_H, TOP = 12.2, 24.4, 1.5
DRAWN = re.compile("[\u2500-\u259f\u2800-\u28ff●▸✔⏎⌫]")


def picture_of(*lines: str, width: int = 40) -> str:
    console = Console(record=True, force_terminal=True, width=width, file=io.StringIO())
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    return standalone(console.export_svg(title="a title", unique_id="t"))


def boxes_of(svg: str) -> list[tuple[float, float, float, float]]:
    """Return left, top, right and bottom of the rectangles in the paths of a picture."""
    found = []
    for x, y, width, height in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h", svg):
        left, top = float(x), float(y)
        found.append((left, top, left + float(width), top + float(height)))
    return found


def test_all_pictures_are_found() -> None:
    assert {"bench", "ceet", "doctor", "eneo", "failure", "flash", "purchase"} <= {
        path.stem for path in TERMINALS
    }


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_needs_nothing_from_outside(path: Path) -> None:
    svg = path.read_text(encoding="utf-8")
    assert not re.findall(r"@font-face|@import|url\(|<image|<use|<script|href=", svg)
    assert re.findall("https?://[^\"']+", svg) == ["http://www.w3.org/2000/svg"]
    root = ElementTree.fromstring(svg)
    assert all("width" in rect.attrib for rect in root.iter(f"{NS}rect"))


@pytest.mark.parametrize("path", TERMINALS, ids=lambda path: path.stem)
def test_text_of_a_terminal_is_inside_its_frame(path: Path) -> None:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    below = 6  # the longest part of a letter below its line
    (terminal,) = root.findall(f"{NS}g")
    left, top = map(float, re.findall(r"[\d.]+", terminal.attrib["transform"]))
    for text in terminal.iter(f"{NS}text"):
        assert top + float(text.attrib["y"]) + below < height - 2
        assert left + float(text.attrib["x"]) + float(text.attrib["textLength"]) <= width - 2
        assert not DRAWN.search(text.text or "")


def test_each_line_is_in_the_description() -> None:
    lines = ["", "│ a ● b │", "<&>\" '", "  ö … ", "é" * 40, "⠉⣿", "last_line_gjpq"]
    svg = picture_of(*lines)
    assert text_of(svg) == [line.rstrip() for line in lines]
    assert "<title>a title</title>" in svg


def sides_of(sign: str) -> set[str]:
    name = unicodedata.name(sign)
    found = set()
    for word, sides in {"UP": "U", "DOWN": "D", "LEFT": "L", "RIGHT": "R"}.items():
        found |= set(sides) if word in name.split() else set()
    found |= set("LR") if "HORIZONTAL" in name.split() else set()
    return found | (set("UD") if "VERTICAL" in name.split() else set())


@pytest.mark.parametrize(
    "sign",
    [
        sign
        for sign in map(chr, range(0x2500, 0x2580))
        if not {"DASH", "DIAGONAL", "ARC"} & set(unicodedata.name(sign).split())
    ],
)
def test_a_line_reaches_the_edges_of_its_cell(sign: str) -> None:
    svg = picture_of(" \n ", f" {sign}")
    boxes = boxes_of(svg)
    left, top = CELL_W, TOP + 2 * CELL_H
    reached = {
        side
        for box in boxes
        for side, at, edge in (
            ("L", box[0], left),
            ("U", box[1], top),
            ("R", box[2], left + CELL_W),
            ("D", box[3], top + CELL_H),
        )
        if abs(at - edge) < 0.05
    }
    assert reached == sides_of(sign)
    assert not re.search(r"<text[^>]*textLength", svg)


@pytest.mark.parametrize("corner", "╭╮╯╰")
def test_a_round_corner_joins_its_lines(corner: str) -> None:
    across, down = {"╭": (1, 1), "╮": (0, 1), "╯": (0, 0), "╰": (1, 0)}[corner]
    (path,) = re.findall(r'<path transform="translate\(0,1.5\)" d="([^"]+)"', picture_of(corner))
    points = [
        tuple(map(float, point)) for point in re.findall(r"([\d.]+) ([\d.]+)(?=[LAz])", path)
    ]
    assert {y for x, y in points if abs(x - CELL_W / 2) < 1} >= {CELL_H * down}
    assert {x for x, y in points if abs(y - CELL_H / 2) < 1} >= {CELL_W * across}


def test_lines_of_a_table_have_no_gaps() -> None:
    table = Table("one", "two")
    for _ in range(9):
        table.add_row("a", "b")
    console = Console(record=True, force_terminal=True, width=30, file=io.StringIO())
    console.print(table)
    boxes = boxes_of(standalone(console.export_svg(title="", unique_id="t")))
    tall = [box for box in boxes if box[3] - box[1] > 9 * CELL_H]
    assert len(tall) == 3


def test_wide_and_unusual_signs_have_their_cells() -> None:
    svg = picture_of("a漢b", "x\ufe8dy")
    assert re.findall(r'x="([\d.]+)" y="[\d.]+" textLength="([\d.]+)"', svg) == [
        *(("0", "12.2"), ("12.2", "24.4"), ("36.6", "12.2")),
        *(("0", "12.2"), ("12.2", "12.2"), ("24.4", "12.2")),
    ]


def test_direction_marks_take_no_cell() -> None:
    assert text_of(picture_of("\u202dab\u202cc")) == ["abc"]


def test_a_console_is_saved(tmp_path: Path) -> None:
    console = Console(record=True, force_terminal=True, width=30, file=io.StringIO())
    console.print("[bold red]red[/] [on blue]blue[/]")
    save(console, tmp_path / "a.svg", "its title")
    svg = (tmp_path / "a.svg").read_text()
    assert text_of(svg) == ["red blue"]
    assert "font-weight: bold" in svg
    assert "shape-rendering" in svg
