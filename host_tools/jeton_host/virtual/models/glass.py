"""Reads text from the dots of a picture, cell by cell, by comparing them with a font."""

from collections.abc import Callable
from functools import cache

from jeton_host.firmware import fonts

Levels = tuple[tuple[int, ...], ...]


@cache
def _letters(name: str) -> dict[Levels, str]:
    """Return dots -> letter; the first letter if several look the same."""
    font = fonts.load(name)
    found: dict[Levels, str] = {}
    for letter in font.glyphs:
        found.setdefault(font.levels(letter), letter)
    return found


def alike(name: str, text: str) -> str:
    """Return the text with each letter replaced by the first one that looks the same."""
    font, letters = fonts.load(name), _letters(name)
    return "".join(letters[font.levels(letter)] for letter in text)


def read(
    name: str,
    level: Callable[[int, int], int],
    rows: int,
    cols: int,
    *,
    left: int = 0,
    top: int = 0,
    pitch: int | None = None,
) -> list[str]:
    """Return the text in a grid of cells; U+FFFD is a cell that matches no letter.

    `level(x, y)` returns the shade of a dot on the font's scale. `left` and `top` are the first
    dot, `pitch` is the distance of two rows in dots, by default the height of the font.
    """
    font, letters = fonts.load(name), _letters(name)
    lines = []
    for row in range(rows):
        line = ""
        for col in range(cols):
            x0, y0 = left + font.width * col, top + (pitch or font.height) * row
            dots = tuple(
                tuple(level(x0 + x, y0 + y) for x in range(font.width)) for y in range(font.height)
            )
            line += letters.get(dots, "\ufffd")
        lines.append(line)
    return lines
