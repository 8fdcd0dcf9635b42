"""A latching relay with two coils; a plain relay is an `Output`."""

from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

from machine import Pin


class Bistable:
    """Keeps its position without current; a pulse on one coil closes it, on the other opens it.

    Its position at the start is unknown, so the first call always gives a pulse. A pulse ends
    before another begins: current in both coils would only heat the relay.
    """

    def __init__(self, coils, active, pulse_ms):
        self._active = active
        self._coils = [Pin(number, Pin.OUT, value=1 - active) for number in coils]
        self._pulse_ms = pulse_ms
        self._closed = None
        self._coil = None  # the coil that has current
        self._since = 0

    def set(self, closed):
        """Close or open the relay; call it at every tick, because this also ends a pulse."""
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
    """Return the relay with the coils `set` and `reset` and pulses of `pulse_ms`."""
    coils = settings["set"], settings["reset"]
    return Bistable(coils, settings.get("active", 1), settings.get("pulse_ms", 60))
