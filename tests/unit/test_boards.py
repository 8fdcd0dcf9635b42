"""Tests of the data of every board: the chip supports each pin; no pin is used twice."""

import dataclasses
import re
from typing import Any

import pytest

from drivers.startup import ONCE
from jeton_host.errors import BoardError
from jeton_host.firmware import boards
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.boards import CHIPS, Board
from jeton_host.paths import boards_dir, firmware_dir
from jeton_host.virtual.models import operations

WIRED = [name for name in boards.names() if boards.load(name).parts]


@pytest.mark.parametrize("name", boards.names())
def test_each_board_has_a_name_a_display_and_a_description(name: str) -> None:
    board = boards.load(name)
    assert board.name == name
    rows, columns = board.display[:2]
    assert rows in (2, 4)
    assert columns in (16, 20)
    assert boards.source(name).read_text().startswith('"""')


@pytest.mark.parametrize("name", WIRED)
def test_pins_do_what_the_chip_can(name: str) -> None:
    board = boards.load(name)
    assert board.problems() == []
    assert len(list(board.pins())) >= 8
    # A key held down at reset must not change the boot mode. This applies also to boards whose
    # maker uses strapping pins.
    strapping = CHIPS[board.chip].strapping
    keypad = [use for use in board.pins() if use.user == "keypad"]
    assert not [use for use in keypad if use.number in strapping]
    relay = [use for use in board.pins() if use.user == "relay"]
    assert not [use for use in relay if use.number in strapping]


@pytest.mark.parametrize("name", WIRED)
def test_strapping_pins_are_allowed_only_if_the_maker_uses_them(name: str) -> None:
    board = boards.load(name)
    used = {use.number for use in board.pins()}
    assert set(board.strapping_ok) <= used & CHIPS[board.chip].strapping
    if board.strapping_ok:
        assert dataclasses.replace(board, strapping_ok=()).problems()


@pytest.mark.parametrize("name", WIRED)
def test_each_part_has_a_driver_and_the_keypad_all_keys(name: str) -> None:
    board = boards.load(name)
    assert {"display", "keypad", "relay", "led", "credit", "buzzer", "pulses"} <= set(board.parts)
    for key in "0123456789*#":
        assert key in board.parts["keypad"]["keys"]
    keypad = board.parts["keypad"]
    if "rows" in keypad:
        assert len(keypad["keys"]) == len(keypad["rows"]) * len(keypad["columns"])
    known = {path.stem for path in (firmware_dir() / "drivers").glob("*.py")}
    assert board.drivers() - known <= {"lcd", "ssd1306", "ili9341", "xpt2046"}


def wrong(**parts: dict[str, Any]) -> list[str]:
    return Board("mine", "ESP32", (2, 16), {}, dict(parts)).problems()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"relay": {"pin": 34}}, "relay has pin on GPIO34, which is an input only"),
        ({"led": {"pin": 12}}, "led has pin on GPIO12, whose level at reset selects"),
        ({"led": {"pin": 9}}, "which its flash needs"),
        ({"led": {"pin": 1}}, "which is the serial port of the REPL"),
        ({"led": {"pin": 24}}, "which this chip does not have"),
        ({"led": {"pin": 18}, "relay": {"pin": 18}}, "which led (pin) uses already"),
        ({"keypad": {"columns": (35,)}}, "GPIO35, which has no pull-up"),
        ({"keypad": {"rows": (36,)}}, "GPIO36, which is an input only"),
        ({"pulses": {"pin": 35, "pull": "up"}}, "GPIO35, which has no pull-up"),
        ({"pulses": {"pin": 33, "pull": "down"}}, "pulses has pull 'down': only 'up' is valid"),
        ({"display": {"bus": "i2c"}}, "is on bus 'i2c', which does not exist"),
    ],
)
def test_each_problem_of_a_board_is_reported(
    parts: dict[str, dict[str, Any]], expected: str
) -> None:
    assert any(expected in problem for problem in wrong(**parts))


def test_inputs_may_use_input_only_pins() -> None:
    assert wrong(pulses={"pin": 34}, tamper={"pin": 39}) == []


def test_the_rules_for_pins_depend_on_the_chip() -> None:
    board = Board("mine", "ESP32-C3", (2, 16), {}, {"led": {"pin": 18}, "relay": {"pin": 9}})
    assert len(board.problems()) == 2
    assert "USB" in board.problems()[0]
    assert Board("mine", "ESP9", (2, 16)).problems() == ["mine: there is no chip 'ESP9'"]


@pytest.mark.parametrize("name", boards.names())
def test_a_board_gets_only_the_drivers_of_its_parts(name: str) -> None:
    board = boards.load(name)
    found = {path.stem for path in firmware_build.drivers(board)}
    assert {"clock", "locked_line", "startup", "storage", "storage_start"} <= found
    assert ("runtime" in found) == ("parts" in found) == bool(board.parts)
    assert ("matrix" in found) == ("matrix" in board.drivers())
    assert ("pzem004t" in found) == ("pzem004t" in board.drivers())
    real = firmware_build.sources(name, native=True, virtual=False)
    assert ("fw/machine.mpy" in real) == (name == "virtual")
    assert ("fw/wiring.mpy" in real) == bool(board.parts)


def test_each_module_used_only_at_start_up_is_unloaded() -> None:
    folder = firmware_dir() / "drivers"
    assert {f"drivers.{path.stem}" for path in folder.glob("*_start.py")} <= set(ONCE)
    for name in ONCE:
        path = firmware_dir() / f"{name.replace('.', '/')}.py"
        assert path.is_file() or name == "wiring", name  # generated from the board's data


@pytest.mark.parametrize("name", boards.names())
def test_boards_get_no_code_for_type_checkers(name: str) -> None:
    found = firmware_build.sources(name, native=True)
    assert not [file for file in found if file.endswith(".pyi") or "fields" in file]
    assert not [file for file, source in found.items() if b"TYPE_CHECKING" in source]
    # Only that code is removed, and the line numbers stay: tracebacks refer to the source files.
    for module in ("state", "credit"):
        lines = (firmware_dir() / "jeton" / f"{module}.py").read_bytes().count(b"\n")
        assert found[f"fw/jeton/{module}.mpy"].count(b"\n") == lines


def test_each_operation_has_its_own_number_which_the_models_know() -> None:
    """A modelled board sends only these operations, and the models answer all of them."""
    folder = boards_dir() / "virtual" / "modelled"
    sent = set()
    for name in ("machine", "i2c_target"):
        text = (folder / f"{name}.py").read_text()
        sent |= set(re.findall(r"(?:_header|_send|_ask|_request)\(_([A-Z0-9_]+)", text))
    assert len(sent) == 21
    assert sorted(operations.codes(" ".join(sent))) == list(range(1, 22))
    with pytest.raises(KeyError):
        next(operations.codes("NONE"))


def test_an_unknown_board_is_an_error() -> None:
    with pytest.raises(BoardError, match="no board 'nowhere'; known: cyd, esp32"):
        boards.load("nowhere")


def test_parts_of_a_board_can_be_removed_and_inverted() -> None:
    board = boards.load("cyd")
    other = board.changed(("pulses", "keypad"), {"relay": 0})
    assert set(board.parts) - set(other.parts) == {"pulses", "keypad"}
    assert other.parts["relay"] == {"pin": 27, "active": 0}
    assert board.parts["relay"]["active"] == 1
    assert "keypad" not in other.parts["display"]  # no keys to draw
    sources = firmware_build.sources(other, native=True, virtual=False)
    parts, _, left_out = sources["fw/wiring.mpy"].partition(b"WITHOUT")
    assert b"pulses" not in parts
    assert left_out == b" = ('keypad', 'pulses')\nACTIVE = {'relay': 0}\n"
    assert "fw/drivers/xpt2046.mpy" not in sources
    assert sources["fw/board.mpy"].endswith(b"TIMER = 3\n")
    with pytest.raises(BoardError, match="cyd has no part 'tamper'; it has: display, "):
        board.changed(("tamper",))
    with pytest.raises(BoardError, match="display has no active level"):
        board.changed(active={"display": 0})
