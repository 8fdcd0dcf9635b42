"""Words for people: statuses, events, amounts and results as text."""

from datetime import datetime

from jeton_host.client.answers import EnterResult, Event, Status, TokenResult

NO_EMERGENCY = {
    "none": "this meter has no emergency credit",
    "used": "it was taken already: a credit token repays it first",
    "not_needed": "there is credit enough",
    "debt": "it would all go to what is owed",
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
    """Return Wh as kWh with two decimals or, where they matter, three."""
    return f"{energy_wh / 1000:.3f}" if energy_wh % 10 else f"{energy_wh / 1000:.2f}"


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
