"""The picture of `jeton flash` shows the current output of the command, except for numbers."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jeton_host.bench.wiring import terminal as wiring_terminal
from jeton_host.meter import Meter
from jeton_host.paths import docs_dir
from jeton_host.virtual.board import VirtualBoard

pytestmark = pytest.mark.virtual_only

BOARD = "esp32_lcd2004"


def shown(name: str) -> list[str]:
    """Return the stripped lines of a picture of a terminal."""
    root = ElementTree.parse(docs_dir() / "hardware" / BOARD / f"{name}.svg")
    lines: dict[str, str] = {}
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        row = element.attrib.get("clip-path", "")
        if f"#{name}-line-" in row:
            lines[row] = lines.get(row, "") + (element.text or "")
    return [line.replace("\xa0", " ").strip() for line in lines.values() if line.strip()]


def normalized(line: str) -> str:
    """Return a line without the numbers that differ between runs."""
    return re.sub(r"\d+", "0", line).strip()


def ignore(line: str) -> None:
    pass


def test_flash_prints_what_its_picture_shows(tmp_path: Path) -> None:
    said: list[str] = []
    port = tmp_path / "board"
    with VirtualBoard(board=BOARD, link=port) as board:
        with Meter(board.path) as meter:
            meter.run(wiring_terminal.WIPE)
            meter.soft_reset()
        for line in wiring_terminal.SHOWN["flash"]:
            said.append(f"$ jeton {line.format(port='./board')}")
            text = wiring_terminal.jeton(line.format(port=port), str(tmp_path), ignore)
            said += text.replace(str(port), "./board").splitlines()
    assert [normalized(line) for line in said] == [normalized(line) for line in shown("flash")]


@pytest.mark.parametrize("name", list(wiring_terminal.SHOWN))
def test_pictures_show_their_commands(name: str) -> None:
    lines = shown(name)
    for line in wiring_terminal.SHOWN[name]:
        assert f"$ jeton {line.format(port='./board')}" in lines


def test_the_picture_of_doctor_shows_no_fault() -> None:
    lines = shown("doctor")
    found = [line.split() for line in lines if line.endswith(" ok") or " ok " in line]
    assert len(found) == 10
    assert not [line for line in lines if "failed" in line or "not tested" in line]
