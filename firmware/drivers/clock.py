"""The meter's clock, whole seconds since 2000-01-01 00:00 UTC."""

try:
    from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]
except ImportError:  # CPython
    from time import monotonic_ns

    def ticks_ms():
        """Return milliseconds since an arbitrary moment."""
        return monotonic_ns() // 1_000_000

    def ticks_diff(end, start):
        """Return end - start."""
        return end - start


class Clock:
    """Counts seconds from the chip's millisecond ticks, without drift; can run accelerated.

    `rate` is meter seconds per real second: 1, more to accelerate, 0 to stop. All values are
    integers, because a float has 24 bits on an ESP32. Ticks wrap there after 12 days: call `count`
    at least every 6 days (the meter does every few milliseconds).

    `rtc` is a clock that outlives a reset (rtc.py). It shows the meter's time. If a client sets it
    while the rate is 1, the meter follows: `follow` is called with the meter's time and the new
    one.
    """

    def __init__(self, start=0, rate=1, rtc=None):
        self._rtc = rtc
        self.follow = None
        self._seconds = start
        self.milli = 0  # milliseconds of the current second
        self._ticks = ticks_ms()
        self._rate = rate
        self._linger = 0  # milliseconds that still pass at 1x

    def now(self):
        """Return the seconds since 2000-01-01 00:00 UTC; compare them with the `rtc`."""
        seconds = self.count()
        if self.follow:
            found = self._rtc.read()
            if found is not None and not -2 < found - seconds < 2:
                self._differs(seconds, found)
        return self._seconds

    def _differs(self, seconds, found):
        if self._rate == 1:
            try:
                self.follow(seconds, found)  # type: ignore[misc]
                self._seconds = found
                return
            except (OSError, ValueError):
                pass  # the meter cannot save it, or the time is out of its range
        self._rtc.write(seconds)

    def count(self):
        """Return the seconds since 2000-01-01 00:00 UTC, from the ticks alone."""
        ticks = ticks_ms()
        passed = ticks_diff(ticks, self._ticks)
        slow = min(passed, self._linger)
        self._linger -= slow
        milli = self.milli + slow + (passed - slow) * self._rate
        self._ticks = ticks
        if milli >= 1000:
            self._seconds += milli // 1000
            milli %= 1000
        self.milli = milli
        return self._seconds

    def set(self, seconds):
        """Set the time; the second begins now."""
        self._seconds = int(seconds)
        self.milli = 0
        self._ticks = ticks_ms()
        if self._rtc:
            self._rtc.write(self._seconds)

    def advance(self, seconds):
        """Advance the time and return it."""
        self.count()
        self._seconds += int(seconds)
        if self._rtc:
            self._rtc.write(self._seconds)
        return self._seconds

    def linger(self, seconds):
        """Run an accelerated clock at 1x for so many real seconds from now."""
        self.count()
        self._linger = seconds * 1000 if self._rate > 1 else 0

    @property
    def rate(self):
        """Return the meter seconds per real second."""
        return self._rate

    @rate.setter
    def rate(self, rate):
        if rate != int(rate) or rate < 0:
            raise ValueError("the clock's rate is a whole number, 0 or more")
        seconds = self.count()  # count the time until now at the old rate
        if self._rtc and self._rate != rate:
            self._rtc.write(seconds)
        self._rate = int(rate)
        self._linger = 0
