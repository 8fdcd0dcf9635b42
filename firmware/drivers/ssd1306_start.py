"""Starts a display of 128x64 dots; a start lets this go again."""

from .probe_start import found

# Commands: off; column after column, each from the top of a line to its foot; the first line is
# the upper one, with the connector at the top; 64 lines, no offset, as such a glass is wired;
# clock, precharge, levels, contrast; what is in memory, light on dark; its own supply.
_START = (
    b"\x00\xae\x20\x01\x40\xa1\xc8\xa8\x3f\xd3\x00\xda\x12"
    b"\xd5\x80\xd9\xf1\xdb\x30\x81\xcf\xa4\xa6\x8d\x14"
)


def start(kind, i2c, settings):
    """Return the display, blank: what it holds at power on is noise."""
    address = found(i2c, settings["addresses"], _START)
    display = kind(i2c, address)
    while display.show(()):
        pass
    i2c.writeto(address, b"\x00\xaf")  # on
    return display
