"""Turns statuses, events, amounts and results into text for people."""

from datetime import datetime

from jeton_host.client.answers import EnterResult, Event, Status, TokenResult

NO_EMERGENCY = {
    "none": "this meter has no emergency credit",
    "used": "it was taken already: repay it first with a credit token",
    "not_needed": "there is enough credit",
    "debt": "all of it would be used to repay debts",
}

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


def kwh(energy_wh: int) -> str:
    """Return Wh as kWh with two decimals, or three if the third is not 0."""
    return f"{energy_wh / 1000:.3f}" if energy_wh % 10 else f"{energy_wh / 1000:.2f}"


def at_utc(time: datetime) -> str:
    """Return a UTC time as text."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def zone_name(timezone: str) -> str:
    """Return the name of a meter's time zone, such as "UTC+01:00", from that in its status."""
    offset, _, dst = timezone.partition(" ")
    name = "UTC" if offset == "+00:00" else f"UTC{offset}"
    return f"{name} with daylight saving time" if dst else name


def summary(status: Status) -> str:
    """Return a one-line summary of a meter's status."""
    switch = status.switch
    if switch == "open":
        switch += f" ({status.switch_reason.replace('_', ' ')})"
    return (
        f"{kwh(status.credit_wh)} kWh left, {kwh(status.total_wh)} kWh used, "
        f"load {status.load_w} W, switch {switch}, {at_utc(status.clock)}"
    )


def matters(status: Status) -> list[str]:
    """Return a list of warnings."""
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
        found.append((True, f"a key change is not complete: the meter has code {codes}"))
    return [warning for active, warning in found if active]


def event_line(event: Event) -> str:
    """Return an entry of the log, or a fault report, as one line."""
    # Sorted: a board sends the details in any order.
    details = ", ".join(f"{name} {value}" for name, value in sorted(event.details.items()))
    return f"{event.seq:>5}  {at_utc(event.time)}  {event.kind}  {details}".rstrip()


def refusal(result: EnterResult) -> str:
    """Return one line with the reason why a token was refused."""
    why = result.message or _WHY.get(result.result, "")
    return f"refused, {result.name}" + (f": {why}" if why else "")


def accepted(result: EnterResult) -> str:
    """Return one line with the effect of an accepted token."""
    parts = [result.name]
    if result.token:
        parts.append(result.token)
    if result.amount_wh is not None and result.token and "Credit" in result.token:
        parts.append(f"{kwh(result.amount_wh)} kWh")
    if result.missing:
        parts.append(f"still missing: code {', '.join(map(str, result.missing))}")
    return ", ".join(parts)
