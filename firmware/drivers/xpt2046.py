"""A touch panel as a keypad: an XPT2046 on SPI over the keys that ili9341_start draws.

`across` of the settings is what the chip reads at the left and at the right edge of the picture,
`down` at the top and at the foot. A key more than are drawn is the text above them.
"""

from machine import Pin
from micropython import const

_COLS, _ROWS = const(3), const(4)
# Pressure, then twice across and down; each answer comes with the next question. The last one
# lets the chip sleep and watch for a touch.
_ASK = b"\xb1\x00\xd1\x00\x91\x00\xd1\x00\x90\x00\x00"
_PRESSED = const(100)  # of 4095; a finger gives some hundreds
_ENODEV = const(19)


class Touch:
    """The keys that are touched: `left`, `width`, `top` and `height` are of them all, as read."""

    def __init__(self, spi, settings, left, width, top, height):
        self._spi = spi
        self._cs = Pin(settings["cs"], Pin.OUT, value=1)
        self._irq = Pin(settings["irq"], Pin.IN)
        self._count = len(settings["keys"])
        self._at = (left, width, top, height)
        self.answer = bytearray(len(_ASK))

    def ask(self):
        """Have the chip measure."""
        self._cs(0)
        self._spi.write_readinto(_ASK, self.answer)
        self._cs(1)

    def scan(self):
        """Return a bit for each key that is held: none or one."""
        if self._irq():
            return 0
        self.ask()
        octets = self.answer
        left, width, top, height = self._at
        key = -1
        for at in (3, 7):
            before = key
            col = ((octets[at] << 8 | octets[at + 1]) // 8 - left) * _COLS // width
            row = ((octets[at + 2] << 8 | octets[at + 3]) // 8 - top) * _ROWS // height
            key = row * _COLS + col if row >= 0 else _ROWS * _COLS
            if not 0 <= col < _COLS or key >= self._count:
                return 0
        # A finger that comes or goes gives readings that do not agree.
        if key != before or (octets[1] << 8 | octets[2]) // 8 < _PRESSED:
            return 0
        return 1 << key


def make(spi, settings):
    """Return the keypad; OSError where nothing answers."""
    from .ili9341_start import HEIGHT, KEYS_TOP

    left, right = settings["across"]
    top, foot = settings["down"]
    height = (foot - top) * (HEIGHT - KEYS_TOP) // HEIGHT
    touch = Touch(spi, settings, left, right - left, foot - height, height)
    touch.ask()
    # A conversion begins with a 0 and ends with three: a line that hangs in the air does not.
    if touch.answer[1] & 0x80 or touch.answer[2] & 0x07:
        raise OSError(_ENODEV)
    return touch
