"""Draws the picture of a terminal as SVG that looks the same with any font and without a network.

Rich and Textual make an SVG, and `standalone` makes another one from it: each run of text has its
place in the grid of cells, and the characters of boxes, blocks, plots and keys are shapes, so that
lines join in every font. No font is loaded. `<desc>` has the text of the terminal.
"""

import re
import unicodedata
from collections.abc import Iterator
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from rich.cells import cell_len
from rich.console import Console

_NS = "{http://www.w3.org/2000/svg}"
# The grid that Rich draws, px: a cell, and where cells and baselines start.
_CELL_W, _CELL_H, _CELL_TOP, _BASELINE = 12.2, 24.4, 1.5, 20.0
_FONT = "ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',Consolas,monospace"
_LEFT, _TOP, _BOTTOM = 9, 41, 9  # from the frame to the text, px
_THICK = {"LIGHT": 1.6, "SINGLE": 1.6, "HEAVY": 3.6, "DOUBLE": 1.6}
_APART = 2.0  # from the middle of a double line to each of its two lines, px
_SIDES = {
    "UP": "U",
    "DOWN": "D",
    "LEFT": "L",
    "RIGHT": "R",
    "HORIZONTAL": "LR",
    "VERTICAL": "UD",
}
# Quadrants of the characters from U+2596: 1, 2 upper left and right; 4, 8 lower left and right.
_QUADRANTS = (4, 8, 1, 13, 9, 7, 11, 2, 6, 14)
_BRAILLE = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))  # column, row of a dot
# Signs that not every font has, in a cell of 12.2 by 24.4.
_SIGNS = {
    "●": "M1.6 12.4a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "▸": "M2.8 8.2L9.6 12.4L2.8 16.6z",
    "✔": "M1.4 13L3.4 11.2L5 13.6L9.6 6.6L11.4 7.8L5.4 17.4z",
    "⏎": "M9 6.6h1.8v8h-5.4v2.8L1 13.6L5.4 9.8v3h3.6z",
    "⌫": "M0.4 12.4L4 8h8v8.8h-8zM5.4 10.2l2 2.2l-2 2.2l1 1l2 -2.2l2 2.2l1 -1l-2 -2.2l2 -2.2l-1 -1"
    "l-2 2.2l-2 -2.2z",
}
_MARKS = re.compile("[\u202d\u202c]")  # left-to-right override, and its end: they take no cell

_Box = tuple[float, float, float, float]  # x, y, width, height


def save(console: Console, path: Path, title: str) -> None:
    """Write what a recording console shows."""
    path.write_text(standalone(console.export_svg(title=title, unique_id="t")))


def text_of(svg: str) -> list[str]:
    """Return the lines of text of a picture that `standalone` has drawn."""
    found = ElementTree.fromstring(svg).findtext(f"{_NS}desc")  # noqa: S314, our own file
    assert found is not None
    return found.split("\n")


def standalone(svg: str) -> str:
    """Return an SVG of Rich or Textual without fonts of its own and without clip paths."""
    root = ElementTree.fromstring(svg)  # noqa: S314, made in this process
    styles = dict(re.findall(r"\.([\w-]+-r\d+) \{ *([^}]*?) *\}", svg))
    width = float(root.attrib["viewBox"].split()[2])
    title = "".join(
        text.text or "" for text in root.iter(f"{_NS}text") if "title" in text.attrib["class"]
    ).replace("\xa0", " ")
    (matrix,) = (g for g in root.iter(f"{_NS}g") if g.get("class", "").endswith("-matrix"))
    grounds = [
        (rect.attrib["fill"], _box_of(rect))
        for outer in root.iter(f"{_NS}g")
        if matrix in outer
        for rect in outer.findall(f"{_NS}rect")
    ]
    rows: dict[int, dict[int, str]] = {0: {}}
    drawn: dict[
        str, tuple[list[str], list[_Box], list[str]]
    ] = {}  # texts, boxes, paths of a style
    for element in matrix:
        row = round((float(element.attrib["y"]) - _BASELINE) / _CELL_H)
        column = round(float(element.attrib["x"]) / _CELL_W)
        text = _MARKS.sub("", (element.text or "").rstrip("\n"))
        cells = rows.setdefault(row, {})
        texts, boxes, paths = drawn.setdefault(styles[element.attrib["class"]], ([], [], []))
        for at, run in _runs(text, column):
            cells[at] = run
            _draw(run, at, row, texts, boxes, paths)
    height = _TOP + _CELL_TOP + (max(rows) + 1) * _CELL_H + _BOTTOM
    return "\n".join(
        (
            f'<svg viewBox="0 0 {width:g} {height:g}" xmlns="http://www.w3.org/2000/svg" '
            'role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(_plain(rows))}</desc>",
            '<rect fill="#292929" stroke="#5f5f5f" x="1" y="1" '
            f'width="{width - 2:g}" height="{height - 2:g}" rx="8"/>',
            '<circle cx="26" cy="22" r="7" fill="#ff5f57"/>'
            '<circle cx="48" cy="22" r="7" fill="#febc2e"/>'
            '<circle cx="70" cy="22" r="7" fill="#28c840"/>',
            f'<text x="{width / 2:g}" y="27" text-anchor="middle" fill="#c5c8c6" '
            f'font-family="sans-serif" font-size="18" font-weight="bold">{escape(title)}</text>',
            f'<g transform="translate({_LEFT},{_TOP})" font-family="{_FONT}" font-size="20">',
            *_grounds(grounds),
            *_groups(drawn),
            "</g>",
            "</svg>",
            "",
        )
    )


def _box_of(rect: ElementTree.Element) -> _Box:
    x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
    return x, y, width, height


def _grounds(grounds: list[tuple[str, _Box]]) -> Iterator[str]:
    """Give the backgrounds of cells, one path for each colour."""
    boxes: dict[str, list[_Box]] = {}
    for colour, box in grounds:
        boxes.setdefault(colour, []).append(box)
    for colour, several in boxes.items():
        path = _path(several)
        yield f'<path fill="{colour}" shape-rendering="crispEdges" d="{path}"/>'


def _groups(drawn: dict[str, tuple[list[str], list[_Box], list[str]]]) -> Iterator[str]:
    """Give the texts and shapes of each style."""
    for style, (texts, boxes, paths) in drawn.items():
        if boxes:
            paths.insert(0, f'<path d="{_path(boxes)}"/>')
        if texts or paths:
            yield "\n".join((f'<g style="{style.rstrip(";")}">', *paths, *texts, "</g>"))


def _plain(rows: dict[int, dict[int, str]]) -> str:
    lines = []
    for row in range(max(rows) + 1):
        line = ""
        for at, run in sorted(rows.get(row, {}).items()):
            line += " " * (at - cell_len(line)) + run
        lines.append(line.replace("\xa0", " ").rstrip())
    return "\n".join(lines)


def _runs(text: str, column: int) -> Iterator[tuple[int, str]]:
    """Give the column and the text of runs: what every font has together, other signs alone."""
    for found in re.finditer("[!-~\xa1-\xff…](?:[ -~\xa0-\xff…]*[!-~\xa1-\xff…])?|[^ \xa0]", text):
        yield column + cell_len(text[: found.start()]), found[0]


def _draw(
    run: str, column: int, row: int, texts: list[str], boxes: list[_Box], paths: list[str]
) -> None:
    """Add a run of text to the texts, or a sign to the boxes or paths."""
    left, top = column * _CELL_W, _CELL_TOP + row * _CELL_H
    shape = _shape(run) if len(run) == 1 else None
    if isinstance(shape, str):
        paths.append(f'<path transform="translate({left:.5g},{top:.5g})" d="{shape}"/>')
    elif shape is not None:
        boxes += [(left + x, top + y, width, height) for x, y, width, height in shape]
    else:
        place = f'x="{left:.4g}" y="{_BASELINE + row * _CELL_H:.5g}"'
        length = cell_len(run) * _CELL_W
        squeezed = "" if run.isascii() else ' lengthAdjust="spacingAndGlyphs"'
        shown = escape(run, quote=False).replace(" ", "\xa0")
        texts.append(f'<text {place} textLength="{length:.5g}"{squeezed}>{shown}</text>')


def _shape(sign: str) -> list[_Box] | str | None:
    """Return a sign as boxes or as a path in its cell; None for a sign that is text."""
    code = ord(sign)
    if sign in _SIGNS:
        return _SIGNS[sign]
    if 0x2500 <= code < 0x2580:
        return _line(unicodedata.name(sign).removeprefix("BOX DRAWINGS "))
    if 0x2580 <= code < 0x25A0:
        return _block(code)
    if 0x2800 <= code < 0x2900:
        return [
            (1.3 + x * 6.1, 1.3 + y * 6.1, 3.5, 3.5)
            for dot, (x, y) in enumerate(_BRAILLE)
            if code >> dot & 1
        ]
    return None


def _line(name: str) -> list[_Box] | str | None:
    """Return the lines of a sign such as "LIGHT DOWN AND RIGHT"; None for dashes, diagonals."""
    words = name.split()
    if not set(words) <= {*_SIDES, *_THICK, "AND", "ARC"}:
        return None
    middle, half = _CELL_W / 2, _CELL_H / 2
    if "ARC" in words:
        return _arc(middle, half, down="DOWN" in words, right="RIGHT" in words)
    parts = [part.split() for part in name.split(" AND ")]
    weights = [next((word for word in part if word in _THICK), "") for part in parts]
    if not all(weights):  # one weight for all parts
        weights = [next(filter(None, weights))] * len(parts)
    sides = {
        side: weight
        for part, weight in zip(parts, weights, strict=True)
        for word in part
        for side in _SIDES.get(word, "")
    }
    boxes = []
    for side, weight in sides.items():
        thick = _THICK[weight]
        # Each line ends where the thickest line across it ends.
        across = [
            _THICK[sides[other]] for other in ("UD" if side in "LR" else "LR") if other in sides
        ]
        over = max(across, default=thick if len(sides) > 1 else 0.0) / 2
        for shift in (-_APART, _APART) if weight == "DOUBLE" else (0.0,):
            if side in "LR":
                start = 0.0 if side == "L" else middle - over
                boxes.append((start, half + shift - thick / 2, middle + over, thick))
            else:
                start = 0.0 if side == "U" else half - over
                boxes.append((middle + shift - thick / 2, start, thick, half + over))
    return boxes


def _arc(middle: float, half: float, *, down: bool, right: bool) -> str:
    """Return a round corner."""
    thick = _THICK["LIGHT"] / 2
    x, y = (_CELL_W if right else 0.0), (_CELL_H if down else 0.0)
    dx, dy = (1 if right else -1), (1 if down else -1)
    bend = half + dy * middle  # where the arc begins on the vertical line
    sweep = 1 if down == right else 0
    outer, inner = middle + thick, middle - thick
    return (
        f"M{middle - dx * thick:g} {y:g}L{middle - dx * thick:g} {bend:g}"
        f"A{outer:g} {outer:g} 0 0 {sweep} {x:g} {half - dy * thick:g}"
        f"L{x:g} {half + dy * thick:g}"
        f"A{inner:g} {inner:g} 0 0 {1 - sweep} {middle + dx * thick:g} {bend:g}"
        f"L{middle + dx * thick:g} {y:g}z"
    )


def _block(code: int) -> list[_Box] | None:
    """Return the boxes of a block element; None for shades."""
    width, height = _CELL_W, _CELL_H
    if code == 0x2580:
        return [(0.0, 0.0, width, height / 2)]
    if code <= 0x2588:
        high = height * (code - 0x2580) / 8
        return [(0.0, height - high, width, high)]
    if code <= 0x258F:
        return [(0.0, 0.0, width * (0x2590 - code) / 8, height)]
    if code == 0x2590:
        return [(width / 2, 0.0, width / 2, height)]
    if code <= 0x2593:
        return None
    if code == 0x2594:
        return [(0.0, 0.0, width, height / 8)]
    if code == 0x2595:
        return [(width * 7 / 8, 0.0, width / 8, height)]
    return [
        (bit % 2 * width / 2, bit // 2 * height / 2, width / 2, height / 2)
        for bit in range(4)
        if _QUADRANTS[code - 0x2596] >> bit & 1
    ]


def _path(boxes: list[_Box]) -> str:
    """Return boxes as one path; boxes in a row that touch are one."""
    joined: list[_Box] = []
    for way in (0, 1):  # along rows, then along columns
        joined = []
        across = 1 - way
        order = sorted(
            boxes, key=lambda box: (round(box[across], 2), round(box[across + 2], 2), box[way])
        )
        for box in order:
            last = joined[-1] if joined else None
            if (
                last
                and abs(last[across] - box[across]) < 0.01
                and abs(last[across + 2] - box[across + 2]) < 0.01
                and box[way] <= last[way] + last[way + 2] + 0.01
            ):
                end = max(last[way] + last[way + 2], box[way] + box[way + 2])
                grown = list(last)
                grown[way + 2] = end - last[way]
                joined[-1] = (grown[0], grown[1], grown[2], grown[3])
            else:
                joined.append(box)
        boxes = joined
    return "".join(
        f"M{x:.5g} {y:.5g}h{width:.5g}v{height:.5g}h{-width:.5g}z"
        for x, y, width, height in joined
    )
