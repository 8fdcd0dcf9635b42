"""The command `jeton conformance`."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from jeton_host import paths
from jeton_host.bench import flashing, provisioning
from jeton_host.cli import complete
from jeton_host.cli.options import BOARDS, Json, put
from jeton_host.cli.progress import Printer
from jeton_host.errors import BoardError, JetonError
from jeton_host.firmware.build import RECORD
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters import ports
from jeton_host.virtual.board import VirtualBoard

_SHOWN = 20  # failed rows that are printed; the sheet has all rows


def conformance(
    meter: Annotated[
        str,
        typer.Option(
            metavar="PORT|NAME|virtual",
            help="A board: its port, URL or MAC, or auto. A meter: its name; a copy is tested. Or "
            "virtual: a new virtual board.",
            autocompletion=complete.tested,
        ),
    ] = "virtual",
    profile: Annotated[
        str | None,
        typer.Option(
            help="The profile. Default: that of the meter, else generic.",
            autocompletion=complete.profile,
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the sheet as Markdown.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the sheet as one HTML page.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write conformance.md, .html and .json into this folder."
        ),
    ] = None,
    erase_meter: Annotated[
        bool,
        typer.Option("--erase-meter", help="Erase the meter on the board, with its credit."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Enter published vectors and all kinds of token into a board; write a sheet of the results.

    The sheet has about 850 rows: kind of token, state of the key and state of the store, each with
    the result that the standard requires. On a board, the meter is set up again hundreds of times
    and is erased at the end: a board that has a meter is tested only with --erase-meter. For the
    name of a meter, a copy of its flash is tested; the meter itself does not change.

    The exit status is 0 only if each row is as expected.

    Examples:

    - `jeton conformance --out sheet`
    - `jeton conformance --profile ceet --json`
    - `jeton conformance --meter auto --erase-meter --html sheet.html`
    """
    from jeton_host.conformance import sheet as sheets
    from jeton_host.conformance.run import Run

    wanted = [(markdown, sheets.markdown), (html, sheets.html)]
    if out is not None:
        name = out / sheets.NAME
        wanted += [
            (name.with_suffix(".md"), sheets.markdown),
            (name.with_suffix(".html"), sheets.html),
            (name.with_suffix(".json"), sheets.json_text),
        ]
    _check_writable([path for path, _ in wanted if path is not None], out)
    printer = Printer(as_json)
    with _opened(meter, erase_meter) as line:
        run = Run(line, profile or _profile_of(line))
        with printer.bar("conformance", run.total) as progress:
            sheet = run.sheet(progress)
    if out is not None:
        _make(out)
    for path, text in wanted:
        if path is not None:
            sheets.write(path, text(sheet))
    if as_json:
        put(sheet.as_dict())
        if not sheet.good:
            raise typer.Exit(1)
        return
    found = sheet.summary
    for row in sheet.failed[:_SHOWN]:
        states = ", ".join(part for part in (row.key, row.store) if part)
        printer.line(f"FAILED  {row.kind}" + (f" ({states})" if states else "") + f": {row.wrong}")
    if len(sheet.failed) > _SHOWN:
        printer.line(f"… and {len(sheet.failed) - _SHOWN} more")
    printer.line(
        f"{sheet.head['board']}, firmware {sheet.head['firmware']} "
        f"{sheet.head['firmware hash']}, profile {sheet.head['profile']}: "
        f"{found['as_expected']} of {found['rows']} rows as expected, {found['vectors']} of them "
        f"published vectors; a token takes {found['median_ms']} ms"
    )
    for path, _ in wanted:
        if path is not None:
            printer.line(f"written: {path}")
    if not sheet.good:
        raise BoardError(f"{found['failed']} of {found['rows']} rows are not as expected")


def _check_writable(files: list[Path], out: Path | None) -> None:
    """Raise JetonError before the run if a file could not be written after it."""
    if out is not None and not out.exists():
        paths.check_writable(out)  # the folder is created later; its parent must exist
        files = [file for file in files if file.parent != out]
    for file in files:
        paths.check_writable(file)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise JetonError(f"the folder {folder} cannot be created: {error.strerror}") from None


def _profile_of(line: Meter) -> str:
    """Return the profile of a provisioned meter, else generic."""
    now = line.status()
    return now.profile if now.provisioned and now.profile else "generic"


@contextlib.contextmanager
def _opened(where: str, erase: bool) -> Iterator[Meter]:
    """Yield an open meter that the run may erase."""
    if where == "virtual":
        with Meter.open() as line:
            yield line
        return
    if meters.exists(where):
        with _copy(where) as line:
            yield line
        return
    with Meter(ports.find(where).device, timeout=flashing.PATIENCE) as line:
        if line.locked:
            raise JetonError(
                f"the meter at {line.port} is locked: `jeton unlock {line.port} --for-good` "
                "removes the lock"
            )
        there = line.status()
        if (there.provisioned or there.fault) and not erase:
            found = f"meter {there.drn}" if there.provisioned else "a meter with a fault"
            raise JetonError(
                f"there is {found} on {line.port}, and the run erases it with its credit: give "
                "--erase-meter to allow that"
            )
        from jeton_host.conformance.run import check_answers

        try:
            yield line
        finally:
            with contextlib.suppress(BoardError):  # the board was disconnected: no cleaning up
                check_answers(line)
                provisioning.forget_meter(line)


@contextlib.contextmanager
def _copy(name: str) -> Iterator[Meter]:
    """Yield a meter that runs on a copy of a named meter's flash."""
    kept = meters.find(name)
    if port := kept.port():
        raise JetonError(
            f"meter {name} runs at {port}: stop it first, so that its flash can be copied"
        )
    with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
        flash = Path(folder) / "flash.img"
        shutil.copyfile(kept.flash, flash)
        with VirtualBoard(flash, needs=RECORD) as board, Meter(board.path) as line:
            line.name = f"a copy of {name}"
            if line.locked:
                raise JetonError(
                    f"meter {name} is locked: `jeton unlock {name} --for-good` removes the lock"
                )
            yield line


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=BOARDS)(conformance)
