"""The picture of a failed test shows what pytest prints now, except for numbers."""

import re

from rich.text import Text

from jeton_host.terminal.picture import text_of
from tests.examples import pictures


def words_of(text: str) -> list[str]:
    """Return the words without those that differ between runs; a longer line is cut."""
    lines = [line.rstrip("…")[: pictures.WIDTH - 2] for line in text.splitlines()]
    text = "\n".join(re.sub(r"[=_-]{3,}", " ", line) for line in lines)
    return re.sub(r"0x\w+|\(\w{16}\)|[\d.:]+", "0", text).split()


def test_the_picture_of_a_failed_test_is_current() -> None:
    command, *kept = text_of(pictures.PATH.read_text())
    assert command == "$ pytest test_hour.py"
    now = Text.from_ansi(pictures.printed()).plain
    assert words_of(now) == words_of("\n".join(kept)), "draw it again: make pictures"
