"""Days, weekdays and dates as whole numbers.

Days are counted from 2000-01-01, which is day 0, a Saturday.
"""

DAY_S = 86400


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
