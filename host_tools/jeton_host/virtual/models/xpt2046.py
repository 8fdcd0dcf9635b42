"""A touch panel: an XPT2046 on SPI, with a finger that touches keys or points."""

from typing import Any

from jeton_host.errors import BoardError
from jeton_host.virtual.models.hardware import Bench, Part
from jeton_host.virtual.models.ili9341 import HEIGHT, WIDTH

# The area in which the display has drawn the keys, in dots.
_TOP, _COLS, _ROWS = 120, 3, 4
_ACROSS, _DOWN, _Z1, _Z2 = 5, 1, 3, 4  # channels of the chip
_NOISE = (0, 3, -2, 4, -4, 1, -1, 2)


class Touch(Part):
    """The touch panel: `press` and `release` touch a key, `touch` and `lift` any point."""

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        self._keys = settings["keys"]
        self._point: tuple[int, int] | None = None
        self._force = 0
        self._watches = True  # PENIRQ is enabled; the last command decides this
        self._answer = b""
        self._readings = 0
        self._irq = bench.pins[settings["irq"]]
        self._show()
        bench.spi(self, settings["cs"], self)

    def touch(self, x: int, y: int, force: int = 600) -> None:
        """Put a finger on a point of the picture, in dots."""
        with self.bench.lock:
            self._point, self._force = (x, y), force
            self._show()

    def lift(self) -> None:
        """Take the finger away."""
        with self.bench.lock:
            self._point = None
            self._show()

    def press(self, key: str) -> None:
        """Put a finger on a key."""
        if key not in self._keys:
            raise BoardError(f"no key {key!r} on this keypad: {self._keys}")
        row, col = divmod(self._keys.index(key), _COLS)
        if row == _ROWS:  # the text area above the keys
            self.touch(WIDTH // 2, _TOP // 2)
            return
        w, h = WIDTH / _COLS, (HEIGHT - _TOP) / _ROWS
        self.touch(round((col + 0.5) * w), round(_TOP + (row + 0.5) * h))

    def release(self, key: str) -> None:
        """Take the finger from a key."""
        self.lift()

    def _show(self) -> None:
        touched = self._point is not None and self._watches
        self._irq.drive(0 if touched else 1)

    def select(self, active: bool) -> None:
        """Follow the chip select."""
        self._answer = b""
        self._show()

    def transfer(self, data: bytes) -> bytes:
        """Return bytes: each command byte is answered in the two bytes after it."""
        found = bytearray()
        for byte in data:
            found.append(self._answer[0] if self._answer else 0)
            self._answer = self._answer[1:]
            if byte & 0x80:
                self._answer = (self._reading(byte >> 4 & 7) << 3).to_bytes(2, "big")
                self._watches = not byte & 0x01
        return bytes(found)

    def _reading(self, channel: int) -> int:
        if self._point is None:
            return {_Z1: 8, _Z2: 4000, _DOWN: 4095}.get(channel, 0)
        self._readings += 1
        noise = _NOISE[self._readings % len(_NOISE)]
        if channel == _Z1:
            return self._force + noise
        if channel == _Z2:
            return 4095 - 3 * self._force + noise
        if channel not in (_ACROSS, _DOWN):
            return 0
        along, whole, ends = (
            (self._point[0], WIDTH, self.settings["across"])
            if channel == _ACROSS
            else (self._point[1], HEIGHT, self.settings["down"])
        )
        value = ends[0] + (ends[1] - ends[0]) * along // whole + noise
        return int(max(0, min(4095, value)))


make = Touch
