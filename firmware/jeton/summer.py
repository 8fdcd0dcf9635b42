"""Daylight saving time by a rule of the record; imported only if the meter has one.

A rule is bytes 1 to 8 of `State.zone`: month, week, weekday and time at which an hour is added,
and the same four for its end. Week 5 is the last of the month; weekday 0 is Monday; the time is in
quarters of an hour of the meter's standard time.
"""

from .calendar import DAY_S, date, day, weekday

SHIFT_S = 3600


def _turn(year, zone, at):
    """Return when the rule at offset `at` takes effect in a year, seconds of standard time."""
    month, week, wanted, quarter = zone[at : at + 4]
    first = day(year, month, 1)
    found = first + (wanted - weekday(first)) % 7 + 7 * (week - 1)
    if date(found)[1] != month:  # there is no fifth one
        found -= 7
    return found * DAY_S + 900 * quarter


def rule(zone, standard):
    """Return (seconds to add, when that changes next) at a second of standard time."""
    year = date(standard // DAY_S)[0]
    turns = [(_turn(y, zone, at), at) for y in (year, year + 1) for at in (1, 5)]
    turn, at = min([turn for turn in turns if turn[0] > standard])
    return (SHIFT_S if at == 5 else 0), turn
