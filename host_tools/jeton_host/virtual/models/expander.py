"""A 4x4 keypad behind a PCF8574: rows on P0 to P3, columns on P4 to P7."""

from typing import Any

from jeton_host.errors import BoardError
from jeton_host.virtual.models.hardware import Bench, Part


class Keypad(Part):
    """The keys, which a test or a person can press and release.

    A pin of the chip reads low if the chip itself or a pressed key pulls it low.
    """

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        self._present = True
        super().__init__(bench, name, settings)
        self._keys = settings["keys"]
        self._held: set[int] = set()
        self._latch = 0xFF
        bench.i2c(self, settings["addresses"][0], self)

    @property
    def present(self) -> bool:
        """Return whether the keypad is connected."""
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
        """Press a key and hold it."""
        with self.bench.lock:
            self._held.add(self._index(key))

    def release(self, key: str) -> None:
        """Release a key."""
        with self.bench.lock:
            self._held.discard(self._index(key))

    def write(self, data: bytes) -> None:
        """Set the outputs: 0 is low, 1 is a weak pull-up."""
        self._latch = data[-1]

    def read(self, count: int) -> bytes:
        """Return the levels of the pins, `count` times."""
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
