"""A colour display of 240x320 dots: an ILI9341 on SPI, as a picture and as text."""

import random
from typing import Any

from PIL import Image

from jeton_host.virtual.models import glass
from jeton_host.virtual.models.hardware import Bench, Part

WIDTH, HEIGHT = 240, 320
_MY, _MX, _MV, _BGR = 0x80, 0x40, 0x20, 0x08
# From Sleep Out to the next command, in seconds (ILI9341 8.2.12). Checked only if the firmware
# reports its sleeps: in real time, SPI data arrives here later than it was sent.
_WAKE_S = 0.005
# Where the driver writes its text, in dots.
_TOP, _PITCH, _FOOT, _CELL, _COLS = 8, 27, 116, 11, 20


class Ili9341(Part):
    """The display: `picture()` and `text()` are what a person sees.

    `bus_bytes` counts the bytes on the bus. The panel is mounted as on the ESP32-2432S028R:
    upright, with colour order BGR and mirrored columns.
    """

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        self.bus_bytes = 0
        self._deaf = 0.0
        self._awake = self._on = self._inverted = False
        self._madctl, self._format = 0, 0x66
        self._columns, self._pages = (0, WIDTH - 1), (0, HEIGHT - 1)
        self._x = self._y = 0
        self._command = 0
        self._values = bytearray()
        # The memory contains noise at power on: red, green, blue of each dot.
        self._memory = bytearray(random.Random(1).randbytes(3 * WIDTH * HEIGHT))  # noqa: S311
        self._dc = bench.pins[settings["dc"]]
        self._light = bench.pins[settings["backlight"]]
        bench.spi(self, settings["cs"], self)

    # The bus

    def select(self, active: bool) -> None:
        """Process a change of the chip select: an incomplete dot is discarded."""
        if self._command in (0x2C, 0x3C):
            self._values.clear()

    def transfer(self, data: bytes) -> bytes:
        """Process commands while D/C is low, and their parameters while it is high."""
        self.bus_bytes += len(data)
        slept = self.bench.slept_s
        if slept is None or slept >= self._deaf:
            if self._dc.level:
                self._data(data)
            else:
                for byte in data:
                    self._order(byte)
        return b"\xff" * len(data)

    def _order(self, byte: int) -> None:
        self._command = byte
        self._values.clear()
        if byte in (0x01, 0x10):
            self._awake = False
            if byte == 0x01:
                self._on, self._madctl, self._format = False, 0, 0x66
                self._inverted = False
        elif byte == 0x11:
            self._awake = True
        if byte in (0x01, 0x10, 0x11):
            self._deaf = (self.bench.slept_s or 0.0) + _WAKE_S
        elif byte in (0x20, 0x21):
            self._inverted = byte == 0x21
        elif byte in (0x28, 0x29):
            self._on = byte == 0x29
        elif byte == 0x2C:
            self._x, self._y = self._columns[0], self._pages[0]

    def _data(self, data: bytes) -> None:
        self._values += data
        values = self._values
        if self._command in (0x2C, 0x3C):
            self._dots()
        elif self._command == 0x36 and values:
            self._madctl = values[0]
        elif self._command == 0x3A and values:
            self._format = values[0]
        elif self._command in (0x2A, 0x2B) and len(values) == 4:
            span = values[0] << 8 | values[1], values[2] << 8 | values[3]
            if self._command == 0x2A:
                self._columns = span
            else:
                self._pages = span

    def _dots(self) -> None:
        size = 2 if self._format & 7 == 5 else 3
        values = self._values
        for at in range(0, len(values) - size + 1, size):
            if size == 2:
                dot = values[at] << 8 | values[at + 1]
                colour = dot >> 11 << 3, (dot >> 5 & 0x3F) << 2, (dot & 0x1F) << 3
                colour = tuple(c | c >> (6 if n == 1 else 5) for n, c in enumerate(colour))  # type: ignore[assignment]
            else:
                colour = values[at], values[at + 1], values[at + 2]
            self._put(colour)
        del values[: len(values) // size * size]

    def _put(self, colour: tuple[int, int, int]) -> None:
        x, y = self._x, self._y
        if self._madctl & _MV:
            x, y = y, x
        # Column 0 is at the right of the panel, unless MADCTL mirrors the columns.
        x = x if self._madctl & _MX else WIDTH - 1 - x
        y = HEIGHT - 1 - y if self._madctl & _MY else y
        if 0 <= x < WIDTH and 0 <= y < HEIGHT:
            at = 3 * (WIDTH * y + x)
            self._memory[at : at + 3] = bytes(colour if self._madctl & _BGR else colour[::-1])
        self._x += 1
        if self._x > self._columns[1]:
            self._x = self._columns[0]
            self._y += 1
            if self._y > self._pages[1]:
                self._y = self._pages[0]

    # What is visible

    @property
    def lit(self) -> bool:
        """Return whether the backlight is on."""
        return self.present and self._light.mode != 0 and bool(self._light.out)

    def picture(self) -> Image.Image:
        """Return a picture of the display."""
        size = WIDTH, HEIGHT
        if not self.lit:
            return Image.new("RGB", size)
        if not (self._awake and self._on):
            return Image.new("RGB", size, (255, 255, 255))  # a panel without signal is white
        data = bytes(self._memory)
        if self._inverted:
            data = bytes(255 - value for value in data)
        return Image.frombytes("RGB", size, data)

    def text(self) -> list[str]:
        """Return the text as a person reads it, in lines of 20 letters."""
        shades = self.picture().convert("L").tobytes()
        paper, ink = shades[0], min(shades[: WIDTH * _FOOT])
        span = max(paper - ink, 1)

        def level(x: int, y: int) -> int:
            return round(3 * (paper - shades[WIDTH * y + x]) / span)

        left = (WIDTH - _CELL * _COLS) // 2
        return glass.read("11x24", level, 4, _COLS, left=left, top=_TOP, pitch=_PITCH)


make = Ili9341
