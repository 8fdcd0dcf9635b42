"""Consumption of each of the last 31 days and 13 months, by the meter's own clock and time zone.

Entries carry their date, so that setting the clock does not mix them up. This module is imported
at the first midnight or when the history is read.
"""

import struct

from . import calendar, credit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State

DAYS = 31
MONTHS = 13
_ENTRY = "<HI"  # day since 2000, or 12 * year + month; Wh
_BYTES = 6
_DAY_0 = 0xFFFF  # the stored number of day 0: an entry of zeros is empty
_MOST = 0xFFFFFFFF


def _month(day):
    year, month, _ = calendar.date(day)
    return 12 * year + month - 1


def _today(state: "State", now):
    """Return the local day; a time before 2000 counts as day 0."""
    return max(credit.local(state, now) // calendar.DAY_S, 0)


def begin(state: "State", now):
    """Start counting at `now`, for a new meter."""
    state.day = _today(state, now)
    state.day_from_wh = state.month_from_wh = state.total_wh


def turn(state: "State", now, passed=True):
    """Close the current day, and month, if `now` is in another one.

    `passed` says that time has passed: days and months later than the current one, which a wrong
    clock has left, are then dropped. Else the clock was set: a day or month that already has an
    entry is continued.
    """
    day = _today(state, now)
    if day == state.day:
        return
    was, state.day = state.day, day
    state.days, state.day_from_wh = _turned(
        state.days, was, day, state.total_wh, state.day_from_wh, passed
    )
    was, month = _month(was), _month(day)
    if was != month:
        state.months, state.month_from_wh = _turned(
            state.months, was, month, state.total_wh, state.month_from_wh, passed
        )


def _turned(ring, was, key, total_wh, from_wh, passed):
    """Return the ring and the total at the beginning of `key`, after `was` has ended."""
    if passed:
        for later, _ in list(_entries(ring)):
            if later > was:
                ring, _ = _take(ring, later)
    # First take an entry: its slot is then free.
    ring, energy_wh = _take(ring, key)
    ring = _put(ring, was, total_wh - from_wh)
    if passed:  # without supply: nothing was used
        for between in range(max(was + 1, key - DAYS), key):
            ring = _put(ring, between, 0)
    return ring, total_wh - energy_wh


def _entry(ring, at):
    """Return (key, Wh) of the entry at an offset; key -1 if the entry is empty."""
    key, energy_wh = struct.unpack_from(_ENTRY, ring, at)
    if key == _DAY_0:
        key = 0
    elif not key and not energy_wh:
        key = -1
    return key, energy_wh


def _put(ring, key, energy_wh):
    """Return the ring with one more entry, in order of dates; the oldest entry is dropped."""
    at = len(ring)
    while at and _entry(ring, at - _BYTES)[0] > key:
        at -= _BYTES
    entry = struct.pack(_ENTRY, key or _DAY_0, min(energy_wh, _MOST))
    return (ring[:at] + entry + ring[at:])[_BYTES:]


def _take(ring, key):
    """Return the ring without the entry of a date, and that entry's Wh (0 if there is none)."""
    for at in range(0, len(ring), _BYTES):
        found, energy_wh = _entry(ring, at)
        if found == key:
            return bytes(_BYTES) + ring[:at] + ring[at + _BYTES :], energy_wh
    return ring, 0


def _entries(ring):
    for at in range(0, len(ring), _BYTES):
        entry = _entry(ring, at)
        if entry[0] >= 0:
            yield entry


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
    """Return days and months by date, including the current ones.

    Days and months later than the current one are of a clock that was set back: they are left out.
    """
    room = bytes(_BYTES)
    this = _month(state.day)
    days = _put(room + state.days, state.day, today_wh(state))
    months = _put(room + state.months, this, month_wh(state))
    return {
        "days": [{"date": _date(day), "wh": wh} for day, wh in _entries(days) if day <= state.day],
        "months": [{"month": _month_name(n), "wh": wh} for n, wh in _entries(months) if n <= this],
    }
