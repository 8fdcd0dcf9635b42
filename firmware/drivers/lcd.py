"""A character display: an HD44780 with the letters of ROM A00, behind a PCF8574 on I2C.

Our own, because micropython-i2c-lcd is on PyPI as a source archive without a build file (0.1.1),
which pip refuses, and not as a wheel.
"""

from micropython import const

from .cells import Cells

# The PCF8574's pins: RS, R/W (always 0), E, the backlight, D4 to D7.
_RS, _E, _LIGHT = const(1), const(4), const(8)
_GOTO = const(0x80)
# What to write for the letters from U+00E0 on, which A00 lacks.
_PLAIN = b"aaaaaaaceeeeiiiidnooooo/ouuuuypy"


class Lcd(Cells):
    """A display of 1 to 4 lines, once lcd_start has started it."""

    def __init__(self, i2c, address, rows, cols):
        super().__init__(rows, cols)
        self._i2c = i2c
        self._address = address
        self._octets = bytearray(5)
        self._next = -1  # the cell that is written next without a word

    def send(self, octet, rs=0):
        """Send a command or, with RS, a letter, half by half: the chip takes each when E falls."""
        octets = self._octets
        octets[0] = octets[2] = octet & 0xF0 | _LIGHT | rs  # RS is there before E rises
        octets[1] = octets[0] | _E
        octets[4] = octet << 4 & 0xF0 | _LIGHT | rs
        octets[3] = octets[4] | _E
        self._i2c.writeto(self._address, octets)

    def _cell(self, row, col, code):
        at = row * self._cols + col
        if at != self._next:
            # The third line goes on where the first ends, the fourth where the second does.
            self.send(_GOTO | 0x40 * (row & 1) + (self._cols if row > 1 else 0) + col)
        self._next = at + 1 if col + 1 < self._cols else -1
        if 0xC0 <= code <= 0xFF:
            code = _PLAIN[code & 0x1F] - (0x20 if code < 0xE0 else 0)
        elif code == 0x5C:
            code = 0x2F  # A00 has a yen there, and arrows in place of ~ and the last one
        elif code > 0x7D:
            code = 0x3F
        self.send(code, _RS)


def make(i2c, settings):
    """Return the display at the first address that answers; OSError where none does."""
    from .lcd_start import start

    return start(Lcd, i2c, settings)
