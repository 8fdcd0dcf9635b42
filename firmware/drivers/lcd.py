"""A character display: an HD44780 with the letters of ROM A00, behind a PCF8574 on I2C.

Our own, because micropython-i2c-lcd is on PyPI as a source archive without a build file (0.1.1),
which pip refuses, and not as a wheel.
"""

from time import sleep_ms  # type: ignore[attr-defined]

from micropython import const

from .cells import Cells

# The PCF8574's pins: RS, R/W (always 0), E, the backlight, D4 to D7.
_RS, _E, _LIGHT = const(1), const(4), const(8)
_GOTO = const(0x80)
# Three times "8 bits", then "4 bits" (HD44780U, figure 24): whichever half of an octet the chip
# waits for, it knows after the second time, at the next tick, when it has slept off what the rest
# of an octet may have told it.
SYNC = b"\x38\x3c\x38\x38\x3c\x38\x28\x2c\x28"
# Four bits and two lines, on, from left to right, and back from wherever it was shifted.
_SET = b"\x28\x0c\x06\x02"
# What to write for the letters from U+00E0 on, which A00 lacks.
_PLAIN = b"aaaaaaaceeeeiiiidnooooo/ouuuuypy"


class Lcd(Cells):
    """A display of 1 to 4 lines, once lcd_start has started it."""

    def __init__(self, i2c, address, rows, cols):
        super().__init__(rows, cols)
        self._most = cols
        self._i2c = i2c
        self.address = address
        self._octets = bytearray(5)
        self._next = -1  # the cell that is written next without a word
        self._astray = 0  # how often it has to be brought into step

    def renew(self):
        """Have the next calls of `show` bring the chip into step, and then draw every cell."""
        super().renew()
        self._astray = 2
        self._next = -1

    def show(self, lines):
        """Draw what is not shown yet, as all displays do.

        The width of four lines is that of the glass, up to the board's: such a glass goes on with
        the third where its first ends.
        """
        cols = len(lines[0]) if len(lines) > 2 else 0
        if cols != self._cols and cols in (16, 20) and cols <= self._most:
            self._cols = cols
            self.renew()
            self.send(0x01)  # clear
            sleep_ms(2)
        if not self._astray:
            return super().show(lines)
        self._i2c.writeto(self.address, SYNC)
        self._astray -= 1
        if not self._astray:
            for command in _SET:
                self.send(command)
        return True

    def send(self, octet, rs=0):
        """Send a command or, with RS, a letter, half by half: the chip takes each when E falls."""
        octets = self._octets
        octets[0] = octets[2] = octet & 0xF0 | _LIGHT | rs  # RS is there before E rises
        octets[1] = octets[0] | _E
        octets[4] = octet << 4 & 0xF0 | _LIGHT | rs
        octets[3] = octets[4] | _E
        self._i2c.writeto(self.address, octets)

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
