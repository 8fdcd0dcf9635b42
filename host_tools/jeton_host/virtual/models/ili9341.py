"""A colour display: an ILI9341 on SPI with its glass of 240x320 dots, as a picture and as text."""

import random
from typing import Any

from PIL import Image

from jeton_host.virtual.models import glass
from jeton_host.virtual.models.hardware import Bench, Part

WIDTH, HEIGHT = 240, 320
_MY, _MX, _MV, _BGR = 0x80, 0x40, 0x20, 0x08
# From Sleep Out until it takes a command (ILI9341 8.2.12), where the bench is told of sleeps: on a
# bench in real time what comes over SPI is seen at another time than it was sent.
_WAKE_S = 0.005
# Where the driver writes.
_TOP, _PITCH, _FOOT, _CELL, _COLS = 8, 27, 116, 12, 20


class Ili9341(Part):
    """`picture()` and `text()` are what is seen; `octets` counts what came over the bus.

    The glass is mounted as that of the ESP32-2432S028R: upright, the order of the colours turned,
    left and right too.
    """

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        self.octets = 0
        self._deaf = 0.0
        self._awake = self._on = self._inverted = False
        self._madctl, self._format = 0, 0x66
        self._columns, self._pages = (0, WIDTH - 1), (0, HEIGHT - 1)
        self._x = self._y = 0
        self._command = 0
        self._values = bytearray()
        # What it holds at power on is noise: red, green, blue of each dot.
        self._memory = bytearray(random.Random(1).randbytes(3 * WIDTH * HEIGHT))  # noqa: S311
        self._dc = bench.pins[settings["dc"]]
        self._light = bench.pins[settings["backlight"]]
        bench.spi(self, settings["cs"], self)

    # The bus

    def select(self, active: bool) -> None:
        """Follow the chip select: half a dot is forgotten."""
        if self._command in (0x2C, 0x3C):
            self._values.clear()

    def transfer(self, octets: bytes) -> bytes:
        """Take commands while D/C is low, and what belongs to them while it is high."""
        self.octets += len(octets)
        slept = self.bench.slept_s
        if slept is None or slept >= self._deaf:
            if self._dc.level:
                self._data(octets)
            else:
                for octet in octets:
                    self._order(octet)
        return b"\xff" * len(octets)

    def _order(self, octet: int) -> None:
        self._command = octet
        self._values.clear()
        if octet in (0x01, 0x10):
            self._awake = False
            if octet == 0x01:
                self._on, self._madctl, self._format = False, 0, 0x66
                self._inverted = False
        elif octet == 0x11:
            self._awake = True
        if octet in (0x01, 0x10, 0x11):
            self._deaf = (self.bench.slept_s or 0.0) + _WAKE_S
        elif octet in (0x20, 0x21):
            self._inverted = octet == 0x21
        elif octet in (0x28, 0x29):
            self._on = octet == 0x29
        elif octet == 0x2C:
            self._x, self._y = self._columns[0], self._pages[0]

    def _data(self, octets: bytes) -> None:
        self._values += octets
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
        # Column 0 is at the right of the glass unless it is told to begin at the other end.
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

    # The glass

    @property
    def lit(self) -> bool:
        """Return whether its backlight is on."""
        return self.present and self._light.mode != 0 and bool(self._light.out)

    def picture(self) -> Image.Image:
        """Return what it looks like."""
        size = WIDTH, HEIGHT
        if not self.lit:
            return Image.new("RGB", size)
        if not (self._awake and self._on):
            return Image.new("RGB", size, (255, 255, 255))  # a glass that nobody drives
        octets = bytes(self._memory)
        if self._inverted:
            octets = bytes(255 - octet for octet in octets)
        return Image.frombytes("RGB", size, octets)

    def text(self) -> list[str]:
        """Return the lines as a person reads them, in rows of 20 letters."""
        shades = self.picture().convert("L").tobytes()
        paper, ink = shades[0], min(shades[: WIDTH * _FOOT])
        span = max(paper - ink, 1)

        def level(x: int, y: int) -> int:
            return round(3 * (paper - shades[WIDTH * y + x]) / span)

        left = (WIDTH - _CELL * _COLS) // 2
        return glass.read("12x24", level, 4, _COLS, left=left, top=_TOP, pitch=_PITCH)


make = Ili9341
