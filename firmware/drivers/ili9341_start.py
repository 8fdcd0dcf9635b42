"""Initializes a colour display and draws the touch keys; unloaded after start-up."""

from time import sleep_ms  # type: ignore[attr-defined]

from framebuf import RGB565, FrameBuffer
from machine import Pin
from micropython import const

HEIGHT, KEYS_TOP = 320, 120
_WIDTH = const(240)
_KEY_COLS = const(3)
_KEY_ROWS = const(4)
_CELL_W = const(11)
_CELL_H = const(24)
_PIECE = const(288)
_GAP = const(2)  # around a key
# Colours in the chip's format, the high byte first: four shades from background to foreground, and
# the background between the keys.
_TEXT = b"\xf7\xde\xa5\x75\x53\x0c\x08\xa3"
_KEY = b"\xff\xff\xb5\xb7\x6b\x6e\x21\x46"
_ENTER = b"\x2a\xae\x6c\x73\xb6\x39\xff\xff"
_DESK = b"\xc6\x7a"


def _palette(shades):
    return FrameBuffer(bytearray(shades), 4, 1, RGB565)


def _fill(display, x, y, w, h, colour):
    piece = colour[:2] * min(w * h, _PIECE)
    display.window(b"\x2a", x, w)
    display.window(b"\x2b", y, h)
    left = 2 * w * h
    command = b"\x2c"
    while left:
        display.send(command, piece if left >= len(piece) else piece[:left])
        left -= min(left, len(piece))
        command = b"\x3c"  # continue


def _keypad(display, keys):
    _fill(display, 0, KEYS_TOP - _GAP, _WIDTH, HEIGHT - KEYS_TOP + _GAP, _DESK)
    w, h = _WIDTH // _KEY_COLS, (HEIGHT - KEYS_TOP) // _KEY_ROWS
    for i in range(_KEY_COLS * _KEY_ROWS):
        x, y = i % _KEY_COLS * w, KEYS_TOP + i // _KEY_COLS * h
        colours = _ENTER if keys[i] == "#" else _KEY
        display.shades = _palette(colours)
        _fill(display, x + _GAP, y + _GAP, w - 2 * _GAP, h - 2 * _GAP, colours)
        display.draw(x + (w - _CELL_W) // 2, y + (h - _CELL_H) // 2, ord(keys[i]))


def start(display, settings):
    """Draw everything except the text, then switch it on; `madctl` is how the glass is mounted."""
    light = Pin(settings["backlight"], Pin.OUT, value=0)
    display.send(b"\x01")  # a reset of the board does not reset the display
    sleep_ms(120)  # before sleep out is allowed (ILI9341 8.2.2)
    display.send(b"\x11")
    sleep_ms(5)  # before the next command (8.2.12)
    display.send(b"\x3a", b"\x55")  # 16 bits a dot
    display.send(b"\x36", bytes((settings.get("madctl", 0x48),)))
    _fill(display, 0, 0, _WIDTH, HEIGHT, _TEXT)
    if settings.get("keypad"):
        _keypad(display, settings["keypad"])
    display.shades = _palette(_TEXT)
    display.send(b"\x29")
    light(1)
    return display
