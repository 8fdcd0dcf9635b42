"""Pulses of another meter, from its S0 output or its LED: each is a fraction of a kWh."""

from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

import machine
from machine import Pin
from micropython import const

from .pins import read

_SHORTEST_MS = const(20)  # EN 62053-31 has 30: a shorter interval is a bounce


class Counted:
    """Counts with the chip's pulse counter, which works even during a write to the flash."""

    def __init__(self, pin, rising):
        counter = machine.Counter
        edge = counter.RISING if rising else counter.FALLING
        # The longest filter of the ESP32: 1023 periods of 80 MHz.
        self._counter = counter(0, pin, edge=edge, filter_ns=12_700)
        self._before = 0

    def take(self):
        """Return the pulses since the last call."""
        count = self._counter.value()
        new = count - self._before
        self._before = count
        return max(new, 0)


class Interrupted:
    """Counts by interrupts, without a counter: MicroPython before 1.26, or an ESP32-C3."""

    def __init__(self, pin, rising):
        self._count = 0
        self._last = ticks_ms() - _SHORTEST_MS
        self._pin = pin
        pin.irq(self._edge, Pin.IRQ_RISING if rising else Pin.IRQ_FALLING)

    def _edge(self, pin):
        now = ticks_ms()
        if ticks_diff(now, self._last) >= _SHORTEST_MS:
            self._count += 1
        self._last = now

    def take(self):
        """Return the pulses since the last call."""
        count = self._count
        self._count -= count  # a pulse in between is kept
        return count


def make(bus, settings):
    """Return the input: with the counter if the chip and its MicroPython have one."""
    pin = read(settings)
    rising = settings.get("edge") == "rising"
    return (Counted if hasattr(machine, "Counter") else Interrupted)(pin, rising)
