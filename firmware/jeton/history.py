"""What was used in each of the last 31 days and 13 months, by the meter's own clock.

Entries carry their date, so that a clock that is set mixes nothing up. Loaded at the first
midnight or when somebody asks.
"""

import struct

from . import calendar

DAYS = 31
MONTHS = 13
_ENTRY = "<HI"  # day since 2000, or 12 * year + month; Wh
_OCTETS = 6
_MOST = 0xFFFFFFFF


def _month(day):
    year, month, _ = calendar.date(day)
    return 12 * year + month - 1


def begin(state, now):
    """Begin to count at `now`: a new meter."""
    state.day = now // calendar.DAY_S
    state.day_from_wh = state.month_from_wh = state.total_wh


def turn(state, now):
    """Close the day, and the month, that were counted if `now` is in another one."""
    day = now // calendar.DAY_S
    if day == state.day:
        return
    was, state.day = state.day, day
    state.days = _kept(state.days, was, state.total_wh - state.day_from_wh)
    state.day_from_wh = state.total_wh
    month = _month(was)
    if month != _month(day):
        state.months = _kept(state.months, month, state.total_wh - state.month_from_wh)
        state.month_from_wh = state.total_wh


def _kept(ring, key, energy_wh):
    return ring[_OCTETS:] + struct.pack(_ENTRY, key, min(energy_wh, _MOST))


def _entries(ring):
    for at in range(0, len(ring), _OCTETS):
        key, energy_wh = struct.unpack_from(_ENTRY, ring, at)
        if key:
            yield key, energy_wh


def _month_name(month):
    return "%04d-%02d" % (month // 12, month % 12 + 1)


def _date(day):
    return "%04d-%02d-%02d" % calendar.date(day)


def last(state, days_ago):
    """Return the Wh of the day that ended last (1), the one before (2), …, or None."""
    at = len(state.days) - days_ago * _OCTETS
    key, energy_wh = struct.unpack_from(_ENTRY, state.days, at)
    return energy_wh if key else None


def today_wh(state):
    """Return what was used since midnight."""
    return state.total_wh - state.day_from_wh


def month_wh(state):
    """Return what was used since the month began."""
    return state.total_wh - state.month_from_wh


def as_dict(state):
    """Return days and months, oldest first; the last of each is the one being counted."""
    days = [{"date": _date(day), "wh": wh} for day, wh in _entries(state.days)]
    days.append({"date": _date(state.day), "wh": today_wh(state)})
    months = [{"month": _month_name(month), "wh": wh} for month, wh in _entries(state.months)]
    months.append({"month": _month_name(_month(state.day)), "wh": month_wh(state)})
    return {"days": days, "months": months}
