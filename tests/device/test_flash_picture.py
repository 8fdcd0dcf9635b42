"""The pictures of `jeton flash`, `doctor` and `bench` show what the commands print now.

Numbers differ between runs, and in a table with them the widths of columns.
"""

import re

import pytest

from jeton_host.bench.wiring import terminal as wiring_terminal
from jeton_host.terminal.picture import text_of

pytestmark = pytest.mark.virtual_only


def words_of(lines: list[str]) -> list[str]:
    """Return the words of lines without numbers, lines of tables, and what depends on numbers."""
    text = " ".join(lines)
    text = re.sub(r"[─━│┃┏┓┗┛┡┩└┘┌┐┬┴┳┻╇┼]+|\b(?:ok|SLOW|OVER)\b", " ", text)
    return re.sub(r"\d(?:[\d.,:]|e\+)*", " 0 ", text).split()


@pytest.fixture(scope="module")
def printed() -> dict[str, list[tuple[str, str]]]:
    return wiring_terminal.printed()


@pytest.mark.parametrize("name", list(wiring_terminal.SHOWN))
def test_the_picture_shows_what_is_printed(
    printed: dict[str, list[tuple[str, str]]], name: str
) -> None:
    now = [line for command, output in printed[name] for line in (command, *output.splitlines())]
    kept = text_of(wiring_terminal.path_of(name).read_text())
    assert words_of(now) == words_of(kept), "draw it again: make pictures"
    for line in wiring_terminal.SHOWN[name]:
        assert f"$ jeton {line.format(port='./board')}" in kept


def test_the_picture_of_doctor_shows_no_fault() -> None:
    lines = text_of(wiring_terminal.path_of("doctor").read_text())
    found = [line.split() for line in lines if line.endswith(" ok") or " ok " in line]
    assert len(found) == 10
    assert not [line for line in lines if "failed" in line or "not tested" in line]
