"""A display of 128x64 dots: an SSD1306 on I2C with its usual panel, as a picture and as text.

Its memory contains noise at power on. It is dark until the charge pump and the display are on.
"""

import random
from typing import Any

from PIL import Image

from jeton_host.virtual.models import glass
from jeton_host.virtual.models.hardware import Bench, Part

WIDTH, HEIGHT = 128, 64
_HORIZONTAL, _VERTICAL = 0, 1
# Number of bytes that follow a command (SSD1306 data sheet, table 9-1).
_FOLLOW = dict.fromkeys((0x20, 0x81, 0x8D, 0xA8, 0xD3, 0xD5, 0xD9, 0xDA, 0xDB), 1)
_FOLLOW |= {0x21: 2, 0x22: 2, 0x26: 6, 0x27: 6, 0x29: 5, 0x2A: 5, 0xA3: 2}
_LIGHT = (0xC8, 0xE8, 0xFF)
_EDGE = 4


class Ssd1306(Part):
    """The display: `picture()` and `text()` are what a person sees.

    `bus_bytes` counts the bytes on the bus, addresses included.
    """

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        self._present = True
        super().__init__(bench, name, settings)
        self.bus_bytes = 0
        self._power()
        bench.i2c(self, settings.get("soldered", settings["addresses"][0]), self)

    def _power(self) -> None:
        self._memory = [bytearray(random.Random(n).randbytes(WIDTH)) for n in range(8)]  # noqa: S311
        self._command: list[int] = []
        self._mode = 2  # page addressing
        self._cols, self._pages = (0, WIDTH - 1), (0, 7)
        self._col = self._page = 0
        self._remapped = self._turned = self._inverse = self._all = False
        self._on = self._pump = False
        self._lines, self._offset, self._first, self._wiring = 64, 0, 0, 0x12
        self._unknown: set[tuple[int, int]] = set()

    @property
    def present(self) -> bool:
        """Return whether the display is connected."""
        return self._present

    @present.setter
    def present(self, present: bool) -> None:
        if present and not self._present:
            self._power()
        self._present = present

    # The bus

    def write(self, data: bytes) -> None:
        """Process control bytes and the commands and data that follow them."""
        self.bus_bytes += 1 + len(data)
        at = 0
        while at < len(data):
            control = data[at]
            alone = control & 0x80
            piece = data[at + 1 : at + 2] if alone else data[at + 1 :]
            for byte in piece:
                if control & 0x40:
                    self._data(byte)
                else:
                    self._order(byte)
            at += 1 + len(piece) if piece else len(data)

    def read(self, count: int) -> bytes:
        """Return the status: bit 6 is set while the display is off."""
        return bytes([0x03 if self._on else 0x43]) * count

    def _data(self, byte: int) -> None:
        col = self._col if self._remapped else WIDTH - 1 - self._col
        self._memory[self._page][col] = byte
        self._unknown.discard((self._page, col))
        if self._mode == _VERTICAL:
            if self._next_page():
                self._next_col()
        elif self._next_col() and self._mode == _HORIZONTAL:
            self._next_page()

    def _next_col(self) -> bool:
        """Advance one column; return True if it wrapped to the first one."""
        last = self._cols[1] if self._mode < 2 else WIDTH - 1
        first = self._cols[0] if self._mode < 2 else 0
        over = self._col == last
        self._col = first if over else (self._col + 1) % WIDTH
        return over

    def _next_page(self) -> bool:
        over = self._page == self._pages[1]
        self._page = self._pages[0] if over else (self._page + 1) % 8
        return over

    def _order(self, byte: int) -> None:
        self._command.append(byte)
        if len(self._command) <= _FOLLOW.get(self._command[0], 0):
            return
        (order, *values), self._command = self._command, []
        if order == 0x20:
            self._mode = values[0] & 3
        elif order == 0x21:
            self._cols = values[0] & 0x7F, values[1] & 0x7F
            self._col = self._cols[0]
        elif order == 0x22:
            self._pages = values[0] & 7, values[1] & 7
            self._page = self._pages[0]
        elif order < 0x10 and self._mode == 2:
            self._col = self._col & 0x70 | order
        elif order < 0x20 and self._mode == 2:
            self._col = (order & 7) << 4 | self._col & 0x0F
        elif 0x40 <= order < 0x80:
            self._first = order & 0x3F
        elif order == 0x8D:
            self._pump = bool(values[0] & 0x04)
        elif order in (0xA0, 0xA1):
            self._remapped = order == 0xA1
        elif order in (0xA4, 0xA5):
            self._all = order == 0xA5
        elif order in (0xA6, 0xA7):
            self._inverse = order == 0xA7
        elif order == 0xA8:
            self._lines = (values[0] & 0x3F) + 1
        elif order in (0xAE, 0xAF):
            self._on = order == 0xAF
        elif 0xB0 <= order < 0xB8 and self._mode == 2:
            self._page = order & 7
        elif order in (0xC0, 0xC8):
            self._turned = order == 0xC0
        elif order == 0xD3:
            self._offset = values[0] & 0x3F
        elif order == 0xDA:
            self._wiring = values[0]

    # For a model that only listens to a bus

    def forget(self) -> None:
        """Mark the whole memory as unknown, because bytes on the bus were lost."""
        self._unknown = {(page, col) for page in range(8) for col in range(WIDTH)}

    @property
    def known(self) -> bool:
        """Return whether it is on and its whole memory was written since `forget`."""
        return self._on and self._pump and not self._unknown

    # What is visible

    def dot(self, x: int, y: int) -> int:
        """Return 1 where a dot is lit."""
        if not (self.present and self._on and self._pump):
            return 0
        if self._all:
            return 1
        line = HEIGHT - 1 - y if self._turned else y
        if not self._wiring & 0x10:  # sequential COM pins: the rows of both halves alternate
            line = line // 2 + line % 2 * (HEIGHT // 2)
        if line >= self._lines:
            return 0
        line = (line + self._offset + self._first) % HEIGHT
        return self._memory[line // 8][x] >> line % 8 & 1 ^ self._inverse

    def text(self) -> list[str]:
        """Return the text as a person reads it: 4 lines of 16 letters."""
        return glass.read("8x16", self.dot, 4, 16)

    def picture(self, scale: int = 3) -> Image.Image:
        """Return a picture of the display, `scale` pixels for each dot."""
        found = Image.new("RGB", (WIDTH + 2 * _EDGE, HEIGHT + 2 * _EDGE))
        for y in range(HEIGHT):
            for x in range(WIDTH):
                if self.dot(x, y):
                    found.putpixel((_EDGE + x, _EDGE + y), _LIGHT)
        size = found.width * scale, found.height * scale
        return found.resize(size, Image.Resampling.NEAREST)


make = Ssd1306
