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
from jeton_host.cli.options import BOARDS, Json, put
from jeton_host.cli.progress import Told
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters import ports
from jeton_host.virtual.board import VirtualBoard

_SHOWN = 20  # failures on the terminal; the sheet has all


def conformance(
    meter: Annotated[
        str,
        typer.Option(
            metavar="PORT|NAME|virtual",
            help="A board's port, URL, MAC or auto; a copy of a kept meter; or a fresh one.",
        ),
    ] = "virtual",
    profile: Annotated[
        str | None,
        typer.Option(help="Behaviour of the meter. Default: generic, or that of NAME."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the sheet in Markdown.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the sheet as one HTML page.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write conformance.md, .html and .json there."),
    ] = None,
    erase_meter: Annotated[
        bool,
        typer.Option("--erase-meter", help="Give up the meter that is on the board, with all."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Key published vectors and all kinds of token into a board; write a sheet of what came of it.

    Some 850 rows: token kind, key state and store state, each with the result that the standard
    demands. They are keyed into the board's own meter, which is set up anew hundreds of times and
    is gone afterwards: one that is there is given up with --erase-meter only. Of a kept meter a
    copy of its flash is tested; it stays as it is.

    Exit status 0 only if every row is as expected.

    Examples: `jeton conformance --out sheet` · `jeton conformance --profile ceet --json` ·
    `jeton conformance --meter auto --erase-meter --html sheet.html`
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
    told = Told(as_json)
    with _opened(meter, erase_meter) as line:
        run = Run(line, profile or _profile_of(line))
        with told.bar("conformance", run.total) as progress:
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
        told.line(f"FAILED  {row.kind}" + (f" ({states})" if states else "") + f": {row.wrong}")
    if len(sheet.failed) > _SHOWN:
        told.line(f"… and {len(sheet.failed) - _SHOWN} more")
    told.line(
        f"{sheet.head['board']}, firmware {sheet.head['firmware']} "
        f"{sheet.head['firmware hash']}, profile {sheet.head['profile']}: "
        f"{found['as_expected']} of {found['rows']} rows as expected, {found['vectors']} of them "
        f"published vectors; a token takes {found['median_ms']} ms"
    )
    for path, _ in wanted:
        if path is not None:
            told.line(f"written: {path}")
    if not sheet.good:
        raise BoardError(f"{found['failed']} of {found['rows']} rows are not as expected")


def _check_writable(files: list[Path], out: Path | None) -> None:
    """Refuse, before a run, what could not be written after it."""
    if out is not None and not out.exists():
        paths.check_writable(out)  # it is made then, its parent is not
        files = [file for file in files if file.parent != out]
    for file in files:
        paths.check_writable(file)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise JetonError(f"the folder {folder} cannot be made: {error.strerror}") from None


def _profile_of(line: Meter) -> str:
    """Return the profile of a meter that is set up, else the generic one."""
    now = line.status()
    return now.profile if now.provisioned and now.profile else "generic"


@contextlib.contextmanager
def _opened(where: str, erase: bool) -> Iterator[Meter]:
    """Give the open line of a meter that may be lost."""
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
            told = f"meter {there.drn}" if there.provisioned else "a meter with a fault"
            raise JetonError(
                f"there is {told} on {line.port}, and this would take its place: --erase-meter "
                "gives it up, with its credit"
            )
        from jeton_host.conformance.run import check_answers

        try:
            yield line
        finally:
            with contextlib.suppress(BoardError):  # the board is gone: nothing can be tidied up
                check_answers(line)
                provisioning.forget_meter(line)


@contextlib.contextmanager
def _copy(name: str) -> Iterator[Meter]:
    """Give a meter on a copy of a kept one's flash."""
    kept = meters.find(name)
    if port := kept.port():
        raise JetonError(f"meter {name} runs at {port}: stop that first, then a copy is tested")
    with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
        flash = Path(folder) / "flash.img"
        shutil.copyfile(kept.flash, flash)
        with VirtualBoard(flash, needs="meter.bin") as board, Meter(board.path) as line:
            line.name = f"a copy of {name}"
            if line.locked:
                raise JetonError(
                    f"meter {name} is locked: `jeton unlock {name} --for-good` removes the lock"
                )
            yield line


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=BOARDS)(conformance)
