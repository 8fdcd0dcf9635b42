"""Days, weekdays and dates as whole numbers, and the names of time zones.

Days are counted from 2000-01-01, which is day 0, a Saturday.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State

DAY_S = 86400


def zone_name(state: "State"):
    """Return the time zone of a meter: "+01:00", with " DST" if it has a rule for summer time."""
    minutes = 15 * ((state.zone[0] ^ 128) - 128)
    sign = "-" if minutes < 0 else "+"
    minutes = abs(minutes)
    dst = " DST" if state.zone[1] else ""
    return "%s%02d:%02d%s" % (sign, minutes // 60, minutes % 60, dst)


def day(year, month, date):
    """Return the number of a day; the inverse of `date`."""
    if month < 3:
        year, month = year - 1, month + 12
    leaps = year // 4 - year // 100 + year // 400
    return 365 * year + leaps + (153 * month - 457) // 5 + date - 730426


def weekday(day):
    """Return the weekday of a day: 0 is Monday."""
    return (day + 5) % 7


def date(day):
    """Return (year, month, day of the month) of a day."""
    # Years are counted from March, so that the leap day is the last day of a year. A cycle of 400
    # years began on 1600-03-01.
    cycle, n = divmod(day + 146037, 146097)
    century = min(n // 36524, 3)
    n -= century * 36524
    four, n = divmod(n, 1461)
    year = min(n // 365, 3)
    n -= year * 365
    month = (5 * n + 2) // 153
    n -= (153 * month + 2) // 5
    year += 1600 + 400 * cycle + 100 * century + 4 * four
    return (year + 1, month - 9, n + 1) if month > 9 else (year, month + 3, n + 1)
