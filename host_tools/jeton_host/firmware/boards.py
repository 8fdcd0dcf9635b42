"""Descriptions of boards from boards/<name>/board.py, and checks of their wiring."""

import runpy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jeton_host.errors import BoardError
from jeton_host.paths import boards_dir

# Settings whose value is the number of a pin, or several numbers.
PIN_NAMES = (
    *("scl", "sda", "sck", "mosi", "miso", "tx", "rx", "pin", "set", "reset", "rows", "columns"),
    *("cs", "dc", "rst", "backlight", "irq"),
)
READ_SIZES = (32, 64, 128, 256, 512)  # bytes; the cache, of four times as many, is in a block
INPUTS = ("pulses", "tamper", "supply")  # parts that are inputs
_INPUTS = {"miso", "rx", "irq", "columns"}


@dataclass(frozen=True)
class Chip:
    """The pins of a chip and their limits, from its data sheet."""

    pins: frozenset[int]
    input_only: frozenset[int] = frozenset()  # these also have no pull-up or pull-down
    strapping: frozenset[int] = frozenset()  # their level at reset selects the boot mode
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
    # RP2040 Datasheet, 1.4.3. For the modelled adapter; no meter runs on it.
    "RP2040": Chip(pins=frozenset(range(30)), timers=1, counter=False),
}


@dataclass(frozen=True)
class PinUse:
    """One use of a pin: by which part or bus, for which setting, and whether it is an output."""

    number: int
    user: str  # part or bus
    name: str  # of the setting
    output: bool
    pull: bool = False  # the chip's own pull-up is needed


@dataclass(frozen=True)
class Board:
    """The description of a board: its chip, display, buses and parts.

    boards/<name>/board.py describes the values.
    """

    name: str
    chip: str
    display: tuple[int, ...]  # rows, columns, and 1 if it draws dots
    buses: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    state_file: str = "/meter/record"
    read_size: int = 128  # bytes littlefs reads at a time; six times as many are on the heap
    strapping_ok: tuple[int, ...] = ()  # strapping pins whose wiring is known to be safe
    # What `changed` has changed.
    without: tuple[str, ...] = ()
    active: Mapping[str, int] = field(default_factory=dict)

    def head(self) -> str:
        """Return the constants that a board needs all the time, as source."""
        named = ("NAME", self.name), ("CHIP", self.chip), ("DISPLAY", self.display)
        values: list[tuple[str, object]] = [*named, ("STATE_FILE", self.state_file)]
        if self.chip in CHIPS:  # the meter uses the last timer, so a program can use the first
            values.append(("TIMER", CHIPS[self.chip].timers - 1))
        return "".join(f"{name} = {value!r}\n" for name, value in values)

    def wiring(self) -> str:
        """Return the constants that a board needs only during start-up, as source."""
        values: list[tuple[str, object]] = [("DISPLAY", self.display), ("BUSES", self.buses)]
        values.append(("PARTS", self.parts))
        # The firmware does not use these; the host reads them when it flashes the board again.
        values += [("WITHOUT", self.without)] if self.without else []
        values += [("ACTIVE", dict(self.active))] if self.active else []
        return "".join(f"{name} = {value!r}\n" for name, value in values)

    def changed(
        self, without: Collection[str] = (), active: Mapping[str, int] | None = None
    ) -> "Board":
        """Return this board without some parts, and with other active levels.

        `without` are names of parts. `active` is name of a part -> level at which it is on, 0 or
        1: {"relay": 0} is a relay that closes at a low level. BoardError for an unknown part, or
        for one without active level.
        """
        levels = active or {}
        for name in (*without, *levels):
            if name not in self.parts:
                known = ", ".join(self.parts)
                raise BoardError(f"{self.name} has no part {name!r}; it has: {known}")
        for name in levels:
            if "active" not in self.parts[name]:
                having = ", ".join(n for n, part in self.parts.items() if "active" in part)
                raise BoardError(f"{name} has no active level; parts that have one: {having}")
        parts = {n: dict(part) for n, part in self.parts.items() if n not in without}
        levels = {**self.active, **levels}  # keep that of a missing part: it may be added again
        for name in set(levels) & set(parts):
            parts[name]["active"] = levels[name]
        if "keypad" not in parts and "display" in parts:
            parts["display"].pop("keypad", None)  # the display has no keys to draw
        if self.parts and not parts:
            raise BoardError(f"{self.name} cannot run without any part: keep at least one")
        gone = tuple(sorted({*self.without, *without}))
        ordered = {name: levels[name] for name in sorted(levels)}
        return replace(self, parts=parts, without=gone, active=ordered)

    def drivers(self) -> set[str]:
        """Return the names of the driver modules of its parts."""
        return {part["driver"] for part in self.parts.values() if "driver" in part}

    def pins(self) -> Iterator[PinUse]:
        """Yield each use of a pin."""
        for user, settings in (*self.buses.items(), *self.parts.items()):
            for name, value in settings.items():
                if name not in PIN_NAMES:
                    continue
                read = name in _INPUTS or (name == "pin" and user in INPUTS)
                for number in value if isinstance(value, tuple) else (value,):
                    pull = name == "columns" or (name == "pin" and "pull" in settings)
                    yield PinUse(number, user, name, not read, pull)

    def problems(self) -> list[str]:
        """Return the faults of the wiring, one line each."""
        chip = CHIPS.get(self.chip)
        if chip is None:
            return [f"{self.name}: there is no chip {self.chip!r}"]
        found = []
        if self.read_size not in READ_SIZES:
            found.append(f"{self.name}: READ_SIZE is {self.read_size}, not one of {READ_SIZES}")
        owners: dict[int, str] = {}
        for use in self.pins():
            where = f"{self.name}: {use.user} has {use.name} on GPIO{use.number}"
            if use.number not in chip.pins:
                found.append(f"{where}, which this chip does not have")
            if use.number in chip.flash:
                found.append(f"{where}, which its flash needs")
            if use.number in chip.usb:
                found.append(f"{where}, which is its USB port")
            if use.number in chip.uart0:
                found.append(f"{where}, which is the serial port of the REPL")
            if use.number in chip.strapping and use.number not in self.strapping_ok:
                found.append(f"{where}, whose level at reset selects how the chip starts")
            if use.number in chip.input_only and use.output:
                found.append(f"{where}, which is an input only")
            if use.number in chip.input_only and use.pull:
                found.append(f"{where}, which has no pull-up")
            if use.number in owners:
                found.append(f"{where}, which {owners[use.number]} uses already")
            owners[use.number] = f"{use.user} ({use.name})"
        for name, part in self.parts.items():
            if part.get("pull", "up") != "up":
                found.append(f"{self.name}: {name} has pull {part['pull']!r}: only 'up' is valid")
            bus = part.get("bus")
            if bus is not None and bus not in self.buses:
                found.append(f"{self.name}: {name} is on bus {bus!r}, which does not exist")
        return found


def names() -> list[str]:
    """Return the names of the boards that ship with Jeton."""
    return sorted(path.parent.name for path in boards_dir().glob("*/board.py"))


def source(name: str) -> Path:
    """Return the path of the file that describes a board; BoardError if there is none."""
    if name not in names():
        raise BoardError(f"there is no board {name!r}; known: {', '.join(names()) or 'none'}")
    return boards_dir() / name / "board.py"


def load(name: str) -> Board:
    """Return a board by its name, without the parts in its WITHOUT; BoardError if unknown."""
    values = runpy.run_path(str(source(name)))
    board = Board(
        name=values["NAME"],
        chip=values.get("CHIP", ""),
        display=values["DISPLAY"],
        state_file=values["STATE_FILE"],
        buses=values.get("BUSES", {}),
        parts=values.get("PARTS", {}),
        read_size=values.get("READ_SIZE", 128),
        strapping_ok=values.get("STRAPPING_OK", ()),
    )
    return replace(board.changed(values.get("WITHOUT", ())), without=())
