"""Starts a display of 128x64 dots; a start lets this go again."""

from .probe_start import found
from .ssd1306 import ON, START


def start(kind, i2c, settings):
    """Return the display, blank: what it holds at power on is noise."""
    address = found(i2c, settings["addresses"], b"\x00\xae" + START[1:])
    display = kind(i2c, address)
    while display.show(()):
        pass
    i2c.writeto(address, ON)
    return display
