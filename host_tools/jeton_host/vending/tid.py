"""Token identifiers (TID): minutes since a base date, and which of them a token may have.

All times are UTC; a datetime without a time zone is UTC too (IEC 62055-41 6.3.5).
"""

from datetime import UTC, datetime, timedelta

from jeton_host.errors import VendingError
from jeton_host.vending import shown

BASE_DATES = {
    "93": datetime(1993, 1, 1, tzinfo=UTC),
    "14": datetime(2014, 1, 1, tzinfo=UTC),
    "35": datetime(2035, 1, 1, tzinfo=UTC),
}
TID_MAX = (1 << 24) - 1
_DAY = 24 * 60
_RESERVED = 1  # minute of the day: 00:01


def check_bdt(bdt: str) -> str:
    """Return `bdt` if it is a base date."""
    if bdt not in BASE_DATES:
        raise VendingError(f"base date {shown.value(bdt)} does not exist: use 93, 14 or 35")
    return bdt


def utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; without a time zone it is UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def first_and_last(bdt: str) -> tuple[datetime, datetime]:
    """Return the first and the last minute that has a TID under base date `bdt`."""
    start = BASE_DATES[check_bdt(bdt)]
    return start, start + timedelta(minutes=TID_MAX)


def tid_of(moment: datetime, bdt: str) -> int:
    """Return the TID of a minute, also for the reserved minute 00:01."""
    start, last = first_and_last(bdt)
    when = utc(moment)
    minutes = (when - start) // timedelta(minutes=1)
    if 0 <= minutes <= TID_MAX:
        return minutes
    if minutes < 0:
        what, hint = "before", ""
    else:
        what, hint = "after", _next_base_date(bdt, when)
    raise VendingError(
        f"{when:%Y-%m-%d %H:%M} is {what} the range of base date {bdt} "
        f"({start:%Y-%m-%d} to {last:%Y-%m-%d %H:%M} UTC){hint}"
    )


def token_tid(moment: datetime, bdt: str) -> int:
    """Return the TID of a token issued at `moment`; for the reserved 00:01, that of 00:02."""
    return skip_reserved(tid_of(moment, bdt))


def skip_reserved(tid: int) -> int:
    """Return `tid`, or the next one if `tid` is the reserved minute 00:01 of a day."""
    return tid + 1 if tid % _DAY == _RESERVED else tid


def tid_time(tid: int, bdt: str) -> datetime:
    """Return the UTC minute of a TID."""
    return BASE_DATES[check_bdt(bdt)] + timedelta(minutes=tid)


def _next_base_date(bdt: str, when: datetime) -> str:
    for other, start in BASE_DATES.items():
        if other != bdt and start <= when <= first_and_last(other)[1]:
            return f": change the meter's key first, key-change --bdt {other}"
    return ""
