"""A locked meter on a board: what its line accepts, and that the lock cannot be bypassed."""

import json
import os
import pty
import random
import select
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
import typer
from client import RAW, Client
from typer.testing import CliRunner

from jeton_host.cli import life, tokens
from jeton_host.cli import locked as cli_locked
from jeton_host.cli import meters as cli_meters
from jeton_host.cli import supply as cli_supply
from jeton_host.client.answers import TokenResult
from jeton_host.client.repl import Repl
from jeton_host.client.session import UNLOCK_VARIABLE
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.virtual.board import VirtualBoard

CODE = "open sesame"
MARK = b'{"locked": true}\r\n'

app = typer.Typer()
for commands in (cli_meters, life, tokens, cli_locked, cli_supply):
    commands.register(app)


@pytest.fixture
def meter_config(request: pytest.FixtureRequest, meter_config: dict[str, Any]) -> dict[str, Any]:
    return meter_config | getattr(request, "param", {})


@pytest.fixture
def board() -> Iterator[VirtualBoard]:
    """The board of a locked meter with 5 kWh of credit."""
    with VirtualBoard() as board:
        with Meter.open(board.path, config=meters.make_config() | {"credit_wh": 5000}) as meter:
            meter.lock(CODE)
        yield board


@pytest.fixture
def client(board: VirtualBoard) -> Iterator[Client]:
    with Client(board.path) as client:
        yield client


def call(client: Client, *request: Any) -> dict[str, Any]:
    client.send(json.dumps(request).encode() + b"\n")
    return next_answer(client)


def next_answer(client: Client) -> dict[str, Any]:
    while (line := client.expect(b"\r\n")) == MARK:
        pass
    answer: dict[str, Any] = json.loads(line)
    return answer


def catch_up(client: Client) -> None:
    """Read all pending answers."""
    client.send(b'\x01["up to here"]\n')
    client.expect(b"up to here")
    client.expect(b"\r\n")


def still_locked(client: Client) -> None:
    """Request the REPL in every way; the meter must still answer as a locked meter."""
    catch_up(client)
    for keys in (b"\r\x03\x03\r\x01", b"\x04\x02\x05A\x01"):
        client.send(keys)
        assert client.expect(b"\r\n") == MARK
    client.send(b"print(6 * 7)\r\x04")
    assert "error" in next_answer(client)
    assert call(client, "status")["ok"]["credit_wh"] == 5000
    assert call(client, "advance", 5)["locked"]


def refused(action: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(BoardError) as caught:
        action(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The client


@pytest.mark.parametrize("meter_config", [{"credit_wh": 5000}], indirect=True)
def test_every_method_of_the_client_works_or_is_refused(meter: Meter) -> None:
    meter.lock(CODE)
    meter.release()
    with Meter.open(meter.port) as meter:
        assert meter.locked
        assert meter.info().provisioned
        assert meter.board is None or meter.info().mem_free > 48_000
        assert meter.enter("1" * 20).result is TokenResult.CRC
        assert meter.press("12").display == meter.display().lines
        assert meter.status().credit_wh == 5000
        assert [event.kind for event in meter.events()][-1] == "token"
        assert meter.reports() == []
        with pytest.raises(BoardError, match="needs its unlock code"):
            meter.acknowledge(0)
        assert meter.ledger().initial_wh == 5000
        assert not meter.emergency().taken
        assert not meter.reconnect()
        assert meter.mute().credit_wh == 5000
        assert meter.language("fr") == meter.language() == "fr"
        assert meter.history().days
        assert meter.led().supply
        assert meter.clock().year >= 2026
        calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
            (meter.provision, (meters.make_config(),)),
            (meter.set_load, (5,)),
            (meter.set_load_steps, ([(0, 5)],)),
            (meter.play, ([(0, 5)], 5)),
            (meter.set_phases, (1, 2, 3)),
            (meter.grant, (5,)),
            (meter.consume, (5,)),
            (meter.advance, (5,)),
            (meter.save, ()),
            (meter.clock, (datetime(2030, 1, 1, tzinfo=UTC),)),
            (meter.set_rate, (5,)),
            (meter.set_tamper, ()),
            (meter.soft_reset, ()),
            (meter.reset, ()),
            (meter.lock, ("another code",)),
        ]
        for action, arguments in calls:
            said = refused(action, *arguments)
            assert said.startswith(f"meter {meter.name} is locked: "), said
            assert said.endswith(
                f"needs its unlock code (jeton unlock {meter.name}, or ${UNLOCK_VARIABLE})"
            )
        assert meter.status().load_w == 0
        meter.unlock(CODE)
        for action, arguments in calls[1:]:
            if action == meter.play:
                meter.set_rate(1)
            action(*arguments)
            if action in (meter.soft_reset, meter.reset):
                refused(meter.save)
                meter.unlock(CODE)
        assert refused(meter.set_load, 5)
        assert "not the unlock code" in refused(meter.unlock, CODE)
        meter.open_up("another code")
        assert not meter.locked
        assert meter.set_load(7).load_w == 7
        meter.soft_reset()
        assert not meter.locked


@pytest.mark.virtual_only
def test_a_given_code_is_used_if_needed(board: VirtualBoard) -> None:
    with Meter.open(board.path, code=CODE) as meter:
        assert meter.set_load(500).load_w == 500
        meter.reset()
        assert meter.set_load(600).load_w == 600
    with Meter.open(board.path) as meter:  # access opened by the code has ended
        refused(meter.set_load, 5)
    with Meter.open(board.path, code="wrong code") as meter:
        assert refused(meter.set_load, 5) == "that is not the unlock code"
        assert "is locked: load needs" in refused(meter.set_load, 5)  # the code is tried only once
        assert meter.status().load_w == 600


def test_wrong_calls_of_lock_and_unlock_are_refused(meter: Meter) -> None:
    assert refused(meter.unlock, CODE).endswith("is not locked")
    assert refused(meter.open_up, CODE).endswith("is not locked")
    assert "give the code" in refused(meter.lock)
    assert refused(meter.lock, "short") == "an unlock code has 8 to 64 characters"
    assert not meter.locked
    meter.lock(CODE)
    assert meter.locked
    refused(meter.advance, 5)


@pytest.mark.virtual_only
def test_the_line_is_connected_once_after_a_restart(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second connection would read the greeting, for which the first one would wait in vain."""
    connections = []
    enter = Repl.enter

    def counted(repl: Repl, timeout: float) -> None:
        connections.append(timeout)
        enter(repl, timeout)

    monkeypatch.setattr(Repl, "enter", counted)
    for restarts in (lambda: meter.lock(CODE), meter.reset, lambda: meter.open_up(CODE)):
        connections.clear()
        restarts()
        assert len(connections) == 1


def test_a_locked_meter_stays_locked_after_a_power_cut(meter: Meter) -> None:
    meter.lock(CODE)
    meter.reset()
    meter.power_cut()
    for action in (meter.status, meter.soft_reset, lambda: meter.locked):
        assert "no power" in refused(action)
    meter.power_on()
    assert meter.locked
    refused(meter.advance, 5)


@pytest.mark.virtual_only
def test_the_code_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UNLOCK_VARIABLE, CODE)
    with Meter.open("virtual") as meter:
        meter.lock(CODE)
        meter.advance(5)


@pytest.mark.virtual_only
def test_wrong_codes_are_delayed_over_the_line_too(board: VirtualBoard) -> None:
    with Meter.open(board.path) as meter:
        for _ in range(3):
            assert refused(meter.unlock, "wrong code") == "that is not the unlock code"
        assert "wait" in refused(meter.unlock, CODE)
    for restart in (board.soft_reset, board.reset, board.power_cut):
        restart()
        board.power_on()
        with Meter.open(board.path) as meter:
            assert "wait" in refused(meter.unlock, CODE)
            assert "wait" in refused(meter.open_up, CODE)


@pytest.mark.virtual_only
def test_clients_in_any_language_can_send_lines(client: Client) -> None:
    """A request and an answer are one line of JSON each, ended by CR, LF or both."""
    for ending in (b"\r", b"\n", b"\r\n"):
        client.send(b'["clock"]' + ending)
        assert json.loads(client.expect(b"\r\n"))["ok"] > 800_000_000


# The lock cannot be bypassed


@pytest.mark.virtual_only
@pytest.mark.parametrize("flood", [b"\x03", b"\x04", b"\x01", b"\x03\x04\x01\x02\x05", b"\r\x03"])
def test_floods_of_control_keys_open_no_lock(
    board: VirtualBoard, client: Client, flood: bytes
) -> None:
    boots = board.boots
    client.send(flood * 4000)
    still_locked(client)
    assert board.boots == boots


@pytest.mark.virtual_only
@pytest.mark.parametrize("restart", ["soft_reset", "reset", "power_on"])
def test_control_keys_during_a_start_open_no_lock(
    board: VirtualBoard, client: Client, restart: str
) -> None:
    for number in range(3):
        client.send(b"\x03\x01" * number)
        if restart == "power_on":
            board.power_cut()
        client.send(b"\x03\x03\x01\x04" * 50)
        getattr(board, restart)()
        client.send(b"\x03\x03\x01\x04" * 50)
        client.expect(MARK)
        still_locked(client)
        client.seen = b""


@pytest.mark.virtual_only
def test_a_megabyte_of_garbage_opens_no_lock(client: Client) -> None:
    client.timeout = 60
    noise = random.Random(4)
    for _ in range(16):
        client.send(noise.randbytes(65536))
        # Read the answers meanwhile, or both ends would wait for each other.
        while select.select([client.fd], [], [], 0)[0]:
            os.read(client.fd, 65536)
    still_locked(client)
    assert call(client, "info")["ok"]["mem_free"] > 48_000


@pytest.mark.virtual_only
def test_many_long_lines_are_answered(client: Client) -> None:
    client.timeout = 60
    client.send(b"x" * 100_000 + b"\n")
    assert "at most 4096" in json.loads(client.expect(b"\r\n"))["error"]
    client.send(b'["tid", 1]\n')
    assert json.loads(client.expect(b"\r\n"))["ok"]
    for _ in range(20):
        client.send(b'["enter", 5]\n' * 100)
        for _ in range(100):
            assert "error" in next_answer(client)
    client.send(b'["enter", ' + b"[" * 1000 + b"]" * 1000 + b"]\n")
    assert "error" in json.loads(client.expect(b"\r\n"))
    still_locked(client)


@pytest.mark.virtual_only
@pytest.mark.parametrize(
    "arguments",
    [
        ["exec", "print(6 * 7)"],
        ["resume", "exec", "print(6 * 7)"],
        ["resume", "fs", "ls"],
        ["soft-reset"],
    ],
)
def test_mpremote_fails_and_changes_nothing(board: VirtualBoard, arguments: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mpremote", "connect", board.path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as program:
        try:
            said, _ = program.communicate(timeout=3)
        except subprocess.TimeoutExpired:  # mpremote waits for the raw REPL, 10 s or for ever
            program.kill()
            said, _ = program.communicate()
    assert b"42" not in said
    assert b"meter" not in said
    with Client(board.path) as client:
        still_locked(client)


@pytest.mark.virtual_only
def test_the_repl_of_mpremote_can_send_lines(board: VirtualBoard) -> None:
    pid, terminal = pty.fork()
    if not pid:
        arguments = [sys.executable, "-m", "mpremote", "connect", board.path, "repl"]
        os.execv(sys.executable, arguments)
    seen = b""
    try:
        for sent, wanted in (
            (b"", b"to exit this shell"),
            (b"[]\r", b'{"error"'),  # until then, the terminal handles Ctrl-C
            (b"\x03\x01", b'{"locked": true}'),
            (b"import os\r", b'{"error"'),
            (b"\x04\x02\r[]\r", b'{"error"'),
        ):
            os.write(terminal, sent)
            deadline = time.monotonic() + 15
            while wanted not in seen:
                assert select.select([terminal], [], [], deadline - time.monotonic())[0], seen
                seen += os.read(terminal, 4096)
            seen = seen.partition(wanted)[2]
        os.write(terminal, b"\x18")
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(terminal)


@pytest.mark.virtual_only
def test_no_main_py_runs_and_no_file_is_reached(tmp_path: Path) -> None:
    flash = tmp_path / "flash.img"
    with VirtualBoard(flash) as board, Client(board.path) as client:
        client.raw()
        client.run("with open('/main.py', 'w') as file: file.write('print(\"main runs\")')")
        line = json.dumps(["provision", dict(meters.make_config())])
        assert b'"ok"' in client.run(f"print(meter.rpc({line!r}))")[0]
        client.send(b'print(meter.rpc(\'["lock", "' + CODE.encode() + b"\"]'))\x04")
        said = client.expect(MARK)
        assert b'{"ok": null}\r\n' in said
        assert b"MPY: soft reboot" in said
        board.reset()
        assert b"main runs" not in client.expect(MARK)
        assert call(client, "open", CODE) == {"ok": None}
        assert b"main runs" in client.expect(b">>> ")
        client.raw()
        assert client.run("print(6 * 7)") == (b"42\r\n", b"")


@pytest.mark.virtual_only
def test_a_reset_by_the_line_restarts_the_board(board: VirtualBoard, client: Client) -> None:
    assert call(client, "reset")["locked"]
    assert call(client, "unlock", CODE) == {"ok": None}
    assert call(client, "reset") == {"ok": None}
    assert b"soft reboot" in client.expect(MARK)
    still_locked(client)


@pytest.mark.virtual_only
def test_the_raw_repl_works_after_the_lock_is_opened(client: Client) -> None:
    call(client, "open", CODE)
    client.expect(b">>> ")
    client.send(b"\x01")
    client.expect(RAW)
    client.send(b"print('on')\nwhile True: pass\x04")
    client.expect(b"on\r\n")
    client.send(b"\x03")
    assert client.expect(b"\x04>").endswith(b"KeyboardInterrupt: \r\n\x04>")


# Time


@pytest.mark.virtual_only
def test_a_normal_end_loses_nothing(tmp_path: Path) -> None:
    flash = tmp_path / "flash.img"
    config = meters.make_config() | {"credit_wh": 500_000}
    with VirtualBoard(flash) as board, Meter.open(board.path, config=config) as meter:
        meter.lock(CODE)
        meter.unlock(CODE)
        meter.set_load(360_000)
        deadline = time.monotonic() + 8
        while not (used_wh := meter.status().total_wh):
            assert time.monotonic() < deadline
    with VirtualBoard(flash) as board, Meter.open(board.path) as meter:
        assert meter.status().total_wh >= used_wh


@pytest.mark.virtual_only
def test_time_passes_and_is_saved_without_requests(tmp_path: Path) -> None:
    flash = tmp_path / "flash.img"
    config = meters.make_config() | {"credit_wh": 500_000}
    with VirtualBoard(flash) as board:
        with Meter.open(board.path, config=config) as meter:
            meter.lock(CODE)
            meter.unlock(CODE)
            meter.set_load(36_000)
        before = flash.read_bytes()
        deadline = time.monotonic() + 12
        while flash.read_bytes() == before:
            assert time.monotonic() < deadline
            os.sched_yield()
        board.power_cut()
        board.power_on()
        with Meter.open(board.path) as meter:
            assert meter.status().total_wh > 0


# The commands


def run(*arguments: str, keys: str | None = None, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(app, list(arguments), input=keys, env=env)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def denied(*arguments: str, keys: str | None = None, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(app, list(arguments), input=keys, env=env)
    assert isinstance(result.exception, JetonError), (result.output, result.exception)
    assert result.stdout == ""
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.virtual_only
def test_commands_work_on_a_named_locked_meter(tmp_path: Path) -> None:
    code = tmp_path / "code.txt"
    code.write_text(f"{CODE}\n")
    run("new", "home", "--credit", "2")
    assert "the unlock code is missing" in denied("lock", "home")
    assert "cannot be read" in denied("lock", "home", "--code-file", str(tmp_path / "none"))
    assert "8 to 64" in denied("lock", "home", "--code-file", "-", keys="short\n")
    assert denied("unlock", "home") == "home is not locked"
    assert run("lock", "home", "--code-file", str(code)) == "home is locked\n"
    assert run("lock", "home", "--json") == '{"meter": "home", "locked": true}\n'
    assert denied("advance", "home", "1h") == (
        "meter home is locked: advance needs its unlock code (jeton unlock home, or "
        "$JETON_UNLOCK_CODE)"
    )
    assert "2.00 kWh left" in run("status", "home")
    assert run("advance", "home", "1h", env={UNLOCK_VARIABLE: CODE})
    assert "start it with `jeton serve home`" in denied("unlock", "home", "--code-file", str(code))
    wrong = denied("unlock", "home", "--for-good", "--code-file", "-", keys="wrong code\n")
    assert wrong == "that is not the unlock code"
    said = run("unlock", "home", "--for-good", "--code-file", "-", "--json", keys=f"{CODE}\n")
    assert json.loads(said) == {"meter": "home", "locked": False, "unlocked": True}
    assert run("advance", "home", "1h")


@pytest.mark.virtual_only
def test_commands_work_on_a_served_locked_meter(board: VirtualBoard) -> None:
    assert run("unlock", board.path, "--code-file", "-", keys=f"{CODE}\n").startswith(board.path)
    assert run("load", board.path, "500")
    assert run("lock", board.path) == f"{board.path} is locked again\n"
    assert "is locked: load needs" in denied("load", board.path, "5")


@pytest.mark.virtual_only
def test_the_rate_of_a_clock_is_kept_while_the_meter_is_open(board: VirtualBoard) -> None:
    once = {UNLOCK_VARIABLE: CODE}
    said = denied("clock", board.path, "2041-05-01T12:00", "--rate", "3600", env=once)
    assert said.startswith(f"{board.path} is locked again when this command ends, and runs at 1 s")
    with Meter.open(board.path) as meter:
        assert meter.status().rate == 1
        assert meter.clock().year != 2041
    assert "a second" not in run("clock", board.path, "--rate", "1", env=once)
    run("unlock", board.path, "--code-file", "-", keys=f"{CODE}\n")
    assert "3600 s a second" in run("clock", board.path, "--rate", "3600", env=once)
    with Meter.open(board.path) as meter:
        assert meter.status().rate == 3600


@pytest.mark.virtual_only
@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe\xfd12345"])
def test_files_without_a_code_are_refused(tmp_path: Path, content: bytes) -> None:
    run("new", "home")
    file = tmp_path / "code.txt"
    file.write_bytes(content)
    assert str(file) in denied("lock", "home", "--code-file", str(file))
    with Meter.open("home") as meter:
        assert not meter.locked


BREAK_PROFILE = """
data = open("/profiles/generic.json", "rb").read()
with open("/profiles/generic.json", "wb") as file:
    file.write(data.replace(%r, %r))
"""


@pytest.mark.virtual_only
@pytest.mark.parametrize(("old", "new"), [(b'"lockout"', b'"lockouu"'), (b"{", b"[")])
def test_a_damaged_profile_opens_no_lock(tmp_path: Path, old: bytes, new: bytes) -> None:
    with VirtualBoard(tmp_path / "flash.img") as board:
        with Meter(board.path) as meter:
            meter.provision(meters.make_config())
            meter.run(BREAK_PROFILE % (old, new))
            meter.lock(CODE)
        board.power_cut()
        board.power_on()
        with Meter(board.path) as meter:
            assert meter.locked
            assert meter.status().fault
            assert meter.display().lines[0].startswith("STORE FAULT")


@pytest.mark.virtual_only
def test_a_start_without_memory_opens_no_lock(tmp_path: Path) -> None:
    with VirtualBoard(tmp_path / "flash.img") as board, Meter(board.path) as meter:
        meter.provision(meters.make_config())
        meter.set_load_steps([(i * 10, i) for i in range(256)], repeat_s=3000)
        meter.lock(CODE)
    for heap in ("140k", "116k", "90k", "75k", "50k"):
        with VirtualBoard(tmp_path / "flash.img", heap=heap) as board, Client(board.path) as line:
            line.send(b"\r\x03\x01")
            said = line.expect(b"locked")
            assert b"raw REPL" not in said
            assert b">>>" not in said


class Uart(threading.Thread):
    """A serial port of a chip: it buffers 260 unread bytes and loses what exceeds them."""

    HOLDS = 260

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.outer, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self.lost = 0
        self._inner = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        for number in (self.outer, self._slave, self._inner):
            os.close(number)

    def run(self) -> None:
        held = b""
        while not self._over.is_set():
            ready, _, _ = select.select([self.outer, self._inner], [], [], 0.005)
            if self._inner in ready:
                os.write(self.outer, os.read(self._inner, 4096))
            if self.outer in ready:
                held += os.read(self.outer, 4096)
                self.lost += len(held[self.HOLDS :])
                held = held[: self.HOLDS]
            elif held:  # the program on the chip reads only now
                os.write(self._inner, held)
                held = b""


def test_long_lines_reach_a_chip_that_reads_slowly(board: VirtualBoard) -> None:
    steps = [(60 * i, 1000 + i) for i in range(32)]
    with Uart(board.path) as uart, Meter(uart.path, code=CODE) as meter:
        assert meter.locked
        assert meter.press("12*" * 70).result is None
        meter.set_load_steps(steps, repeat_s=86400)
        assert meter.status().load_steps == 32
        assert uart.lost == 0
        # The same without waiting: this port loses the bytes that exceed its buffer.
        with open(uart.path, "wb", buffering=0) as port:
            port.write(b" " * 600 + b"\x01")
        while not uart.lost:
            time.sleep(0.001)
