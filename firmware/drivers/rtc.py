"""The chip's own clock, machine.RTC, in UTC; it outlives a reset, and a power cut on a battery."""

import machine

from jeton import calendar

_rtc = machine.RTC()


def read():
    """Return its time, seconds since 2000-01-01 00:00."""
    year, month, day, _, hour, minute, second, _ = _rtc.datetime()
    return calendar.day(year, month, day) * 86400 + hour * 3600 + minute * 60 + second


def write(seconds):
    """Set it."""
    day, second = divmod(seconds, 86400)
    minute = second // 60
    # The chip computes the weekday itself.
    _rtc.datetime(calendar.date(day) + (0, minute // 60, minute % 60, second % 60, 0))
