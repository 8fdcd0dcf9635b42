"""A colour display of 240x320 dots: an ILI9341 on SPI, upright: text, and below it keys to touch.

Up to 4 lines of 20 cells of 12 by 24. Nothing tells that it is absent: many have no line back.
"""

from time import sleep_ms  # type: ignore[attr-defined]

from framebuf import GS2_HMSB, RGB565, FrameBuffer
from machine import Pin

from .cells import Cells
from .font import Font

WIDTH, HEIGHT = 240, 320
KEYS_TOP, KEY_COLS, KEY_ROWS = 120, 3, 4
_GAP = 2  # around a key
_CELL_W, _CELL_H, _CELL_OCTETS = 12, 24, 576
_TOP, _PITCH = 8, 27
_SLOTS = 12  # of the font's cache
# Colours as the chip takes them, the high octet first: four shades from ground to ink, and the
# ground between the keys.
_TEXT = b"\xf7\xde\xa5\x75\x53\x0c\x08\xa3"
_KEY = b"\xff\xff\xb5\xb7\x6b\x6e\x21\x46"
_ENTER = b"\x2a\xae\x6c\x73\xb6\x39\xff\xff"
_DESK = b"\xc6\x7a" * 4
_PAPER = b"\xf7\xde" * 4


class Ili9341(Cells):
    """`madctl` in the settings is how the glass is mounted; OSError where there is no font."""

    def __init__(self, spi, settings):
        super().__init__(min(settings["rows"], 4), min(settings["cols"], WIDTH // _CELL_W))
        self._left = (WIDTH - _CELL_W * self._cols) // 2
        self._spi = spi
        self._cs = Pin(settings["cs"], Pin.OUT, value=1)
        self._dc = Pin(settings["dc"], Pin.OUT, value=1)
        light = Pin(settings["backlight"], Pin.OUT, value=0)
        self._font = Font("/fonts/12x24", _SLOTS)
        self._glyphs = FrameBuffer(self._font.cache, _CELL_W, _CELL_H * _SLOTS, GS2_HMSB)
        self._dots = bytearray(_CELL_OCTETS)
        self._cell_dots = FrameBuffer(self._dots, _CELL_W, _CELL_H, RGB565)
        self._four = bytearray(4)
        self._send(b"\x11", b"")
        sleep_ms(5)  # until it takes commands again (ILI9341 8.2.12); it was reset with the board
        self._send(b"\x3a", b"\x55")  # 16 bits a dot
        self._send(b"\x36", bytes((settings.get("madctl", 0x48),)))
        self._fill(0, 0, WIDTH, HEIGHT, _PAPER)
        keys = settings.get("keypad")
        if keys:
            self._keypad(keys)
        self._shades = _palette(_TEXT)
        self._send(b"\x29", b"")
        light(1)

    def _send(self, command, octets):
        self._cs(0)
        self._dc(0)
        self._spi.write(command)
        self._dc(1)
        if octets:
            self._spi.write(octets)
        self._cs(1)

    def _window(self, x, y, w, h):
        """Have what is sent next fill a rectangle."""
        self._span(b"\x2a", x, w)
        self._span(b"\x2b", y, h)

    def _span(self, command, first, count):
        four = self._four
        last = first + count - 1
        four[0] = first >> 8
        four[1] = first & 0xFF
        four[2] = last >> 8
        four[3] = last & 0xFF
        self._send(command, four)

    def _fill(self, x, y, w, h, colour):
        """Fill a rectangle; only at the start, because it allocates."""
        piece = colour[:2] * min(w * h, _CELL_OCTETS // 2)
        self._window(x, y, w, h)
        left = 2 * w * h
        command = b"\x2c"
        while left:
            self._send(command, piece[:left])
            left -= min(left, len(piece))
            command = b"\x3c"  # go on

    def _draw(self, x, y, code):
        slot = self._font.slot(code)
        self._cell_dots.blit(self._glyphs, 0, -_CELL_H * slot, -1, self._shades)
        self._window(x, y, _CELL_W, _CELL_H)
        self._send(b"\x2c", self._dots)

    def _cell(self, row, col, code):
        self._draw(self._left + _CELL_W * col, _TOP + _PITCH * row, code)

    def _keypad(self, keys):
        self._fill(0, KEYS_TOP - _GAP, WIDTH, HEIGHT - KEYS_TOP + _GAP, _DESK)
        w, h = WIDTH // KEY_COLS, (HEIGHT - KEYS_TOP) // KEY_ROWS
        for i in range(KEY_COLS * KEY_ROWS):
            x, y = i % KEY_COLS * w, KEYS_TOP + i // KEY_COLS * h
            colours = _ENTER if keys[i] == "#" else _KEY
            self._shades = _palette(colours)
            self._fill(x + _GAP, y + _GAP, w - 2 * _GAP, h - 2 * _GAP, colours)
            self._draw(x + (w - _CELL_W) // 2, y + (h - _CELL_H) // 2, ord(keys[i]))


def _palette(octets):
    return FrameBuffer(bytearray(octets), 4, 1, RGB565)


make = Ili9341
