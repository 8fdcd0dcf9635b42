"""Commands about meters: make, list, serve, run, key tokens in, let time pass."""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from jeton_host.cli.options import (
    METERS,
    DisplaySize,
    Heap,
    Json,
    Name,
    display_size,
    put,
)
from jeton_host.cli.plain import run_plain
from jeton_host.errors import BoardError, JetonError, VendingError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.terminal.parse import day, instant, watt_hours
from jeton_host.terminal.words import kwh
from jeton_host.vending import tid
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import HEAP

_COLUMNS, _ROWS = 80, 24  # that the full screen needs


def _check_clock(when: datetime, bdt: str) -> None:
    """Raise JetonError for a time that the base date of a meter cannot name."""
    first, last = tid.first_and_last(bdt)
    if not first <= when <= last + timedelta(minutes=1) - timedelta(microseconds=1):
        raise JetonError(
            f"a clock of {when:%Y-%m-%d %H:%M} is out of the range of base date {bdt}, "
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d %H:%M} UTC: give another --clock or --bdt"
        )


def new(
    name: Name,
    profile: Annotated[str, typer.Option(help="Behaviour of a maker or utility.")] = "generic",
    drn: Annotated[str | None, typer.Option(help="Meter number, 11 or 13 digits.")] = None,
    ea: Annotated[int, typer.Option(help="Encryption algorithm: 7 or 11.")] = 7,
    dkga: Annotated[int | None, typer.Option(help="Key generation algorithm: 2 or 4.")] = None,
    sgc: Annotated[str, typer.Option(help="Supply group code, 6 digits.")] = "201457",
    ti: Annotated[int, typer.Option(help="Tariff index, 0 to 99.")] = 1,
    krn: Annotated[int, typer.Option(help="Key revision number, 1 to 9.")] = 1,
    bdt: Annotated[str, typer.Option(help="Base date: 93, 14 or 35.")] = "14",
    ken: Annotated[int, typer.Option(help="Key expiry number, 0 to 255.")] = 255,
    kct: Annotated[int | None, typer.Option(help="Key change tokens it supports: 2 to 4.")] = None,
    credit: Annotated[str, typer.Option(help="Credit to begin with, kWh.")] = "0",
    clock: Annotated[str | None, typer.Option(help="Its time, ISO 8601; default now.")] = None,
    made: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Date of manufacture: older tokens are refused. Default: tokens of any age are "
            "taken.",
        ),
    ] = None,
    display: Annotated[
        DisplaySize,
        typer.Option(
            parser=display_size,
            metavar="ROWSxCOLUMNS",
            help="One of 2x16, 2x20, 4x16, 4x20.",
        ),
    ] = DisplaySize.TWO_16,
    graphic: Annotated[
        bool, typer.Option("--graphic", help="A display of dots: it draws Arabic too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a meter that is kept, and register it with the point of sale.

    Examples: `jeton new demo` · `jeton new lome --profile ceet --bdt 93 --credit 12.5` ·
    `jeton new atar --profile somelec --graphic`
    """
    pos = PointOfSale()
    meters.check_free(name, pos)
    credit_wh = watt_hours(credit)
    at = instant(clock) if clock else None
    if at is not None:
        _check_clock(at, bdt)
    made_on = day(made) if made else None
    ours = False  # what the point of sale knows of it

    def config() -> dict[str, Any]:
        nonlocal ours
        ours = True
        try:
            pos.add_meter(
                name, drn=drn, ea=ea, dkga=dkga, sgc=sgc, ti=ti, krn=krn, bdt=bdt, ken=ken,
                kct=kct, profile=profile, made=made_on,
            )  # fmt: skip
        except JetonError:
            ours = False
            raise
        about = pos.config_for(name, at=at)
        return about | {"credit_wh": credit_wh, "display": [*display.size, int(graphic)]}

    try:
        meter = meters.create(name, config)
    except BaseException:
        if ours:
            with contextlib.suppress(VendingError):  # it was not even registered
                pos.remove_meter(name)
        raise
    if as_json:
        put(meter.as_dict())
    else:
        about = meter.about
        print(
            f"{name}: meter {about['drn']}, EA{about['ea']:02d}, SGC {about['sgc']}, "
            f"TI {about['ti']:02d}, KRN {about['krn']}, base date {about['bdt']}, "
            f"profile {about['profile']}, {kwh(credit_wh)} kWh"
        )


def list_(as_json: Json = False) -> None:
    """List the meters that are kept, and where those that run can be reached.

    Example: `jeton list --json`
    """
    found = meters.all_meters()
    if as_json:
        put([meter.as_dict() for meter in found])
        return
    if not found:
        print("no meters yet: `jeton new NAME` makes one")
    for meter in found:
        about, port = meter.about, meter.port()
        print(
            f"{meter.name}  {about.get('drn', '?')}  {about.get('profile', '?')}  "
            + (f"runs at {port}" if port else "off")
            + (f", damaged: {meter.damaged}" if meter.damaged else "")
        )


def delete(name: Name, as_json: Json = False) -> None:
    """Delete a meter, and what the point of sale knows of it; half-made and damaged ones too.

    Example: `jeton delete demo`
    """
    meters.delete(name, PointOfSale())
    if as_json:
        put({"name": name, "deleted": True})


def serve(
    name: Name,
    link: Annotated[
        Path | None, typer.Option(help="Also make this link to the serial port.")
    ] = None,
    heap: Heap = HEAP,
    as_json: Json = False,
) -> None:
    """Run a meter in the foreground; the first line is its serial port (the link, if asked for).

    mpremote, a terminal program or a test rig connects to that. Ctrl-C or SIGTERM stops it.

    Examples: `jeton serve demo` · `jeton serve demo --link /dev/shm/demo`
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with meters.NamedBoard(meters.find(name), heap=heap, link=link) as board:
        if as_json:
            print(json.dumps({"name": name, "port": board.path}), flush=True)
        else:
            print(board.path, flush=True)
        while not stop.wait(1.0):
            if not board.running:
                raise BoardError(f"the board of meter {name} died")


def run(
    where: Annotated[
        str,
        typer.Argument(
            metavar="[NAME|PORT]",
            help="A meter's name, or a port. Default: a fresh meter, gone afterwards.",
        ),
    ] = "virtual",
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines of text: for any terminal, file or pipe.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Use a meter by hand: its keypad, display and lamps, on a full screen. q leaves it saved.

    Digits are keyed in and Return is the Enter key. Load, clock and its speed can be set, and
    tokens issued and keyed in, for a meter that this point of sale knows.

    With --plain, or where there is no terminal of 80 by 24, type keys line by line: Ctrl-C or
    `quit` ends it. With --json each answer is one line of JSON. Fed from a file or a pipe it ends
    with status 1 if any line was refused.

    Examples: `jeton run` · `jeton run demo` · `jeton run /dev/ttyUSB0` · `jeton run demo --plain`
    """
    with contextlib.ExitStack() as stack:
        pos = PointOfSale()
        config = None
        if where == "virtual":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jeton-"))
            pos = PointOfSale(Path(folder) / "pos.sqlite")
            pos.add_meter(where)
            config = pos.config_for(where)
        if plain or as_json or not _full_screen():
            run_plain(stack.enter_context(Meter.open(where, config=config)), where, as_json)
            return
        meter = stack.enter_context(Meter.open(where, config=config))
        from jeton_host.screen import app  # half a second that no other command is to wait for

        status = app.show(meter, where, pos)
        if status:
            raise typer.Exit(status)


def _full_screen() -> bool:
    """Return whether there is a terminal that a person looks at, and large enough."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return False
    columns, rows = shutil.get_terminal_size()
    return columns >= _COLUMNS and rows >= _ROWS


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for name, function in (
        ("new", new),
        ("list", list_),
        ("serve", serve),
        ("run", run),
        ("delete", delete),
    ):
        app.command(name, rich_help_panel=METERS)(function)
