"""Adds to the interpreter's `machine` what a board's has and it lacks: a hard reset, a clock."""

import sys

_path = sys.path[:]
sys.path.clear()  # so that the interpreter's module is found, not this one again
try:
    # An import inside a function would search the flash for them each time.
    import os as _os
    import struct as _struct
    import time as _time

    from machine import *  # noqa: F403
finally:
    sys.path.extend(_path)


class RTC:
    """The clock of the chip, in UTC: it runs on through resets.

    The host program keeps its memory, a file with two numbers: the clock and the ticks of this
    computer, ms, at one moment. Without such a file it lasts as long as the interpreter.
    """

    _ms = None  # the clock in ms since 2000-01-01 00:00 at `_ticks`
    _memory = None

    def __new__(cls, id=0):
        """Return the only one."""
        return cls._one

    def _now_ms(self):
        time = sys.modules.get("time", _time)  # tests replace it
        now = time.ticks_ms()
        if self._ms is None:
            self._ms, self._ticks = 0, now
            number = _os.getenv("JETON_RTC")
            if number:
                self._memory = open(int(number), "r+b", buffering=0)  # noqa: SIM115
                self._memory.seek(0)
                kept = self._memory.read(16)
                if len(kept) == 16:
                    self._ms, self._ticks = _struct.unpack("<qq", kept)
        self._ms += time.ticks_diff(now, self._ticks)
        self._ticks = now
        return self._ms

    def datetime(self, value=None):
        """Return (year, month, day, weekday, hour, minute, second, microsecond), or set it."""
        from jeton import calendar

        ms = self._now_ms()
        if value is None:
            second, ms = divmod(ms, 1000)
            day, second = divmod(second, 86400)
            minute = second // 60
            time = (calendar.weekday(day), minute // 60, minute % 60, second % 60, ms * 1000)
            return calendar.date(day) + time
        year, month, day, _, hour, minute, second, us = value
        seconds = calendar.day(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
        self._ms = seconds * 1000 + us // 1000
        if self._memory:
            self._memory.seek(0)
            self._memory.write(_struct.pack("<qq", self._ms, self._ticks))
        return None


RTC._one = object.__new__(RTC)


def reset():
    """Reset the board as its button does: save, then kill the interpreter."""
    import board

    board.tick()
    _os.system("kill -KILL $PPID")  # noqa: S605, S607
