"""A display of 128x64 dots: an SSD1306 on I2C, as 4 lines of 16 cells of 8 by 16.

Our own, because micropython-ssd1306 is on PyPI as a source archive without a build file (0.3),
which pip refuses, and not as a wheel; and it holds, and sends, the whole picture of 1 KB.
"""

from .cells import Cells
from .font import Font

_ROWS, _COLS, _SIZE = 4, 16, 16
_SLOTS = 16
# Commands: off until there is something to show; column after column, each from the top of a line
# to its foot; the first line is the upper one, with the connector at the top; 64 lines, no offset,
# as such a glass is wired; clock, precharge, levels, contrast; what is in memory, light on dark;
# its own supply.
_START = (
    b"\x00\xae\x20\x01\x40\xa1\xc8\xa8\x3f\xd3\x00\xda\x12"
    b"\xd5\x80\xd9\xf1\xdb\x30\x81\xcf\xa4\xa6\x8d\x14"
)


class Ssd1306(Cells):
    """OSError where it has none of the addresses, or there is no font."""

    def __init__(self, i2c, settings):
        super().__init__(_ROWS, _COLS)
        self._i2c = i2c
        for self._address in settings["addresses"]:
            try:
                i2c.writeto(self._address, _START)
                break
            except OSError as error:
                missing = error
        else:
            raise missing
        self._font = Font("/fonts/8x16", _SLOTS)
        cache = memoryview(self._font.cache)
        self._glyphs = [cache[at : at + _SIZE] for at in range(0, len(cache), _SIZE)]
        self._data = [b"\x40", None]
        self._window = bytearray((0x00, 0x21, 0, 127, 0x22, 0, 0))
        self._next = -1  # the cell that is written next without a word
        self._on = False

    def show(self, lines):
        """Draw what of the lines is not shown yet; True when this has to be called again."""
        more = super().show(lines)
        if not more and not self._on:
            self._i2c.writeto(self._address, b"\x00\xaf")
            self._on = True
        return more

    def _cell(self, row, col, code):
        at = row * _COLS + col
        if at != self._next:
            window = self._window
            window[2] = 8 * col
            window[5] = 2 * row
            window[6] = 2 * row + 1
            self._i2c.writeto(self._address, window)
        self._data[1] = self._glyphs[self._font.slot(code)]
        self._i2c.writevto(self._address, self._data)
        self._next = at + 1 if col + 1 < _COLS else -1


make = Ssd1306
