"""A 4x4 keypad behind a PCF8574: rows on P0 to P3, columns on P4 to P7."""

from typing import Any

from jeton_host.errors import BoardError
from jeton_host.virtual.models.hardware import Bench, Part


class Keypad(Part):
    """Keys that are pressed and let go; the chip reads low what is low, whoever pulls it."""

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        self._present = True
        super().__init__(bench, name, settings)
        self._keys = settings["keys"]
        self._held: set[int] = set()
        self._latch = 0xFF
        bench.i2c(self, settings["addresses"][0], self)

    @property
    def present(self) -> bool:
        """Return whether it is plugged in."""
        return self._present

    @present.setter
    def present(self, present: bool) -> None:
        if present and not self._present:
            self._latch = 0xFF  # as at power on
        self._present = present

    def _index(self, key: str) -> int:
        if key not in self._keys:
            raise BoardError(f"no key {key!r} on this keypad: {self._keys}")
        return int(self._keys.index(key))

    def press(self, key: str) -> None:
        """Press a key and keep it down."""
        with self.bench.lock:
            self._held.add(self._index(key))

    def release(self, key: str) -> None:
        """Let a key go."""
        with self.bench.lock:
            self._held.discard(self._index(key))

    def write(self, octets: bytes) -> None:
        """Take what its outputs shall be: 0 is low, 1 a weak pull-up."""
        self._latch = octets[-1]

    def read(self, count: int) -> bytes:
        """Return the levels of its pins."""
        levels = self._latch
        while True:
            before = levels
            for key in self._held:
                ends = 1 << key // 4 | 1 << 4 + key % 4
                if levels & ends != ends:
                    levels &= ~ends
            if levels == before:
                return bytes([levels]) * count


make = Keypad
