"""A display of 128x64 dots: an SSD1306 on I2C, as 4 lines of 16 cells of 8 by 16.

Our own, because micropython-ssd1306 is on PyPI as a source archive without a build file (0.3),
which pip refuses, and not as a wheel; and it holds, and sends, the whole picture of 1 KB.
"""

from micropython import const

from .cells import Cells
from .font import Font

_ROWS, _COLS = const(4), const(16)


class Ssd1306(Cells):
    """A display that ssd1306_start has found; OSError where there is no font."""

    def __init__(self, i2c, address):
        super().__init__(_ROWS, _COLS)
        self._i2c = i2c
        self._address = address
        self._font = Font("/fonts/8x16")
        self._data = (b"\x40", self._font.glyph)
        self._window = bytearray(b"\x00\x21\x00\x7f\x22\x00\x00")
        self._next = -1  # the cell that is written next without a word

    def _cell(self, row, col, code):
        self._font.read(code)
        at = row * _COLS + col
        if at != self._next:
            window = self._window
            window[2] = 8 * col
            window[5] = 2 * row
            window[6] = 2 * row + 1
            self._i2c.writeto(self._address, window)
        self._next = at + 1 if col + 1 < _COLS else -1
        self._i2c.writevto(self._address, self._data)


def make(i2c, settings):
    """Return the display at the first address that answers; OSError where none does."""
    from .ssd1306_start import start

    return start(Ssd1306, i2c, settings)
