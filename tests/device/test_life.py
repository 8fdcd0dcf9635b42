"""A meter runs without requests, and its counted energy is kept after every kind of end."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from client import Client

from jeton.timeline import SAVE_S
from jeton_host.client.answers import Status
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.virtual.board import VirtualBoard

RATE = 600  # meter seconds per second
LOAD_W = 36_000  # 10 Wh a meter second


@contextmanager
def served(name: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "jeton_host", "serve", name], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def loaded() -> str:
    """A meter that uses 6 kWh per second; its clock starts at the beginning of 2026."""
    start = int((datetime(2026, 1, 1) - datetime(2000, 1, 1)).total_seconds())
    meters.create("home", meters.make_config() | {"credit_wh": 10**9, "clock": start})
    return "home"


def _begin(where: str) -> Status:
    with Meter.open(where) as meter:
        meter.set_load(LOAD_W)
        return meter.set_rate(RATE)


def _status(name: str) -> Status:
    deadline = time.monotonic() + 5
    while meters.find(name).port() is not None:  # a killed meter keeps the flash open for a moment
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with Meter.open(name) as meter:
        return meter.status()


def _until(done: Callable[[], bool]) -> None:
    """Wait until a condition is true; fail after 60 s."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline


def _open_and_wait_clock(where: str, before: Status, seconds: float) -> None:
    with Meter.open(where) as meter:
        _wait_clock(meter, before, seconds)


def _wait_clock(meter: Meter, before: Status, seconds: float) -> None:
    """Wait until so many seconds of the meter's clock have passed since `before`."""
    _until(lambda: (meter.status().clock - before.clock).total_seconds() >= seconds)


# A program that blocks the line for one second on the board, prints "held", and loops for ever.
BUSY = (
    b"import time; t = time.ticks_ms()\r"
    b"while time.ticks_diff(time.ticks_ms(), t) < 1000: pass\r\r"
    b"print('held'); t = 0\rwhile True: pass\r\r"
)


def _elapsed(before: Status, after: Status) -> float:
    """Return the meter seconds between two states; check that the energy agrees."""
    seconds = (after.clock - before.clock).total_seconds()
    assert abs((after.total_wh - before.total_wh) - 10 * seconds) <= 10 * RATE / 50
    return seconds


@pytest.mark.virtual_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("client", [False, True], ids=["alone", "client"])
def test_a_stopped_served_meter_loses_nothing(loaded: str, number: int, client: bool) -> None:
    with served(loaded) as (process, port):
        before = _begin(port)
        if client:
            holding = Client(port)
            holding.send(BUSY)
            holding.expect(b"\r\nheld\r\n")
        else:
            _open_and_wait_clock(port, before, RATE)
        process.send_signal(number)
        assert process.wait(10) == 0
        if client:
            os.close(holding.fd)
    assert _elapsed(before, _status(loaded)) >= 1 * RATE


def _soft_reset(port: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", port, "soft-reset"], check=True, timeout=20
    )


def _machine(call: str) -> Callable[[str], None]:
    def act(port: str) -> None:
        with Client(port) as client:
            client.raw()
            client.send(b"import machine; machine." + call.encode() + b"()\x04")
            client.expect(b">>> " if call == "reset" else b"raw REPL; CTRL-B to exit\r\n>")
            client.send(b"\x02")

    return act


@pytest.mark.virtual_only
@pytest.mark.parametrize(
    "act", [_soft_reset, _machine("soft_reset"), _machine("reset")], ids=["D", "soft", "reset"]
)
def test_a_reset_served_meter_loses_nothing(loaded: str, act: Callable[[str], None]) -> None:
    with served(loaded) as (_, port):
        before = _begin(port)
        _open_and_wait_clock(port, before, RATE)
        act(port)
        with Meter.open(port) as meter:
            assert _elapsed(before, meter.status()) >= 1 * RATE


@pytest.mark.virtual_only
def test_a_killed_served_meter_loses_at_most_five_seconds(loaded: str) -> None:
    with served(loaded) as (process, port):
        before = _begin(port)
        flash = meters.find(loaded).flash
        for _ in range(2):  # the meter saves every 5 s
            saved = flash.stat().st_mtime_ns
            _until(lambda saved=saved: flash.stat().st_mtime_ns != saved)
        process.kill()
        process.wait()
    assert _elapsed(before, _status(loaded)) >= 1 * RATE  # at most the last 5 s are lost


@pytest.mark.virtual_only
def test_a_served_meter_runs_without_requests(loaded: str) -> None:
    with served(loaded) as (_, port):
        with Meter.open(port) as meter:
            meter.set_load(LOAD_W)
            before = meter.advance(3600)
        _machine("soft_reset")(port)  # this saves the record
        with Client(port) as client:
            client.raw()
            client.send(b"import _thread; lock = _thread.allocate_lock()\nprint('on')\n")
            client.send(b"lock.acquire(); lock.acquire()\x04")
            client.expect(b"on\r\n")
            client.send(b"\x03")
            client.expect(b"\r\nMPY: watchdog reset\r\n")
        with Meter.open(port) as meter:
            after = meter.status()
    assert before.total_wh >= LOAD_W
    assert _elapsed(before, after) >= 0
    assert after.load_w == LOAD_W


@pytest.mark.virtual_only
def test_a_clock_without_a_load_is_kept_too(loaded: str) -> None:
    with Meter.open(loaded) as meter:
        before = meter.set_rate(RATE)
        _wait_clock(meter, before, RATE / 2)
    after = _status(loaded)
    assert after.total_wh == before.total_wh
    assert (after.clock - before.clock).total_seconds() >= RATE / 2


@pytest.fixture
def meter_config(meter_config: dict[str, Any]) -> dict[str, Any]:
    return meter_config | {"credit_wh": 10**8}


@pytest.mark.parametrize(
    "end",
    [pytest.param("power_cut", marks=pytest.mark.virtual_only), "reset", "soft_reset"],
)
def test_power_cuts_and_resets_by_a_program_lose_little(meter: Meter, end: str) -> None:
    before = meter.set_load(LOAD_W)
    meter.set_rate(RATE)
    _wait_clock(meter, before, 0.3 * RATE + 2 * SAVE_S)  # a cut loses at most SAVE_S
    getattr(meter, end)()
    if end == "power_cut":
        meter.power_on()
    assert _elapsed(before, meter.status()) >= 0.3 * RATE


# Ticks do not disturb the serial line


@pytest.fixture
def fast_ticks() -> Iterator[VirtualBoard]:
    with VirtualBoard(tick_s=0.02) as board:
        yield board


def _ticks(board: VirtualBoard, count: int = 3) -> bool:
    return board.wait_ticks(count, 10)


def _no_tick(board: VirtualBoard) -> bool:
    """Return True if no tick occurs within 2 s, the time of many ticks."""
    return not board.wait_ticks(1, 2)


def _unsolicited(client: Client) -> bytes:
    """Return the output that the board has sent without a request."""
    if select.select([client.fd], [], [], 0)[0]:
        client.seen += os.read(client.fd, 65536)
    return client.seen


@pytest.mark.virtual_only
def test_a_client_at_a_prompt_sees_no_tick(fast_ticks: VirtualBoard) -> None:
    with Client(fast_ticks.path) as client:
        client.send(b"6*7\r")
        client.expect(b"42\r\n>>> ")
        assert _ticks(fast_ticks)
        assert _unsolicited(client) == b""
        client.send(b"1+\r")
        client.expect(b">>> ")
        client.send(b"_=5\r")
        client.expect(b">>> ")
        assert _ticks(fast_ticks)
        client.send(b"_\r")
        assert client.expect(b">>> ") == b"_\r\n5\r\n>>> "
        client.raw()
        assert _ticks(fast_ticks)
        assert _unsolicited(client) == b""
        assert client.run("print(sorted(n for n in globals() if n[0] != '_'))")[0] == (
            b"['meter']\r\n"
        )
        client.send(b"\x02")
        client.expect(b">>> ")
    assert _ticks(fast_ticks)


@pytest.mark.virtual_only
@pytest.mark.parametrize("raw", [False, True])
def test_half_typed_input_is_kept(fast_ticks: VirtualBoard, raw: bool) -> None:
    with Client(fast_ticks.path) as client:
        if raw:
            client.raw()
        client.send(b"print(6 ")
        assert _no_tick(fast_ticks)
        client.send(b"* 7)" + (b"\x04" if raw else b"\r"))
        client.expect(b"42\r\n")
        assert _ticks(fast_ticks)


@pytest.mark.virtual_only
def test_a_program_that_prints_a_prompt_is_not_disturbed(fast_ticks: VirtualBoard) -> None:
    with Client(fast_ticks.path) as client:
        client.send(b"print(input('\\n>>> '))\r")
        client.expect(b"\r\n\r\n>>> ")
        assert _no_tick(fast_ticks)
        client.send(b"hello\r")
        assert client.expect(b"hello\r\nhello\r\n")


@pytest.mark.virtual_only
def test_many_requests_work_beside_ticks(fast_ticks: VirtualBoard) -> None:
    with Client(fast_ticks.path) as client:
        client.raw()
        for number in range(300):
            assert client.run(f"print({number})") == (b"%d\r\n" % number, b"")
            if number % 50 == 0:
                client.send(b"\x02")
                client.expect(b">>> ")
                assert _ticks(fast_ticks, 1)
                client.raw()


@pytest.mark.virtual_only
def test_a_tick_that_does_not_end_is_abandoned(
    fast_ticks: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jeton_host.virtual.bridge._TICK_TIMEOUT", 0.3)
    with Client(fast_ticks.path) as client:
        client.raw()
        client.run("def loop():\n    while True: pass\nimport board; board.tick = loop")
        _until(lambda: fast_ticks.ticks_given_up > 0)
        client.send(b"\r\x03\x03")
        client.send(b"\x01")
        client.expect(b"raw REPL; CTRL-B to exit\r\n>")
        assert client.run("del board.tick; print(1)")[0] == b"1\r\n"


@pytest.mark.virtual_only
def test_an_idle_board_uses_little_processor_time() -> None:
    with VirtualBoard(tick_s=0.5) as board:
        assert _ticks(board, 1)
        before = time.process_time()
        assert _ticks(board, 3)
        assert time.process_time() - before < 0.03


@pytest.mark.virtual_only
def test_the_interpreter_gets_no_environment_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".micropython.history").write_text("secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MICROPYPATH", str(tmp_path))
    monkeypatch.setenv("MICROPYINSPECT", "1")
    with VirtualBoard() as board, Client(board.path) as client:
        client.send(b"\x1b[A\r")  # cursor up: the previous line of the history
        assert b"secret" not in client.expect(b">>> ")
        client.send(b"typed = 1\r")
        client.expect(b">>> ")
        client.raw()
        output, _ = client.run("import os; print(os.getenv('HOME'), os.getenv('JETON_HOME'))")
        assert output == b"/dev/null None\r\n"
        client.send(b"\x04")
        client.raw()
    assert (tmp_path / ".micropython.history").read_text() == "secret\n"
    assert list(tmp_path.iterdir()) == [tmp_path / ".micropython.history"]
