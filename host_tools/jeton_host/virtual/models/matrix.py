"""A matrix keypad: each key connects a row and a column, and its contact bounces."""

from typing import Any

from jeton_host.errors import BoardError
from jeton_host.virtual.models.hardware import Bench, Contact, Part


class Keypad(Part):
    """The keys, which a test or a person can press and release."""

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        rows, columns = settings["rows"], settings["columns"]
        self._keys: dict[str, Contact] = {}
        for i, key in enumerate(settings["keys"]):
            ends = rows[i // len(columns)], columns[i % len(columns)]
            self._keys[key] = bench.contact(*ends)

    def _contact(self, key: str) -> Contact:
        if key not in self._keys:
            raise BoardError(f"no key {key!r} on this keypad: {''.join(self._keys)}")
        return self._keys[key]

    def press(self, key: str) -> None:
        """Press a key and hold it."""
        self._contact(key).set(True)

    def release(self, key: str) -> None:
        """Release a key."""
        self._contact(key).set(False)

    def bounce(self, ms: float) -> None:
        """Set how long the contacts bounce, in ms."""
        for contact in self._keys.values():
            contact.bounce_ms = ms


make = Keypad
