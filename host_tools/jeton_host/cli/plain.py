"""The meter as lines of text, for terminals that cannot show the full screen."""

import io
import signal
import sys
from typing import Any

import typer
from rich.console import Console

from jeton_host.cli.options import put
from jeton_host.cli.tokens import key_in
from jeton_host.errors import JetonError
from jeton_host.meter import Meter
from jeton_host.terminal.draw import panel
from jeton_host.terminal.parse import duration, watts_of
from jeton_host.terminal.words import summary

_HELP = "digits (Return is Enter), * backspace, load WATTS, advance 2h, status, quit"


def run_plain(meter: Meter, name: str, as_json: bool) -> None:
    """Read keys and commands line by line, and print the display after each line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    at_terminal = sys.stdin.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="backslashreplace")  # reported as wrong keys
    all_good = True
    if not as_json:
        console.print(panel_of(meter, name))
        console.print(_HELP, style="dim", highlight=False)
    try:
        while True:
            line = _read_line(console if at_terminal else None)
            if line in ("quit", "exit", "q"):
                break
            try:
                message, value, good = _execute(meter, line)
            except JetonError as error:
                message, value, good = str(error), {"error": str(error)}, False
            all_good = all_good and good
            if as_json:
                put(value)
                continue
            console.print(panel_of(meter, name))
            if message:
                console.print(message, highlight=False, markup=False)
    except (EOFError, KeyboardInterrupt):
        if at_terminal:
            console.print()  # so that the prompt of the shell begins a new line
    if not at_terminal and not all_good:
        raise typer.Exit(1)


def panel_of(meter: Meter, name: str) -> Any:
    """Return the display of a meter, drawn with a frame."""
    display = meter.display()
    return panel(display.lines, display.rows, display.cols, title=name)


def _read_line(console: Console | None) -> str:
    if console is not None:
        return console.input("[bold]keys>[/] ").strip()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()


def _execute(meter: Meter, line: str) -> tuple[str, dict[str, Any], bool]:
    """Execute a line; return a message for people, the value for --json, and if it succeeded."""
    verb, _, rest = line.partition(" ")
    if verb == "load":
        now = meter.set_load(watts_of(rest))
        return summary(now), now.as_dict(), True
    if verb == "advance":
        now = meter.advance(duration(rest))
        return summary(now), now.as_dict(), True
    if verb == "status":
        now = meter.status()
        return summary(now), now.as_dict(), True
    if verb in ("help", "?"):
        return _HELP, {"help": _HELP}, True
    return key_in(meter, line)
