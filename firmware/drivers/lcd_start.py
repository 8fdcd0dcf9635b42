"""Initializes a character display; unloaded after start-up."""

from time import sleep_ms  # type: ignore[attr-defined]

from micropython import const

from .probe_start import found

_E, _LIGHT = const(4), const(8)
_CLEAR, _LEFT_TO_RIGHT, _OFF, _ON, _FOUR_BITS = 0x01, 0x06, 0x08, 0x0C, 0x28


def start(kind, i2c, settings):
    """Return the display, cleared, from any earlier state (HD44780U, figure 24)."""
    address = found(i2c, settings["addresses"], bytes((_LIGHT,)))
    sleep_ms(40)  # after power on
    for bits, wait_ms in ((0x30, 5), (0x30, 1), (0x30, 1), (0x20, 1)):
        bits |= _LIGHT
        i2c.writeto(address, bytes((bits, bits | _E, bits)))
        sleep_ms(wait_ms)
    display = kind(i2c, address, settings["rows"], settings["cols"])
    for command in (_FOUR_BITS, _OFF, _CLEAR):
        display.send(command)
    sleep_ms(2)  # other commands take 37 us, less than two bytes on this bus
    display.send(_LEFT_TO_RIGHT)
    display.send(_ON)
    return display
