"""A relay: its contact follows its coil after a delay; a bistable one keeps its position."""

from functools import partial
from typing import Any

from jeton_host.virtual.models.hardware import Bench, Part

OPERATE_S = 0.010
RELEASE_S = 0.005
PULSE_S = 0.030  # a shorter pulse does not switch a bistable relay


class Relay(Part):
    """A relay: `closed` is the state of its contact, `thrown` the number of changes."""

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        self._active = settings.get("active", 1)
        self.bistable = "set" in settings
        self.thrown = 0
        self._closed = False
        self._changes = 0.0
        self._began: dict[int, float] = {}
        self._on: set[int] = set()
        for coil in ("set", "reset") if self.bistable else ("pin",):
            number = settings[coil]
            bench.pins[number].watch(partial(self._follow, number))

    def _throw(self, closed: bool, at: float) -> None:
        if closed != self._closed:
            self._closed = closed
            self._changes = at
            self.thrown += 1

    def _follow(self, number: int, level: int | None) -> None:
        now = self.bench.now()
        on = level == self._active
        if not self.bistable:
            self._throw(on, now + (OPERATE_S if on else RELEASE_S))
        elif on:
            self._on.add(number)
            self._began[number] = now
            if len(self._on) > 1:
                self.bench.faults.append(f"both coils of {self.name} have current")
        else:
            self._on.discard(number)
            began = self._began.pop(number, now)
            # A pulse that is one timer tick longer or shorter must not matter.
            if now - began >= PULSE_S:
                self._throw(number == self.settings["set"], began + OPERATE_S)

    @property
    def closed(self) -> bool:
        """Return whether its contact is closed now."""
        arrived = self.bench.now() >= self._changes
        return self._closed if arrived else not self._closed

    @property
    def warm(self) -> bool:
        """Return whether a coil of a bistable relay is on for more than 1 s: it gets hot."""
        return self.bistable and any(self.bench.now() - at > 1.0 for at in self._began.values())


make = Relay
