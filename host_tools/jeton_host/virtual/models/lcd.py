"""A character display: an HD44780 with ROM A00 behind a PCF8574, as a person sees it.

It is as strict as the chip: what comes while it is busy is lost, a half that is lost leaves it out
of step, and before it is told how many lines it has it shows bars. Times are those of the data
sheet (HD44780U, tables 6 and 7, figure 24); the bus takes its own time for each octet.
"""

from typing import Any

from PIL import Image

from jeton_host.firmware import fonts
from jeton_host.virtual.models.hardware import Bench, Part

_RS, _RW, _E, _LIGHT = 1, 2, 4, 8
_POWER_S, _FIRST_S, _SECOND_S = 0.040, 0.0041, 0.0001
_LONG_S, _SHORT_S, _DATA_S = 0.00152, 0.000037, 0.000041
_BAR = "█"
_OWN = "▒"  # a letter from CGRAM
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
    """`text()` is what stands there; `octets` counts what came over the bus, with addresses.

    `soldered` in the settings is its address where that is not the usual one.
    """

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        self._present = True
        super().__init__(bench, name, settings)
        bus = bench.board.buses[settings["bus"]]
        self._octet_s = 9 / bus["freq"]
        self._bus_s = 0.0
        self.rows, self.cols = bench.board.display
        self.octets = 0
        self._power()
        bench.i2c(self, settings.get("soldered", settings["addresses"][0]), self)

    @property
    def _time(self) -> float:
        """Return its time: the bench's, and what the bus has taken, which is no time there."""
        return self.bench.now() + (self.bench.slept_s or 0.0) + self._bus_s

    def _power(self) -> None:
        """Begin as after power on."""
        self._busy = self._time + _POWER_S
        self._pins = 0xFF
        self._known = 0xFF  # RS and R/W as the chip has seen them before E rose
        self._starts = [_FIRST_S, _SECOND_S]
        self._eight = True
        self._half: int | None = None
        self._two_lines = self._on = False
        self._ddram = dict.fromkeys([*range(0x28), *range(0x40, 0x68)], 0x20)
        self._cgram = bytearray(64)
        self._in_cgram = False
        self._at = 0
        self._step = 1
        self._follows = False  # the display moves along with the cursor
        self._shift = 0

    @property
    def present(self) -> bool:
        """Return whether it is plugged in."""
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

    def write(self, octets: bytes) -> None:
        """Take what the PCF8574's pins shall be, one octet after another."""
        self._bus_s += self._octet_s
        self.octets += 1 + len(octets)
        for octet in octets:
            self._bus_s += self._octet_s
            before, self._pins = self._pins, octet
            if octet & _E and not before & _E:
                self._known = before  # set up before E rises, or not at all
            elif before & _E and not octet & _E:
                # What changes while E falls is what it takes: it has not been held.
                self._latch(octet & 0xF0, self._known & (_RS | _RW))

    def read(self, count: int) -> bytes:
        """Return the levels of the PCF8574's pins."""
        return bytes([self._pins]) * count

    def _latch(self, bits: int, mode: int) -> None:
        if mode & _RW:
            return
        if self._eight:
            self._take(bits | 0x0F, mode)  # D0 to D3 are not wired: the chip pulls them up
        elif self._half is None:
            self._half = bits
        else:
            octet = self._half | bits >> 4
            self._half = None
            self._take(octet, mode)

    def _take(self, octet: int, mode: int) -> None:
        if self._time < self._busy:
            return
        self._busy = self._time + _SHORT_S
        if mode & _RS:
            self._busy = self._time + _DATA_S
            self._put(octet)
        elif octet & 0x80:
            self._at, self._in_cgram = octet & 0x7F, False
        elif octet & 0x40:
            self._at, self._in_cgram = octet & 0x3F, True
        elif octet & 0x20:
            if self._starts and octet & 0x10:
                self._busy = self._time + self._starts.pop(0)
            self._eight = bool(octet & 0x10)
            self._two_lines = bool(octet & 0x08)
            self._half = None
        elif octet & 0x10:
            step = 1 if octet & 0x04 else -1
            if octet & 0x08:
                self._shift -= step
            else:
                self._go(step)
        elif octet & 0x08:
            self._on = bool(octet & 0x04)
        elif octet & 0x04:
            self._step = 1 if octet & 0x02 else -1
            self._follows = bool(octet & 0x01)
        elif octet:
            self._busy = self._time + _LONG_S
            self._at, self._in_cgram, self._shift = 0, False, 0
            if octet == 0x01:
                self._step = 1
                self._ddram = dict.fromkeys(self._ddram, 0x20)

    def _put(self, octet: int) -> None:
        if self._in_cgram:
            self._cgram[self._at & 0x3F] = octet
        elif self._at in self._ddram:
            self._ddram[self._at] = octet
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

    # For one that only listens

    def forget(self) -> None:
        """Take nothing of what stands there for known: octets were not heard."""
        self._ddram = dict.fromkeys(self._ddram, _UNKNOWN)

    @property
    def known(self) -> bool:
        """Return whether all that can be seen was written since `forget`."""
        shown = self._two_lines and self._on
        return shown and not any(_NOT_KNOWN in line for line in self.text())

    # The glass

    def text(self) -> list[str]:
        """Return the lines as a person reads them."""
        if not self.present:
            return [" " * self.cols] * self.rows
        return [self._line(row) for row in range(self.rows)]

    def _line(self, row: int) -> str:
        odd = row & 1
        if not self._two_lines:  # it drives every other line only, and that one too strongly
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
        """Return what it looks like; the form of the letters is not that of its ROM."""
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
