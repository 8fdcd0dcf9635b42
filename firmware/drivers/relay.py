"""A relay with two coils, which keeps its place without current; the plain one is an output."""

from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

from machine import Pin


class Bistable:
    """Keeps its place without current; a pulse on one coil closes it, on the other opens it.

    Where it is at a start nobody knows: the first call throws it. A pulse ends before another one
    begins: both coils at once would only heat it.
    """

    def __init__(self, coils, active, pulse_ms):
        self._active = active
        self._coils = [Pin(number, Pin.OUT, value=1 - active) for number in coils]
        self._pulse_ms = pulse_ms
        self._closed = None
        self._coil = None  # that has current
        self._since = 0

    def set(self, closed):
        """Have it closed or open; call it at every tick: that ends a pulse too."""
        if self._coil is not None:
            if ticks_diff(ticks_ms(), self._since) < self._pulse_ms:
                return
            self._coil(1 - self._active)
            self._coil = None
        elif closed != self._closed:
            self._closed = closed
            self._coil = self._coils[not closed]
            self._since = ticks_ms()
            self._coil(self._active)


def make(bus, settings):
    """Return the relay with the coils `set` and `reset`, for pulses of `pulse_ms`."""
    coils = settings["set"], settings["reset"]
    return Bistable(coils, settings.get("active", 1), settings.get("pulse_ms", 60))
