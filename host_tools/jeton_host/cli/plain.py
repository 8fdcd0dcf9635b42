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
    """Take keys and a few words line by line, and print the display after each."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    by_hand = sys.stdin.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="backslashreplace")  # told as what it is: no key
    all_good = True
    if not as_json:
        console.print(panel_of(meter, name))
        console.print(_HELP, style="dim", highlight=False)
    try:
        while True:
            line = _line(console if by_hand else None)
            if line in ("quit", "exit", "q"):
                break
            try:
                said, value, good = _obeyed(meter, line)
            except JetonError as error:
                said, value, good = str(error), {"error": str(error)}, False
            all_good = all_good and good
            if as_json:
                put(value)
                continue
            console.print(panel_of(meter, name))
            if said:
                console.print(said, highlight=False, markup=False)
    except (EOFError, KeyboardInterrupt):
        if by_hand:
            console.print()  # the shell's prompt belongs on a line of its own
    if not by_hand and not all_good:
        raise typer.Exit(1)


def panel_of(meter: Meter, name: str) -> Any:
    """Return the drawn display of a meter."""
    display = meter.display()
    return panel(display.lines, display.rows, display.cols, title=name)


def _line(console: Console | None) -> str:
    if console is not None:
        return console.input("[bold]keys>[/] ").strip()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()


def _obeyed(meter: Meter, line: str) -> tuple[str, dict[str, Any], bool]:
    """Do what a line says; return a line for people, the value for programs, and if it worked."""
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
