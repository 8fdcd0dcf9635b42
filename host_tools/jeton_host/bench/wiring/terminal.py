"""Writes the terminal output of `jeton flash` and other commands as SVG (`make pictures`).

The board is a virtual one with stock MicroPython, at its own path; the rest is as on a bench.
"""

import io
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jeton_host.client.client import MeterClient
from jeton_host.firmware import remote
from jeton_host.paths import docs_dir
from jeton_host.terminal import picture
from jeton_host.virtual.board import VirtualBoard
from jeton_host.virtual.models.hardware import Bench

_BOARD = "esp32_lcd2004"
_WIDTH = 96
WIPE = remote.once("flash", "erase", "")
# Name of the picture -> commands; {port} is the port of the board.
SHOWN = {
    "flash": (
        f"flash {{port}} --board {_BOARD} --meter lome --profile ceet",
        f"flash {{port}} --board {_BOARD}",
    ),
    "doctor": ("doctor {port} --yes",),
    "bench": ("bench {port}",),
}


def jeton(line: str, home: str, person: Callable[[str], None]) -> str:
    """Run a command as in a terminal of that width; return its output, with errors.

    `person` receives each line.
    """
    program = "from jeton_host.cli.app import main; main()"
    output = ""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program, *line.split()],
        env=os.environ | {"JETON_HOME": home, "COLUMNS": str(_WIDTH), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        for row in running.stdout:
            output += row
            person(row)
    return output.rstrip()


class Person:
    """Does what the doctor asks for (keys, pulse, cover), each until it is detected."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._wanted = threading.Event()
        self._detected = threading.Event()
        self._keys: list[str] = []
        threading.Thread(target=self._press, daemon=True).start()

    def hear(self, line: str) -> None:
        """Process a line of the doctor's output."""
        if line.startswith("Keypad:"):
            self._keys = line.split(":")[-1].split()
            self._wanted.set()
        elif line.startswith("  key "):
            self._detected.set()
        elif line.startswith("Give a pulse"):
            threading.Timer(1.5, self._bench.part("pulses").pulse).start()
        elif line.startswith("Activate the tamper"):
            threading.Timer(1.5, self._bench.part("tamper").set, (True,)).start()
        elif line.startswith("meter "):  # the tests are finished
            self._bench.part("tamper").set(False)

    def _press(self) -> None:
        keypad = self._bench.part("keypad")
        self._wanted.wait()
        for key in self._keys:
            self._detected.clear()
            while not self._detected.is_set():
                keypad.press(key)
                self._detected.wait(0.3)
                keypad.release(key)


def printed() -> dict[str, list[tuple[str, str]]]:
    """Run the commands on a board; return for each picture the commands and their output."""
    found: dict[str, list[tuple[str, str]]] = {}
    with tempfile.TemporaryDirectory(prefix="jeton-") as home:
        port = Path(home) / "board"
        with VirtualBoard(board=_BOARD, link=port) as board:
            with MeterClient(board.path) as meter:
                meter.run(WIPE)
                meter.soft_reset()
            assert board.bench
            person = Person(board.bench)
            for name, lines in SHOWN.items():
                found[name] = []
                for line in lines:
                    output = jeton(line.format(port=port), home, person.hear)
                    shown = f"$ jeton {line.format(port='./board')}"
                    found[name].append((shown, output.replace(str(port), "./board")))
    return found


def path_of(name: str) -> Path:
    """Return the path of a picture."""
    return docs_dir() / "hardware" / _BOARD / f"{name}.svg"


def main() -> int:
    """Run the commands and save the terminal output as pictures."""
    for name, commands in printed().items():
        console = Console(record=True, force_terminal=True, width=_WIDTH, file=io.StringIO())
        for command, output in commands:
            console.print(Text(command, style="bold cyan"))
            console.print(Text(output))
        picture.save(console, path_of(name), "on a virtual board with models of its parts")
        print(path_of(name).relative_to(docs_dir().parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
