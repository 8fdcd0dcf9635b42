"""A touch panel as a keypad: an XPT2046 on SPI over the keys that ili9341 draws.

`across` of the settings is what the chip reads at the left and at the right edge of the picture,
`down` at the top and at the foot. A key more than are drawn is the text above them.
"""

from machine import Pin

from .ili9341 import HEIGHT, KEY_COLS, KEY_ROWS, KEYS_TOP, WIDTH

# Pressure, then twice across and down; each answer comes with the next question. The last one
# lets the chip sleep and watch for a touch.
_ASK = b"\xb1\x00\xd1\x00\x91\x00\xd1\x00\x90\x00\x00"
_PRESSED = 100  # of 4095; a finger gives some hundreds
_ENODEV = 19


class Touch:
    """The keys that are touched; OSError where nothing answers."""

    def __init__(self, spi, settings):
        self._spi = spi
        self._cs = Pin(settings["cs"], Pin.OUT, value=1)
        self._irq = Pin(settings["irq"], Pin.IN)
        self._across = settings["across"]
        self._down = settings["down"]
        self._count = len(settings["keys"])
        self._answer = bytearray(len(_ASK))
        self._read()
        # A conversion begins with a 0 and ends with three: a line that hangs in the air does not.
        if self._answer[1] & 0x80 or self._answer[2] & 0x07:
            raise OSError(_ENODEV)

    def _read(self):
        self._cs(0)
        self._spi.write_readinto(_ASK, self._answer)
        self._cs(1)

    def _value(self, at):
        return (self._answer[at] << 8 | self._answer[at + 1]) >> 3

    def _key(self, at):
        """Return the number of the key under the finger by the readings from there on, or -1."""
        left, right = self._across
        top, foot = self._down
        x = (self._value(at) - left) * WIDTH // (right - left)
        y = (self._value(at + 2) - top) * HEIGHT // (foot - top) - KEYS_TOP
        if not (0 <= x < WIDTH and -KEYS_TOP <= y < HEIGHT - KEYS_TOP):
            return -1
        if y < 0:
            return KEY_ROWS * KEY_COLS
        return y * KEY_ROWS // (HEIGHT - KEYS_TOP) * KEY_COLS + x * KEY_COLS // WIDTH

    def scan(self):
        """Return a bit for each key that is held: none or one."""
        if self._irq():
            return 0
        self._read()
        key = self._key(3)
        # A finger that comes or goes gives readings that do not agree.
        if self._value(1) < _PRESSED or key != self._key(7) or not 0 <= key < self._count:
            return 0
        return 1 << key


make = Touch
