"""A touch panel as a keypad: an XPT2046 on SPI over the keys that ili9341_start draws.

`across` in the settings is the reading at the left and at the right edge of the picture, `down` at
the top and at the bottom. One key more than are drawn is the text area above them.
"""

from machine import Pin
from micropython import const

_COLS, _ROWS = const(3), const(4)
# Measure pressure, then twice across and down; each answer is read during the next request. The
# last request lets the chip sleep and wait for a touch.
_REQUEST = b"\xb1\x00\xd1\x00\x91\x00\xd1\x00\x90\x00\x00"
_PRESSED = const(100)  # of 4095; a finger reads several hundred
_ENODEV = const(19)


class Touch:
    """The touched keys; `left`, `width`, `top`, `height` are the readings of the whole keypad."""

    def __init__(self, spi, settings, left, width, top, height):
        self._spi = spi
        self._cs = Pin(settings["cs"], Pin.OUT, value=1)
        self._irq = Pin(settings["irq"], Pin.IN)
        self._count = len(settings["keys"])
        self._at = (left, width, top, height)
        self.answer = bytearray(len(_REQUEST))

    def ask(self):
        """Let the chip measure."""
        self._cs(0)
        self._spi.write_readinto(_REQUEST, self.answer)
        self._cs(1)

    def scan(self):
        """Return a bit for the key that is touched, else 0."""
        if self._irq():
            return 0
        self.ask()
        data = self.answer
        left, width, top, height = self._at
        key = -1
        for at in (3, 7):
            before = key
            col = ((data[at] << 8 | data[at + 1]) // 8 - left) * _COLS // width
            row = ((data[at + 2] << 8 | data[at + 3]) // 8 - top) * _ROWS // height
            key = row * _COLS + col if row >= 0 else _ROWS * _COLS
            if not 0 <= col < _COLS or key >= self._count:
                return 0
        # While a finger touches or leaves the panel, the two readings differ.
        if key != before or (data[1] << 8 | data[2]) // 8 < _PRESSED:
            return 0
        return 1 << key


def make(spi, settings):
    """Return the keypad; OSError if the chip does not answer."""
    from .ili9341_start import HEIGHT, KEYS_TOP

    left, right = settings["across"]
    top, foot = settings["down"]
    height = (foot - top) * (HEIGHT - KEYS_TOP) // HEIGHT
    touch = Touch(spi, settings, left, right - left, foot - height, height)
    touch.ask()
    # A conversion begins with one 0 and ends with three; an open line does not.
    if touch.answer[1] & 0x80 or touch.answer[2] & 0x07:
        raise OSError(_ENODEV)
    return touch
