"""A character display: an HD44780 with character ROM A00, behind a PCF8574 on I2C.

Not from PyPI: micropython-i2c-lcd is there only as a source archive without a build file (0.1.1),
which pip refuses.
"""

from time import sleep_ms  # type: ignore[attr-defined]

from micropython import const

from .cells import Cells

# The PCF8574's pins: RS, R/W (always 0), E, the backlight, D4 to D7.
_RS, _E, _LIGHT = const(1), const(4), const(8)
_GOTO = const(0x80)
# Three times "8 bits", then "4 bits" (HD44780U, figure 24). The chip may wait for either half of a
# byte: it is in step after the second sequence, sent at the next tick, when it has finished the
# command that the first one may have completed.
SYNC = b"\x38\x3c\x38\x38\x3c\x38\x28\x2c\x28"
# Four bits and two lines, display on, left to right, display shift reset.
_SET = b"\x28\x0c\x06\x02"
# Replacements for the letters from U+00E0 on, which A00 lacks.
_PLAIN = b"aaaaaaaceeeeiiiidnooooo/ouuuuypy"


class Lcd(Cells):
    """A display of 1 to 4 lines, after lcd_start has initialized it."""

    def __init__(self, i2c, address, rows, cols):
        super().__init__(rows, cols)
        self._most = cols
        self._i2c = i2c
        self.address = address
        self._data = bytearray(5)
        self._next = -1  # the cell at the chip's cursor
        self._resyncs = 0  # synchronizations left to send

    def renew(self):
        """Let the next calls of `show` synchronize the chip and draw every cell."""
        super().renew()
        self._resyncs = 2
        self._next = -1

    def show(self, lines):
        """Draw the cells that have changed, as all displays do.

        Four lines set the width of the glass, up to the board's width: on such a glass the third
        line continues the memory of the first.
        """
        cols = len(lines[0]) if len(lines) > 2 else 0
        if cols != self._cols and cols in (16, 20) and cols <= self._most:
            self._cols = cols
            self.renew()
            self.send(0x01)  # clear
            sleep_ms(2)
        if not self._resyncs:
            return super().show(lines)
        self._i2c.writeto(self.address, SYNC)
        self._resyncs -= 1
        if not self._resyncs:
            for command in _SET:
                self.send(command)
        return True

    def send(self, value, rs=0):
        """Send a command or, with RS, a character, in two halves, each read when E falls."""
        data = self._data
        data[0] = data[2] = value & 0xF0 | _LIGHT | rs  # RS is set before E rises
        data[1] = data[0] | _E
        data[4] = value << 4 & 0xF0 | _LIGHT | rs
        data[3] = data[4] | _E
        self._i2c.writeto(self.address, data)

    def _cell(self, row, col, code):
        at = row * self._cols + col
        if at != self._next:
            # In the chip's memory the third line follows the first, the fourth follows the second.
            self.send(_GOTO | 0x40 * (row & 1) + (self._cols if row > 1 else 0) + col)
        self._next = at + 1 if col + 1 < self._cols else -1
        if 0xC0 <= code <= 0xFF:
            code = _PLAIN[code & 0x1F] - (0x20 if code < 0xE0 else 0)
        elif code == 0x5C:
            code = 0x2F  # A00 has a yen sign there, and arrows for 0x7E and 0x7F
        elif code > 0x7D:
            code = 0x3F
        self.send(code, _RS)


def make(i2c, settings):
    """Return the display at the first address that answers; OSError if none does."""
    from .lcd_start import start

    return start(Lcd, i2c, settings)
