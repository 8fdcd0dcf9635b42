"""Draws the meter's display as large as the terminal has room for, from the font of the displays.

A character is one cell of the terminal, 4 by 4 cells of Braille dots, or 7 by 7 cells of half
blocks.
"""

from collections.abc import Sequence
from functools import cache

from rich import box
from rich.panel import Panel
from rich.text import Text

from jeton_host.firmware import fonts
from jeton_host.terminal.draw import GLASS, panel

SIZES = (7, 4, 1)  # cells of the terminal for a character, in each direction
_AROUND_W, _AROUND_H = 4, 2  # the frame around the display
_FONT = "8x16"
_ROWS = 14  # of the 16 rows of the font; the first two are drawn as one with the third
_HALVES = " ▄▀█"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column of the dot


def fitting(rows: int, cols: int, width: int, room: int) -> int:
    """Return the largest size of a display that fits into `width` columns and `room` lines."""
    for size in SIZES:
        if needed(cols, size) <= width and height(rows, size) <= room:
            return size
    return SIZES[-1]


def needed(cols: int, size: int) -> int:
    """Return the width of a display of `cols` characters, in cells of the terminal."""
    return cols * size + _AROUND_W + 2 * len(_margin(size))


def height(rows: int, size: int) -> int:
    """Return the height of a display of `rows` lines, in cells of the terminal."""
    return rows * size + _AROUND_H


def _margin(size: int) -> str:
    """Return the empty cells at the left and right of the text; letters of Braille have theirs."""
    return "" if size == SIZES[1] else " "


def drawn(lines: Sequence[str], rows: int, cols: int, size: int) -> Panel:
    """Return a Rich renderable of a display in one of the sizes."""
    if size == 1:
        return panel(lines, rows, cols)
    shown = [str(line)[:cols].ljust(cols) for line in [*lines, *[""] * rows][:rows]]
    margin = _margin(size)
    glyph = _halves if size == SIZES[0] else _braille
    text = "\n".join(
        "".join((margin, *parts, margin))
        for line in shown
        for parts in zip(*map(glyph, line), strict=True)
    )
    return Panel(
        Text(text, style=GLASS, no_wrap=True),
        box=box.HEAVY,
        expand=False,
        padding=(0, 1),
        border_style="bright_black",
    )


@cache
def _font() -> fonts.Font:
    return fonts.load(_FONT)


def _levels(letter: str) -> list[list[int]]:
    """Return the dots of a letter; those of a question mark for a letter that the font lacks."""
    font = _font()
    return [list(row) for row in font.levels(letter if letter in font.glyphs else "?")]


@cache
def _halves(letter: str) -> tuple[str, ...]:
    """Return a letter in 7 rows of 7 half blocks; the first column is empty in Latin letters."""
    dots = [[row[0] | row[1], *row[2:]] for row in _levels(letter)]
    over = len(dots) - _ROWS
    top = [max(column) for column in zip(*dots[: over + 1], strict=True)]
    dots = [top, *dots[over + 1 :]]
    return tuple(
        "".join(_HALVES[2 * up + low] for up, low in zip(*dots[y : y + 2], strict=True))
        for y in range(0, _ROWS, 2)
    )


@cache
def _braille(letter: str) -> tuple[str, ...]:
    """Return a letter in 4 rows of 4 Braille characters; its strokes are two dots wide."""
    dots = [[a | b for a, b in zip(row, [0, *row], strict=False)] for row in _levels(letter)]
    return tuple(
        "".join(
            chr(
                _BRAILLE
                + sum(
                    bit * dots[y + j][x + i]
                    for j, row in enumerate(_DOTS)
                    for i, bit in enumerate(row)
                )
            )
            for x in range(0, 8, 2)
        )
        for y in range(0, 16, 4)
    )
