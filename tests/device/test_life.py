"""A meter lives while nobody asks it, and what it has counted outlives every kind of end."""

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

RATE = 600  # meter seconds a second
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
    """A meter that uses 6 kWh a second; its clock began with 2026."""
    start = int((datetime(2026, 1, 1) - datetime(2000, 1, 1)).total_seconds())
    meters.create("home", meters.make_config() | {"credit_wh": 10**9, "clock": start})
    return "home"


def _begin(where: str) -> Status:
    with Meter.open(where) as meter:
        meter.set_load(LOAD_W)
        return meter.set_rate(RATE)


def _status(name: str) -> Status:
    deadline = time.monotonic() + 5
    while meters.find(name).port() is not None:  # a killed one holds the flash for a moment
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with Meter.open(name) as meter:
        return meter.status()


def _until(done: Callable[[], bool]) -> None:
    """Wait for something that can be seen."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lived(where: str, before: Status, seconds: float) -> None:
    with Meter.open(where) as meter:
        _lived_so(meter, before, seconds)


def _lived_so(meter: Meter, before: Status, seconds: float) -> None:
    """Wait until so many meter seconds have passed."""
    _until(lambda: (meter.status().clock - before.clock).total_seconds() >= seconds)


# A program that holds the line for a second of the board's own, says so, and goes on.
BUSY = (
    b"import time; t = time.ticks_ms()\r"
    b"while time.ticks_diff(time.ticks_ms(), t) < 1000: pass\r\r"
    b"print('held'); t = 0\rwhile True: pass\r\r"
)


def _passed(before: Status, after: Status) -> float:
    """Return the meter seconds between, by the clock; the energy says the same."""
    seconds = (after.clock - before.clock).total_seconds()
    assert abs((after.total_wh - before.total_wh) - 10 * seconds) <= 10 * RATE / 50
    return seconds


@pytest.mark.virtual_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("client", [False, True], ids=["alone", "client"])
def test_a_served_meter_that_is_stopped(loaded: str, number: int, client: bool) -> None:
    with served(loaded) as (process, port):
        before = _begin(port)
        if client:
            holding = Client(port)
            holding.send(BUSY)
            holding.expect(b"\r\nheld\r\n")
        else:
            _lived(port, before, RATE)
        process.send_signal(number)
        assert process.wait(10) == 0
        if client:
            os.close(holding.fd)
    assert _passed(before, _status(loaded)) >= 1 * RATE


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
def test_resets_of_a_served_meter(loaded: str, act: Callable[[str], None]) -> None:
    with served(loaded) as (_, port):
        before = _begin(port)
        _lived(port, before, RATE)
        act(port)
        with Meter.open(port) as meter:
            assert _passed(before, meter.status()) >= 1 * RATE


@pytest.mark.virtual_only
def test_a_served_meter_that_is_killed(loaded: str) -> None:
    with served(loaded) as (process, port):
        before = _begin(port)
        flash = meters.find(loaded).flash
        for _ in range(2):  # it saves by itself, each 5 s
            saved = flash.stat().st_mtime_ns
            _until(lambda saved=saved: flash.stat().st_mtime_ns != saved)
        process.kill()
        process.wait()
    assert _passed(before, _status(loaded)) >= 1 * RATE  # at most the last 5 s are lost


@pytest.mark.virtual_only
def test_a_served_meter_that_nothing_wakes_lives_on(loaded: str) -> None:
    with served(loaded) as (_, port):
        with Meter.open(port) as meter:
            meter.set_load(LOAD_W)
            before = meter.advance(3600)
        _machine("soft_reset")(port)  # saves
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
    assert _passed(before, after) >= 0
    assert after.load_w == LOAD_W


@pytest.mark.virtual_only
def test_a_clock_without_a_load_lives_too(loaded: str) -> None:
    with Meter.open(loaded) as meter:
        before = meter.set_rate(RATE)
        _lived_so(meter, before, RATE / 2)
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
def test_cuts_and_resets_by_a_program(meter: Meter, end: str) -> None:
    before = meter.set_load(LOAD_W)
    meter.set_rate(RATE)
    _lived_so(meter, before, 0.3 * RATE + 2 * SAVE_S)  # a cut loses at most SAVE_S
    getattr(meter, end)()
    if end == "power_cut":
        meter.power_on()
    assert _passed(before, meter.status()) >= 0.3 * RATE


# Ticks are invisible


@pytest.fixture
def hurried() -> Iterator[VirtualBoard]:
    with VirtualBoard(tick_s=0.02) as board:
        yield board


def _ticks(board: VirtualBoard, count: int = 3) -> bool:
    return board.wait_ticks(count, 10)


def _none(board: VirtualBoard) -> bool:
    """Tell whether it does not tick, for as long as many ticks would take."""
    return not board.wait_ticks(1, 2)


def _unasked(client: Client) -> bytes:
    """Return what the board said although nobody asked it anything."""
    if select.select([client.fd], [], [], 0)[0]:
        client.seen += os.read(client.fd, 65536)
    return client.seen


@pytest.mark.virtual_only
def test_a_client_at_a_prompt_sees_no_tick(hurried: VirtualBoard) -> None:
    with Client(hurried.path) as client:
        client.send(b"6*7\r")
        client.expect(b"42\r\n>>> ")
        assert _ticks(hurried)
        assert _unasked(client) == b""
        client.send(b"1+\r")
        client.expect(b">>> ")
        client.send(b"_=5\r")
        client.expect(b">>> ")
        assert _ticks(hurried)
        client.send(b"_\r")
        assert client.expect(b">>> ") == b"_\r\n5\r\n>>> "
        client.raw()
        assert _ticks(hurried)
        assert _unasked(client) == b""
        assert client.run("print(sorted(n for n in globals() if n[0] != '_'))")[0] == (
            b"['meter']\r\n"
        )
        client.send(b"\x02")
        client.expect(b">>> ")
    assert _ticks(hurried)


@pytest.mark.virtual_only
@pytest.mark.parametrize("raw", [False, True])
def test_what_is_half_typed_stays(hurried: VirtualBoard, raw: bool) -> None:
    with Client(hurried.path) as client:
        if raw:
            client.raw()
        client.send(b"print(6 ")
        assert _none(hurried)
        client.send(b"* 7)" + (b"\x04" if raw else b"\r"))
        client.expect(b"42\r\n")
        assert _ticks(hurried)


@pytest.mark.virtual_only
def test_a_program_that_looks_like_a_prompt_is_left_alone(hurried: VirtualBoard) -> None:
    with Client(hurried.path) as client:
        client.send(b"print(input('\\n>>> '))\r")
        client.expect(b"\r\n\r\n>>> ")
        assert _none(hurried)
        client.send(b"hello\r")
        assert client.expect(b"hello\r\nhello\r\n")


@pytest.mark.virtual_only
def test_much_talk_beside_ticks(hurried: VirtualBoard) -> None:
    with Client(hurried.path) as client:
        client.raw()
        for number in range(300):
            assert client.run(f"print({number})") == (b"%d\r\n" % number, b"")
            if number % 50 == 0:
                client.send(b"\x02")
                client.expect(b">>> ")
                assert _ticks(hurried, 1)
                client.raw()


@pytest.mark.virtual_only
def test_a_tick_that_does_not_end_is_given_up(
    hurried: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jeton_host.virtual.bridge._TICK_TIMEOUT", 0.3)
    with Client(hurried.path) as client:
        client.raw()
        client.run("def loop():\n    while True: pass\nimport board; board.tick = loop")
        _until(lambda: hurried.ticks_given_up > 0)
        client.send(b"\r\x03\x03")
        client.send(b"\x01")
        client.expect(b"raw REPL; CTRL-B to exit\r\n>")
        assert client.run("del board.tick; print(1)")[0] == b"1\r\n"


@pytest.mark.virtual_only
def test_an_idle_board_costs_nothing() -> None:
    with VirtualBoard(tick_s=0.5) as board:
        assert _ticks(board, 1)
        before = time.process_time()
        assert _ticks(board, 3)
        assert time.process_time() - before < 0.03


@pytest.mark.virtual_only
def test_the_interpreter_has_none_of_the_hosts_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".micropython.history").write_text("secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MICROPYPATH", str(tmp_path))
    monkeypatch.setenv("MICROPYINSPECT", "1")
    with VirtualBoard() as board, Client(board.path) as client:
        client.send(b"\x1b[A\r")  # the key that fetches the last line
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
