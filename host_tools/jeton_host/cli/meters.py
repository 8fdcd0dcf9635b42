"""Commands about meters: new, list, serve, run, delete."""

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

from jeton.sts import digits
from jeton_host.cli import complete
from jeton_host.cli.options import (
    METERS,
    DisplaySize,
    Heap,
    Json,
    Name,
    NewName,
    display_size,
    put,
)
from jeton_host.cli.plain import run_plain
from jeton_host.errors import BoardError, JetonError, VendingError
from jeton_host.firmware import profiles
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.terminal.parse import day, instant, shortened, watt_hours
from jeton_host.terminal.words import kwh
from jeton_host.vending import tid
from jeton_host.vending.pan import padded
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import HEAP
from jeton_host.zones import zone_of

_COLUMNS, _ROWS = 80, 24  # the smallest terminal for the full screen


def _check_clock(when: datetime, bdt: str) -> None:
    """Raise JetonError for a time outside the TID range of a base date."""
    first, last = tid.first_and_last(bdt)
    if not first <= when <= last + timedelta(minutes=1) - timedelta(microseconds=1):
        raise JetonError(
            f"a clock of {when:%Y-%m-%d %H:%M} is out of the range of base date {bdt}, "
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d %H:%M} UTC: give another --clock or --bdt"
        )


def _check_language(language: str, profile: str, graphic: bool) -> None:
    """Raise JetonError for a language that a new meter would not have."""
    known = profiles.load(profile)["languages"]
    if language not in known:
        raise JetonError(
            f"profile {profile} lacks the language {shortened(language)}: it has "
            f"{', '.join(known)}"
        )
    if language in profiles.RIGHT_TO_LEFT and not graphic:
        raise JetonError(f"--language {language} needs a graphic display: give --graphic too")


def new(
    name: NewName,
    profile: Annotated[
        str,
        typer.Option(
            help="The behaviour of a maker's or a utility's meter: `jeton profile list`.",
            autocompletion=complete.profile,
        ),
    ] = "generic",
    drn: Annotated[str | None, typer.Option(help="Meter number, 11 or 13 digits.")] = None,
    ea: Annotated[int, typer.Option(help="Encryption algorithm: 7 or 11.")] = 7,
    dkga: Annotated[int | None, typer.Option(help="Key generation algorithm: 2 or 4.")] = None,
    sgc: Annotated[str, typer.Option(help="Supply group code, 6 digits.")] = "201457",
    ti: Annotated[int, typer.Option(help="Tariff index, 0 to 99.")] = 1,
    krn: Annotated[int, typer.Option(help="Key revision number, 1 to 9.")] = 1,
    bdt: Annotated[str, typer.Option(help="Base date: 93, 14 or 35.")] = "14",
    ken: Annotated[int, typer.Option(help="Key expiry number, 0 to 255.")] = 255,
    kct: Annotated[int | None, typer.Option(help="Key change tokens it supports: 2 to 4.")] = None,
    credit: Annotated[str, typer.Option(help="Initial credit, kWh.")] = "0",
    clock: Annotated[
        str | None, typer.Option(help="The time of its clock, ISO 8601. Default: now.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Time zone: +01:00, or a name such as Europe/Paris. Default: the profile's.",
        ),
    ] = None,
    made: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Date of manufacture: older tokens are refused. Default: tokens of any age are "
            "accepted.",
        ),
    ] = None,
    display: Annotated[
        DisplaySize,
        typer.Option(
            parser=display_size,
            metavar="ROWSxCOLUMNS",
            help="Size of the display: 2x16, 2x20, 4x16 or 4x20.",
        ),
    ] = DisplaySize.TWO_16,
    language: Annotated[
        str | None,
        typer.Option(
            help="Language of the display. Default: the first of the profile.",
            autocompletion=complete.language,
        ),
    ] = None,
    graphic: Annotated[
        bool, typer.Option("--graphic", help="A graphic display, which can show Arabic too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create a meter, and register it in the point of sale.

    The meter and its state are kept until `jeton delete`.

    Examples:

    - `jeton new home`
    - `jeton new lome --profile ceet --bdt 93 --credit 12.5`
    - `jeton new atar --profile somelec --graphic`
    - `jeton new douala --profile eneo --language en`
    """
    pos = PointOfSale()
    meters.check_free(name, pos)
    credit_wh = watt_hours(credit)
    at = instant(clock) if clock else None
    if at is not None:
        _check_clock(at, bdt)
    zone = {} if timezone is None else zone_of(timezone).config()
    made_on = day(made) if made else None
    if language is not None:
        _check_language(language, profile, graphic)
    registered = False  # whether this command has registered it in the point of sale

    def config() -> dict[str, Any]:
        nonlocal registered
        registered = True
        try:
            pos.add_meter(
                name, drn=drn, ea=ea, dkga=dkga, sgc=sgc, ti=ti, krn=krn, bdt=bdt, ken=ken,
                kct=kct, profile=profile, made=made_on,
            )  # fmt: skip
        except JetonError:
            registered = False
            raise
        about = pos.config_for(name, at=at)
        return about | zone | {"credit_wh": credit_wh, "display": [*display.size, int(graphic)]}

    if drn is not None and (warning := padded(digits.clean(drn))):
        print(f"jeton: warning: {warning}", file=sys.stderr)
    try:
        meter = meters.create(name, config, language=language)
    except BaseException:
        if registered:
            with contextlib.suppress(VendingError):  # interrupted before it was registered
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
    """List the meters, and the ports of those that run.

    Example:

    - `jeton list --json`
    """
    found = meters.all_meters()
    if as_json:
        put([meter.as_dict() for meter in found])
        return
    if not found:
        print("no meters yet: `jeton new NAME` creates one")
    for meter in found:
        about, port = meter.about, meter.port()
        print(
            f"{meter.name}  {about.get('drn', '?')}  {about.get('profile', '?')}  "
            + (f"runs at {port}" if port else "off")
            + (f", damaged: {meter.damaged}" if meter.damaged else "")
        )


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without a question.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a meter, and its tokens and keys in the point of sale.

    At a terminal, this asks first. It also removes a damaged meter, and one whose creation was
    interrupted.

    Examples:

    - `jeton delete home`
    - `jeton delete home --yes`
    """
    pos = PointOfSale()
    record = next((one for one in pos.meters() if one.name == name), None)
    tokens = len(pos.issued(name)) if record else 0
    what = f"meter {name}"
    if record:
        what += f" ({record.drn}) and {tokens} issued token{'' if tokens == 1 else 's'}"
    if sys.stdin.isatty() and not yes:
        meters.check_deletable(name, pos)
        if not typer.confirm(f"Delete {what}?", err=True):
            raise JetonError(f"meter {name} was not deleted")
    meters.delete(name, pos)
    if as_json:
        drn = record.drn if record else None
        put({"name": name, "deleted": True, "drn": drn, "tokens": tokens})
    else:
        print(f"deleted: {what}")


def serve(
    name: Name,
    link: Annotated[
        Path | None, typer.Option(help="Also create this symbolic link to the port.")
    ] = None,
    heap: Heap = HEAP,
    as_json: Json = False,
) -> None:
    """Run a meter in the foreground, and print its port (or its link) in the first line.

    mpremote, a terminal program or a test bench can open that port. Ctrl-C or SIGTERM stops the
    meter.

    Examples:

    - `jeton serve home`
    - `jeton serve home --link /dev/shm/home`
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
                raise BoardError(f"the board of meter {name} has stopped")


def run(
    where: Annotated[
        str,
        typer.Argument(
            metavar="[NAME|PORT]",
            help="The name of a meter, or a port. Default: a new meter, deleted at the end.",
            autocompletion=complete.meter_or_port,
        ),
    ] = "virtual",
    profile: Annotated[
        str | None,
        typer.Option(
            help="The profile of the new meter, if no name or port is given. Default: generic.",
            autocompletion=complete.profile,
        ),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Use lines of text, for any terminal, file or pipe.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Use a meter by hand, on a full screen: its keypad, display and LEDs. q saves and quits.

    Type digits on your keyboard; Return is the meter's Enter key. You can set the load, the clock
    and its speed. For a meter of the point of sale, you can also issue tokens and enter them.

    With --plain, or in a terminal smaller than 80 by 24, type keys line by line; Ctrl-C or `quit`
    ends the command. With --json, each answer is one line of JSON. If the lines come from a file
    or a pipe, the exit status is 1 if one of them was refused.

    Examples:

    - `jeton run`
    - `jeton run home`
    - `jeton run /dev/ttyUSB0`
    - `jeton run home --plain`
    - `jeton run --profile ceet`
    """
    if profile is not None and where != "virtual":
        raise JetonError(
            f"--profile is only for a new meter, and {where} has a profile: run `jeton run "
            f"--profile {profile}`, or create a meter with `jeton new NAME --profile {profile}`"
        )
    with contextlib.ExitStack() as stack:
        pos = PointOfSale()
        config = None
        if where == "virtual":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jeton-"))
            pos = PointOfSale(Path(folder) / "pos.sqlite")
            pos.add_meter(where, profile=profile or "generic")
            config = pos.config_for(where)
        if plain or as_json or not _full_screen():
            run_plain(stack.enter_context(Meter.open(where, config=config)), where, as_json)
            return
        meter = stack.enter_context(Meter.open(where, config=config))
        from jeton_host.screen import app  # takes half a second: only this command imports it

        status = app.show(meter, where, pos)
        if status:
            raise typer.Exit(status)


def _full_screen() -> bool:
    """Return whether standard input and output are a terminal that is large enough."""
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
