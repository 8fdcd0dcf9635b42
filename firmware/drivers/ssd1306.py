"""A display of 128x64 dots: an SSD1306 on I2C, as 4 lines of 16 cells of 8 by 16.

Not from PyPI: micropython-ssd1306 is there only as a source archive without a build file (0.3),
which pip refuses; and it keeps, and sends, the whole picture of 1 KB.
"""

from micropython import const

from .cells import Cells
from .font import Font

_ROWS, _COLS = const(4), const(16)
# Commands: vertical addressing; start line 0, segments and scan direction remapped for a connector
# at the top; 64 lines, no offset, COM pins as such a glass is wired; clock, precharge, levels,
# contrast; show the memory, not inverted; charge pump on.
START = (
    b"\x00\x20\x01\x40\xa1\xc8\xa8\x3f\xd3\x00\xda\x12"
    b"\xd5\x80\xd9\xf1\xdb\x30\x81\xcf\xa4\xa6\x8d\x14"
)
ON = b"\x00\xaf"


class Ssd1306(Cells):
    """A display at an address of the bus; OSError if there is no font."""

    def __init__(self, i2c, address):
        super().__init__(_ROWS, _COLS)
        self._i2c = i2c
        self.address = address
        self._font = Font("/fonts/8x16")
        self._data = (b"\x40", self._font.glyph)
        self._window = bytearray(b"\x00\x21\x00\x7f\x22\x00\x00")
        self._next = -1  # the cell at the chip's cursor

    def renew(self):
        """Initialize the chip again, which may have lost its supply, and draw every cell."""
        super().renew()
        self._next = -1
        self._i2c.writeto(self.address, START)
        self._i2c.writeto(self.address, ON)

    def _cell(self, row, col, code):
        self._font.read(code)
        at = row * _COLS + col
        if at != self._next:
            window = self._window
            window[2] = 8 * col
            window[5] = 2 * row
            window[6] = 2 * row + 1
            self._i2c.writeto(self.address, window)
        self._next = at + 1 if col + 1 < _COLS else -1
        self._i2c.writevto(self.address, self._data)


def make(i2c, settings):
    """Return the display at the first address that answers, blank; OSError if none does.

    The display memory is random at power on.
    """
    from .probe_start import found

    address = found(i2c, settings["addresses"], b"\x00\xae" + START[1:])
    display = Ssd1306(i2c, address)
    while display.show(()):
        pass
    i2c.writeto(address, ON)
    return display
