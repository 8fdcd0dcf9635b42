"""Commands about boards: test the parts of a board, measure a board."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from jeton_host.cli.options import BOARDS, Json, WherePort, put
from jeton_host.cli.progress import Printer
from jeton_host.errors import BoardError, JetonError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jeton_host.bench.flash_use import Use


class _Bystander:
    """The person in front of the bench: present, absent, or replaced by the answer yes."""

    def __init__(self, printer: Printer, present: bool, agrees: bool) -> None:
        self.present = present
        self._printer = printer
        self._agrees = agrees

    def say(self, text: str) -> None:
        """Print what the person must do or look at."""
        self._printer.line(text)

    def heard(self, what: str) -> None:
        """Print a key that the board has detected."""
        if what.startswith("key "):
            self._printer.line(f"  {what}")

    def ask(self, question: str) -> bool:
        """Return the person's answer to a question."""
        return self._agrees or typer.confirm(f"{question}?", default=True, err=True)


def doctor(
    port: WherePort,
    yes: Annotated[
        bool, typer.Option("--yes", help="Answer yes to each question; still wait for keys.")
    ] = False,
    no_person: Annotated[
        bool, typer.Option("--no-person", help="Run only the tests that need no person.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report as Markdown.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Test the parts of a board: display, keypad, relay, LEDs, buzzer, inputs.

    The command asks you to press keys, and asks what you see and hear. Caution: the relay switches
    whatever is connected to it. The meter keeps its state and continues afterwards. The exit
    status is 1 if a part is missing or has failed.

    Examples:

    - `jeton doctor auto --report bench.md`
    - `jeton doctor auto --no-person --json`
    """
    from jeton_host.bench import doctor as examinations
    from jeton_host.bench import flashing
    from jeton_host.meter import Meter
    from jeton_host.meters import ports

    if yes and no_person:
        raise JetonError("--yes and --no-person do not go together: choose one")
    if not yes and not no_person and not sys.stdin.isatty():
        raise JetonError(
            "no person can be asked, this is not a terminal: give --no-person, or --yes on a test "
            "bench"
        )
    printer = Printer(as_json)
    found = ports.find(port)
    with Meter(found.device, timeout=flashing.PATIENCE) as line:
        result = examinations.examine(line, _Bystander(printer, not no_person, yes))
    if report is not None:
        report.write_text(result.markdown())
    if as_json:
        put(result.as_dict())
    else:
        for finding in result.findings:
            printer.line(f"{finding.part:<10} {finding.result:<10} {finding.note}".rstrip())
    if not result.good:
        failed = [f.part for f in result.findings if f.result == examinations.FAILED]
        if as_json:
            raise typer.Exit(1)
        raise BoardError(f"{found.device}: {', '.join(failed)} failed")


def bench(
    port: WherePort,
    modules: Annotated[
        bool,
        typer.Option("--modules", help="Also list the .mpy files by size, largest first."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure the speed and the memory of a board, and compare them with the targets.

    Measured are the times from reset to display, from key to echo and from token to result, the
    ciphers EA07 and EA11, the heap and the sizes of the .mpy files. The board restarts three
    times, and the smallest values of these starts count. Tokens are entered into a temporary
    meter, not into the meter of the board. For a virtual board, the times of an ESP32 at 160 MHz
    are estimated; the output describes the method. Its flash counts what a start, a token, a key
    change and an hour with a load read, write and erase, in a new meter of its own.

    Examples:

    - `jeton bench auto`
    - `jeton bench /dev/ttyUSB0 --json`
    """
    from jeton_host.bench import flashing, measuring
    from jeton_host.meter import Meter
    from jeton_host.meters import ports

    found = ports.find(port)
    with Meter(found.device, timeout=flashing.PATIENCE) as line:
        measured = measuring.measure(line)
    if as_json:
        put(measured.as_dict())
        return
    estimated = bool(measured.method)
    table = Table(title=f"{measured.board} at {measured.port}, {measured.interpreter}")
    table.add_column("what")
    for name in ("measured", *(["ESP32, estimated"] if estimated else []), "target", ""):
        table.add_column(name, justify="right")
    for figure in measured.figures:
        unit = figure.unit
        too_much = "OVER" if unit == "KiB" else "SLOW"
        rating = "" if figure.limit is None else too_much if figure.slow else "ok"
        estimate = "" if figure.estimate is None else f"{figure.estimate:.3g} {unit}"
        limit = "" if figure.limit is None else f"<= {figure.limit:g} {unit}"
        row = [f"{figure.value:.3g} {unit}", *([estimate] if estimated else []), limit, rating]
        table.add_row(figure.name, *row)
    console = Console(highlight=False)
    console.print(table)
    if estimated:
        console.print(measured.method)
    if measured.flash:
        console.print(flash_table(measured.flash))
    if modules:
        for name, size in sorted(measured.sizes.items(), key=lambda item: (-item[1], item[0])):
            console.print(f"{size:>7}  {name}", markup=False)


def flash_table(uses: "Sequence[Use]") -> Table:
    """Return a table of what actions do with the flash; the worst of many has a row of its own."""
    table = Table(title="flash, counted on a virtual board; chip: its time by a model")
    names = ("what", "reads", "bytes", "programs", "bytes", "erases", "chip")
    for name in names:
        table.add_column(name, justify="left" if name == "what" else "right")
    rows = []
    for use in uses:
        rows.append((use.name, use.counts))
        if use.worst:
            rows.append(("  the worst", use.worst))
    for name, counts in rows:
        numbers = (counts.reads, counts.bytes_read, counts.programs, counts.bytes_programmed)
        shown = [f"{number:,}" for number in (*numbers, counts.erases)]
        table.add_row(name, *shown, f"{counts.chip_ms:,.0f} ms")
    return table


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for function in (doctor, bench):
        app.command(rich_help_panel=BOARDS)(function)
