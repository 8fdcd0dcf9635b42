"""Pins that are read or switched: inputs, outputs, contacts."""

import machine
from machine import Pin


def read(settings):
    """Return the pin of an input, with the chip's own pull-up if its settings have `pull`."""
    return Pin(settings["pin"], Pin.IN, Pin.PULL_UP if "pull" in settings else -1)


class Output:
    """A pin that is on or off: LED, relay, buzzer; with `freq`, on is a square wave."""

    def __init__(self, settings):
        active = settings.get("active", 1)
        self._on = False
        self._levels = (1 - active, active)
        freq = settings.get("freq")
        pin = Pin(settings["pin"], Pin.OUT, value=1 - active)
        self._put = pin.value
        if freq:
            self._levels = (0, 32768)
            self._put = machine.PWM(pin, freq=freq, duty_u16=0).duty_u16

    def set(self, on):
        """Switch the output; do nothing if it is already in that state."""
        if on != self._on:
            self._put(self._levels[on])
            self._on = on


class Switch:
    """A contact that is read."""

    def __init__(self, settings):
        self._active = settings.get("active", 0)
        self._pin = read(settings)

    def on(self):
        """Return whether the contact is in its active state."""
        return self._pin() == self._active
