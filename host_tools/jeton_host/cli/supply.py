"""Commands that act on a meter from outside: clock, tamper, reconnect, mute."""

from typing import Annotated

import typer

from jeton_host.cli.options import HAPPENS, Json, Where, put
from jeton_host.errors import JetonError
from jeton_host.meter import Meter
from jeton_host.terminal.parse import time_of
from jeton_host.terminal.words import at_utc, summary


def clock(
    where: Where,
    time: Annotated[
        str | None,
        typer.Argument(metavar="WHEN", help="ISO 8601, UTC if it has no zone; or now."),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            min=0, max=1_000_000, help="Seconds of the clock in one real second; 0 stops it."
        ),
    ] = None,
    passed: Annotated[
        bool,
        typer.Option(
            "--passed", help="The time until WHEN has passed without supply: waits end by it."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show or set a meter's clock, and its speed while the meter is served.

    Setting the clock uses no energy. `jeton advance` advances the time with its consumption.
    A lock-out and other waits keep the time that is left; with --passed they end by the new time,
    as after a power cut of a meter whose clock has no battery.

    Examples:

    - `jeton clock home`
    - `jeton clock home 2024-11-24T00:01`
    - `jeton clock home now --passed`
    - `jeton clock home --rate 60`
    """
    if passed and time is None:
        raise JetonError("--passed needs a time: give for example now")
    wanted = None if time is None else time_of(time)
    with Meter.open(where) as meter:
        if rate is not None:
            if meter.board is not None:
                raise JetonError(
                    f"the clock of {where} stops when this command ends: start the meter with "
                    f"`jeton serve {where}`, then set its rate"
                )
            meter.set_rate(rate)
            if meter.locks_again and rate != 1:
                raise JetonError(
                    f"{where} is locked again when this command ends, and runs at 1 s a second: "
                    f"first `jeton unlock {where}`, then set its rate"
                )
        shown = meter.clock(wanted, passed=passed)
        rate = meter.status().rate
    if as_json:
        put({"clock": shown.isoformat(), "rate": rate})
    else:
        print(f"{at_utc(shown)}, {rate} s a second" if rate != 1 else at_utc(shown))


def tamper(
    where: Where,
    magnet: Annotated[
        bool, typer.Option("--magnet", help="A magnetic field, not an opened cover.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Activate the tamper input, as an opened cover or a magnet does.

    The profile decides what happens: the switch opens, or the event is only logged. The tamper
    condition remains until a token clears it: `jeton vend NAME clear-tamper`.

    Example:

    - `jeton tamper home`
    - `jeton tamper home --magnet`
    """
    with Meter.open(where) as meter:
        status = meter.set_tamper(magnet=magnet)
    if as_json:
        put(status.as_dict())
        return
    print(f"tampered: {summary(status)}")


def reconnect(where: Where, as_json: Json = False) -> None:
    """Press the key that closes the load switch, if the switch waits for a key.

    The exit status is 1 if the switch does not wait for a key.

    Example:

    - `jeton reconnect home`
    """
    with Meter.open(where) as meter:
        done = meter.reconnect()
        status = meter.status()
    if as_json:
        put({"done": done, "status": status.as_dict()})
        if not done:
            raise typer.Exit(1)
    elif done:
        print(summary(status))
    elif status.switch == "closed":
        raise JetonError(f"nothing to reconnect: the switch of {where} is closed")
    else:
        why = status.switch_reason.replace("_", " ")
        until = f", it closes at {at_utc(status.reconnect_at)}" if status.reconnect_at else ""
        raise JetonError(
            f"the switch of {where} does not wait for a key: it is open ({why}){until}"
        )


def mute(where: Where, as_json: Json = False) -> None:
    """Silence the alarm of low credit, until the credit has been above the alarm level again.

    Example:

    - `jeton mute home`
    """
    with Meter.open(where) as meter:
        was_on = meter.status().alarm
        status = meter.mute()
    if as_json:
        put(status.as_dict())
    else:
        print("the alarm is off" if was_on else "no alarm is on")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for function in (clock, tamper, reconnect, mute):
        app.command(rich_help_panel=HAPPENS)(function)
