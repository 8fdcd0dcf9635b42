"""The display of `jeton run` in each size: every letter of every language, whole and in place."""

import json

import pytest
from rich.console import Console

from jeton_host.firmware import fonts
from jeton_host.paths import firmware_dir
from jeton_host.screen import glass

LETTERS = sorted(
    {
        letter
        for path in (firmware_dir() / "languages").glob("*.json")
        for letter in json.dumps(json.loads(path.read_text()), ensure_ascii=False)
        if letter in fonts.load("8x16").glyphs
    }
    | set(fonts.ASCII)
)


def lines_of(lines: list[str], rows: int, cols: int, size: int) -> list[str]:
    console = Console(width=300, color_system=None)
    with console.capture() as capture:
        console.print(glass.drawn(lines, rows, cols, size))
    return capture.get().splitlines()


@pytest.mark.parametrize("size", glass.SIZES)
@pytest.mark.parametrize(("rows", "cols"), [(2, 16), (2, 20), (4, 16), (4, 20)])
def test_a_display_has_the_size_that_it_needs(rows: int, cols: int, size: int) -> None:
    shown = lines_of(["W" * 30] * 5, rows, cols, size)
    assert {len(line) for line in shown} == {glass.needed(cols, size)}
    assert len(shown) == glass.height(rows, size)
    assert glass.fitting(rows, cols, glass.needed(cols, size), len(shown)) == size
    assert glass.fitting(rows, cols, glass.needed(cols, size) - 1, 999) <= size
    assert glass.fitting(rows, cols, 0, 0) == 1


@pytest.mark.parametrize("size", [7, 4])
def test_letters_that_differ_look_different(size: int) -> None:
    drawn: dict[tuple[str, ...], str] = {}
    font = fonts.load("8x16")
    for letter in LETTERS:
        look = tuple(lines_of([letter], 1, 1, size)[1:-1])
        other = drawn.setdefault(look, letter)
        assert font.levels(other) == font.levels(letter), (other, letter)
        assert (set("".join(look)) <= set("┃ \u2800")) == (letter == " ")


def test_a_letter_that_the_font_lacks_is_a_question_mark() -> None:
    assert lines_of(["é"], 1, 1, 7) == lines_of(["?"], 1, 1, 7)


def test_half_blocks_show_the_dots_of_the_font() -> None:
    look = [line.strip("┃ ") for line in lines_of(["T"], 1, 1, 7)[1:-1]]
    assert look == ["", "▀▀▀█▀▀▀", "█", "█", "█", "█", ""]
