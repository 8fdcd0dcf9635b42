"""The command check-tokens: enters the tokens of a vending system into virtual meters."""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from jeton_host import clock
from jeton_host.cli import complete
from jeton_host.cli.options import TOKENS
from jeton_host.errors import JetonError, VendingError

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0
_SHOWN = 50  # unexpected rows that are printed
_LONGEST = 60  # characters that are printed of a cell


def register(app: typer.Typer) -> None:
    """Add the command to `jeton`."""
    app.command("check-tokens", rich_help_panel=TOKENS)(check_tokens)


def check_tokens(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="CSV with a header, or JSON lines; - is standard input."
        ),
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=HEADER",
            help="The header of a column, for example token='STS code'. Names: meter, token, "
            "expected, energy, result, ignore, and the options below. Repeat.",
        ),
    ] = None,
    pos: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The point of sale of the meters. Default: that of `jeton new`.",
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Your vending keys. Default: $JETON_KEYS."),
    ] = None,
    ea: Annotated[int | None, typer.Option(help="Encryption algorithm: 7 or 11.")] = None,
    dkga: Annotated[int | None, typer.Option(help="Key generation algorithm: 2 or 4.")] = None,
    sgc: Annotated[str | None, typer.Option(help="Supply group code.")] = None,
    ti: Annotated[int | None, typer.Option(help="Tariff index.")] = None,
    krn: Annotated[int | None, typer.Option(help="Key revision number.")] = None,
    kt: Annotated[int | None, typer.Option(help="Key type.")] = None,
    ken: Annotated[int | None, typer.Option(help="Key expiry number.")] = None,
    bdt: Annotated[str | None, typer.Option(help="Base date: 93, 14 or 35.")] = None,
    kct: Annotated[int | None, typer.Option(help="Key change tokens: 2 to 4.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="The profile of the meters.", autocompletion=complete.profile),
    ] = None,
    made: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Date of manufacture of the meters: they refuse older tokens."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="DATETIME", help="The time of the meters' clocks. Default: now."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Virtual boards that run at the same time. Default: one for each core.",
        ),
    ] = None,
    searches: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="For how many refused tokens to try other keys; each takes half a second.",
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write JUnit XML.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Enter issued tokens into virtual meters with the same numbers, and compare the results.

    A row has a meter (number or name), a token and, optionally, what you expect: kWh, or a result
    by its name in the standard, such as UsedError. The rows of one meter are entered in the order
    of the file, so that a key change works.

    The columns or options sgc, krn, ti and so on describe a meter that is not registered in the
    point of sale. It has the published test keys, unless you give yours with --keys. If one of
    these values is given for a registered meter, its registered values are ignored; a missing
    value has the default of `jeton new`.

    If one of these values changes within the rows of a meter, it is compared with what the
    emulated meter has there: after a key change among the rows, with the new key.

    The exit status is 0 if each result is as expected, and no amount of energy was left out
    because it could not be read ("not compared").

    Examples:

    - `jeton check-tokens issued.csv`
    - `jeton check-tokens issued.csv --sgc 123456 --junit report.xml`
    - `jeton check-tokens - --json < issued.jsonl`
    """
    from jeton_host.checking import check as checking
    from jeton_host.checking import rows as check_rows
    from jeton_host.paths import check_writable
    from jeton_host.terminal.parse import instant
    from jeton_host.vending.keys import load_keys
    from jeton_host.vending.pos import PointOfSale

    if junit is not None:
        check_writable(junit)
    started = clock.now()
    with _reported(junit, file, started):
        given = {
            "ea": ea, "dkga": dkga, "sgc": sgc, "ti": ti, "krn": krn, "kt": kt, "ken": ken,
            "bdt": bdt, "kct": kct, "profile": profile, "made": _day(made),
        }  # fmt: skip
        setup = {name: value for name, value in given.items() if value is not None}
        checking.check_setup(setup)
        if pos is not None and not pos.exists():
            raise VendingError(f"there is no point of sale {pos}")
        when = instant(at) if at else None
        sheet = check_rows.read(_read(file), _columns(column))
        began = time.monotonic()
        with _progress(len(sheet.rows)) as tick:
            found = checking.check(
                sheet.rows,
                pos=PointOfSale(pos, keys=load_keys(keys)),
                setup=setup,
                at=when,
                jobs=jobs or os.cpu_count() or 1,
                searches=checking.SEARCHES if searches is None else searches,
                tick=tick,
            )
        seconds = time.monotonic() - began
    if junit is not None:
        _write_junit(junit, _cases(found, seconds), started, seconds)
    bad = sum(not checked.as_expected for checked in found)
    if json_:
        left_out = sum(not checked.compared for checked in found)
        summary = {"rows": len(found), "as_expected": len(found) - bad}
        summary |= {"otherwise": bad - left_out, "not_compared": left_out}
        summary["meters"] = len({checked.drn for checked in found if checked.drn})
        rows = [checked.as_dict() for checked in found]
        unused = {"unused_columns": list(sheet.unused)}
        typer.echo(json.dumps(summary | unused | {"results": rows}, ensure_ascii=False))
    else:
        _show(found, sheet.unused, seconds)
    if bad:
        raise typer.Exit(1)


def _day(text: str | None) -> date | None:
    from jeton_host.terminal.parse import day

    return None if text is None else day(text)


def _columns(given: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for text in given or ():
        name, sign, header = text.partition("=")
        if not sign or not header.strip():
            raise JetonError(f"--column {text!r} is not valid: write NAME=HEADER")
        found[name.strip().lower()] = header
    return found


def _read(file: str) -> bytes:
    from jeton_host.checking.rows import MAX_BYTES

    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with open(file, "rb") as source:
            return source.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise JetonError(f"{file!r} cannot be read: {getattr(error, 'strerror', error)}") from None


@contextlib.contextmanager
def _progress(rows: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that advances a progress bar by some rows; a bar only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=rows)
        yield lambda count: bar.advance(task, count)


def _show(found: Sequence[Any], unused: Sequence[str], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    wrong = [checked for checked in found if not checked.as_expected]
    for checked in wrong[:_SHOWN]:
        row = checked.row
        what = " ".join(part[:_LONGEST] for part in (row.meter, row.token) if part)
        typer.echo(_line(f"line {row.line}: {what}: {checked.problem}"))
    if len(wrong) > _SHOWN:
        typer.echo(f"… and {len(wrong) - _SHOWN} more: --json or --junit lists all")
    table = Table()
    table.add_column("result")
    for name in ("rows", "as expected", "kWh"):
        table.add_column(name, justify="right")
    for result in sorted({checked.result or "" for checked in found}):
        those = [checked for checked in found if (checked.result or "") == result]
        energy_wh = sum(checked.credited_wh for checked in those)
        table.add_row(
            result or "not entered",
            str(len(those)),
            str(sum(checked.as_expected for checked in those)),
            f"{energy_wh / 1000:,.1f}" if energy_wh else "",
        )
    Console().print(table)
    meters = len({checked.drn for checked in found if checked.drn})
    left_out = sum(not checked.compared for checked in wrong)
    counts = {"not as expected": len(wrong) - left_out, "not compared": left_out}
    outcome = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)
    typer.echo(
        f"{_count(len(found), 'row')}, {_count(meters, 'meter')}, {seconds:.1f} s: "
        f"{outcome or 'all as expected'}."
    )
    for warning in sorted({checked.warning for checked in found if checked.warning})[:_SHOWN]:
        typer.echo(f"Warning: {warning}.")
    accepted = sum(not c.row.expected and c.as_expected for c in found)
    if accepted:
        typer.echo(f"{_count(accepted, 'row')} without an expected result: accepted.")
    if unused:
        typer.echo(_line(f"Unused columns: {', '.join(unused)}."))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _line(text: str) -> str:
    """Return a text from a file on one line; ? replaces each control character."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


@contextlib.contextmanager
def _reported(junit: Path | None, file: str, started: datetime) -> Iterator[None]:
    """Write an error that stops the whole run into the report, so that no old report remains."""
    from junitparser import Error, TestCase

    began = time.monotonic()
    try:
        yield
    except (JetonError, OSError, ValueError) as error:
        if junit is not None:
            seconds = time.monotonic() - began
            case = TestCase(_xml(file), "check-tokens", seconds)
            case.result = [Error(_xml(str(error)), "file")]
            _write_junit(junit, [case], started, seconds)
        raise


def _cases(found: Sequence[Any], seconds: float) -> Iterator[Any]:
    """Yield a JUnit test case for each row.

    Rows are checked together, so each has the same share of the duration.
    """
    from junitparser import Failure, TestCase

    for checked in found:
        row = checked.row
        name, meter = _xml(f"line {row.line}: {row.token}"), _xml(checked.drn or row.meter)
        case = TestCase(name, meter, round(seconds / len(found), 6))
        if not checked.as_expected:
            failure = Failure(_xml(checked.problem), checked.cause or "otherwise")
            case.result = [failure]
        elif checked.why:
            case.system_out = _xml(checked.why)
        yield case


def _write_junit(path: Path, cases: Iterable[Any], started: datetime, seconds: float) -> None:
    """Write a report; if the path is standard output, print it after the other output."""
    from junitparser import JUnitXml, TestSuite

    suite = TestSuite("check-tokens")
    suite.add_testcases(list(cases))
    report = JUnitXml("jeton")
    report.add_testsuite(suite)
    suite.timestamp = started.isoformat(timespec="seconds")
    suite.time = report.time = round(seconds, 3)
    try:
        if path.exists() and os.path.samestat(os.stat(path), os.fstat(1)):
            typer.echo(report.tostring())
        else:
            path.write_bytes(report.tostring())
    except OSError as error:
        raise JetonError(f"{path} cannot be written: {error.strerror}") from None


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
