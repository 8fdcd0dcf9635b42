"""Commands about meters: make, list, serve, run, key tokens in, let time pass."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from host_tools import loads, meters
from host_tools.draw import panel
from host_tools.errors import BoardError, JetonError, VendingError
from host_tools.link import LOAD_STEPS, EnterResult, Event, Meter, PressResult, Status, TokenResult
from host_tools.vending import tid
from host_tools.vending.pos import PointOfSale
from host_tools.virtual import HEAP
from jeton.sts import digits

_WHY = {
    TokenResult.OVERFLOW: "the credit would be more than the meter can hold",
    TokenResult.KEY_TYPE: "the key may not change to that type",
    TokenResult.FORMAT: "that is not a token: a token is 20 digits",
    TokenResult.RANGE: "a value in it is out of range",
    TokenResult.FUNCTION: "this meter does not have that function",
    TokenResult.OLD: "it is older than the oldest token the meter remembers",
    TokenResult.USED: "it was used already",
    TokenResult.KEY_EXPIRED: "the meter's key has expired",
    TokenResult.DDTK: "the meter has a default key, which takes no credit",
    TokenResult.CRC: "mistyped, or for another meter or key",
    TokenResult.MFR_CODE: "it is for another maker's meters",
    TokenResult.LOCK_OUT: "too many wrong tokens: wait, then try again",
    TokenResult.NOT_READY: "the meter is not ready for it",
}

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"(?:[0-9]+(?:min|[smhdw])?)+", re.IGNORECASE)
_PART = re.compile(r"([0-9]+)(min|[smhdw]?)", re.IGNORECASE)

_COLUMNS, _ROWS = 80, 24  # that the full screen needs

_LONGEST = 40  # characters of a number or a time span

# So that `load -1` is a refused load and not an unknown option.
NUMBERS = {"ignore_unknown_options": True}

# The groups of commands in the help.
METERS = "Meters"
HAPPENS = "What happens to a meter"
TELLS = "What a meter tells"

_KEYS = "0 to 9, * backspace, # Enter, i where there is one"
_HELP = "digits (Return is Enter), * backspace, load WATTS, advance 2h, status, quit"


class DisplaySize(StrEnum):
    """The sizes of display that meters have."""

    TWO_16 = "2x16"
    TWO_20 = "2x20"
    FOUR_16 = "4x16"
    FOUR_20 = "4x20"

    @property
    def size(self) -> list[int]:
        """Return rows and columns."""
        return [int(part) for part in self.value.split("x")]


def display_size(text: str) -> DisplaySize:
    """Return the size of a display; typer.BadParameter where there is none of it."""
    try:
        return DisplaySize(text)
    except ValueError:
        raise typer.BadParameter(
            f"{_short(text)} is none of {', '.join(DisplaySize)}: rows x columns"
        ) from None


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[str, typer.Argument(metavar="NAME|PORT", help="A meter's name, or a port.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The meter's name.")]
Heap = Annotated[str, typer.Option(help="Heap of the virtual board.")]


def duration(text: str) -> int:
    """Return the seconds of 90, 90s, 15min, 2h, 30d, 1w or 1h30m."""
    compact = text.replace(" ", "")
    if len(compact) > _LONGEST or not _SPAN.fullmatch(compact):
        raise JetonError(
            f"{_short(text)} is not a time span: say for example 90, 15min, 2h or 30d"
        )
    return sum(int(n) * _UNITS[unit.lower()] for n, unit in _PART.findall(compact))


def instant(text: str) -> datetime:
    """Return the time of an ISO 8601 text; without a zone it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise JetonError(f"{text!r} is not a time: say for example 2024-11-24T00:01") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def day(text: str) -> date:
    """Return the date of an ISO 8601 text."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise JetonError(f"{text!r} is not a date: say for example 2026-01-31") from None


def _check_clock(when: datetime, bdt: str) -> None:
    """Raise JetonError for a time that the base date of a meter cannot name."""
    first, last = tid.first_and_last(bdt)
    if not first <= when <= last + timedelta(minutes=1) - timedelta(microseconds=1):
        raise JetonError(
            f"a clock of {when:%Y-%m-%d %H:%M} is out of the range of base date {bdt}, "
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d %H:%M} UTC: give another --clock or --bdt"
        )


def watt_hours(text: str) -> int:
    """Return the Wh of a number of kWh."""
    if len(text) > _LONGEST:
        raise JetonError(f"a number of {len(text)} characters is not a number of kWh")
    try:
        wh = Decimal(text) * 1000
        if wh.is_nan():
            raise ArithmeticError
    except ArithmeticError:
        raise JetonError(f"{text!r} is not a number of kWh") from None
    if not 0 <= wh < 10**15 or wh != wh.to_integral_value():
        raise JetonError(
            f"{text} kWh will not do: not negative, at most three decimals, and not that much"
        )
    return int(wh)


def watts_of(text: str) -> int:
    """Return the W of a load."""
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        raise JetonError(f"a load of {_short(text)} will not do: a whole number of W, 0 or more")
    return int(text)


def _short(text: str) -> str:
    """Return what somebody typed for a message: the beginning of it, on one line."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def kwh(energy_wh: int) -> str:
    """Return Wh as kWh with two decimals or, where they matter, three."""
    return f"{energy_wh / 1000:.3f}" if energy_wh % 10 else f"{energy_wh / 1000:.2f}"


def put(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False))


def _show(meter: Meter, title: str = "") -> None:
    display = meter.display()
    Console().print(panel(display.lines, display.rows, display.cols, title=title))


def at_utc(time: datetime) -> str:
    """Return a time for people."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def summary(status: Status) -> str:
    """Return the one line that says how a meter is."""
    switch = status.switch
    if switch == "open":
        switch += f" ({status.switch_reason.replace('_', ' ')})"
    return (
        f"{kwh(status.credit_wh)} kWh left, {kwh(status.total_wh)} kWh used, "
        f"load {status.load_w} W, switch {switch}, {at_utc(status.clock)}"
    )


def matters(status: Status) -> list[str]:
    """Return what is not as it is on a quiet day."""
    found = [
        (status.alarm, "the low credit alarm sounds"),
        (status.low_credit and not status.alarm, "credit is low"),
        (status.emergency, "emergency credit can be taken"),
        (
            status.emergency_debt_wh,
            f"{kwh(status.emergency_debt_wh)} kWh of emergency credit to repay",
        ),
        (status.advance_debt_wh, f"{kwh(status.advance_debt_wh)} kWh of advances to repay"),
        (status.trips, f"{status.trips} trip{'s' * (status.trips > 1)} of the switch"),
    ]
    if status.reconnect_at:
        found.append((True, f"the switch closes at {at_utc(status.reconnect_at)}"))
    if status.lock_until:
        found.append((True, f"no tokens before {at_utc(status.lock_until)}: too many wrong ones"))
    if status.pending:
        codes = ", ".join(map(str, status.pending))
        found.append((True, f"a key change is half done: it has code {codes}"))
    return [what for holds, what in found if holds]


def event_line(event: Event) -> str:
    """Return the one line of an entry of the log, or of a fault report."""
    # In an order of its own: a board gives them in any.
    details = ", ".join(f"{name} {value}" for name, value in sorted(event.details.items()))
    return f"{event.seq:>5}  {at_utc(event.time)}  {event.kind}  {details}".rstrip()


def refusal(result: EnterResult) -> str:
    """Return the one line that says why a token was refused."""
    why = result.message or _WHY.get(result.result, "")
    return f"refused, {result.name}" + (f": {why}" if why else "")


def accepted(result: EnterResult) -> str:
    """Return the one line that says what an accepted token did."""
    parts = [result.name]
    if result.token:
        parts.append(result.token)
    if result.amount_wh is not None and result.token and "Credit" in result.token:
        parts.append(f"{kwh(result.amount_wh)} kWh")
    if result.missing:
        parts.append(f"still missing: code {', '.join(map(str, result.missing))}")
    return ", ".join(parts)


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


def enter(
    where: Where,
    token: Annotated[
        list[str], typer.Argument(metavar="TOKEN", help="20 digits, in groups or not.")
    ],
    as_json: Json = False,
) -> None:
    """Key a token in, or several: the codes of a key change belong into one call.

    A refused token changes nothing; the exit status is then 1. With several tokens --json prints
    a list.

    Examples: `jeton enter demo 7063 0503 4700 2872 6114` · `jeton enter /dev/ttyUSB0 CODE1 CODE2`
    """
    codes = tokens_of(token)
    results: list[EnterResult] = []
    with Meter.open(where) as meter:
        for code in codes:
            entered = meter.enter(code)
            for result in (*entered.earlier, entered):
                # What is refused before the last token is said here, the last one at the end.
                if results and not results[-1].good and not as_json:
                    print(f"jeton: {refusal(results[-1])}", file=sys.stderr, flush=True)
                results.append(result)
                if result.good and not as_json:
                    print(accepted(result), flush=True)
            if entered.good and not as_json:
                _show(meter)
        if results[-1].missing and meter.board is not None:
            print(
                f"jeton: {where} is switched off again now and forgets a key change half done: "
                "key all its codes in one call",
                file=sys.stderr,
            )
    if as_json:
        found = [result.as_dict() for result in results]
        put(found if len(found) > 1 else found[0])
    if not results[-1].good and not as_json:
        raise BoardError(refusal(results[-1]))
    if not all(result.good for result in results):
        raise typer.Exit(1)


def press(
    where: Where,
    keys: Annotated[
        list[str], typer.Argument(metavar="KEYS", help="0 to 9, '*' backspace, '#' Enter, i.")
    ],
    as_json: Json = False,
) -> None:
    """Press keys and see the display, for short codes say; digits are followed by Enter.

    Quote # and *, or the shell keeps them. `jeton run` is for more than a few keys.

    Examples: `jeton press demo 07` · `jeton press demo '#005#'` · `jeton press demo i002`
    """
    wanted = "".join(keys)
    with Meter.open(where) as meter:
        said, value, good = _keyed(meter, wanted)
        if as_json:
            put(value)
        elif good:
            _show(meter)
    if as_json:
        if not good:
            raise typer.Exit(1)
    elif not good:
        raise BoardError(said)
    elif said:
        print(said)


def tokens_of(words: Sequence[str]) -> list[str]:
    """Return the tokens among the words of a command line.

    Words of 20 digits are a token each; otherwise all of them together are one, in its groups.
    """
    cleaned = [digits.clean(word) for word in words]
    if all(len(word) == digits.DIGITS for word in cleaned):
        return cleaned
    return ["".join(cleaned)]


def status(where: Where, as_json: Json = False) -> None:
    """Show registers, key attributes and the display.

    Examples: `jeton status demo` · `jeton status /dev/ttyUSB0 --json`
    """
    with Meter.open(where) as meter:
        now = meter.status()
        if as_json:
            put(now.as_dict())
            raise typer.Exit(1 if now.fault else 0)
        _show(meter, now.drn)
    print(summary(now))
    print(
        f"EA{now.ea:02d}, SGC {now.sgc}, TI {now.ti:02d}, KRN {now.krn}, KT {now.kt}, "
        f"KEN {now.ken}, base date {now.bdt or 'unknown'}, profile {now.profile}"
    )
    print(
        f"power limit {_limit(now.max_power_limit_w)}, "
        f"unbalance limit {_limit(now.phase_unbalance_limit_w)}, "
        f"tariff rate {now.tariff_rate}, tamper {'yes' if now.tamper else 'no'}, "
        f"last token {now.result_name if now.result else '-'}"
    )
    if found := matters(now):
        print(", ".join(found))
    if now.fault:
        raise BoardError(f"{where} has a fault: {now.fault}")


def _limit(watts: int | None) -> str:
    return f"{watts} W" if watts else "none"


def advance(
    where: Where,
    span: Annotated[str, typer.Argument(metavar="TIME", help="Seconds, or 15min, 2h, 30d.")],
    as_json: Json = False,
) -> None:
    """Let time pass for the meter: its load draws energy.

    Examples: `jeton advance demo 2h` · `jeton advance demo 30d --json`
    """
    seconds = duration(span)
    with Meter.open(where) as meter:
        _print_status(meter.advance(seconds), as_json)


def load(
    where: Where,
    watts: Annotated[
        str | None, typer.Argument(metavar="WATTS", help="Power of the load, W.")
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Lines of time and W: seconds, HH:MM or ISO 8601."),
    ] = None,
    repeat: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin the CSV anew each 1d, 1w, …")
    ] = None,
    play: Annotated[
        bool, typer.Option("--play", help="Let the time of the CSV pass at once, of any length.")
    ] = False,
    profile: Annotated[str | None, typer.Option(help="A made-up week: household.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Which household: the same seed, the same week. Default: 1.")
    ] = None,
    phases: Annotated[
        str | None, typer.Option(metavar="W,W,W", help="A load on each of three phases.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Connect a load behind the meter's switch: constant, from a file, or made up.

    A CSV begins now; --repeat begins it at midnight and over and over. The household's week
    follows the meter's clock. At most 256 steps are kept on the meter; --play takes more.

    Examples: `jeton load demo 1500` · `jeton load demo --csv day.csv --repeat 1d` ·
    `jeton load demo --profile household --seed 7` · `jeton load demo --csv year.csv --play`
    """
    power = None if watts is None else watts_of(watts)
    given = [value is not None for value in (watts, csv, profile, phases)]
    if sum(given) != 1:
        raise JetonError("say one load: WATTS, --csv FILE, --profile household or --phases W,W,W")
    if csv == "":
        raise JetonError("--csv needs the name of a file")
    if csv is None and (repeat is not None or play):
        raise JetonError("--repeat and --play go with --csv FILE")
    if repeat is not None and play:
        raise JetonError("--repeat and --play do not go together: choose one")
    if profile is None and seed is not None:
        raise JetonError("--seed goes with --profile household")
    steps: loads.Steps = []
    first: datetime | None = None
    if csv is not None:
        steps, first = loads.from_csv(Path(csv))
        if len(steps) > LOAD_STEPS and not play:
            raise JetonError(
                f"{csv} has {len(steps)} steps, and a meter keeps {LOAD_STEPS}: --play lets the "
                "time of a file of any length pass at once"
            )
    elif profile is not None:
        steps = loads.week(profile, 1 if seed is None else seed)
    three = _phases(phases) if phases is not None else None
    every_s = None if repeat is None else duration(repeat)
    if every_s == 0:
        raise JetonError(f"--repeat {repeat} will not do: say for example 1d or 1w")
    with Meter.open(where) as meter:
        if power is not None:
            now = meter.set_load(power)
        elif three:
            now = meter.set_phases(*three)
        elif play:
            now = meter.play(steps)
        else:
            repeat_s = every_s or 0
            start = None
            if profile:
                repeat_s = loads.WEEK_S
                start = loads.monday(meter.clock())
            elif every_s:
                start = meter.clock().replace(hour=0, minute=0, second=0)
                if first is not None:  # a date tells what time of which day it is
                    start -= (start - first) % timedelta(seconds=every_s)
            now = meter.set_load_steps(steps, start=start, repeat_s=repeat_s)
        _print_status(now, as_json)


def _phases(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3:
        raise JetonError(f"{_short(text)} are not three loads: say for example 1000,1000,4000")
    first, second, third = (watts_of(part) for part in parts)
    return first, second, third


def events(
    where: Where,
    after: Annotated[int, typer.Option(min=0, help="Only those with a number above this.")] = 0,
    as_json: Json = False,
) -> None:
    """Show what a meter has logged, oldest first: its last 100 events.

    Examples: `jeton events demo` · `jeton events demo --after 12 --json`
    """
    with Meter.open(where) as meter:
        found = meter.events(after)
    if as_json:
        put([event.as_dict() for event in found])
        return
    for event in found:
        print(event_line(event))


def _print_status(now: Status, as_json: bool) -> None:
    if as_json:
        put(now.as_dict())
    else:
        print(summary(now))


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
            _run_plain(stack.enter_context(Meter.open(where, config=config)), where, as_json)
            return
        meter = stack.enter_context(Meter.open(where, config=config))
        from host_tools.screen import app  # half a second that no other command is to wait for

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


def _run_plain(meter: Meter, name: str, as_json: bool) -> None:
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
    return _keyed(meter, line)


def _keyed(meter: Meter, line: str) -> tuple[str, dict[str, Any], bool]:
    """Press the keys of a line; return what `_obeyed` does."""
    keys = re.sub(r"[\s-]", "", line)
    if not re.fullmatch(r"[0-9*#i]*", keys):
        raise JetonError(f"{_short(line)} are not keys of a meter: {_KEYS}")
    pressed = _pressed(meter, keys)
    if pressed.result is None:
        return "", pressed.as_dict(), True
    results = [*pressed.result.earlier, pressed.result]
    said = [accepted(result) if result.good else refusal(result) for result in results]
    return "; ".join(said), pressed.as_dict(), all(result.good for result in results)


def _pressed(meter: Meter, keys: str) -> PressResult:
    """Press keys, and Enter where they leave digits that wait for it.

    Some keypads enter digit 20 by themselves, and codes that begin with the key i: a further Enter
    would do something of its own there.
    """
    pressed = meter.press(keys)
    if pressed.result is None and keys[-1:].isdigit() and "i" not in keys:
        pressed = meter.press("#")
    return pressed


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for name, function, group in (
        ("new", new, METERS),
        ("list", list_, METERS),
        ("serve", serve, METERS),
        ("run", run, METERS),
        ("enter", enter, METERS),
        ("press", press, METERS),
        ("status", status, METERS),
        ("advance", advance, HAPPENS),
        ("load", load, HAPPENS),
        ("events", events, TELLS),
        ("delete", delete, METERS),
    ):
        settings = NUMBERS if function in (advance, load) else None
        app.command(name, context_settings=settings, rich_help_panel=group)(function)
