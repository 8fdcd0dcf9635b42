"""The wiring of a bench, from its board's data: which pin goes to which pin of which part.

`make wiring` writes from it the tables in docs/hardware/<name>.md, wiring.svg and diagram.json.
"""

from dataclasses import dataclass
from typing import Any

from jeton_host.errors import BoardError
from jeton_host.firmware.boards import Board, PinUse

GND, V3, V5 = "GND", "3V3", "5V"


@dataclass(frozen=True)
class Header:
    """A development board with USB at the bottom: its pins from the top, as printed on it.

    `names` are the GPIOs whose pin has another name than their number; `wokwi` is the simulator's
    part.
    """

    title: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    names: tuple[tuple[int, str], ...]
    supplies: tuple[tuple[str, str], ...]  # net -> name of its pin
    wokwi: str
    on_board: tuple[str, ...] = ()  # parts that need no wire
    behind: tuple[str, ...] = ()  # parts behind another circuit, such as an amplifier

    def label(self, gpio: int) -> str:
        """Return the name of a GPIO's pin; BoardError if it has none."""
        label = dict(self.names).get(gpio, str(gpio))
        if label not in self.left + self.right:
            raise BoardError(f"{self.title} has no pin for GPIO{gpio}")
        return label

    def supply(self, net: str) -> str:
        """Return the name of the pins of a supply."""
        return dict(self.supplies).get(net, net)


def _names(line: str) -> tuple[str, ...]:
    return tuple(line.split())


# ESP32-DevKitC V4 Getting Started Guide, header block J2 and J3 (Espressif).
DEVKITC = Header(
    "ESP32-DevKitC V4 (ESP32-WROOM-32)",
    _names("3V3 EN VP VN 34 35 32 33 25 26 27 14 12 GND 13 D2 D3 CMD 5V"),
    _names("GND 23 22 TX RX 21 GND 19 18 5 17 16 4 0 2 15 D1 D0 CLK"),
    ((36, "VP"), (39, "VN"), (1, "TX"), (3, "RX")),
    (),
    "board-esp32-devkit-c-v4",
)
# ESP32-C3-DevKitM-1 user guide, header block (Espressif).
DEVKITM = Header(
    "ESP32-C3-DevKitM-1",
    _names("GND 3V3 3V3 2 3 GND RST GND 0 1 10 GND 5V 5V GND"),
    _names("GND TX RX GND 9 8 GND 7 6 5 4 GND 18 19 GND"),
    ((20, "RX"), (21, "TX")),
    (),
    "board-esp32-c3-devkitm-1",
)
# The connectors of the ESP32-2432S028R; list of pins by its users (witnessmenow, PINS.md).
CYD = Header(
    "ESP32-2432S028R",
    ("P3 GND", "P3 IO35", "P3 IO22", "P3 IO21"),
    (
        *("P1 VIN", "P1 TX", "P1 RX", "P1 GND", "CN1 GND", "CN1 IO22", "CN1 IO27", "CN1 3V3"),
        *("SPEAK +", "SPEAK -"),
    ),
    ((35, "P3 IO35"), (22, "CN1 IO22"), (27, "CN1 IO27"), (26, "SPEAK +")),
    ((V3, "CN1 3V3"), (V5, "P1 VIN")),
    "board-esp32-devkit-c-v4",
    ("display", "keypad", "led", "credit"),
    ("buzzer",),
)
_HEADERS = {"cyd": CYD}
_BY_CHIP = {"ESP32": DEVKITC, "ESP32-C3": DEVKITM}


@dataclass(frozen=True)
class Connection:
    """A pin of a part and what it is wired to: the number of a GPIO, or a supply.

    `through` is a resistor in the wire. With `joins` there is no pin: the resistor goes from the
    pin above to the supply.
    """

    pin: str
    to: int | str
    through: str = ""
    joins: bool = False


@dataclass(frozen=True)
class Behind:
    """A part that is wired to another part, not to the board: pairs of pins of both."""

    title: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Box:
    """A part as it is sold, with the pins that go to the board."""

    name: str  # its name in the board's data
    title: str
    rows: tuple[Connection, ...]
    behind: Behind | None = None
    note: str = ""


def header(board: Board) -> Header:
    """Return the development board of a bench; BoardError if there is none."""
    found = _HEADERS.get(board.name) or _BY_CHIP.get(board.chip)
    if found is None:
        raise BoardError(f"board {board.name} has no pins to wire")
    return found


def boxes(board: Board) -> list[Box]:
    """Return the parts that are wired to a board, in the order of its data."""
    inside = header(board).on_board
    return [_box(board, name) for name in board.parts if name not in inside]


def inside(board: Board) -> list[PinUse]:
    """Return the pins that are connected on the board itself."""
    parts = set(header(board).on_board)
    buses = {board.parts[name].get("bus") for name in parts}
    return [use for use in board.pins() if use.user in parts or use.user in buses]


def on_board(board: Board) -> dict[str, str]:
    """Return the parts and buses on the board itself -> their pins, as one line."""
    found: dict[str, list[str]] = {}
    for use in inside(board):
        found.setdefault(use.user, []).append(f"{use.name} {use.number}")
    return {user: ", ".join(pins) for user, pins in found.items()}


def _box(board: Board, name: str) -> Box:
    part = board.parts[name]
    kind = part.get("driver") or name
    make = _KINDS.get(kind)
    if make is None:
        raise BoardError(f"{board.name}: there is no drawing of a {kind} yet")
    return make(board, name, part)


def bus_of(board: Board, part: dict[str, Any]) -> tuple[int, int]:
    """Return the SDA and SCL pins of the bus that a part is on."""
    bus = board.buses[part["bus"]]
    return bus["sda"], bus["scl"]


def _lcd(board: Board, name: str, part: dict[str, Any]) -> Box:
    sda, scl = bus_of(board, part)
    rows, cols = board.display[:2]
    return Box(
        name,
        "level shifter",
        (
            Connection("LV", V3),
            Connection("HV", V5),
            Connection("LV1", sda),
            Connection("LV2", scl),
            Connection("GND", GND),
        ),
        Behind(
            f"LCD {cols}x{rows} on PCF8574",
            (("HV", "VCC"), ("HV1", "SDA"), ("HV2", "SCL"), ("GND", "GND")),
        ),
    )


def _oled(board: Board, name: str, part: dict[str, Any]) -> Box:
    sda, scl = bus_of(board, part)
    rows = (
        Connection("GND", GND),
        Connection("VCC", V3),
        Connection("SCL", scl),
        Connection("SDA", sda),
    )
    return Box(name, "OLED SSD1306", rows, note="128x64, I2C")


def _matrix(board: Board, name: str, part: dict[str, Any]) -> Box:
    rows = [Connection(f"R{i}", pin) for i, pin in enumerate(part["rows"], 1)]
    columns = [Connection(f"C{i}", pin) for i, pin in enumerate(part["columns"], 1)]
    return Box(name, "keypad 4x4", (*rows, *columns), note="seen from the front: R1 to C4")


def _expander(board: Board, name: str, part: dict[str, Any]) -> Box:
    sda, scl = bus_of(board, part)
    rows = (
        Connection("GND", GND),
        Connection("VCC", V3),
        Connection("SDA", sda),
        Connection("SCL", scl),
    )
    links = [(f"P{i}", f"{'RC'[i // 4]}{i % 4 + 1}") for i in range(8)]
    return Box(name, "PCF8574", rows, Behind("keypad 4x4", tuple(links)))


def _relay(board: Board, name: str, part: dict[str, Any]) -> Box:
    rows = (Connection("VCC", V5), Connection("GND", GND), Connection("IN", part["pin"]))
    level = "high" if part.get("active", 1) else "low"
    links = (("COM", "12 V supply +"), ("NO", "lamp, to supply -"))
    return Box(name, "relay module", rows, Behind("lamp, 12 V", links), f"closes at a {level} IN")


def _led(board: Board, name: str, part: dict[str, Any]) -> Box:
    title = {"led": "pulse LED, red", "credit": "credit LED, green"}[name]
    near, far, net = ("A", "K", GND) if part.get("active", 1) else ("K", "A", V3)
    return Box(
        name,
        title,
        (Connection(near, part["pin"], "330 Ω"), Connection(far, net)),
        note="A: long leg",
    )


def _buzzer(board: Board, name: str, part: dict[str, Any]) -> Box:
    other = "SPEAK -" if board.name in _HEADERS else GND
    title = "speaker, 8 Ω" if board.name in _HEADERS else "piezo buzzer, passive"
    return Box(name, title, (Connection("+", part["pin"]), Connection("-", other)))


def _pulses(board: Board, name: str, part: dict[str, Any]) -> Box:
    rows = (
        Connection("S0+", part["pin"]),
        Connection("", V3, "10 kΩ", True),
        Connection("S0-", GND),
    )
    return Box(name, "S0 output of a meter", rows)


def _tamper(board: Board, name: str, part: dict[str, Any]) -> Box:
    rows = (Connection("1", part["pin"]), Connection("", V3, "10 kΩ", True), Connection("2", GND))
    return Box(name, "cover switch", rows, note="shut: closed")


_KINDS = {
    "lcd": _lcd,
    "ssd1306": _oled,
    "matrix": _matrix,
    "expander": _expander,
    "relay": _relay,
    "led": _led,
    "credit": _led,
    "buzzer": _buzzer,
    "pulses": _pulses,
    "tamper": _tamper,
}


def reachable(board: Board) -> set[str]:
    """Return the parts whose own pins a wire can reach."""
    pins = header(board)
    return set(board.parts) - set(pins.on_board) - set(pins.behind)
