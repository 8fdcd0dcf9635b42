"""Commands about boards: flash one, test its parts, measure it."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jeton_host.bench import doctor as examinations
from jeton_host.bench import flashing, measuring
from jeton_host.cli.options import BOARDS, Json, WherePort, put
from jeton_host.cli.progress import Told
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.meters import ports


class _Bystander:
    """A person at the terminal, one who says yes to everything, or nobody."""

    def __init__(self, told: Told, present: bool, agrees: bool) -> None:
        self.present = present
        self._told = told
        self._agrees = agrees

    def say(self, text: str) -> None:
        """Say what is to be done or looked at."""
        self._told.line(text)

    def heard(self, what: str) -> None:
        """Take note of what the board has noticed."""
        if what.startswith("key "):
            self._told.line(f"  {what}")

    def ask(self, question: str) -> bool:
        """Return the answer to a question."""
        return self._agrees or typer.confirm(f"{question}?", default=True, err=True)


def doctor(
    port: WherePort,
    yes: Annotated[
        bool, typer.Option("--yes", help="Answer yes to what is asked; keys are waited for.")
    ] = False,
    no_person: Annotated[
        bool, typer.Option("--no-person", help="Nobody is there: test only what needs no one.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report in Markdown.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Test the parts of a bench: display, keypad, relay, LEDs, buzzer, inputs.

    Stand before it: you are told what to press, and asked what you see and hear. The relay
    switches what hangs on it. The meter stays as it is and goes on after. Status 1 if a part is
    missing or has failed.

    Examples: `jeton doctor auto --report bench.md` · `jeton doctor auto --no-person --json`
    """
    if yes and no_person:
        raise JetonError("--yes and --no-person do not go together: choose one")
    if not yes and not no_person and not sys.stdin.isatty():
        raise JetonError("nobody can be asked here: say --no-person, or --yes for a test rig")
    told = Told(as_json)
    found = ports.find(port)
    with Meter(found.device, timeout=flashing.PATIENCE) as line:
        result = examinations.examine(line, _Bystander(told, not no_person, yes))
    if report is not None:
        report.write_text(result.markdown())
    if as_json:
        put(result.as_dict())
    else:
        for finding in result.findings:
            told.line(f"{finding.part:<10} {finding.result:<10} {finding.note}".rstrip())
    if not result.good:
        failed = [f.part for f in result.findings if f.result == examinations.FAILED]
        if as_json:
            raise typer.Exit(1)
        raise BoardError(f"{found.device}: {', '.join(failed)} failed")


def bench(
    port: WherePort,
    modules: Annotated[
        bool, typer.Option("--modules", help="Also the size of each .mpy file, largest first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure a board on the board itself, with the targets beside.

    From reset to display, from key to echo, from token to result, EA07 and EA11, heap, .mpy sizes.
    The meter is started anew once; tokens go into another one, which is gone after. A virtual
    board is measured too, and an ESP32 at 160 MHz estimated from that: the method is said.

    Examples: `jeton bench auto` · `jeton bench /dev/ttyUSB0 --json`
    """
    found = ports.find(port)
    with Meter(found.device, timeout=flashing.PATIENCE) as line:
        measured = measuring.measure(line)
    if as_json:
        put(measured.as_dict())
        return
    guessed = bool(measured.method)
    table = Table(title=f"{measured.board} at {measured.port}, {measured.interpreter}")
    table.add_column("what")
    for name in ("measured", *(["ESP32, estimated"] if guessed else []), "target", ""):
        table.add_column(name, justify="right")
    for figure in measured.figures:
        unit = figure.unit
        missed = "OVER" if unit == "KiB" else "SLOW"
        verdict = "" if figure.limit is None else missed if figure.slow else "ok"
        estimate = "" if figure.estimate is None else f"{figure.estimate:.3g} {unit}"
        limit = "" if figure.limit is None else f"<= {figure.limit:g} {unit}"
        row = [f"{figure.value:.3g} {unit}", *([estimate] if guessed else []), limit, verdict]
        table.add_row(figure.name, *row)
    console = Console(highlight=False)
    console.print(table)
    if guessed:
        console.print(measured.method)
    if modules:
        for name, size in sorted(measured.sizes.items(), key=lambda item: (-item[1], item[0])):
            console.print(f"{size:>7}  {name}", markup=False)


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for function in (doctor, bench):
        app.command(rich_help_panel=BOARDS)(function)
