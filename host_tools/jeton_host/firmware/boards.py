"""Boards as the host sees them: what boards/<name>/board.py says, checked against the chip."""

import runpy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jeton_host.errors import BoardError
from jeton_host.paths import boards_dir

# Settings whose value is the number of a pin, or several.
PIN_NAMES = (
    *("scl", "sda", "sck", "mosi", "miso", "tx", "rx", "pin", "set", "reset", "rows", "columns"),
    *("cs", "dc", "rst", "backlight", "irq"),
)
INPUTS = ("pulses", "tamper", "supply")  # parts that give a sign
_INPUTS = {"miso", "rx", "irq", "columns"}


@dataclass(frozen=True)
class Chip:
    """What may be done with the pins of a chip, from its data sheet."""

    pins: frozenset[int]
    input_only: frozenset[int] = frozenset()  # and without pull-up or pull-down
    strapping: frozenset[int] = frozenset()  # their level at reset decides how it starts
    flash: frozenset[int] = frozenset()
    usb: frozenset[int] = frozenset()
    uart0: frozenset[int] = frozenset()  # the serial port of the REPL
    timers: int = 4
    counter: bool = True  # has a pulse counter (PCNT)


CHIPS = {
    # ESP32 Series Datasheet, 2.2 and 2.4: GPIO20, 24 and 28 to 31 do not exist on a WROOM-32.
    "ESP32": Chip(
        pins=frozenset({*range(20), *range(21, 24), *range(25, 28), *range(32, 40)}),
        input_only=frozenset(range(34, 40)),
        strapping=frozenset({0, 2, 5, 12, 15}),
        flash=frozenset(range(6, 12)),
        uart0=frozenset({1, 3}),
    ),
    # ESP32-C3 Series Datasheet, 2.2 and 2.4.
    "ESP32-C3": Chip(
        pins=frozenset(range(22)),
        strapping=frozenset({2, 8, 9}),
        flash=frozenset(range(11, 18)),
        usb=frozenset({18, 19}),
        uart0=frozenset({20, 21}),
        timers=2,
        counter=False,
    ),
    # RP2040 Datasheet, 1.4.3. What plays the adapter of a bench; no meter runs on it.
    "RP2040": Chip(pins=frozenset(range(30)), timers=1, counter=False),
}


@dataclass(frozen=True)
class PinUse:
    """A pin that a board uses: who, under which name, and whether it is driven."""

    number: int
    user: str  # part or bus
    name: str  # of the setting
    output: bool
    pull: bool = False  # the chip's own pull-up is needed


@dataclass(frozen=True)
class Board:
    """A board as data; see boards/<name>/board.py."""

    name: str
    chip: str
    display: tuple[int, ...]  # rows, columns, and 1 if it draws dots
    buses: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    state_file: str = "/meter.bin"
    strapping_ok: tuple[int, ...] = ()  # strapping pins whose wiring is known to be safe
    # What `changed` has made of the board that ships.
    without: tuple[str, ...] = ()
    active: Mapping[str, int] = field(default_factory=dict)

    def head(self) -> str:
        """Return what a board needs of this for as long as it runs, as source."""
        named = ("NAME", self.name), ("CHIP", self.chip), ("DISPLAY", self.display)
        values: list[tuple[str, object]] = [*named, ("STATE_FILE", self.state_file)]
        if self.chip in CHIPS:  # the meter's is the last one: a program's first is its own
            values.append(("TIMER", CHIPS[self.chip].timers - 1))
        return "".join(f"{name} = {value!r}\n" for name, value in values)

    def wiring(self) -> str:
        """Return what only a start needs, as source."""
        values: list[tuple[str, object]] = [("DISPLAY", self.display), ("BUSES", self.buses)]
        values.append(("PARTS", self.parts))
        # Nothing on the board reads these: they are asked for when it is flashed again.
        values += [("WITHOUT", self.without)] if self.without else []
        values += [("ACTIVE", dict(self.active))] if self.active else []
        return "".join(f"{name} = {value!r}\n" for name, value in values)

    def changed(
        self, without: Collection[str] = (), active: Mapping[str, int] | None = None
    ) -> "Board":
        """Return the board without some parts, and with the level at which others are on.

        `active` is part -> 0 or 1: {"relay": 0} is a relay that closes at a low input. BoardError
        for a part that there is not, or that has no such level.
        """
        levels = active or {}
        for name in (*without, *levels):
            if name not in self.parts:
                known = ", ".join(self.parts)
                raise BoardError(f"{self.name} has no part {name!r}; it has: {known}")
        for name in levels:
            if "active" not in self.parts[name]:
                having = ", ".join(n for n, part in self.parts.items() if "active" in part)
                raise BoardError(f"{name} has no level at which it is on; those have: {having}")
        parts = {n: dict(part) for n, part in self.parts.items() if n not in without}
        levels = {**self.active, **levels}  # of a part that is left out, too: it may come back
        for name in set(levels) & set(parts):
            parts[name]["active"] = levels[name]
        if "keypad" not in parts and "display" in parts:
            parts["display"].pop("keypad", None)  # there are no keys to draw
        if self.parts and not parts:
            raise BoardError(f"{self.name} without any of its parts is no bench: leave some")
        gone = tuple(sorted({*self.without, *without}))
        ordered = {name: levels[name] for name in sorted(levels)}
        return replace(self, parts=parts, without=gone, active=ordered)

    def drivers(self) -> set[str]:
        """Return the names of the driver modules its parts name."""
        return {part["driver"] for part in self.parts.values() if "driver" in part}

    def pins(self) -> Iterator[PinUse]:
        """Give each use of a pin."""
        for user, settings in (*self.buses.items(), *self.parts.items()):
            for name, value in settings.items():
                if name not in PIN_NAMES:
                    continue
                read = name in _INPUTS or (name == "pin" and user in INPUTS)
                for number in value if isinstance(value, tuple) else (value,):
                    pull = name == "columns" or (name == "pin" and "pull" in settings)
                    yield PinUse(number, user, name, not read, pull)

    def problems(self) -> list[str]:
        """Return what is wrong with the wiring, a line for each thing."""
        chip = CHIPS.get(self.chip)
        if chip is None:
            return [f"{self.name}: there is no chip {self.chip!r}"]
        found = []
        owners: dict[int, str] = {}
        for use in self.pins():
            where = f"{self.name}: {use.user} has {use.name} on GPIO{use.number}"
            if use.number not in chip.pins:
                found.append(f"{where}, which this chip has not got")
            if use.number in chip.flash:
                found.append(f"{where}, which its flash needs")
            if use.number in chip.usb:
                found.append(f"{where}, which is its USB port")
            if use.number in chip.uart0:
                found.append(f"{where}, which is the serial port of the REPL")
            if use.number in chip.strapping and use.number not in self.strapping_ok:
                found.append(f"{where}, whose level at reset decides how the chip starts")
            if use.number in chip.input_only and use.output:
                found.append(f"{where}, which can only be read")
            if use.number in chip.input_only and use.pull:
                found.append(f"{where}, which has no pull-up")
            if use.number in owners:
                found.append(f"{where}, where {owners[use.number]} is already")
            owners[use.number] = f"{use.user} ({use.name})"
        for name, part in self.parts.items():
            if part.get("pull", "up") != "up":
                found.append(f"{self.name}: {name} has a pull {part['pull']!r}: only 'up' is one")
            bus = part.get("bus")
            if bus is not None and bus not in self.buses:
                found.append(f"{self.name}: {name} is on a bus {bus!r} that there is not")
        return found


def names() -> list[str]:
    """Return the names of the boards that ship."""
    return sorted(path.parent.name for path in boards_dir().glob("*/board.py"))


def source(name: str) -> Path:
    """Return the file that describes a board; BoardError where there is none."""
    path = boards_dir() / name / "board.py"
    if not path.is_file():
        raise BoardError(f"there is no board {name!r}; known: {', '.join(names()) or 'none'}")
    return path


def load(name: str) -> Board:
    """Return a board by its name, without the parts that its WITHOUT names."""
    said = runpy.run_path(str(source(name)))
    board = Board(
        name=said["NAME"],
        chip=said.get("CHIP", ""),
        display=said["DISPLAY"],
        state_file=said["STATE_FILE"],
        buses=said.get("BUSES", {}),
        parts=said.get("PARTS", {}),
        strapping_ok=said.get("STRAPPING_OK", ()),
    )
    return replace(board.changed(said.get("WITHOUT", ())), without=())
