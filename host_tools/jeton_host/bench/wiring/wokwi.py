"""The bench for the Wokwi simulator: a board's diagram.json, from the wires of its data.

Parts that Wokwi lacks are left out (`absent`): a PCF8574 with a keypad, an XPT2046. Voltage levels
do not matter there, so the LCD is wired without its level shifter.
"""

import json
from collections.abc import Iterator
from typing import Any

from jeton_host.bench.wiring import plan as wiring
from jeton_host.bench.wiring.plan import GND, V3, V5, Header
from jeton_host.errors import BoardError
from jeton_host.firmware.boards import Board

# Parts and their pins: docs.wokwi.com, "Diagram reference"; boards: wokwi-boards on GitHub.
_COLOURS = {GND: "black", V3: "orange", V5: "red"}
_WIRES = ("blue", "green", "purple", "brown", "violet", "cyan", "gold", "gray", "magenta", "lime")
_ESP = "esp"
_DRIVERS = {
    "lcd": ("wokwi-lcd2004", {"pins": "i2c"}),
    "ssd1306": ("board-ssd1306", {}),
    "ili9341": ("wokwi-ili9341", {}),
    "matrix": ("wokwi-membrane-keypad", {}),
}
_ABSENT = ("expander", "xpt2046")  # drivers of parts that the simulator lacks


def absent(board: Board) -> list[str]:
    """Return the parts of a board that its diagram lacks."""
    return [name for name, part in board.parts.items() if part.get("driver") in _ABSENT]


def diagram(board: Board) -> str:
    """Return diagram.json of a board."""
    made = _Diagram(board)
    # One line for each part and wire, as the simulator's editor writes them.
    parts, wires = (
        ",\n    ".join(map(json.dumps, rows)) for rows in (made.parts, made.connections)
    )
    return (
        '{\n  "version": 1,\n  "author": "Jeton",\n  "editor": "wokwi",\n'
        f'  "parts": [\n    {parts}\n  ],\n'
        f'  "connections": [\n    {wires}\n  ],\n  "dependencies": {{}}\n}}\n'
    )


class _Diagram:
    def __init__(self, board: Board) -> None:
        self._board = board
        # A plain board with the same chip replaces a board that the simulator lacks.
        self._pins: Header = wiring.header(board)
        if self._pins is wiring.CYD:
            self._pins = wiring.DEVKITC
        self._colours = iter(_WIRES * 4)
        self.parts: list[dict[str, Any]] = []
        self.connections: list[list[Any]] = []
        self._tops = {-1: 0, 1: 0}
        self._put(_ESP, self._pins.wokwi, 0, 0)
        self.connections += [
            [f"{_ESP}:TX", "$serialMonitor:RX", "", []],
            [f"{_ESP}:RX", "$serialMonitor:TX", "", []],
        ]
        for name in board.parts:
            if name not in absent(board):
                self._add(name, board.parts[name])

    def _put(self, name: str, kind: str, left: int, top: int, **attrs: Any) -> str:
        part = {"type": kind, "id": name, "top": top, "left": left, "attrs": attrs}
        self.parts.append(part)
        return name

    def _place(self, side: int, high: int) -> tuple[int, int]:
        """Return left and top of the next part on a side, for a part of height `high`."""
        top = self._tops[side]
        self._tops[side] += high
        return (-420 if side < 0 else 260), top

    def _wire(self, one: str, other: str, colour: str = "") -> None:
        self.connections.append([one, other, colour or next(self._colours), []])

    def _gpio(self, number: int) -> str:
        return f"{_ESP}:{self._pins.label(number)}"

    def _supply(self, net: str, end: str) -> None:
        """Wire a pin to a supply; if the board has several pins of it, to the first."""
        several = (self._pins.left + self._pins.right).count(net) > 1
        self._wire(f"{_ESP}:{net}.1" if several else f"{_ESP}:{net}", end, _COLOURS[net])

    def _add(self, name: str, part: dict[str, Any]) -> None:
        kind = part.get("driver") or name
        adders = {
            **dict.fromkeys(("led", "credit"), self._led),
            "relay": self._relay,
            "buzzer": self._buzzer,
            "pulses": self._pulses,
            "tamper": self._tamper,
        }
        if kind in _DRIVERS:
            self._driver(name, part, *_DRIVERS[kind])
        elif kind in adders:
            adders[kind](name, part)
        else:
            raise BoardError(f"{self._board.name}: which part of Wokwi is a {kind}?")

    def _driver(self, name: str, part: dict[str, Any], kind: str, attrs: dict[str, Any]) -> None:
        self._put(name, kind, *self._place(-1 if name == "keypad" else 1, 260), **attrs)
        if name == "display":
            self._supply(V3 if part["driver"] == "ssd1306" else V5, f"{name}:VCC")
            self._supply(GND, f"{name}:GND")
        for number, pin in self._driver_pins(part):
            self._wire(self._gpio(number), f"{name}:{pin}")

    def _driver_pins(self, part: dict[str, Any]) -> Iterator[tuple[int, str]]:
        """Yield each GPIO and the name of the pin it goes to."""
        bus = self._board.buses.get(part.get("bus", ""), {})
        for wire in ("sda", "scl", "sck", "mosi", "miso"):
            if wire in bus:
                yield bus[wire], wire.upper()
        for setting, pin in (("cs", "CS"), ("dc", "D/C"), ("backlight", "LED")):
            if setting in part:
                yield part[setting], pin
        for setting, letter in (("rows", "R"), ("columns", "C")):
            for i, number in enumerate(part.get(setting, ()), 1):
                yield number, f"{letter}{i}"

    def _relay(self, name: str, part: dict[str, Any]) -> None:
        left, top = self._place(1, 110)
        transistor = "npn" if part.get("active", 1) else "pnp"
        self._put(name, "wokwi-relay-module", left, top, transistor=transistor)
        self._put("lamp", "wokwi-led", left + 260, top, color="white", label="lamp")
        self._put("lamp_r", "wokwi-resistor", left + 180, top + 60, value="330")
        self._supply(V5, f"{name}:VCC")
        self._supply(GND, f"{name}:GND")
        self._wire(self._gpio(part["pin"]), f"{name}:IN")
        self._supply(V5, f"{name}:COM")
        self._wire(f"{name}:NO", "lamp_r:1")
        self._wire("lamp_r:2", "lamp:A")
        self._supply(GND, "lamp:C")

    def _led(self, name: str, part: dict[str, Any]) -> None:
        left, top = self._place(1, 90)
        colour = "red" if name == "led" else "green"
        self._put(name, "wokwi-led", left + 100, top, color=colour, label=name)
        self._put(f"{name}_r", "wokwi-resistor", left, top + 30, value="330")
        near, far, net = ("A", "C", GND) if part.get("active", 1) else ("C", "A", V3)
        self._wire(self._gpio(part["pin"]), f"{name}_r:1")
        self._wire(f"{name}_r:2", f"{name}:{near}")
        self._supply(net, f"{name}:{far}")

    def _buzzer(self, name: str, part: dict[str, Any]) -> None:
        self._put(name, "wokwi-buzzer", *self._place(1, 110), volume="0.1")
        self._wire(self._gpio(part["pin"]), f"{name}:2")
        self._supply(GND, f"{name}:1")

    def _pulled_up(self, name: str, part: dict[str, Any], left: int, top: int) -> None:
        self._put(f"{name}_r", "wokwi-resistor", left - 80, top + 10, value="10000")
        self._wire(self._gpio(part["pin"]), f"{name}_r:1")
        self._supply(V3, f"{name}_r:2")

    def _pulses(self, name: str, part: dict[str, Any]) -> None:
        left, top = self._place(-1, 110)
        # A pressed key is a pulse. With bounce, one press would be several pulses.
        self._put(name, "wokwi-pushbutton", left, top, color="blue", label="S0", bounce="0")
        self._pulled_up(name, part, left, top)
        self._wire(self._gpio(part["pin"]), f"{name}:1.l")
        self._supply(GND, f"{name}:2.l")

    def _tamper(self, name: str, part: dict[str, Any]) -> None:
        left, top = self._place(-1, 90)
        # On the left the cover is closed: the contact connects the pin to GND.
        self._put(name, "wokwi-slide-switch", left, top, value="")
        self._pulled_up(name, part, left, top)
        self._wire(self._gpio(part["pin"]), f"{name}:2")
        self._supply(GND, f"{name}:1")
