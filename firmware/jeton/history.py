"""What was used in each of the last 31 days and 13 months, by the meter's own clock.

Entries carry their date, so that a clock that is set mixes nothing up. Loaded at the first
midnight or when somebody asks.
"""

import struct

from . import calendar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State

DAYS = 31
MONTHS = 13
_ENTRY = "<HI"  # day since 2000, or 12 * year + month; Wh
_OCTETS = 6
_MOST = 0xFFFFFFFF


def _month(day):
    year, month, _ = calendar.date(day)
    return 12 * year + month - 1


def begin(state: "State", now):
    """Begin to count at `now`: a new meter."""
    state.day = now // calendar.DAY_S
    state.day_from_wh = state.month_from_wh = state.total_wh


def turn(state: "State", now):
    """Close the day, and the month, that were counted if `now` is in another one.

    One that was counted before, because the clock was set, is counted on.
    """
    day = now // calendar.DAY_S
    if day == state.day:
        return
    was, state.day = state.day, day
    state.days = _put(state.days, was, state.total_wh - state.day_from_wh)
    state.days, energy_wh = _take(state.days, day)
    state.day_from_wh = state.total_wh - energy_wh
    was, month = _month(was), _month(day)
    if was != month:
        state.months = _put(state.months, was, state.total_wh - state.month_from_wh)
        state.months, energy_wh = _take(state.months, month)
        state.month_from_wh = state.total_wh - energy_wh


def _put(ring, key, energy_wh):
    """Return a ring with one more entry at its place by date; the oldest goes."""
    at = len(ring)
    while at and struct.unpack_from(_ENTRY, ring, at - _OCTETS)[0] > key:
        at -= _OCTETS
    entry = struct.pack(_ENTRY, key, min(energy_wh, _MOST))
    return (ring[:at] + entry + ring[at:])[_OCTETS:]


def _take(ring, key):
    """Return a ring without the entry of a date, and that entry's Wh (0 if there is none)."""
    for at in range(0, len(ring), _OCTETS):
        found, energy_wh = struct.unpack_from(_ENTRY, ring, at)
        if found == key:
            return bytes(_OCTETS) + ring[:at] + ring[at + _OCTETS :], energy_wh
    return ring, 0


def _entries(ring):
    for at in range(0, len(ring), _OCTETS):
        key, energy_wh = struct.unpack_from(_ENTRY, ring, at)
        if key:
            yield key, energy_wh


def _month_name(month):
    return "%04d-%02d" % (month // 12, month % 12 + 1)


def _date(day):
    return "%04d-%02d-%02d" % calendar.date(day)


def today_wh(state: "State"):
    """Return what was used since midnight."""
    return state.total_wh - state.day_from_wh


def month_wh(state: "State"):
    """Return what was used since the month began."""
    return state.total_wh - state.month_from_wh


def as_dict(state: "State"):
    """Return days and months by date; those being counted are among them."""
    room = bytes(_OCTETS)
    days = _put(room + state.days, state.day, today_wh(state))
    months = _put(room + state.months, _month(state.day), month_wh(state))
    return {
        "days": [{"date": _date(day), "wh": wh} for day, wh in _entries(days)],
        "months": [{"month": _month_name(month), "wh": wh} for month, wh in _entries(months)],
    }
