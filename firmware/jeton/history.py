"""Consumption of each of the last 31 days and 13 months, by the meter's own clock.

Entries carry their date, so that setting the clock does not mix them up. This module is imported
at the first midnight or when the history is read.
"""

import struct

from . import calendar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State

DAYS = 31
MONTHS = 13
_ENTRY = "<HI"  # day since 2000, or 12 * year + month; Wh
_BYTES = 6
_MOST = 0xFFFFFFFF


def _month(day):
    year, month, _ = calendar.date(day)
    return 12 * year + month - 1


def begin(state: "State", now):
    """Start counting at `now`, for a new meter."""
    state.day = now // calendar.DAY_S
    state.day_from_wh = state.month_from_wh = state.total_wh


def turn(state: "State", now):
    """Close the current day, and month, if `now` is in another one.

    A day or month that already has an entry, because the clock was set, is continued.
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
    """Return the ring with one more entry, in order of dates; the oldest entry is dropped."""
    at = len(ring)
    while at and struct.unpack_from(_ENTRY, ring, at - _BYTES)[0] > key:
        at -= _BYTES
    entry = struct.pack(_ENTRY, key, min(energy_wh, _MOST))
    return (ring[:at] + entry + ring[at:])[_BYTES:]


def _take(ring, key):
    """Return the ring without the entry of a date, and that entry's Wh (0 if there is none)."""
    for at in range(0, len(ring), _BYTES):
        found, energy_wh = struct.unpack_from(_ENTRY, ring, at)
        if found == key:
            return bytes(_BYTES) + ring[:at] + ring[at + _BYTES :], energy_wh
    return ring, 0


def _entries(ring):
    for at in range(0, len(ring), _BYTES):
        key, energy_wh = struct.unpack_from(_ENTRY, ring, at)
        if key:
            yield key, energy_wh


def _month_name(month):
    return "%04d-%02d" % (month // 12, month % 12 + 1)


def _date(day):
    return "%04d-%02d-%02d" % calendar.date(day)


def today_wh(state: "State"):
    """Return the consumption since midnight."""
    return state.total_wh - state.day_from_wh


def month_wh(state: "State"):
    """Return the consumption since the beginning of the month."""
    return state.total_wh - state.month_from_wh


def as_dict(state: "State"):
    """Return days and months by date, including the current ones."""
    room = bytes(_BYTES)
    days = _put(room + state.days, state.day, today_wh(state))
    months = _put(room + state.months, _month(state.day), month_wh(state))
    return {
        "days": [{"date": _date(day), "wh": wh} for day, wh in _entries(days)],
        "months": [{"month": _month_name(month), "wh": wh} for month, wh in _entries(months)],
    }
