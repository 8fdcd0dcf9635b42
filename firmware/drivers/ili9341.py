"""A colour display of 240x320 dots: an ILI9341 on SPI, upright, with text above touch keys.

Up to 4 lines of 20 cells of 11 by 24, between margins. A missing display cannot be detected: many
lack MISO.
"""

from framebuf import GS2_HMSB, RGB565, FrameBuffer
from machine import Pin
from micropython import const

from .cells import Cells
from .font import Font

_WIDTH = const(240)
_CELL_W, _CELL_H = const(11), const(24)
_STRIP = const(8)  # pixel lines of a cell sent at a time
_TOP, _PITCH = const(8), const(27)


class Ili9341(Cells):
    """The display, before ili9341_start initializes it; OSError if there is no font."""

    def __init__(self, spi, settings):
        super().__init__(min(settings["rows"], 4), min(settings["cols"], _WIDTH // _CELL_W))
        self._spi = spi
        self._cs = Pin(settings["cs"], Pin.OUT, value=1)
        self._dc = Pin(settings["dc"], Pin.OUT, value=1)
        self._font = Font("/fonts/11x24")
        self._glyph = FrameBuffer(self._font.glyph, _CELL_W, _CELL_H, GS2_HMSB)
        self._dots = bytearray(2 * _CELL_W * _STRIP)
        self._picture = FrameBuffer(self._dots, _CELL_W, _STRIP, RGB565)
        self._four = bytearray(4)
        self.shades = None  # the four colours from background to foreground

    def send(self, command, data=b""):
        """Send a command and its data."""
        self._cs(0)
        self._dc(0)
        self._spi.write(command)
        self._dc(1)
        if data:  # SPI.write raises for an empty buffer
            self._spi.write(data)
        self._cs(1)

    def window(self, command, first, count):
        """Set the columns (0x2A) or pixel lines (0x2B) that the next drawing fills."""
        four = self._four
        four[0] = first >> 8
        four[1] = first & 0xFF
        first += count - 1
        four[2] = first >> 8
        four[3] = first & 0xFF
        self.send(command, four)

    def draw(self, x, y, code):
        """Draw a cell."""
        self._font.read(code)
        self.window(b"\x2a", x, _CELL_W)
        self.window(b"\x2b", y, _CELL_H)
        command = b"\x2c"
        for top in range(0, -_CELL_H, -_STRIP):
            self._picture.blit(self._glyph, 0, top, -1, self.shades)
            self.send(command, self._dots)
            command = b"\x3c"  # continue

    def _cell(self, row, col, code):
        left = (_WIDTH - _CELL_W * self._cols) // 2
        self.draw(left + _CELL_W * col, _TOP + _PITCH * row, code)


def make(spi, settings):
    """Return the display, with touch keys if the settings have a keypad."""
    from .ili9341_start import start

    return start(Ili9341(spi, settings), settings)
