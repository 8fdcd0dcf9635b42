"""Commands about the state, the time, the load and the log of a meter."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from jeton_host.cli import complete
from jeton_host.cli.options import HAPPENS, METERS, NUMBERS, RECORDS, Json, Where, put
from jeton_host.cli.tokens import show_panel
from jeton_host.client import loads
from jeton_host.client.answers import Status
from jeton_host.client.client import LOAD_STEPS
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.terminal.parse import duration, shortened, watts_of
from jeton_host.terminal.words import event_line, matters, summary, zone_name


def status(where: Where, as_json: Json = False) -> None:
    """Show the registers, the attributes of the key and the display.

    Examples:

    - `jeton status home`
    - `jeton status /dev/ttyUSB0 --json`
    """
    with Meter.open(where) as meter:
        now = meter.status()
        if as_json:
            put(now.as_dict())
            raise typer.Exit(1 if now.fault else 0)
        show_panel(meter, now.drn)
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
    print(f"local time {now.local_time:%Y-%m-%d %H:%M:%S}, {zone_name(now.timezone)}")
    if found := matters(now):
        print(", ".join(found))
    if now.fault:
        raise BoardError(f"{where} has a fault: {now.fault}")


def _limit(watts: int | None) -> str:
    return f"{watts} W" if watts else "none"


def advance(
    where: Where,
    span: Annotated[
        str, typer.Argument(metavar="TIME", help="Seconds, or for example 15min, 2h, 30d.")
    ],
    as_json: Json = False,
) -> None:
    """Advance the meter's time: the load uses energy, as in real time.

    Examples:

    - `jeton advance home 2h`
    - `jeton advance home 30d --json`
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
        typer.Option(
            metavar="FILE", help="Load over time. Each line: time (seconds, HH:MM or ISO 8601), W."
        ),
    ] = None,
    repeat: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Repeat the CSV after this time, for example 1d or 1w."),
    ] = None,
    play: Annotated[
        bool, typer.Option("--play", help="Advance the meter through the whole CSV at once.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            help="A generated week of loads: household.", autocompletion=complete.load_profile
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Number of the household: the same number gives the same week. Default: 1."
        ),
    ] = None,
    phases: Annotated[
        str | None, typer.Option(metavar="W,W,W", help="The loads of three phases.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Connect a load to the meter's switch: constant, from a file, or generated.

    A CSV starts now or, with --repeat, at midnight. The week of the household follows the meter's
    clock. A meter stores at most 256 steps; --play accepts more.

    Examples:

    - `jeton load home 1500`
    - `jeton load home --csv day.csv --repeat 1d`
    - `jeton load home --profile household --seed 7`
    - `jeton load home --csv year.csv --play`
    """
    power = None if watts is None else watts_of(watts)
    given = [value is not None for value in (watts, csv, profile, phases)]
    if sum(given) != 1:
        raise JetonError("give one load: WATTS, --csv FILE, --profile household or --phases W,W,W")
    if csv == "":
        raise JetonError("--csv needs the name of a file")
    if csv is None and (repeat is not None or play):
        raise JetonError("--repeat and --play need --csv FILE")
    if repeat is not None and play:
        raise JetonError("--repeat and --play exclude each other: give one")
    if profile is None and seed is not None:
        raise JetonError("--seed needs --profile household")
    steps: loads.Steps = []
    first: datetime | None = None
    if csv is not None:
        steps, first = loads.from_csv(Path(csv))
        if len(steps) > LOAD_STEPS and not play:
            raise JetonError(
                f"{csv} has {len(steps)} steps, and a meter stores {LOAD_STEPS}: give --play, "
                "which has no limit"
            )
    elif profile is not None:
        steps = loads.week(profile, 1 if seed is None else seed)
    three = _phases(phases) if phases is not None else None
    every_s = None if repeat is None else duration(repeat)
    if every_s == 0:
        raise JetonError(f"--repeat {repeat} is not more than 0 s: write for example 1d or 1w")
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
                if first is not None:  # the CSV has dates: align its first step with the clock
                    start -= (start - first) % timedelta(seconds=every_s)
            now = meter.set_load_steps(steps, start=start, repeat_s=repeat_s)
        _print_status(now, as_json)


def _phases(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3:
        raise JetonError(f"{shortened(text)} is not three loads: write for example 1000,1000,4000")
    first, second, third = (watts_of(part) for part in parts)
    return first, second, third


def events(
    where: Where,
    after: Annotated[int, typer.Option(min=0, help="Show only events with a higher number.")] = 0,
    as_json: Json = False,
) -> None:
    """Show the last 100 events of the meter's log, oldest first.

    Examples:

    - `jeton events home`
    - `jeton events home --after 12 --json`
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


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("status", rich_help_panel=METERS)(status)
    for name, function in (("advance", advance), ("load", load)):
        app.command(name, context_settings=NUMBERS, rich_help_panel=HAPPENS)(function)
    app.command("events", rich_help_panel=RECORDS)(events)
