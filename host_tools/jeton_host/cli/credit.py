"""Commands about credit, consumption and faults: emergency, grant, history, reports."""

from typing import Annotated

import typer

from jeton_host.cli.options import HAPPENS, NUMBERS, RECORDS, Json, Where, put
from jeton_host.client.answers import Ledger
from jeton_host.errors import JetonError
from jeton_host.meter import Meter
from jeton_host.terminal.parse import watt_hours
from jeton_host.terminal.words import NO_EMERGENCY, event_line, kwh, zone_name

_BAR = 30  # characters of the longest bar
_LARGEST_WH = 0xFFFFFFFF


def _summary(ledger: Ledger) -> str:
    """Return the credit and the debts in one line."""
    owed = [
        f"{kwh(wh)} kWh of {what} to repay"
        for wh, what in (
            (ledger.emergency_debt_wh, "emergency credit"),
            (ledger.advance_debt_wh, "advances"),
        )
        if wh
    ]
    return ", ".join([f"{kwh(ledger.credit_wh)} kWh left", *(owed or ["nothing owed"])])


def _column(energy_wh: int) -> str:
    """Return Wh as kWh, padded so that the decimal points align."""
    return f"{energy_wh / 1000:12.3f}"


def emergency(where: Where, as_json: Json = False) -> None:
    """Take emergency credit, as the customer does with a key or a short code.

    The exit status is 1 if the meter refuses.

    Example:

    - `jeton emergency home`
    """
    with Meter.open(where) as meter:
        found = meter.emergency()
    if as_json:
        put(found.as_dict())
        if not found.taken:
            raise typer.Exit(1)
        return
    if not found.taken:
        raise JetonError(
            f"no emergency credit: {NO_EMERGENCY.get(found.reason or '', found.reason)}"
        )
    print(_summary(found.ledger))


def grant(
    where: Where,
    energy: Annotated[
        str | None,
        typer.Argument(metavar="KWH", help="The advance, kWh. Without it: show the ledger."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Give the customer an advance from the utility, or show the ledger of credit and debts.

    Each later credit token repays a part of the advance. The profile of the meter sets that part.

    Examples:

    - `jeton grant home 5`
    - `jeton grant home --json`
    """
    advance_wh = None if energy is None else watt_hours(energy)
    if advance_wh is not None and not 1 <= advance_wh <= _LARGEST_WH:
        raise JetonError(
            f"an advance of {energy} kWh is out of range: give 0.001 to {kwh(_LARGEST_WH)} kWh"
        )
    with Meter.open(where) as meter:
        ledger = meter.ledger() if advance_wh is None else meter.grant(advance_wh)
    if as_json:
        put(ledger.as_dict())
        return
    for name, sign, wh in (
        ("initial credit", " ", ledger.initial_wh),
        ("tokens", "+", ledger.tokens_wh),
        ("advances", "+", ledger.advances_wh),
        ("emergency credit", "+", ledger.emergency_wh),
        ("energy", "-", ledger.charged_wh + ledger.uncharged_wh),
        ("of which not charged: the register is at its minimum", "+", ledger.uncharged_wh),
        ("repaid", "-", ledger.recovered_wh),
        ("cleared", "-", ledger.cleared_wh),
    ):
        if wh or name in ("tokens", "energy"):
            print(f"{sign} {_column(wh)} kWh  {name}")
    print(f"= {_column(ledger.credit_wh)} kWh  credit")
    print(_summary(ledger))


def history(where: Where, as_json: Json = False) -> None:
    """Show the consumption of the last 31 days and 13 months, and of today and this month.

    Examples:

    - `jeton history home`
    - `jeton history home --json`
    """
    with Meter.open(where) as meter:
        found = meter.history()
    if as_json:
        put(found.as_dict())
        return
    if found.timezone != "+00:00":
        print(f"local time, {zone_name(found.timezone)}")
    for kind in (found.days, found.months):
        most = max([*kind.values(), 1])
        for when, wh in kind.items():
            print(f"{when:10} {_column(wh)} kWh  {'#' * round(_BAR * wh / most)}".rstrip())


def reports(
    where: Where,
    ack: Annotated[
        int | None, typer.Option(min=0, help="First acknowledge the reports up to this number.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the fault reports that the utility has not acknowledged, oldest first.

    A report stays in the meter until it is acknowledged, also after a reset or a power cut.

    Examples:

    - `jeton reports home`
    - `jeton reports home --ack 3`
    """
    with Meter.open(where) as meter:
        if ack is not None:
            meter.acknowledge(ack)
        found = meter.reports()
    if as_json:
        put([report.as_dict() for report in found])
        return
    if not found:
        print("no fault reports to acknowledge")
    for report in found:
        print(event_line(report))


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command(rich_help_panel=HAPPENS)(emergency)
    app.command(rich_help_panel=HAPPENS, context_settings=NUMBERS)(grant)
    app.command(rich_help_panel=RECORDS)(history)
    app.command(rich_help_panel=RECORDS)(reports)
