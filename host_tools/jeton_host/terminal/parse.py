"""Parses what people type: time spans, times, dates, energy and power.

Each function raises JetonError with a one-line message for a text that it cannot read.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

from jeton_host import clock
from jeton_host.client.answers import EPOCH, seconds_of
from jeton_host.errors import JetonError

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"(?:[0-9]+(?:min|[smhdw])?)+", re.IGNORECASE)
_PART = re.compile(r"([0-9]+)(min|[smhdw]?)", re.IGNORECASE)
_LONGEST = 40  # characters of a number or a time span


def duration(text: str) -> int:
    """Return the seconds of a time span such as 90, 90s, 15min, 2h, 30d, 1w or 1h30m."""
    compact = text.replace(" ", "")
    if len(compact) > _LONGEST or not _SPAN.fullmatch(compact):
        raise JetonError(
            f"{shortened(text)} is not a time span: give for example 90, 15min, 2h or 30d"
        )
    return sum(int(n) * _UNITS[unit.lower()] for n, unit in _PART.findall(compact))


def instant(text: str) -> datetime:
    """Return the time of an ISO 8601 text; without a zone it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise JetonError(f"{text!r} is not a time: give for example 2024-11-24T00:01") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def day(text: str) -> date:
    """Return the date of an ISO 8601 text."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise JetonError(f"{text!r} is not a date: give for example 2026-01-31") from None


def watt_hours(text: str) -> int:
    """Return a number of kWh as Wh."""
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
            f"{text} kWh is not valid: give 0 or more, with at most three decimals, below 10^12"
        )
    return int(wh)


def watts_of(text: str) -> int:
    """Return the power of a load in W."""
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        raise JetonError(
            f"a load of {shortened(text)} is not valid: give a whole number of W, 0 or more"
        )
    return int(text)


def shortened(text: str) -> str:
    """Return the beginning of a typed text, quoted and on one line, for a message."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


_LATEST_S = 0xFFFFFFFF  # the board's clock has 32 bits


def time_of(text: str) -> datetime:
    """Return the time for a meter's clock, from "now" or an ISO 8601 text.

    JetonError if it is out of the range of a meter's clock.
    """
    if text == "now":
        return clock.now()
    time = instant(text)
    if not 0 <= seconds_of(time) <= _LATEST_S:
        raise JetonError(
            f"a clock of {time:%Y-%m-%d} is not valid: it counts from {EPOCH:%Y-%m-%d} to 2136"
        )
    return time
