"""Tests that pictures, tables and simulator files of the wiring agree with the board's data."""

import dataclasses
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import jeton_host
from jeton_host.bench.adapter_pins import COLUMN, I2C, INHIBIT, INPUTS, KEYPADS, ROW, SIGNS
from jeton_host.bench.wiring import __main__, tables
from jeton_host.bench.wiring import picture as wiring_picture
from jeton_host.bench.wiring import plan as wiring
from jeton_host.bench.wiring import wokwi as wiring_wokwi
from jeton_host.errors import BoardError
from jeton_host.firmware import boards
from jeton_host.firmware.boards import Board
from jeton_host.paths import boards_dir, docs_dir, firmware_dir

WIRED = [board.name for board in __main__.wired()]

# Pins of the parts in Wokwi, from its reference documentation.
PINS = {
    "wokwi-lcd2004": {"GND", "VCC", "SDA", "SCL"},  # with pins: i2c
    "board-ssd1306": {"GND", "VCC", "SDA", "SCL"},
    "wokwi-ili9341": {"VCC", "GND", "CS", "RST", "D/C", "MOSI", "SCK", "LED", "MISO"},
    "wokwi-membrane-keypad": {"R1", "R2", "R3", "R4", "C1", "C2", "C3", "C4"},
    "wokwi-relay-module": {"VCC", "GND", "IN", "NC", "COM", "NO"},
    "wokwi-led": {"A", "C"},
    "wokwi-resistor": {"1", "2"},
    "wokwi-buzzer": {"1", "2"},
    "wokwi-pushbutton": {"1.l", "1.r", "2.l", "2.r"},
    "wokwi-slide-switch": {"1", "2", "3"},
}
SUPPLY = re.compile(r"(GND|3V3|5V)(\.1)?")


def test_all_boards_with_wiring_are_found() -> None:
    assert set(WIRED) == {"cyd", "esp32_lcd2004", "esp32_oled", "esp32c3_oled"}


@pytest.mark.parametrize("name", WIRED)
def test_the_committed_files_are_current(name: str) -> None:
    for path, content in __main__.files(boards.load(name)).items():
        hint = f"{name}/{path.name} differs from board.py: run make wiring"
        assert path.read_text(encoding="utf-8") == content, hint


@pytest.mark.parametrize("name", WIRED)
def test_each_pin_has_one_wire(name: str) -> None:
    board = boards.load(name)
    wired = [row.to for box in wiring.boxes(board) for row in box.rows if isinstance(row.to, int)]
    inside = [use.number for use in wiring.inside(board)]
    assert set(wired) | set(inside) == {use.number for use in board.pins()}
    assert not set(wired) & set(inside)
    own = [n for n in wired if n not in {board.buses.get(b, {}).get(k) for b in board.buses
                                         for k in ("sda", "scl")}]  # fmt: skip
    assert len(own) == len(set(own)), "two parts on one pin that is no bus"


@pytest.mark.parametrize("name", WIRED)
def test_the_table_contains_each_pin(name: str) -> None:
    board = boards.load(name)
    text = tables.table(board)
    wires, _, inside = text.partition("On the board itself")
    numbers = re.findall(r"GPIO(\d+)", wires) + re.findall(r" [a-z]+ (\d+)", inside)
    assert set(map(int, numbers)) == {use.number for use in board.pins()}
    for box in wiring.boxes(board):
        assert text.count(f"| {box.title} |") == 1


@pytest.mark.parametrize("name", WIRED)
def test_the_picture_contains_each_part_and_pin(name: str) -> None:
    board = boards.load(name)
    root = ElementTree.fromstring(wiring_picture.svg(board))
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text or "" for element in root.iter(space + "text")]
    for box in wiring.boxes(board):
        assert box.title in texts
        for row in box.rows:
            assert row.joins or row.pin in texts
            if isinstance(row.to, int):
                assert wiring.header(board).label(row.to) in texts
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for element in root.iter(space + "path"):
        points = [tuple(map(float, p.split())) for p in element.attrib["d"][1:].split("L")]
        for x, y in points:
            assert 0 < x < width
            assert 0 < y < height
    strokes = segment_pairs(root)
    assert not [pair for pair in strokes if pair[0] is not pair[1] and overlap(*pair)]


def segment_pairs(root: ElementTree.Element) -> list[tuple[Any, Any]]:
    """Return all pairs of straight segments of wires with different colours."""
    pieces = []
    for element in root.iter("{http://www.w3.org/2000/svg}path"):
        if element.attrib["stroke"] == "#fff":
            continue
        points = [tuple(map(float, p.split())) for p in element.attrib["d"][1:].split("L")]
        pieces += [(element, a, b) for a, b in pairwise(points) if a != b]
    return [
        (one, other)
        for i, one in enumerate(pieces)
        for other in pieces[i + 1 :]
        if one[0].attrib["stroke"] != other[0].attrib["stroke"]
    ]


def overlap(one: Any, other: Any) -> bool:
    """Return whether two straight segments overlap in more than a point."""
    (_, a, b), (_, c, d) = one, other
    for i in (0, 1):
        if a[i] == b[i] == c[i] == d[i]:
            low = max(min(a[1 - i], b[1 - i]), min(c[1 - i], d[1 - i]))
            return bool(low < min(max(a[1 - i], b[1 - i]), max(c[1 - i], d[1 - i])))
    return False


def diagram(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((boards_dir() / name / "diagram.json").read_text())
    return value


@pytest.mark.parametrize("name", WIRED)
def test_the_simulator_file_has_each_wire_and_no_other(name: str) -> None:
    board = boards.load(name)
    found = diagram(name)
    kinds = {part["id"]: part["type"] for part in found["parts"]}
    assert len(kinds) == len(found["parts"])
    assert kinds["esp"] == wiring.header(board).wokwi
    lacking = wiring_wokwi.absent(board)
    buses = {board.parts[part].get("bus") for part in lacking}
    served = {part.get("bus") for other, part in board.parts.items() if other not in lacking}
    pins = wiring.DEVKITC if name == "cyd" else wiring.header(board)
    wanted = {
        pins.label(use.number): use
        for use in board.pins()
        if use.user not in lacking and not (use.user in buses and use.user not in served)
    }
    used: dict[str, set[str]] = {}
    for one, other, _, _ in found["connections"]:
        ends = (one, other)
        for end in ends:
            part, _, pin = end.partition(":")
            if part in kinds and part != "esp":
                assert pin in PINS[kinds[part]], end
        here = [end[4:] for end in ends if end.startswith("esp:")]
        assert len(here) <= 1
        if here and "$serialMonitor" not in one + other:
            there = other if one.startswith("esp:") else one
            used.setdefault(here[0], set()).add(there.split(":")[0])
    assert {pin for pin in used if not SUPPLY.fullmatch(pin)} == set(wanted)
    for label, use in wanted.items():
        users = {part for part, settings in board.parts.items() if settings.get("bus") == use.user}
        users = (users or {use.user}) - set(lacking)
        reached = {part.removesuffix("_r") for part in used[label]}
        assert reached == users, label
    # The header has these pins; supply pins have a number if there are several.
    for pin in used:
        supply = SUPPLY.fullmatch(pin)
        count = (pins.left + pins.right).count(supply[1] if supply else pin)
        assert count > 1 if supply and supply[2] else count == 1, pin


def test_the_simulator_lacks_only_parts_that_wokwi_lacks() -> None:
    lacking = {name: wiring_wokwi.absent(boards.load(name)) for name in WIRED}
    assert lacking == {
        "cyd": ["keypad"], "esp32c3_oled": ["keypad"], "esp32_lcd2004": [], "esp32_oled": [],
    }  # fmt: skip


def test_inputs_without_a_pull_up_have_a_resistor() -> None:
    """An input-only pin floats, and S0 outputs and switches only pull down."""
    for name in WIRED:
        board = boards.load(name)
        for box in wiring.boxes(board):
            if box.name in ("pulses", "tamper"):
                assert [row.to for row in box.rows if row.joins] == [wiring.V3]
        parts = {part["id"]: part for part in diagram(name)["parts"]}
        for part in {"pulses", "tamper"} & set(board.parts):
            assert parts[f"{part}_r"]["attrs"] == {"value": "10000"}


def test_changed_data_changes_all_files() -> None:
    board = boards.load("esp32_oled")
    parts = board.parts | {"relay": {"pin": 4, "active": 0}}
    other = dataclasses.replace(board, parts=parts)
    assert "| IN | GPIO4 |" in tables.table(other)
    assert "closes at a low IN" in wiring_picture.svg(other)
    assert '["esp:4", "relay:IN"' in wiring_wokwi.diagram(other)
    assert '"transistor": "pnp"' in wiring_wokwi.diagram(other)
    for make in (tables.table, wiring_picture.svg, wiring_wokwi.diagram):
        assert make(other) != make(board)


def test_boards_that_cannot_be_drawn_are_errors() -> None:
    with pytest.raises(BoardError, match="virtual has no pins to wire"):
        wiring.header(boards.load("virtual"))
    odd = Board("mine", "ESP32", (2, 16), {}, {"lamp": {"driver": "lamp", "pin": 4}})
    with pytest.raises(BoardError, match="mine: there is no drawing of a lamp yet"):
        wiring.boxes(odd)
    with pytest.raises(BoardError, match="which part of Wokwi is a lamp"):
        wiring_wokwi.diagram(odd)
    far = Board("mine", "ESP32", (2, 16), {}, {"relay": {"pin": 20}})
    with pytest.raises(BoardError, match="has no pin for GPIO20"):
        tables.table(far)
    with pytest.raises(BoardError, match="has no place for its table"):
        tables.with_table("# A page\n", far)


# Messages of Jeton that the troubleshooting page quotes.
QUOTED = (
    "no board was found on USB",
    "no permission to open port ",
    "join the group ",
    "is in use by another program",
    "has no MicroPython",
    "does not answer any more",
    "damaged, twice",
    "which is too old: ",
    " loads .mpy files of version ",
    "the meter does not start",
    "nothing answers on ",
    "held down since the start: ",
    "never came: ",
    " runs, without a meter",
)


def test_quoted_messages_exist_in_the_code() -> None:
    pages = ("hardware/troubleshooting.md", "tutorials/first-board.md")
    text = "".join((docs_dir() / page).read_text(encoding="utf-8") for page in pages)
    folders = (Path(jeton_host.__file__).parent, firmware_dir())
    sources = [path.read_text(encoding="utf-8") for f in folders for path in f.rglob("*.py")]
    # A message may continue in the next line of the source.
    printed = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))
    for phrase in QUOTED:
        assert phrase.strip() in text, phrase
        assert phrase in printed, phrase


def test_boards_are_listed() -> None:
    text = (docs_dir() / "hardware" / "parts.md").read_text(encoding="utf-8")
    for name in WIRED:
        assert f"]({name}.md)" in text


@pytest.mark.parametrize("name", WIRED)
def test_rows_columns_and_buses_have_the_right_order(name: str) -> None:
    """Row 1 is R1, and SDA is not swapped with SCL, in the table and in the simulator file."""
    board = boards.load(name)
    keypad, bus = board.parts["keypad"], board.buses.get("i2c", {})
    wanted = {f"R{i}": number for i, number in enumerate(keypad.get("rows", ()), 1)}
    wanted |= {f"C{i}": number for i, number in enumerate(keypad.get("columns", ()), 1)}
    rows = {row.pin: row.to for box in wiring.boxes(board) for row in box.rows}
    wires = [wire[:2] for wire in diagram(name)["connections"]]
    for pin, number in wanted.items():
        assert rows[pin] == number
        assert [f"esp:{number}", f"keypad:{pin}"] in wires
    for pin, shifted in (("sda", "LV1"), ("scl", "LV2")):
        if pin in bus:
            assert rows.get(pin.upper(), rows.get(shifted)) == bus[pin]
            assert [f"esp:{bus[pin]}", f"display:{pin.upper()}"] in wires
    for use in board.pins() if name == "cyd" else ():
        shown = {"sck": "SCK", "mosi": "MOSI", "miso": "MISO", "cs": "CS", "dc": "D/C"}
        if use.user in ("spi", "display") and use.name in shown:
            assert [f"esp:{use.number}", f"display:{shown[use.name]}"] in wires
    expander = [box for box in wiring.boxes(board) if box.title == "PCF8574"]
    for box in expander:
        assert box.behind
        order = ["R1", "R2", "R3", "R4", "C1", "C2", "C3", "C4"]
        assert box.behind.links == tuple((f"P{i}", key) for i, key in enumerate(order))


@pytest.mark.parametrize("name", WIRED)
def test_the_table_of_the_adapter_has_each_wire(name: str) -> None:
    board = boards.load(name)
    text = tables.adapter_table(board)
    keypad = {f"{letter}{n}" for letter in "RC" for n in range(1, 5)}
    closed = board.parts["keypad"]["driver"] in KEYPADS
    assert set(re.findall(r"keypad ([RC]\d)", text)) == (keypad if closed else set())
    rows = re.findall(r"\| GP(\d+) \| GPIO(\d+)[^|]*, (\w+) \|", text)
    numbers = {what: (int(mine), int(theirs)) for mine, theirs, what in rows}
    for part, mine in (INPUTS | SIGNS).items():
        theirs = board.parts[part]["pin"] if part in wiring.reachable(board) else None
        assert numbers.get(part) == (None if theirs is None else (mine, theirs))
    if closed:
        bus = board.buses["i2c"]
        assert numbers["SDA"] == (I2C.sda, bus["sda"])
        assert numbers["SCL"] == (I2C.scl, bus["scl"])


def test_each_pin_of_the_adapter_has_one_possible_use() -> None:
    used = [*ROW, *COLUMN, INHIBIT, I2C.sda, I2C.scl]
    used += [*INPUTS.values(), *SIGNS.values()]
    assert len(used) == len(set(used))
    # A Pico has GP0 to GP22 and GP26 to GP28 at its edge; GP0 and GP1 are its serial port.
    assert set(used) <= set(range(2, 23)) | {26, 27, 28}
    # SDA and SCL of controller 0 are every fourth pin (RP2040 Datasheet, 1.4.3).
    assert (I2C.number, I2C.sda % 4, I2C.scl % 4) == (0, 0, 1)
