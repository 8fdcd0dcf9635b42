"""The client: its results, and its errors when a board does not work as expected."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import tty
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import serial
from client import Client

from jeton_host import clock
from jeton_host.client.answers import EPOCH, TokenResult, moment, seconds_of
from jeton_host.client.loads import WEEK_S, household
from jeton_host.errors import BoardError, JetonError, PortUnavailableError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.testing.meter_pos import MeterPos
from jeton_host.virtual.board import VirtualBoard


def _refused(where: str | Path, timeout: float = 1.0) -> str:
    before = time.monotonic()
    with pytest.raises(BoardError) as caught:
        Meter.open(where, timeout=timeout)
    assert time.monotonic() - before < 5
    assert "\n" not in str(caught.value)
    assert str(where) in str(caught.value)
    return str(caught.value)


# Results


def test_a_new_meter_returns_its_status(meter: Meter, capfd: pytest.CaptureFixture[str]) -> None:
    info, status, display = meter.info(), meter.status(), meter.display()
    assert (info.provisioned, info.profile) == (True, "generic")
    if meter.board is not None:
        assert info.board == meter.board.board
        assert info.mem_free > 60_000
    assert status.drn == info.drn
    assert (status.credit_wh, status.switch, status.pending) == (0, "open", ())
    assert abs(status.clock - clock.now()) < timedelta(minutes=1)
    assert display.rows >= 2
    assert display.cols >= 16
    assert [len(line) for line in display.lines] == [display.cols] * display.rows
    assert capfd.readouterr() == ("", "")


def test_a_sold_token_is_credited(meter: Meter, meter_pos: MeterPos) -> None:
    token = meter_pos.credit("12.5").token
    result = meter.enter(token)
    assert result.result is TokenResult.ACCEPT
    assert result.good
    assert result.name == result.result.standard_name == "Accept"
    assert (result.token_class, result.subclass) == (0, 0)
    assert result.amount_wh == meter.status().credit_wh == 12_500
    again = meter.press(token + "#")
    assert again.result is not None
    assert again.result.result is TokenResult.USED
    assert not again.result.good
    assert again.display == meter.display().lines
    assert again.as_dict()["result"]["result"] == TokenResult.USED
    kinds = [event.kind for event in meter.events()]
    assert kinds.count("token") == 2
    last = meter.events()[-1]
    assert meter.events(last.seq) == []
    assert last.as_dict()["time"] == last.time.isoformat()


def test_energy_and_time_are_returned(meter: Meter) -> None:
    meter.provision(meters.make_config() | {"credit_wh": 1000})
    meter.set_rate(0)
    before = meter.clock()
    assert meter.set_load(500).load_w == 500
    after = meter.advance(3600)
    assert (after.credit_wh, after.total_wh, after.rate) == (500, 500, 0)
    assert meter.clock() - before == timedelta(hours=1)
    assert meter.consume(100).credit_wh == 400
    assert meter.clock(datetime(2030, 1, 1)) == datetime(2030, 1, 1, tzinfo=UTC)
    assert meter.set_tamper().tamper


def test_a_refused_request_is_one_line_and_changes_nothing(meter: Meter) -> None:
    before = meter.status()
    for request in (
        lambda: meter.set_load(-1),
        lambda: meter.advance(-1),
        lambda: meter.consume(10**30),
        lambda: meter.provision({}),
        lambda: meter.provision(meters.make_config() | {"decoder_key": "00"}),
        lambda: meter.rpc("no such verb"),
        lambda: meter.rpc("enter"),
        lambda: meter.press("x"),
        lambda: meter.provision("abc"),  # type: ignore[arg-type]
        lambda: meter.rpc("load", object()),
        lambda: meter.set_load(10**5000),
    ):
        with pytest.raises(JetonError) as caught:
            request()
        assert "\n" not in str(caught.value)
    after = meter.status()
    assert (after.credit_wh, after.load_w, after.drn) == (
        before.credit_wh,
        before.load_w,
        before.drn,
    )


def test_times_are_converted() -> None:
    assert moment(0) == EPOCH == datetime(2000, 1, 1, tzinfo=UTC)
    assert seconds_of(datetime(2000, 1, 2)) == 86400
    assert seconds_of(moment(800_000_000)) == 800_000_000


@pytest.mark.virtual_only
def test_entering_a_token_is_quick(meter: Meter) -> None:
    took = []
    for _ in range(20):
        before = time.perf_counter()
        meter.enter("0" * 20)
        took.append(time.perf_counter() - before)
    assert sorted(took)[10] < 0.025


# Resets


def test_a_meter_keeps_its_state_over_resets(meter: Meter) -> None:
    meter.provision(meters.make_config() | {"credit_wh": 7000})
    for again in (meter.reset, meter.soft_reset):
        again()
        assert meter.status().credit_wh == 7000


@pytest.mark.virtual_only
def test_power_is_cut_and_restored(meter: Meter) -> None:
    meter.provision(meters.make_config() | {"credit_wh": 7000})
    meter.power_cut()
    with pytest.raises(BoardError, match="no power"):
        meter.status()
    meter.power_on()
    assert meter.status().credit_wh == 7000


@pytest.mark.virtual_only
@pytest.mark.parametrize("name", ["virtual", "esp32_lcd2004"])
def test_an_open_client_continues_after_a_reset(name: str) -> None:
    with VirtualBoard(board=name) as board, Meter.open(board.path) as meter:
        meter.provision(meters.make_config() | {"credit_wh": 7000})
        for restart in (board.reset, board.soft_reset, board.reset):
            restart()
            assert meter.status().credit_wh == 7000
            restart()
            assert meter.run("print(6 * 7)").strip() == "42"
        board.reset()
        meter.soft_reset()
        assert meter.consume(1000).credit_wh == 6000


def test_a_board_at_its_friendly_prompt_is_recognised(meter: Meter) -> None:
    meter.provision(meters.make_config() | {"credit_wh": 7000})
    with Client(meter.port) as other:
        other.send(b"\x02")
        other.expect(b"\r\n>>> ")
        assert meter.consume(1000).credit_wh == 6000


RESTARTS = """
class Falls:
    def rpc(self, line):
        import machine
        machine.reset()
meter = Falls()
"""


def test_a_restart_during_a_request_is_reported(meter: Meter) -> None:
    meter.provision(meters.make_config() | {"credit_wh": 7000})
    meter.timeout = 60  # so long a wait would fail the test
    meter.run(RESTARTS)
    assert meter.status().credit_wh == 7000  # the request is sent again
    meter.run(RESTARTS)
    with pytest.raises(BoardError, match="restarted during this request") as caught:
        meter.consume(1000)
    assert "\n" not in str(caught.value)
    assert meter.status().credit_wh == 7000


@pytest.mark.virtual_only
def test_a_restart_while_output_is_read_is_reported(meter: Meter) -> None:
    meter.provision(meters.make_config() | {"credit_wh": 7000})
    assert meter.board is not None
    restart = meter.board.reset
    with pytest.raises(BoardError, match="restarted during this request"):
        meter.run("print('on')\nwhile True: pass", heard=lambda _: restart())
    assert meter.status().credit_wh == 7000


def test_another_client_between_two_calls_does_no_harm(meter: Meter) -> None:
    meter.reset()
    assert meter.info().provisioned
    meter.soft_reset()
    assert meter.info().provisioned
    meter.release()
    with Client(meter.port) as client:
        client.send(b"\r")
        assert client.expect(b">>> ")  # the friendly prompt
        client.send(b"print(meter)\r")
        client.expect(b"<Console")
    with Meter.open(meter.port) as again:
        assert again.info().provisioned
        for own in (again.power_cut, again.power_on):
            with pytest.raises(BoardError, match="a virtual board that this program started"):
                own()
    assert meter.info().provisioned


def test_a_client_that_reads_the_prompt_does_no_harm(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may open the port at any time and discard what the board has sent."""
    monkeypatch.setattr(serial.Serial, "in_waiting", 0)  # bytes are received one by one
    for _ in range(3):
        assert meter.info().provisioned
        with Client(meter.port) as client:
            client.raw()
            assert client.run("print(1)") == (b"1\r\n", b"")


def test_a_running_program_is_interrupted(meter: Meter) -> None:
    meter.release()
    with Client(meter.port) as client:
        client.raw()
        client.send(b"print('on')\nwhile True: pass\x04")
        client.expect(b"on\r\n")
    assert meter.info().provisioned


def test_the_line_works_after_an_interrupted_request(meter: Meter) -> None:
    with pytest.raises(BoardError, match=r"does not answer within 0\.3 s"):
        _slow(meter)
    assert meter.info().provisioned


def _slow(meter: Meter) -> None:
    meter.run("import time; print('x'); time.sleep(60)", timeout=0.3)


# Errors


def test_a_silent_board_is_reported() -> None:
    outer, inner = pty.openpty()
    try:
        said = _refused(os.ttyname(inner))
        assert "does not answer within 1 s: it sent nothing" in said
    finally:
        os.close(outer)
        os.close(inner)


def test_a_silent_board_is_reported_within_five_seconds() -> None:
    outer, inner = pty.openpty()
    try:
        before = time.monotonic()
        with pytest.raises(BoardError, match="does not answer"):
            Meter.open(os.ttyname(inner))
        assert time.monotonic() - before < 5
    finally:
        os.close(outer)
        os.close(inner)


def test_a_device_without_micropython_is_reported() -> None:
    outer, inner = pty.openpty()
    tty.setraw(inner)
    stop = threading.Event()

    def talk() -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                os.read(outer, 100)
                os.write(outer, b"\xff\x1b[0mE (31) boot: no bootable app\r\n")

    talker = threading.Thread(target=talk, daemon=True)
    talker.start()
    try:
        said = _refused(os.ttyname(inner))
        assert "has no MicroPython" in said
        assert "no bootable app" in said
    finally:
        stop.set()
        os.write(inner, b"!")
        talker.join()
        os.close(outer)
        os.close(inner)


def test_a_board_without_jeton_is_reported(meter: Meter) -> None:
    meter.run("gone = meter\ndel meter")
    with pytest.raises(BoardError, match="runs MicroPython but no Jeton"):
        meter.info()
    meter.run("meter = gone\ndel gone")
    assert meter.info().provisioned


def test_a_busy_port_is_refused(meter: Meter) -> None:
    assert "in use by another program" in _refused(meter.port)
    assert meter.info().provisioned


@pytest.mark.parametrize("port", ["/dev/pts/999999", "/dev/ttyNONE0", "./nothing"])
def test_a_missing_port_is_reported(port: str) -> None:
    assert "does not exist" in _refused(port)


def test_a_file_that_is_not_a_port_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("hello")
    assert "not a serial port" in _refused(file)
    assert "not a serial port" in _refused(tmp_path)
    assert "not a serial port" in _refused("/dev/null")
    gone = tmp_path / "gone"
    gone.symlink_to("/dev/pts/999999")
    assert "does not exist" in _refused(gone)
    assert "cannot be opened" in _refused("nonsense://x")


@pytest.mark.virtual_only
def test_a_lost_port_is_reported() -> None:
    board = VirtualBoard().start()
    try:
        meter = Meter.open(board.path, timeout=1.0)
    finally:
        board.close()
    with pytest.raises(BoardError, match=r"is gone|does not exist") as caught:
        meter.info()
    assert not board.running
    assert board.pid is None
    assert meter.port in str(caught.value)
    meter.close()


@pytest.mark.virtual_only
def test_the_end_of_a_board_during_a_request_is_reported() -> None:
    with VirtualBoard() as board, Meter.open(board.path, timeout=0.5) as meter:
        board.power_cut()
        with pytest.raises(BoardError, match=r"does not answer within 0\.5 s"):
            meter.info()
        board.power_on()
        assert meter.info().board == "virtual"


# Named meters


@pytest.mark.virtual_only
def test_named_meters_are_opened(jeton_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jeton_host.meter._PATIENCE", 1.0)
    assert meters.all_meters() == []
    made = meters.create("one", meters.make_config() | {"credit_wh": 3000})
    assert made.port() is None
    assert "decoder_key" not in (made.folder / "meter.json").read_text()
    with pytest.raises(BoardError, match="there is a meter one already"):
        meters.create("one", meters.make_config())
    with Meter.open("one") as first:
        assert made.port() == first.port
        assert first.status().credit_wh == 3000
        with pytest.raises(BoardError, match=f"runs already, at {first.port}"):
            meters.NamedBoard(made).start()
        with pytest.raises(BoardError, match="in use by another program"):
            Meter.open("one")
        with pytest.raises(BoardError, match="stop that first"):
            meters.delete("one")
        first.consume(1000)
    assert made.port() is None
    with meters.NamedBoard(made) as board, Meter.open("one") as joined:
        assert joined.port == board.path
        assert joined.board is None
        assert joined.status().credit_wh == 2000
    assert [meter.name for meter in meters.all_meters()] == ["one"]
    meters.delete("one")
    assert list((jeton_home / "meters").iterdir()) == []


@pytest.mark.virtual_only
def test_waiting_for_another_program_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    meters.create("one", meters.make_config())
    first = Meter.open("one")

    def report(line: str) -> None:
        said.append(line)
        first.close()

    monkeypatch.setattr("jeton_host.meter.report_wait", report)
    assert said == []
    with Meter.open("one") as second:
        assert second.status().provisioned
    assert said == ["waiting for another program to release meter one"]


@pytest.mark.virtual_only
def test_a_waiting_command_reports_it_and_can_be_interrupted() -> None:
    meters.create("one", meters.make_config())
    with (
        Meter.open("one"),
        subprocess.Popen(
            [sys.executable, "-m", "jeton_host", "status", "one", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as command,
    ):
        assert command.stderr is not None
        line = command.stderr.readline()
        command.send_signal(signal.SIGINT)
        out, more = command.communicate()
    assert line == b"jeton: waiting for another program to release meter one\n"
    assert (out, more, command.returncode) == (b"", b"", 130)


@pytest.mark.parametrize("name", ["", "-x", "a/b", "..", "x" * 65, "a b", "virtual", "é"])
def test_wrong_names_are_refused(name: str) -> None:
    with pytest.raises(BoardError):
        meters.create(name, {})


@pytest.mark.virtual_only
def test_a_meter_has_priority_over_a_file_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meters.create("demo", meters.make_config())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    with Meter.open("demo") as meter:
        assert meter.info().provisioned


def test_an_unknown_meter_is_refused() -> None:
    with pytest.raises(BoardError, match="there is no meter 'absent'"):
        Meter.open("absent")


@pytest.mark.virtual_only
def test_a_meter_that_cannot_be_set_up_is_not_created(jeton_home: Path) -> None:
    with pytest.raises(BoardError, match="check digit"):
        meters.create("bad", meters.make_config() | {"drn": "00000000011"})
    assert meters.all_meters() == []
    assert list((jeton_home / "meters").iterdir()) == []


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(BoardError, match="empty name"):
        Meter.open("")


@pytest.mark.virtual_only
def test_a_damaged_flash_of_a_named_meter_is_reported() -> None:
    made = meters.create("broken", meters.make_config())
    made.flash.write_bytes(b"no flash")
    with pytest.raises(BoardError, match="not a flash image"):
        Meter.open("broken")
    assert made.flash.read_bytes() == b"no flash"
    assert made.port() is None


@pytest.mark.virtual_only
def test_a_damaged_record_is_reported_and_kept(meter: Meter) -> None:
    config = meters.make_config()
    damage = "f=open('/meter%s/record','r+b'); f.seek(60); f.write(b'spoilt'); f.close()"
    drn = meter.status().drn
    meter.run(damage % "")
    meter.reset()
    # One intact record is enough; the other is written again from it.
    assert (meter.status().fault, meter.status().drn) == (None, drn)
    meter.run(damage % ".copy")
    meter.reset()
    assert (meter.status().fault, meter.status().drn) == (None, drn)
    meter.run(damage % "")
    meter.run(damage % ".copy")
    meter.reset()
    fault = meter.status().fault
    assert fault is not None
    assert "checksum" in fault
    assert meter.display().lines[0].startswith("STORE FAULT")
    with pytest.raises(BoardError, match=r"damaged.*provision the meter again"):
        meter.enter("0" * 20)
    assert meter.run("print(b'spoilt' in open('/meter/record','rb').read())") == "True\r\n"
    assert meter.provision(config).fault is None
    meter.reset()
    assert meter.status().fault is None
    assert meter.run("print(b'spoilt' in open('/meter/record.bad','rb').read())") == "True\r\n"


@pytest.mark.virtual_only
@pytest.mark.meter_profile("ceet")
def test_a_missing_profile_on_the_flash_is_reported(meter: Meter) -> None:
    meter.run("import os; os.remove('/profiles/ceet.json')")
    meter.reset()
    assert meter.status().fault == "no profile ceet on this board"


def test_any_number_of_keys_can_be_pressed(meter: Meter) -> None:
    pressed = meter.press("00000000000201328896#" + "1*" * 8000)
    assert pressed.result is not None
    assert pressed.result.result is TokenResult.ACCEPT  # the latest result of these keys
    again = meter.press("1" * 300 + "#").result
    assert again is not None
    assert again.name == "FormatError"


def test_advancing_years_may_exceed_the_timeout(meter: Meter) -> None:
    meter.set_load_steps(household(1), repeat_s=WEEK_S)
    before = meter.clock()
    meter.timeout = 0.25  # for a silent board; advancing ten years takes longer
    status = meter.advance(3650 * 86400)
    assert status.clock - before >= timedelta(days=3650)


@pytest.mark.virtual_only
def test_a_meter_is_opened_again_after_another_program_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other program opened the meter first and has ended, so opening is retried."""
    meters.create("one", meters.make_config())
    start = meters.NamedBoard.start
    tries = []

    def second(board: meters.NamedBoard) -> meters.NamedBoard:
        tries.append(board)
        if len(tries) == 1:
            raise PortUnavailableError("meter one runs already, at another process")
        return start(board)

    monkeypatch.setattr(meters.NamedBoard, "start", second)
    with Meter.open("one") as meter:
        assert meter.status().provisioned
    assert len(tries) == 2
