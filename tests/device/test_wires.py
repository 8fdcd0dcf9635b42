"""Keys pressed and parts read through pins, by an adapter's program or by the models.

The virtual adapter is wired pin by pin to the board it reads (jeton_host.bench.virtual_adapter).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from command import ran, refused

from jeton_host.bench import adapter_check, wires
from jeton_host.bench.doctor import pattern
from jeton_host.bench.glass import Glass, OutOfStep
from jeton_host.bench.virtual_adapter import VirtualAdapter
from jeton_host.bench.wires import AdapterWires, ModelWires, beats
from jeton_host.errors import BoardError
from jeton_host.firmware import boards
from jeton_host.firmware.boards import Board
from jeton_host.meter import Meter
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import VirtualBoard
from jeton_host.virtual.models.hardware import Bench

pytestmark = pytest.mark.device

READ = ("esp32_lcd2004", "esp32_oled", "esp32c3_oled")


@pytest.fixture
def pos() -> PointOfSale:
    pos = PointOfSale()
    pos.add_meter("home")
    return pos


def _bench(board: VirtualBoard) -> Bench:
    assert board.bench is not None
    return board.bench


@contextmanager
def adapted(
    name: str | Board, pos: PointOfSale, **faults: object
) -> Iterator[tuple[Meter, VirtualBoard]]:
    """Yield a meter on a board whose pins are wired to an adapter, and the board."""
    with (
        VirtualBoard(board=name) as board,
        VirtualAdapter(_bench(board), **faults) as adapter,  # type: ignore[arg-type]
    ):
        pins = AdapterWires(adapter.path, pause=beats(_bench(board)))
        with Meter.open(board.path, config=pos.config_for("home"), wires=pins) as meter:
            yield meter, board
        assert _bench(board).faults == []
        assert adapter.bench.faults == []


def buy_and_check(meter: Meter, pos: PointOfSale) -> None:
    """Buy a token and enter it, as a test of a vending system does, with any kind of pins."""
    credit = pos.credit("home", "12.5")
    assert meter.status().switch == "open"
    pressed = meter.press(credit.token + "#")
    assert pressed.result is not None
    assert pressed.result.good
    assert pressed.result.token == "TransferCredit:Electricity"
    assert pressed.result.amount_wh == 12_500
    assert any("12.5" in line for line in pressed.display)
    assert meter.status().switch == "closed"
    assert meter.status().credit_wh == 12_500


def test_a_purchase_works_over_the_line(pos: PointOfSale) -> None:
    with Meter.open("virtual", config=pos.config_for("home")) as meter:
        buy_and_check(meter, pos)
        with pytest.raises(BoardError, match="opened without wires"):
            print(meter.wires.relay)


def test_a_purchase_works_with_the_models(pos: PointOfSale) -> None:
    with Meter.open("virtual", config=pos.config_for("home"), wires="models") as meter:
        assert meter.info().board == "esp32_lcd2004"
        assert not meter.wires.relay
        buy_and_check(meter, pos)
        assert meter.wires.relay
        assert meter.wires.lamp
        assert meter.wires.buzzer
        assert not meter.wires.buzzer
        assert meter.press("i").result is None  # key A, which has no meaning in this profile


def check_pins_follow_the_line(meter: Meter, token: str) -> None:
    """Read pins immediately after requests over the line."""
    meter.set_rate(0)
    assert not meter.wires.relay
    assert meter.enter(token).good
    assert meter.wires.relay
    meter.set_load(1000)
    meter.advance_until(switch="open")
    assert not meter.wires.relay
    before = meter.talks
    assert meter.wires.lamp in (False, True)
    assert meter.talks == before  # reading a pin sends no request


def test_pins_are_read_after_they_follow_the_line(pos: PointOfSale) -> None:
    with Meter.open("virtual", config=pos.config_for("home"), wires="models") as meter:
        check_pins_follow_the_line(meter, pos.credit("home", 1).token)
        meter.power_cut()
        assert not meter.wires.lamp  # a board without power is not waited for
    with adapted("esp32_lcd2004", pos) as (meter, _):
        check_pins_follow_the_line(meter, pos.credit("home", 1).token)


def test_a_key_is_held_until_a_slow_board_has_accepted_it(pos: PointOfSale) -> None:
    with VirtualBoard(board="esp32_lcd2004") as board, VirtualAdapter(_bench(board)) as adapter:
        pins = AdapterWires(adapter.path)
        with Meter.open(board.path, config=pos.config_for("home"), wires=pins) as meter:
            meter.run(  # scans its keys far less often than the usual hold time
                "from jeton_main import runtime\n"
                "runtime._timer.init(period=300, mode=1, callback=runtime.tick)"
            )
            assert any("4052" in line for line in meter.press("4052").display)
            seen = meter.seen()
            assert seen is not None
            assert (seen.keys_taken, seen.keys_down, seen.draws) == (4, "", False)


def test_a_key_that_the_board_does_not_see_is_reported(
    pos: PointOfSale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "SEEN_S", 0.5)
    with adapted("esp32_lcd2004", pos, missing=("R2",)) as (meter, _):
        shown = meter.press("1").display
        with pytest.raises(BoardError, match=r"did not see key '5' go down within .* s: do its"):
            meter.press("5")
        assert meter.display().lines == shown


@pytest.mark.parametrize("name", READ)
def test_a_purchase_works_through_an_adapter(name: str, pos: PointOfSale) -> None:
    with adapted(name, pos) as (meter, board):
        assert not meter.wires.relay
        assert not meter.wires.lamp
        meter.wires.buzzer  # noqa: B018  # what sounded until now
        buy_and_check(meter, pos)
        assert meter.wires.relay
        assert meter.wires.lamp
        assert meter.wires.buzzer
        # The adapter decodes from the bus exactly what the display shows.
        assert list(meter.display().lines) == _bench(board).part("display").text()
        if name != "esp32_lcd2004":
            pins = meter.wires
            assert isinstance(pins, AdapterWires)
            assert pins.glass is not None
            seen, shown = pins.glass.picture(), _bench(board).part("display").picture()
            assert seen.tobytes() == shown.tobytes()


def test_a_bench_with_other_parts_than_usual_works(pos: PointOfSale) -> None:
    shipped = boards.load("esp32_lcd2004")
    with adapted(shipped.changed(("buzzer",), {"relay": 0}), pos) as (meter, _):
        assert meter.wires is not None
        assert not meter.wires.relay
        meter.enter(pos.credit("home", "1").token)
        meter.set_load(100)
        assert meter.display().lines
        assert meter.wires.relay
        with pytest.raises(BoardError, match="esp32_lcd2004"):
            _ = meter.wires.buzzer


def test_inputs_and_the_led_work_through_an_adapter(pos: PointOfSale) -> None:
    with adapted("esp32_lcd2004", pos) as (meter, board):
        assert meter.enter(pos.credit("home", "1").token).good
        before = meter.status().total_wh
        meter.wires.pulse(5)
        assert meter.status().total_wh == before + 5
        assert not meter.status().tamper
        meter.wires.tamper()
        assert meter.status().tamper
        meter.wires.tamper(False)
        # The LED flashes with the load.
        meter.set_load(20_000)
        pins = meter.wires
        before = pins.pulses()
        assert _bench(board).wait_beats(40, 10)  # 4.4 pulses
        assert pins.pulses() >= before + 2
        shown = meter.display().lines
        with pytest.raises(BoardError, match="no keypad has a key 'x'"):
            meter.press("12x")
        assert meter.display().lines == shown  # no key was pressed


def test_a_display_with_lost_bytes_is_drawn_again(
    pos: PointOfSale, monkeypatch: pytest.MonkeyPatch
) -> None:
    with adapted("esp32_oled", pos) as (meter, board):
        pins = meter.wires
        assert isinstance(pins, AdapterWires)
        pins._do("receiver._take(adapter.receiver._target)")  # no bytes are pending: no effect
        pins._run("adapter.receiver._lost = 7")
        meter.press("1")  # the adapter loses what this draws
        assert pins.lost >= 7
        assert list(meter.display().lines) == _bench(board).part("display").text()
        # An incomplete transfer: its rest must not be read as another transfer.
        pins._run(
            "adapter.receiver._ring[adapter.receiver._head] = 0x40\nadapter.receiver._head += 1"
        )
        before = pins.lost
        meter.press("2")
        assert pins.lost > before
        assert list(meter.display().lines) == _bench(board).part("display").text()
    monkeypatch.setattr(wires, "_RING", 300)
    with (
        pytest.raises(BoardError, match="loses bytes of the display repeatedly"),
        adapted("esp32_oled", pos) as (meter, board),
    ):
        meter.display()


def test_an_adapter_is_restarted_after_its_program_was_killed(pos: PointOfSale) -> None:
    with adapted("esp32c3_oled", pos) as (meter, board):
        pins = meter.wires
        assert isinstance(pins, AdapterWires)
        pins.hold(0, 0)  # key 1, which is not released
        assert _bench(board).wait_beats(4, 10)
        pins.leave()  # its program stays on the adapter
        again = AdapterWires(pins.port, pause=beats(_bench(board)))
        again.begin(meter)
        assert any("1/20" in line for line in again.lines())
        assert not again.buzzer
        again.press("2")
        assert again.buzzer
        assert again.lines() == _bench(board).part("display").text()
        assert any("2/20" in line for line in again.lines())
        again.close()


def test_a_locked_meter_is_read_after_it_has_drawn_its_display(pos: PointOfSale) -> None:
    with VirtualBoard(board="esp32_oled") as board, VirtualAdapter(_bench(board)) as adapter:
        with Meter.open(board.path, config=pos.config_for("home")) as meter:
            meter.lock("12345678")
        pins = AdapterWires(adapter.path, pause=beats(_bench(board)))
        with Meter.open(board.path, code="12345678", wires=pins) as meter:
            with pytest.raises(BoardError, match="reset the meter"):
                meter.display()
            meter.reset()
            meter.press("12")
            assert any("12" in line for line in meter.display().lines)
            assert list(meter.display().lines) == _bench(board).part("display").text()


def test_calls_that_pins_cannot_do_are_refused(pos: PointOfSale) -> None:
    with adapted("cyd", pos) as (meter, _):
        pins = meter.wires
        for what, said in (
            (lambda: meter.press("1"), "the keys of cyd are on its touch panel"),
            (meter.display, "the display of cyd is on SPI"),
            (lambda: pins.lamp, "the credit of cyd has no pin that a wire can reach"),
            (pins.tamper, "the board cyd has no tamper"),
        ):
            with pytest.raises(BoardError, match=said) as refusal:
                what()
            assert "\n" not in str(refusal.value)
        assert not pins.relay
        before = meter.status().total_wh
        pins.pulse(2)
        assert meter.status().total_wh == before + 2
    with Meter.open("virtual", board="cyd", wires="models") as meter:
        assert any("12" in line for line in meter.press("12").display)


def test_wrong_adapters_and_boards_without_pins_are_refused(pos: PointOfSale) -> None:
    with VirtualBoard() as other:
        with (
            VirtualBoard(board="esp32_lcd2004") as board,
            pytest.raises(BoardError, match="is not an adapter: an RP2040"),
        ):
            Meter.open(board.path, wires=other.path)
        with pytest.raises(BoardError, match="has no pins to wire"):
            Meter.open(other.path, wires="models")
    with (
        VirtualBoard(board="esp32_lcd2004") as board,
        pytest.raises(BoardError, match="only such a board has models"),
    ):
        Meter.open(board.path, wires=ModelWires())
    with pytest.raises(BoardError, match='is only for "virtual"'):
        Meter.open("nowhere", board="cyd")


@pytest.fixture
def shorter_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_check, "_LOOKS", 15)
    monkeypatch.setattr(adapter_check, "_WAIT", 8)


@pytest.mark.usefixtures("shorter_waits")
def test_jeton_wires_reports_the_wrong_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_check, "_TRIES", 1)
    with (
        VirtualBoard(board="esp32_lcd2004") as board,
        VirtualAdapter(
            _bench(board),
            missing=("R2", "relay", "SDA", "tamper"),
            swapped={"C1": "C4", "C4": "C1", "led": "credit", "credit": "led"},
        ) as adapter,
    ):
        _bench(board).part("keypad").press("5")
        said = ran("wires", board.path, adapter.path, "--json")
        assert (said.status, said.err) == (1, "")
        assert (said.json["good"], said.json["board"]) == (False, "esp32_lcd2004")
        found = {(f["part"], f["result"], f["note"]) for f in said.json["findings"]}
        hears = (
            f"the adapter at {adapter.path} receives nothing from the display: are its SDA, SCL"
        )
        wrong = {
            ("keypad", "held down without the adapter: 5"),
            ("keypad", "R2: none of its keys arrives; its wire is missing"),
            ("keypad", "C1: its keys are those of C4"),
            ("keypad", "C4: its keys are those of C1"),
            ("relay", "it is switched and the adapter sees no change: is its wire there?"),
            ("led", "it is seen in place of credit"),
            ("credit", "it is seen in place of led"),
            ("tamper", "is active without a signal: are its wire and GND in place?"),
            ("display", f"{hears} and GND connected to the meter's?"),
        }
        well = {("buzzer", "ok", None), ("pulses", "ok", None)}
        assert found == {(part, "failed", note) for part, note in wrong} | well
        with Meter(board.path) as meter:
            assert meter.info().faults == {}
            assert meter.events() == []  # no token was entered


def test_jeton_wires_reports_a_missing_port() -> None:
    with VirtualBoard(board="esp32_lcd2004") as board:
        assert "does not exist" in refused("wires", board.path, "/dev/nothing")


def test_an_lcd_that_was_on_is_known_after_a_full_redraw() -> None:
    def sent(value: int, rs: int) -> bytes:
        halves = (value & 0xF0 | 8 | rs, value << 4 & 0xF0 | 8 | rs)
        return bytes(o for half in halves for o in (half, half | 4, half))

    sync = b"\x38\x3c\x38\x38\x3c\x38\x28\x2c\x28"  # firmware/drivers/lcd.py
    glass = Glass(boards.load("esp32_lcd2004"))
    glass.feed(sent(ord("?"), 1)[3:])  # half a character: the decoder is out of step
    glass.feed(sync + sync + b"".join(sent(value, 0) for value in b"\x28\x0c\x06\x02"))
    lines = pattern(4, 20)
    for row, at in enumerate((0x00, 0x40, 0x14, 0x54)):
        assert not glass.known
        glass.feed(sent(0x80 | at, 0))
        glass.feed(b"".join(sent(ord(letter), 1) for letter in lines[row]))
    assert glass.known
    assert glass.text() == lines
    glass.forget()
    assert not glass.known


def test_bytes_in_pieces_of_any_size_give_the_same_picture() -> None:
    start = b"\x00\xae\x20\x01\x40\xa1\xc8\xa8\x3f\xd3\x00\xda\x12"
    start += b"\xd5\x80\xd9\xf1\xdb\x30\x81\xcf\xa4\xa6\x8d\x14"
    window = b"\x00\x21\x00\x7f\x22\x00\x01"
    cells = b"".join(b"\x40" + bytes([n]) * 16 for n in range(3))
    stream = start + b"\x00\xaf" + window + cells + window + cells
    pictures = set()
    for size in (1, 2, 7, 16, len(stream)):
        glass = Glass(boards.load("esp32_oled"))
        for at in range(0, len(stream), size):
            glass.feed(stream[at : at + size])
        assert glass.whole
        assert not glass.known  # most of the display was never written
        pictures.add(glass.picture().tobytes())
    assert len(pictures) == 1
    for wrong in (b"\x55", b"\x00\x55"):
        with pytest.raises(OutOfStep):
            Glass(boards.load("esp32_oled")).feed(start + wrong)
