"""A character display: an HD44780 with ROM A00 behind a PCF8574, as a person sees it.

It is as strict as the chip: a byte that is sent while it is busy is lost; a lost half of a byte
puts it out of step; before Function Set it shows bars. Times are those of the data sheet
(HD44780U, tables 6 and 7, figure 24). The bus also needs its time for each byte.
"""

from typing import Any

from PIL import Image

from jeton_host.firmware import fonts
from jeton_host.virtual.models.hardware import Bench, Part

_RS, _RW, _E, _LIGHT = 1, 2, 4, 8
_POWER_S, _FIRST_S, _SECOND_S = 0.040, 0.0041, 0.0001
_LONG_S, _SHORT_S, _DATA_S = 0.00152, 0.000037, 0.000041
_BAR = "█"
_OWN = "▒"  # a character defined in CGRAM
_UNKNOWN, _NOT_KNOWN = -1, "\ufffd"
_ROM = (
    "".join(map(chr, range(0x20, 0x7E))).replace("\\", "¥")
    + "→←"
    + " " * 33
    + "".join(map(chr, range(0xFF61, 0xFFA0)))
    + "αäβεµσρg√⁻jˣ¢£ñöpqθ∞ΩüΣπxy千万円÷ █"  # noqa: RUF001
)
_GLASS, _DOT = (0x9F, 0xBF, 0x3F), (0x12, 0x24, 0x0A)
_DARK = (0x30, 0x38, 0x1C)
_EDGE = 8


class Lcd(Part):
    """The display: `text()` and `picture()` are what a person sees.

    `bus_bytes` counts the bytes on the bus, addresses included. The setting `soldered` is the
    address if it is not the usual one.
    """

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        self._present = True
        super().__init__(bench, name, settings)
        bus = bench.board.buses[settings["bus"]]
        self._byte_s = 9 / bus["freq"]
        self._bus_s = 0.0
        self.rows, self.cols = bench.board.display
        self.bus_bytes = 0
        self._power()
        bench.i2c(self, settings.get("soldered", settings["addresses"][0]), self)

    @property
    def _time(self) -> float:
        """Return the time for this chip: the bench's time plus the time of the bus transfers."""
        return self.bench.now() + (self.bench.slept_s or 0.0) + self._bus_s

    def _power(self) -> None:
        """Set the state of the chip after power on."""
        self._busy = self._time + _POWER_S
        self._pins = 0xFF
        self._known = 0xFF  # RS and R/W as they were before E rose
        self._starts = [_FIRST_S, _SECOND_S]
        self._eight = True
        self._half: int | None = None
        self._two_lines = self._on = False
        self._ddram = dict.fromkeys([*range(0x28), *range(0x40, 0x68)], 0x20)
        self._cgram = bytearray(64)
        self._in_cgram = False
        self._at = 0
        self._step = 1
        self._follows = False  # the display shifts with each character
        self._shift = 0

    @property
    def present(self) -> bool:
        """Return whether the display is connected."""
        return self._present

    @present.setter
    def present(self, present: bool) -> None:
        if present and not self._present:
            self._power()
        self._present = present

    @property
    def lit(self) -> bool:
        """Return whether the backlight is on."""
        return self.present and bool(self._pins & _LIGHT)

    # The bus

    def write(self, data: bytes) -> None:
        """Set the pins of the PCF8574, one byte after another."""
        self._bus_s += self._byte_s
        self.bus_bytes += 1 + len(data)
        for byte in data:
            self._bus_s += self._byte_s
            before, self._pins = self._pins, byte
            if byte & _E and not before & _E:
                self._known = before  # RS and R/W must be set before E rises
            elif before & _E and not byte & _E:
                # Data that changes while E falls was not held: the chip takes the new value.
                self._latch(byte & 0xF0, self._known & (_RS | _RW))

    def read(self, count: int) -> bytes:
        """Return the levels of the PCF8574's pins."""
        return bytes([self._pins]) * count

    def _latch(self, bits: int, mode: int) -> None:
        if mode & _RW:
            return
        if self._eight:
            self._take(bits | 0x0F, mode)  # D0 to D3 are not connected: pulled up by the chip
        elif self._half is None:
            self._half = bits
        else:
            byte = self._half | bits >> 4
            self._half = None
            self._take(byte, mode)

    def _take(self, byte: int, mode: int) -> None:
        if self._time < self._busy:
            return
        self._busy = self._time + _SHORT_S
        if mode & _RS:
            self._busy = self._time + _DATA_S
            self._put(byte)
        elif byte & 0x80:
            self._at, self._in_cgram = byte & 0x7F, False
        elif byte & 0x40:
            self._at, self._in_cgram = byte & 0x3F, True
        elif byte & 0x20:
            if self._starts and byte & 0x10:
                self._busy = self._time + self._starts.pop(0)
            self._eight = bool(byte & 0x10)
            self._two_lines = bool(byte & 0x08)
            self._half = None
        elif byte & 0x10:
            step = 1 if byte & 0x04 else -1
            if byte & 0x08:
                self._shift -= step
            else:
                self._go(step)
        elif byte & 0x08:
            self._on = bool(byte & 0x04)
        elif byte & 0x04:
            self._step = 1 if byte & 0x02 else -1
            self._follows = bool(byte & 0x01)
        elif byte:
            self._busy = self._time + _LONG_S
            self._at, self._in_cgram, self._shift = 0, False, 0
            if byte == 0x01:
                self._step = 1
                self._ddram = dict.fromkeys(self._ddram, 0x20)

    def _put(self, byte: int) -> None:
        if self._in_cgram:
            self._cgram[self._at & 0x3F] = byte
        elif self._at in self._ddram:
            self._ddram[self._at] = byte
            if self._follows:
                self._shift += self._step
        self._go(self._step)

    def _go(self, step: int) -> None:
        if self._in_cgram:
            self._at = self._at + step & 0x3F
            return
        cells = list(self._ddram)
        if self._at in self._ddram:
            self._at = cells[(cells.index(self._at) + step) % len(cells)]

    # For a model that only listens to a bus

    def forget(self) -> None:
        """Mark all characters as unknown, because bytes on the bus were lost."""
        self._ddram = dict.fromkeys(self._ddram, _UNKNOWN)

    @property
    def known(self) -> bool:
        """Return whether all visible characters were written since `forget`."""
        shown = self._two_lines and self._on
        return shown and not any(_NOT_KNOWN in line for line in self.text())

    # What is visible

    def text(self) -> list[str]:
        """Return the lines of text as a person reads them."""
        if not self.present:
            return [" " * self.cols] * self.rows
        return [self._line(row) for row in range(self.rows)]

    def _line(self, row: int) -> str:
        odd = row & 1
        if not self._two_lines:  # every other line shows dark bars, the rest is blank
            return (" " if odd else _BAR) * self.cols
        if not self._on:
            return " " * self.cols
        first = self.cols if row > 1 else 0
        found = ""
        for col in range(self.cols):
            code = self._ddram[0x40 * odd + (first + col + self._shift) % 0x28]
            if code == _UNKNOWN:
                found += _NOT_KNOWN
                continue
            found += _OWN if code < 0x10 else " " if code < 0x20 else _ROM[code - 0x20]
        return found

    def picture(self, scale: int = 2) -> Image.Image:
        """Return a picture of the display; the letters have another shape than in its ROM."""
        font = fonts.load("8x16")
        glass = _GLASS if self.lit else _DARK
        size = self.cols * 9 + 2 * _EDGE, self.rows * 18 + 2 * _EDGE
        found = Image.new("RGB", size, glass)
        for row, line in enumerate(self.text()):
            for col, letter in enumerate(line):
                dots = [[1] * 8] * 16 if letter == _BAR else None
                for y, dotted in enumerate(
                    dots or font.levels(letter if letter in font.glyphs else "?")
                ):
                    for x, dot in enumerate(dotted):
                        if dot:
                            found.putpixel((_EDGE + 9 * col + x, _EDGE + 18 * row + y), _DOT)
        return found.resize((size[0] * scale, size[1] * scale), Image.Resampling.NEAREST)


make = Lcd
