"""`jeton flash` on virtual boards: complete, on stock MicroPython, interrupted and refused.

These tests use no chip. A program with the name of esptool (`FAKE`) prints what esptool prints,
and the chip that a virtual board reports is patched.
"""

import hashlib
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command import jeton, ran, refused, result_of

from jeton_host.bench import doctor, esp, facts, flashing
from jeton_host.bench.facts import NOTHING
from jeton_host.errors import BoardError, PortError
from jeton_host.firmware import archive, boards, remote
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.build import Target
from jeton_host.firmware.interpreter import find
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters import ports
from jeton_host.meters.named import make_config
from jeton_host.virtual.board import VirtualBoard

pytestmark = pytest.mark.virtual_only

KILLS = int(os.environ.get("JETON_KILLS", "4"))
ERASE = """
import os
def wipe(folder):
    for name in os.listdir(folder):
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            wipe(path)
            os.rmdir(path)
        else:
            os.remove(path)
wipe("")
"""
XTENSAWIN, RV32IMC = 10, 11
DRN = make_config()["drn"]


@pytest.fixture
def board() -> Iterator[VirtualBoard]:
    with VirtualBoard() as virtual:
        yield virtual


@pytest.fixture
def stock(board: VirtualBoard) -> VirtualBoard:
    """A board with MicroPython and no other files."""
    with Meter(board.path) as meter:
        meter.run(ERASE)
        meter.soft_reset()
    return board


def run_on(board: VirtualBoard, source: str) -> str:
    with Meter(board.path) as meter:
        return meter.run(source).strip()


def modify(board: VirtualBoard, *names: str, text: str = "x", mode: str = "ab") -> None:
    """Append text to files on the board and close them; a module still works as before."""
    run_on(
        board,
        f"for name in {names!r}:\n    with open(name, {mode!r}) as file:\n"
        f"        file.write({text!r})",
    )


SUPPLY = "fw/jeton/supply.mpy"


def modify_modules(board: VirtualBoard, *names: str) -> None:
    """Change modules in the archive on the board: the name of their source; they still work."""
    run_on(
        board,
        f"""
import jeton_pack
for name in {[name.removeprefix("fw") for name in names]!r}:
    with open("/firmware.pack", "r+b") as file:
        start = jeton_pack._find(name)
        file.seek(start)
        source = name.split("/")[-1][:-4] + ".py"
        file.seek(start + file.read(200).index(source.encode()))
        file.write(b"~")
""",
    )


def files_on(board: VirtualBoard) -> list[str]:
    source = """
import os
def walk(folder):
    for name in os.listdir(folder or "/"):
        path = folder + "/" + name
        if not os.stat(path)[0] & 0x4000:
            print(path[1:])
        elif path != "/fw":
            walk(path)
walk("")
"""
    return sorted(run_on(board, source).split())


def modules_on(board: VirtualBoard) -> list[str]:
    """Return the names of the modules in the archive on the board."""
    sizes = json.loads(run_on(board, remote.once("measure", "sizes")))
    assert min(sizes.values()) > 0
    return list(sizes)


def flash(board: VirtualBoard, *options: str) -> dict[str, Any]:
    value: dict[str, Any] = result_of("flash", board.path, "--board", board.board, *options)
    return value


def test_a_stock_board_gets_the_firmware_and_a_meter(stock: VirtualBoard) -> None:
    said = jeton("flash", stock.path, "--board", "virtual", "--meter", "lome")
    lines = said.splitlines()
    assert lines[0] == f"port: {stock.path}"
    assert lines[1] == "the port is not on USB: esptool cannot identify the chip"
    assert re.fullmatch(r"runs: MicroPython \d+\.\d+\.\d+ on a virtual board", lines[2])
    assert re.fullmatch(r"copied: (\d+) of \1 files, \d+ KB, each .* SHA-256", lines[3])
    assert lines[-1].endswith("profile generic, 0.00 kWh, runs on virtual")
    token = result_of("vend", "lome", "credit", "12.5")["tokens"][0]
    assert result_of("enter", stock.path, token)["name"] == "Accept"
    # Exactly the files of a new virtual board, and those of the meter.
    names = [name for name in files_on(stock) if not name.startswith("meter")]
    with VirtualBoard() as other:
        assert names == [n for n in files_on(other) if not n.startswith("meter")]
        assert run_on(stock, "print(open('firmware.id').read().split()[0])") == run_on(
            other, "print(open('firmware.id').read().split()[0])"
        )


def test_a_current_board_is_not_written(board: VirtualBoard) -> None:
    assert "the firmware is up to date" in jeton("flash", board.path, "--board", "virtual")
    assert flash(board)["copied"] == []


def test_only_changed_files_are_copied(board: VirtualBoard) -> None:
    modify_modules(board, SUPPLY)
    modify(board, "mine.txt", text="kept")
    found = flash(board)
    assert found["copied"] == [SUPPLY]
    assert found["octets"] < 10_000
    assert run_on(board, "print(open('mine.txt').read())") == "kept"
    assert flash(board)["copied"] == []


def test_files_of_older_firmware_are_removed(board: VirtualBoard) -> None:
    modify(board, "lib/older.mpy", "lib/mine.mpy")
    run_on(
        board,
        "text = open('firmware.id').read() + '\\nlib/older.mpy'\n"
        "with open('firmware.id', 'w') as file: file.write(text)",
    )
    assert flash(board)["removed"] == ["lib/older.mpy"]
    assert "lib/older.mpy" not in files_on(board)
    assert "lib/mine.mpy" in files_on(board)


def test_missing_parts_are_reported() -> None:
    said = "nothing answers on i2c at 0x27, 0x3F"
    with VirtualBoard(board="esp32_lcd2004") as wired:
        assert flash(wired)["part_faults"] == {}
        assert wired.bench is not None
        wired.bench.part("display").present = False
        wired.reset()
        assert f"warning: display: {said}" in jeton("flash", wired.path, "--board", wired.board)
        assert flash(wired)["part_faults"] == {"display": said}


def test_a_users_boot_py_is_kept(stock: VirtualBoard) -> None:
    for i in range(2):
        modify(stock, "boot.py", text=f"mine = {i}", mode="wb")
        run_on(stock, "import os\ntry: os.remove('firmware.id')\nexcept OSError: pass")
        kept = flash(stock)["kept_boot"]
        assert kept == "boot.py.old" + "-" * i
        assert run_on(stock, f"print(open('{kept}').read())") == f"mine = {i}"


def test_a_damaged_list_of_files_is_ignored(board: VirtualBoard) -> None:
    damage = "with open('firmware.id', 'wb') as file: file.write(b'\\xff\\xfe\\x00garbage')"
    run_on(board, damage)
    assert flash(board)["firmware"] in run_on(board, "print(open('firmware.id').read())")
    assert "the firmware is up to date" in jeton("flash", board.path, "--board", "virtual")


def test_the_meter_is_kept(board: VirtualBoard) -> None:
    with Meter(board.path) as meter:
        meter.provision(make_config() | {"credit_wh": 12_340})
        before = meter.status()
    modify_modules(board, SUPPLY)
    found = flash(board)
    assert found["copied"] == [SUPPLY]
    assert (found["drn"], found["erased"]) == (before.drn, False)
    with Meter(board.path) as meter:
        assert meter.status().credit_wh == 12_340


def test_the_meter_is_erased_on_request(board: VirtualBoard, tmp_path: Path) -> None:
    with Meter(board.path) as meter:
        meter.provision(make_config() | {"credit_wh": 12_340})
    modify(board, "meter.bin.bad", "meter/record.bad")
    other = make_config(drn="00000000000") | {"credit_wh": 500}
    file = tmp_path / "meter.json"
    file.write_text(json.dumps(other))
    line = refused_late("flash", board.path, "--board", "virtual", "--config", str(file))
    assert "already, and not 00000000000: --erase-meter removes it" in line
    found = flash(board, "--config", str(file), "--erase-meter")
    assert (found["erased"], found["drn"]) == (True, "00000000000")
    with Meter(board.path) as meter:
        assert meter.status().credit_wh == 500
    assert not [name for name in files_on(board) if name.endswith(".bad")]
    assert flash(board, "--config", str(file))["drn"] == "00000000000"  # the same meter again


def test_a_damaged_store_is_not_changed(board: VirtualBoard, tmp_path: Path) -> None:
    with Meter(board.path) as meter:
        meter.provision(make_config())
    modify(board, "meter/record", "meter.copy/record", mode="wb")
    board.power_cut()
    board.power_on()
    file = tmp_path / "meter.json"
    file.write_text(json.dumps(make_config()))
    said = ran("flash", board.path, "--board", "virtual", "--config", str(file))
    assert said.status == 1
    assert "its store was not changed; --erase-meter removes it" in said.err
    assert [name for name in files_on(board) if name.startswith("meter/record")]
    assert flash(board, "--config", str(file), "--erase-meter")["fault"] is None


def test_a_display_of_another_size_is_configured(stock: VirtualBoard) -> None:
    with VirtualBoard(board="esp32_lcd2004") as wired:
        found = flash(wired, "--display", "2x16", "--meter", "small")
        assert found["provisioned"]
        with Meter(wired.path) as meter:
            display = meter.display()
            assert (display.rows, display.cols) == (2, 16)
        line = refused_late("flash", wired.path, "--board", "esp32_lcd2004", "--display", "4x16")
        assert "the meter on the board has a display of 2x16" in line.splitlines()[-1]
    line = refused_late("flash", stock.path, "--board", "virtual", "--display", "2x16")
    assert line == "--display needs a new meter: give --meter or --config too"
    line = refused("flash", stock.path, "--board", "virtual", "--display", "4x20")
    assert line == "the display of virtual has 2x16 characters: 4x20 is too large"


def parts_of(board: VirtualBoard) -> set[str]:
    source = "from jeton_main import runtime\nprint(*runtime.parts)"
    assert board.bench is not None
    with Meter(board.path) as meter:
        assert meter.info().faults == {}
        return set(meter.run(source).split())


def test_the_list_of_unwired_parts_is_kept() -> None:
    described = boards.load("esp32_lcd2004")
    partly_wired = described.changed(("pulses", "tamper"), {"relay": 0})
    with VirtualBoard(board=partly_wired) as wired:
        bench = wired.bench
        assert bench is not None
        base = ("flash", wired.path, "--board", "esp32_lcd2004")
        # Without options the earlier configuration is kept.
        assert (said := result_of(*base))["copied"] == []
        assert (said["without"], said["active"]) == (["pulses", "tamper"], {"relay": 0})
        assert parts_of(wired) == set(described.parts) - {"pulses", "tamper"}
        assert bench.pins[23].level == 1  # not provisioned: the relay is open
        with Meter(wired.path) as meter:
            found = doctor.examine(meter, Absent())
        assert not {"pulses", "tamper"} & {one.part for one in found.findings}
        # One of the two options is given: the other setting is kept.
        said = result_of(*base, "--without", "buzzer")
        assert (said["without"], said["active"]) == (["buzzer"], {"relay": 0})
        assert said["copied"] == ["fw/drivers/pulses.mpy", "fw/wiring.mpy"]
        assert parts_of(wired) == set(described.parts) - {"buzzer"}
        said = result_of(*base, "--without", "none", "--active", "none")
        assert (said["without"], said["active"]) == ([], {})
        assert parts_of(wired) == set(described.parts)
        shown = jeton(*base, "--without", "tamper", "--active", "relay=0")
        assert "without: tamper\nrelay: on at low\n" in shown


def test_the_level_of_a_relay_is_kept_until_it_is_changed() -> None:
    """With the wrong active level, the lamp of a meter without credit would be on."""
    with VirtualBoard(board=boards.load("esp32_lcd2004").changed((), {"relay": 0})) as wired:
        base = ("flash", wired.path, "--board", "esp32_lcd2004")
        shown = jeton(*base, "--active", "credit=0")
        assert "credit: on at low\nrelay: on at low\n" in shown
        assert "without: relay\n" in jeton(*base, "--without", "relay")
        shown = jeton(*base, "--without", "none")
        assert "relay: wired again\ncredit: on at low\nrelay: on at low\n" in shown
        assert wired.bench is not None
        with Meter(wired.path) as meter:
            meter.info()
        assert wired.bench.pins[23].level == 1
        shown = jeton(*base, "--active", "none")
        assert "credit: on at high again\nrelay: on at high again\n" in shown


def test_not_all_parts_may_be_left_out_and_none_is_given_alone(board: VirtualBoard) -> None:
    base = ("flash", board.path, "--board", "esp32_lcd2004")
    every = [word for name in boards.load("esp32_lcd2004").parts for word in ("--without", name)]
    assert refused(*base, *every).endswith("cannot run without any part: keep at least one")
    assert refused(*base, "--without", "none", "--without", "led").endswith("give it alone")
    assert refused(*base, "--active", "none", "--active", "relay=0").endswith("give it alone")


def test_an_unused_code_is_reported_if_the_meter_is_not_locked(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JETON_UNLOCK_CODE", "open sesame")
    base = ("flash", board.path, "--board", "virtual", "--meter", "home")
    assert "the meter is not locked: `jeton lock" in jeton(*base)
    with Meter(board.path) as meter:
        meter.lock("open sesame")
    assert "not locked" not in jeton(*base)


def test_files_of_the_user_do_not_hide_the_boards() -> None:
    with VirtualBoard(board="esp32_lcd2004") as wired, Meter(wired.path) as meter:
        meter.run(
            "for name in ('/board.py', '/wiring.py', '/jeton.py', '/drivers.py'):\n"
            "    with open(name, 'w') as file: file.write('NAME = 1')"
        )
        meter.soft_reset()
        assert meter.info().faults == {}
        meter.run("from jeton_main import runtime\nruntime.make(('display',))")
        assert meter.info().board == "esp32_lcd2004"
        assert meter.info().faults == {}


def test_unknown_parts_cannot_be_left_out(board: VirtualBoard) -> None:
    base = ("flash", board.path, "--board", "esp32_lcd2004")
    assert refused(*base, "--without", "lamp").startswith("esp32_lcd2004 has no part 'lamp'; it")
    assert refused(*base, "--active", "display=0").startswith("display has no active level")
    for text in ("relay", "relay=2", "relay=low", "=", ""):
        assert "--active" in refused(*base, "--active", text), text


class Absent:
    """No person is at the bench: every question is an error."""

    present = False

    def say(self, text: str) -> None:
        raise AssertionError(text)

    heard = say

    def ask(self, question: str) -> bool:
        raise AssertionError(question)


def test_a_locked_meter_is_flashed_with_its_code(board: VirtualBoard, tmp_path: Path) -> None:
    with Meter(board.path) as meter:
        meter.provision(make_config())
    modify_modules(board, SUPPLY)
    with Meter(board.path) as meter:
        meter.lock("correct horse")
    arguments = ("flash", board.path, "--board", "virtual")
    said = ran(*arguments)
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "the unlock code is missing: give --code-file FILE" in said.err
    code = tmp_path / "code"
    code.write_text("wrong wrong\n")
    assert "not the unlock code" in ran(*arguments, "--code-file", str(code)).err
    code.write_text("correct horse\n")
    said = ran(*arguments, "--code-file", str(code))
    assert said.status == 0, said
    assert "copied: 1 of" in said.out
    with Meter(board.path) as meter:
        assert meter.locked
        meter.unlock("correct horse")


def _overwritten(where: str) -> str:
    return f"""
import jeton_pack
with open("/firmware.pack", "r+b") as file:
    file.seek({where})
    file.write(b"~~~~")
"""


# What no start survives. The copies in /lib are not used while the archive is whole.
DAMAGES = {
    "no archive": "import os\nos.rename('firmware.pack', 'mine')",
    "no loader": "import os\nos.rename('lib/jeton_pack.mpy', 'mine')",
    "index": _overwritten("0"),
    "module": _overwritten("jeton_pack._find('/jeton/supply.mpy')"),
    "copy": _overwritten("jeton_pack._find('/jeton/supply.mpy')")
    + "import os\nos.remove('lib/drivers/shut.mpy')",
}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        *(("virtual", "no loader"), ("virtual", "index"), ("virtual", "module")),
        *(("virtual", "copy"), ("esp32_oled", "index")),
    ],
)
def test_a_locked_meter_without_working_firmware_is_refused(kind: str, damage: str) -> None:
    """Firmware that does not start stays locked: `jeton flash` has no access either."""
    with VirtualBoard(board=kind) as board:
        with Meter(board.path) as meter:
            meter.provision(make_config())
            meter.run(DAMAGES[damage])
            with pytest.raises(BoardError, match="the locked meter cannot start"):
                meter.lock("correct horse")
        said = ran("flash", board.path, "--board", kind)
        assert said.status == 1
        assert "the locked meter cannot start" in said.err


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_firmware_is_repaired(board: VirtualBoard, damage: str) -> None:
    """Only what is damaged is copied; the meter keeps its credit."""
    with Meter(board.path) as meter:
        meter.provision(make_config() | {"credit_wh": 12_340})
        meter.run(DAMAGES[damage])
        meter.soft_reset()
        with pytest.raises(BoardError, match="no Jeton"):
            meter.status()
    found = flash(board)
    assert found["drn"] == DRN
    assert (found["octets"] > 40_000) == (damage in ("no archive", "index"))
    with Meter(board.path) as meter:
        assert meter.status().credit_wh == 12_340


def on_terminal(*command: str) -> tuple[int, str]:
    """Run a command on a new pseudo-terminal; return its status and what it printed there."""
    pid, outer = pty.fork()
    if not pid:
        os.environ |= {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        os.execv(sys.executable, [sys.executable, "-m", "jeton_host", *command])
    drawn = b""
    while True:
        try:
            data = os.read(outer, 4096)
        except OSError:  # end of the terminal
            data = b""
        if not data:
            break
        drawn += data
    os.close(outer)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), drawn.decode()


def test_a_terminal_shows_progress_bars(board: VirtualBoard) -> None:
    modify_modules(board, SUPPLY)
    status, drawn = on_terminal("flash", board.path, "--board", "virtual")
    assert status == 0, drawn
    for what in ("compare", "compare modules", "copy"):
        assert re.search(rf"{what} .*━.*100%", drawn), drawn
    assert "copied: 1 of" in drawn
    # With --json no bar is printed between the results, even if both go to the terminal.
    status, drawn = on_terminal("flash", board.path, "--board", "virtual", "--json")
    assert json.loads(drawn.strip().splitlines()[-1])["copied"] == []


# Interrupted.


def _started(board: VirtualBoard) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "jeton_host", "flash", board.path, "--board", "virtual"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_kill_at_any_moment_keeps_the_meter(board: VirtualBoard, shared_cache: Path) -> None:
    """After a kill the meter still has its credit, or flashing again restores it."""
    chance = random.Random(random.randrange(1 << 30) if "JETON_KILLS" in os.environ else 5)
    with Meter(board.path) as meter:
        meter.provision(make_config() | {"credit_wh": 12_340})
    names = [f"fw/{name}" for name in modules_on(board)]
    some = [n for n in names if n.split("/")[-1][0] in "cst"]
    seen = set()
    for turn in range(KILLS):
        modify_modules(board, *some)
        for _ in range(3):
            process = _started(board)
            try:
                process.communicate(timeout=0.6 + chance.random() * 2.5)
            except subprocess.TimeoutExpired:
                process.send_signal(chance.choice((signal.SIGKILL, signal.SIGINT)))
                process.communicate()
            if turn % 2:
                board.power_cut()
                board.power_on()
            with Meter(board.path, timeout=10) as meter:
                try:
                    assert meter.status().credit_wh == 12_340
                    seen.add("a meter")
                except BoardError as error:
                    assert "no Jeton" in str(error)  # noqa: PT017
                    seen.add("none")
        assert flash(board)["drn"] == DRN
        assert flash(board)["copied"] == []
        with Meter(board.path) as meter:
            assert meter.status().credit_wh == 12_340
        assert not [name for name in files_on(board) if name.endswith(".new")]
    assert "a meter" in seen


class _Cut(Exception):
    """Ends the program at a chosen step."""


@pytest.mark.parametrize("files", [(), ("profiles/ceet.json", "profiles/ceet.fr")])
def test_an_end_after_each_step_keeps_the_meter(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...]
) -> None:
    """End the program after each request to the board, with and without a power cut.

    If only modules change, there is a meter after each of them.
    """
    with Meter(board.path) as meter:
        meter.provision(make_config() | {"credit_wh": 12_340})
    whole = Meter.run
    seen = set()
    every = 1 if "JETON_KILLS" in os.environ else 5 if files else 2
    for cut in range(7, 200, every):  # earlier requests only read
        modify_modules(board, "fw/jeton/sts/crc.mpy", "fw/jeton/sts/digits.mpy")
        modify(board, *files)
        left = [cut]

        def counted(self: Meter, source: str, left: list[int] = left, **more: Any) -> str:
            if left[0] == 0:
                raise _Cut
            left[0] -= 1
            return whole(self, source, **more)

        monkeypatch.setattr(Meter, "run", counted)
        try:
            ended = False
            ran("flash", board.path, "--board", "virtual")
        except _Cut:
            ended = True
        monkeypatch.setattr(Meter, "run", whole)
        if cut % 3 == 0:
            board.power_cut()
            board.power_on()
        with Meter(board.path) as meter:
            try:
                assert meter.status().credit_wh == 12_340
                seen.add("a meter")
            except BoardError as error:
                assert "no Jeton" in str(error)  # noqa: PT017
                seen.add("none")
        assert flash(board)["drn"] == DRN
        if not ended:
            break
    assert not ended
    assert seen == ({"a meter", "none"} if files else {"a meter"})


# Refused.


def test_wrong_uses_are_refused(board: VirtualBoard, tmp_path: Path) -> None:
    assert refused("flash", "", "--board", "virtual") == (
        "the name of the port is empty: give a path, a MAC or auto"
    )
    assert "there is no board 'abacus'" in refused("flash", board.path, "--board", "abacus")
    assert refused("flash", board.path, status=2).startswith("missing option '--board'")
    line = refused("flash", board.path, "--board", "virtual", "--sha256", "00")
    assert line == "--sha256 needs --image FILE"
    both = ("--config", "x.json", "--meter", "x")
    line = refused("flash", board.path, "--board", "virtual", *both)
    assert line == "--config and --meter exclude each other: give one"
    line = refused("flash", board.path, "--board", "virtual", "--profile", "ceet")
    assert line == "--profile needs --meter NAME"
    for command in (("flash", board.path, "--board", "virtual"), ("new", "x")):
        line = refused(*command, "--display", "16x2", status=2)
        assert "'16x2' is not a size of a display: give one of 2x16, 2x20, 4x16, 4x20" in line
    file = tmp_path / "x.json"
    for text, said in (("{", "is not JSON"), ("[]", "drn and decoder_key are required")):
        file.write_text(text)
        assert said in refused("flash", board.path, "--board", "virtual", "--config", str(file))
    file.unlink()
    line = refused("flash", board.path, "--board", "virtual", "--config", str(file))
    assert line == f"{file} cannot be read: No such file or directory"


def refused_late(*arguments: str) -> str:
    """Return the error line of a command that is refused after it has printed progress."""
    said = ran(*arguments)
    assert said.status == 1, said
    assert said.err.startswith("jeton: "), said
    assert said.err.count("\n") == 1, said
    again = ran(*arguments, "--json")
    assert (again.status, again.err) == (1, "")
    assert list(again.json) == ["error"]
    return said.err.removeprefix("jeton: ").strip()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": (1, 22, 2)}, "runs MicroPython 1.22.2, which is too old: 1.23 or newer"),
        ({"machine": "ESP32C3 module with ESP32C3"}, "the chip is an ESP32-C3, but the board"),
        ({"machine": "LOLIN_C3_MINI with ESP32-C3FH4"}, "the chip is an ESP32-C3, but the board"),
        ({"machine": "A board of mine"}, "the chip is an A board of mine, but the board"),
        ({"platform": "rp2", "machine": "Pico with RP2040"}, "the chip is an Pico with RP2040"),
        ({"mpy": 6 | 2 << 8 | XTENSAWIN << 10}, "loads .mpy files of version 6.2, but mpy-cross"),
    ],
)
def test_unsuitable_micropython_is_refused(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], said: str
) -> None:
    whole = facts.facts
    esp32 = {
        "version": (1, 24, 0),
        "mpy": 6 | 3 << 8 | XTENSAWIN << 10,
        "machine": "Generic ESP32 module with ESP32",
        "platform": "esp32",
    }
    monkeypatch.setattr(
        "jeton_host.bench.facts.facts", lambda m: replace(whole(m), **(esp32 | changed))
    )
    before = files_on(board)
    assert said in refused_late("flash", board.path, "--board", "esp32_lcd2004")
    assert files_on(board) == before


@pytest.mark.parametrize(
    ("machine", "chip"),
    [
        ("Generic ESP32 module with ESP32", "ESP32"),
        ("Generic ESP32C3 module with ESP32C3", "ESP32-C3"),
        ("LOLIN_C3_MINI with ESP32-C3FH4", "ESP32-C3"),
        ("M5Stick-C with ESP32-PICO-D4", "ESP32"),
        ("One core with ESP32-S0WD", "ESP32"),
        ("TinyS3 with ESP32-S3-FN8", "ESP32-S3"),
        ("A board of mine", ""),
    ],
)
def test_the_chip_of_a_board_variant_is_found(machine: str, chip: str) -> None:
    assert replace(NOTHING, platform="esp32", machine=machine).chip == chip


def test_the_chip_found_by_esptool_has_priority_over_micropython() -> None:
    about = facts.Facts(
        (1, 24, 0), 6 | 3 << 8 | XTENSAWIN << 10, "A board of mine", "esp32", (), (), 1 << 20
    )
    flashing.check(about, boards.load("esp32_lcd2004"), "here", "ESP32")
    with pytest.raises(BoardError, match="the chip is an ESP32-C3, but the board esp32_lcd2004"):
        flashing.check(about, boards.load("esp32_lcd2004"), "here", "ESP32-C3")


def test_other_interpreters_are_refused(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ['{"name": "circuitpython"}']
    monkeypatch.setattr(flashing.remote, "once", lambda *_: f"print({said[0]!r})")
    line = refused_late("flash", board.path, "--board", "virtual")
    assert line.endswith("runs circuitpython: Jeton needs MicroPython")
    said[0] = "hello"
    line = refused_late("flash", board.path, "--board", "virtual")
    assert line.endswith("does not report what it is")


def test_boards_for_another_chip_are_refused(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = refused_late("flash", board.path, "--board", "esp32_oled")
    assert line.endswith("is a virtual board without parts: use --board virtual")
    whole = facts.facts
    monkeypatch.setattr(
        "jeton_host.bench.facts.facts", lambda m: replace(whole(m), platform="esp32")
    )
    line = refused_late("flash", board.path, "--board", "virtual")
    assert "is not a virtual board: name its board with --board" in line


def test_a_full_flash_is_refused(board: VirtualBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = facts.facts
    monkeypatch.setattr("jeton_host.bench.facts.facts", lambda m: replace(whole(m), free=4096))
    modify_modules(board, SUPPLY)
    assert "has 4 KB free, and" in refused_late("flash", board.path, "--board", "virtual")


# A file that does not fit is discarded, so the flash is filled with many small files.
FILL = """
import os
os.mkdir("mine")
i = 0
for size in (12288, 4096):
    try:
        while True:
            i += 1
            with open("mine/%d" % i, "wb") as file:
                file.write(bytes(size))
    except OSError:
        pass
"""


def test_a_flash_full_of_user_files_is_refused(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    modify_modules(board, SUPPLY)
    run_on(board, FILL)
    line = refused_late("flash", board.path, "--board", "virtual")
    assert re.search(r"has \d KB free, and 1\d\d KB are needed: remove your own files", line)
    # A file system that does not report its free space.
    whole = facts.facts
    monkeypatch.setattr("jeton_host.bench.facts.facts", lambda m: replace(whole(m), free=1 << 30))
    line = refused_late("flash", board.path, "--board", "virtual")
    assert line.startswith(f"the flash of {board.path} is full: remove your own files from it")
    monkeypatch.undo()
    run_on(board, "import os\nfor name in os.listdir('mine'): os.remove('mine/' + name)")
    assert flash(board)["copied"] == [SUPPLY]


def test_the_reason_is_reported_if_a_meter_does_not_start(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = firmware_build.sources

    def broken(*arguments: Any) -> dict[str, bytes]:
        found = whole(*arguments)
        return found | {"fw/jeton_main.mpy": b"raise ValueError('a brick')"}

    monkeypatch.setattr(firmware_build, "sources", broken)
    line = refused_late("flash", board.path, "--board", "virtual")
    assert line.endswith("failed: ValueError: a brick")


def test_damaged_transfers_are_repeated_once(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file is sent again; a second failure is an error, and the old firmware runs."""
    modify_modules(board, SUPPLY)
    whole = Meter.run
    left = [1]

    def noisy(self: Meter, source: str, **more: Any) -> str:
        if source.startswith("_jeton.put(") and left[0]:
            left[0] -= 1
            source = "_jeton.put('AAAA')"
        return whole(self, source, **more)

    monkeypatch.setattr(Meter, "run", noisy)
    assert flash(board)["copied"] == [SUPPLY]
    modify_modules(board, SUPPLY)
    left[0] = 99
    line = refused_late("flash", board.path, "--board", "virtual")
    assert line.endswith("damaged, twice: try another cable or port")
    with Meter(board.path) as meter:
        assert meter.info().board == "virtual"


# Ports.


def usb_port(device: str, serial_number: str = "0001", vid: int | None = 0x10C4) -> Any:
    return SimpleNamespace(
        device=device, vid=vid, product="CP2102 USB to UART", description="",
        serial_number=serial_number,
    )  # fmt: skip


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the USB ports of this computer."""

    def plug(*found: Any) -> None:
        monkeypatch.setattr(ports.list_ports, "comports", lambda: list(found))

    return plug


def test_the_port_is_found(plugged: Callable[..., None], tmp_path: Path) -> None:
    plugged()
    assert "no board was found on USB" in refused("flash", "auto", "--board", "virtual")
    builtin = usb_port("/dev/ttyS0", vid=None)
    plugged(builtin, usb_port("/dev/ttyUSB7", "A7"))
    assert ports.find("auto").device == "/dev/ttyUSB7"
    assert ports.find("A7").usb
    assert not ports.find("/dev/ttyS0").usb
    assert ports.find("socket://bench:4000").device == "socket://bench:4000"
    plugged(usb_port("/dev/ttyUSB7", "A7"), usb_port("/dev/ttyACM0", "60:55:F9:01:02:03"))
    assert refused("flash", "auto", "--board", "virtual") == (
        "several ports match, give one of them: "
        "/dev/ttyACM0 (CP2102 USB to UART, serial number 60:55:F9:01:02:03), "
        "/dev/ttyUSB7 (CP2102 USB to UART, serial number A7)"
    )
    assert ports.find("6055f9010203").device == "/dev/ttyACM0"
    assert "no port, meter, MAC or serial number 'B9'" in refused(
        "flash", "B9", "--board", "virtual"
    )
    link = tmp_path / "bench"
    link.symlink_to("/dev/ttyUSB7")
    plugged(usb_port("/dev/ttyUSB7", "A7"))
    assert ports.find(str(link)) == ports.Port(str(link), True, "CP2102 USB to UART", "A7")


def test_a_board_is_found_by_its_mac(plugged: Callable[..., None], board: VirtualBoard) -> None:
    run_on(board, "import machine\nmachine.unique_id = lambda: b'\\x24\\x6f\\x28\\x01\\x02\\x03'")
    plugged(usb_port("/dev/no-such-port"), usb_port(board.path))
    assert ports.find("24:6F:28:01:02:03").device == board.path


def test_a_served_named_meter_is_flashed() -> None:
    jeton("new", "home", "--credit", "3")
    with meters.NamedBoard(meters.find("home")) as board:
        modify_modules(board, SUPPLY)
        found = result_of("flash", "home", "--board", "virtual")
        assert (found["port"], found["copied"]) == (board.device, [SUPPLY])
        assert result_of("status", "home")["credit_wh"] == 3000
    line = refused("flash", "home", "--board", "virtual")
    assert line.startswith("meter home has no port: it is not served. Run `jeton serve home`")
    assert "does not exist" in refused_late("flash", "/dev/nonesuch", "--board", "virtual")


# The chip. The output of esptool 5.6 is copied from its source and, for a port without a chip,
# from a real run; it was not recorded with a chip.

FAKE = """
import json, os, sys
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
how = json.loads(os.environ["FAKE_CHIP"])
print("esptool v5.6.0")
print("Serial port %s:" % sys.argv[sys.argv.index("--port") + 1])
print("Connecting....")
if how.get("error"):
    print(how["error"], file=sys.stderr)
    sys.exit(2)
print("Connected to %s on /dev/ttyUSB0:" % how["chip"])
print("Chip type:          ESP32-D0WD-V3 (revision v3.1)")
print("Features:           Wi-Fi, BT, Dual Core + LP Core, 240MHz")
print("Crystal frequency:  40MHz")
print("MAC:                24:6f:28:01:02:03")
print()
print("Stub flasher running.")
if sys.argv[-1] == "flash-id":
    print("Flash Memory Information:")
    print("=========================")
    print("Manufacturer: 5e")
    print("Device: 4016")
    print("Detected flash size: %s" % how.get("flash", "4MB"))
else:
    for at in (0, 40, 100):
        print("Writing at 0x00001000 [====] %5.1f%% 1/2 bytes..." % at, end="\\r", flush=True)
    print()
    if not how.get("unverified"):
        print("Hash of data verified.")
print()
print("Hard resetting via RTS pin...")
"""


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Make the fake esptool find this chip; return a function that lists its command lines."""
    package = tmp_path / "fake" / "esptool"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE)
    log = tmp_path / "log"
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setattr(esp, "installed", lambda: True)

    def set_chip(name: str = "ESP32", **how: Any) -> None:
        monkeypatch.setenv("FAKE_CHIP", json.dumps({"chip": name} | how))

    def asked() -> list[list[str]]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    set_chip.asked = asked  # type: ignore[attr-defined]
    set_chip()
    return set_chip  # type: ignore[return-value]


@pytest.fixture
def wired(plugged: Callable[..., None]) -> Iterator[VirtualBoard]:
    """A virtual ESP32 whose port is listed as USB."""
    with VirtualBoard(board="esp32_lcd2004") as virtual:
        plugged(usb_port(virtual.path))
        yield virtual


PLACE = (0x200000, 0x200000)


def image_of(
    path: Path,
    chip: int = 0,
    version: str = "v1.24.1",
    file_system: tuple[int, int] | None = PLACE,
) -> Path:
    data = bytearray(0x8000)
    data[0] = 0xE9
    struct.pack_into("<H", data, 12, chip)
    about = struct.pack("<4I", 0xABCD5432, 0, 0, 0) + version.encode().ljust(32, b"\0")
    data[256 : 256 + len(about)] = about
    partitions = [(1, 2, 0x9000, 0x6000, b"nvs"), (0, 0, 0x10000, 0x1F0000, b"factory")]
    if file_system is not None:
        partitions.append((1, 0x81, *file_system, b"vfs"))
    for i, (kind, subtype, at, size, label) in enumerate(partitions):
        entry = (0x50AA, kind, subtype, at, size, label, 0)
        struct.pack_into("<HBBII16sI", data, 0x7000 + 32 * i, *entry)
    path.write_bytes(data)
    return path


def test_the_chip_is_identified(wired: VirtualBoard, chip: Any) -> None:
    said = jeton("flash", wired.path, "--board", "esp32_lcd2004")
    assert "chip: ESP32, 4 MB flash, MAC 24:6f:28:01:02:03" in said.splitlines()
    assert chip.asked() == [["--port", wired.path, "flash-id"]]
    chip("ESP32-C3")
    assert refused_late("flash", "auto", "--board", "esp32_lcd2004") == (
        "the chip is an ESP32-C3, but the board esp32_lcd2004 has an ESP32"
    )
    chip(flash="2MB")
    line = refused_late("flash", "auto", "--board", "esp32_lcd2004")
    assert line.startswith("the chip has 2 MB of flash: 4 MB are needed")
    # esptool cannot identify the chip, but its MicroPython answers.
    chip(
        error="ERROR: A fatal error occurred: Failed to connect to ESP32: No serial data received."
    )
    said = jeton("flash", "auto", "--board", "esp32_lcd2004")
    assert "hold the board's BOOT button down while this connects" in said
    assert "the firmware is up to date" in said


def test_a_port_that_returns_after_a_reset_is_used(
    wired: VirtualBoard, chip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The USB port of the chip disappears at a reset and returns a moment later."""
    whole = Meter.__init__
    asked: list[int] = []

    def late(self: Meter, port: str, **more: Any) -> None:
        if chip.asked() and len(asked) < 3:
            asked.append(1)
            raise PortError(f"port {port} does not exist")
        whole(self, port, **more)

    monkeypatch.setattr(Meter, "__init__", late)
    assert "up to date" in jeton("flash", "auto", "--board", "esp32_lcd2004")
    assert len(asked) == 3


def test_a_board_is_flashed_without_esptool_or_the_need_is_reported(
    wired: VirtualBoard, chip: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(esp, "installed", lambda: False)
    said = jeton("flash", "auto", "--board", "esp32_lcd2004")
    assert "esptool is not installed (pip install 'jeton-meter[flash]'): MicroPython ident" in said
    image = image_of(tmp_path / "esp32.bin")
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    line = refused_late(
        "flash", "auto", "--board", "esp32_lcd2004", "--image", str(image), "--sha256", sha256
    )
    assert line == "esptool is required here but not installed: pip install 'jeton-meter[flash]'"


def test_a_chip_without_micropython_is_explained(
    plugged: Callable[..., None], chip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flashing, "LOOK", 0.2)
    outer, inner = pty.openpty()
    try:
        plugged(usb_port(os.ttyname(inner)))
        line = refused_late("flash", "auto", "--board", "esp32_lcd2004")
        assert "no MicroPython answers on the chip at " in line
        chip(error="A fatal error occurred: Failed to connect to Espressif device: No serial data")
        line = refused_late("flash", "auto", "--board", "esp32_lcd2004")
        assert line.startswith("esptool: Failed to connect to Espressif device: hold the board's")
    finally:
        os.close(outer)
        os.close(inner)


def test_an_image_is_written(wired: VirtualBoard, chip: Any, tmp_path: Path) -> None:
    image = image_of(tmp_path / "esp32.bin")
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    options = ("flash", "auto", "--board", "esp32_lcd2004", "--image", str(image))
    said = jeton(*options, "--sha256", sha256.upper())
    assert "esp32.bin: the SHA-256 is correct" in said
    assert "written: MicroPython 1.24.1" in said
    assert chip.asked()[-1] == [
        *("--chip", "esp32", "--port", wired.path, "--baud", "460800"),
        *("write-flash", "0x1000", str(image)),
    ]
    assert result_of(*options, "--sha256", sha256)["image_sha256"] == sha256
    line = refused_late(*options)
    assert line == f"the SHA-256 of {image} is {sha256}: compare it, then give it by --sha256"
    for same in (f"sha256:{sha256}", f"{sha256}  {image}\n"):
        assert result_of(*options, "--sha256", same)["image_sha256"] == sha256
    line = refused_late(*options, "--sha256", "12345")
    assert line.startswith("'12345' is not a SHA-256: give its 64 hexadecimal digits, or the line")
    line = refused_late(*options, "--sha256", "0" * 64)
    assert line == f"{image} is not the expected image: its SHA-256 is {sha256}"
    count = len(chip.asked())
    chip(unverified=True)
    assert "did not verify it" in refused_late(*options, "--sha256", sha256)
    assert len(chip.asked()) > count


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"chip": 5}, "is an image for ESP32-C3, not for ESP32"),
        ({"chip": 9}, "is an image for another chip, not for ESP32"),
        ({"version": "v1.22.2"}, "is MicroPython 1.22.2: 1.23 or newer is needed"),
    ],
)
def test_wrong_images_are_refused(
    wired: VirtualBoard, chip: Any, tmp_path: Path, made: dict[str, Any], said: str
) -> None:
    image = image_of(tmp_path / "some.bin", **made)
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    options = ("flash", "auto", "--board", "esp32_lcd2004", "--image", str(image))
    assert said in refused_late(*options, "--sha256", sha256)
    assert chip.asked() == []
    data = bytearray(image.read_bytes())
    data[12:14] = bytes(2)
    about = b"v1.24.1".ljust(32, b"\0")
    data[256 + 16 : 256 + 48] = about
    image.write_bytes(data[:0x7000])  # an .app-bin: only the application, for updates
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    assert "has no partition table: it is an app image" in refused_late(
        *options, "--sha256", sha256
    )
    image.write_text("<html>not found</html>" * 10)
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    assert "is not a MicroPython image" in refused_late(*options, "--sha256", sha256)


def test_an_image_requires_a_chip(board: VirtualBoard, tmp_path: Path) -> None:
    image = image_of(tmp_path / "esp32.bin")
    options = ("flash", board.path, "--board", "virtual", "--image", str(image))
    assert "is not a port on USB: an image can be written only over USB" in refused_late(*options)


def test_a_locked_meter_gets_no_image(
    board: VirtualBoard, plugged: Callable[..., None], chip: Any, tmp_path: Path
) -> None:
    plugged(usb_port(board.path))
    with Meter(board.path) as meter:
        meter.provision(make_config())
        meter.lock("correct horse")
    image = image_of(tmp_path / "esp32.bin")
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    options = ("flash", "auto", "--board", "esp32_lcd2004", "--image", str(image))
    line = refused_late(*options, "--sha256", sha256)
    assert line.startswith(f"the meter at {board.path} is locked, and an image needs its REPL: ")
    assert "`jeton unlock --for-good` removes the lock" in line
    assert chip.asked() == []


@pytest.mark.parametrize(
    ("made", "flash_mb", "good"),
    [
        ({}, 4, True),
        ({"file_system": None}, 4, True),  # after the last partition, as since 1.26
        ({"file_system": None}, 8, False),
        ({"file_system": (0x210000, 0x1F0000)}, 4, False),
        ({"file_system": (0x200000, 0x600000)}, 8, False),
    ],
)
def test_an_image_does_not_lose_the_meter(
    wired: VirtualBoard, chip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    made: dict[str, Any], flash_mb: int, good: bool,
) -> None:  # fmt: skip
    with Meter(wired.path) as meter:
        meter.provision(make_config())
    whole = facts.facts
    monkeypatch.setattr("jeton_host.bench.facts.facts", lambda m: replace(whole(m), disk=PLACE))
    chip(flash=f"{flash_mb}MB")
    image = image_of(tmp_path / "esp32.bin", **made)
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    options = ("flash", "auto", "--board", "esp32_lcd2004", "--image", str(image))
    if good:
        jeton(*options, "--sha256", sha256)
    else:
        line = refused_late(*options, "--sha256", sha256)
        assert line.endswith("the meter on the board would be lost; --erase-meter removes it")
    assert good == any("write-flash" in arguments for arguments in chip.asked())


def test_the_place_of_the_file_system_is_read(board: VirtualBoard) -> None:
    esp32 = f"""
import sys
class Partition:
    TYPE_DATA = 1
    def find(kind, label):
        return [Partition] if label == "vfs" else []
    def info():
        return (1, 129, {PLACE[0]}, {PLACE[1]}, "vfs", False)
class esp32:
    pass
esp32.Partition = Partition
sys.modules["esp32"] = esp32
"""
    with Meter(board.path) as meter:
        assert facts.facts(meter).disk is None
        meter.run(esp32)
        assert facts.facts(meter).disk == PLACE


def test_a_locked_meter_on_usb_is_flashed_with_its_code(
    wired: VirtualBoard, chip: Any, tmp_path: Path
) -> None:
    with Meter(wired.path) as meter:
        meter.provision(make_config())
        meter.lock("correct horse")
    code = tmp_path / "code"
    code.write_text("correct horse\n")
    said = jeton("flash", "auto", "--board", "esp32_lcd2004", "--code-file", str(code))
    assert "the meter is unlocked for flashing, and locked again at the end" in said
    assert len(chip.asked()) == 1
    with Meter(wired.path) as meter:
        assert meter.locked
        with pytest.raises(BoardError, match="locked"):
            meter.save()


def test_help_names_the_source_of_micropython() -> None:
    said = " ".join(jeton("flash", "--help").split())
    assert "https://micropython.org/download/ESP32_GENERIC" in said
    assert "pip install 'jeton-meter[flash]'" in said


def test_the_real_esptool_takes_the_command_lines(tmp_path: Path) -> None:
    """The real esptool accepts our commands and options; it fails only at the missing port."""
    pytest.importorskip("esptool")
    image = image_of(tmp_path / "esp32.bin")
    found = esp.Image(image, hashlib.sha256(image.read_bytes()).hexdigest(), "ESP32", "1.24.1")
    for job in (
        lambda: esp.ask("/dev/nonesuch"),
        lambda: esp.write("/dev/nonesuch", found, lambda _: None),
    ):
        with pytest.raises(BoardError, match=r"esptool: Could not open /dev/nonesuch"):
            job()


# Compiled for a chip.


@pytest.mark.parametrize(
    ("name", "architecture"), [("esp32_lcd2004", XTENSAWIN), ("esp32c3_oled", RV32IMC)]
)
def test_modules_are_compiled_for_the_chip(name: str, architecture: int) -> None:
    target = Target(6 | 3 << 8 | architecture << 10, (1, 24, 0))
    firmware = firmware_build.build_for(target, name)
    assert firmware_build.build_for(target, name) == firmware
    packed = archive.unpack((firmware.tree / archive.FILE).read_bytes()).modules
    assert "machine.mpy" not in packed  # built into MicroPython on a chip
    assert "board.mpy" in packed
    assert set(boards.load(name).drivers()) & {n.split("/")[-1][:-4] for n in packed}
    viper = [n for n in packed if n.endswith("_viper.mpy")]
    assert len(viper) == 2
    for one in viper:
        assert packed[one] == (firmware.modules / one).read_bytes()
        head = packed[one][:4]
        assert head[:2] == b"M\x06"
        assert (head[2] >> 2 & 0xF, head[2] & 3) == (architecture, 3)
    plain = firmware_build.build_for(Target(6 | 3 << 8, (1, 23, 0)), name)
    assert (plain.modules / "board.mpy").exists()
    assert not list(plain.modules.rglob("*_viper.mpy"))


# From separate files in /lib, as in earlier versions, to the archive.


OLD_HASH = "0123456789abcdef"


def _as_before(board: VirtualBoard) -> None:
    """Replace the archive on a board by files in /lib and by a boot.py that imports them."""
    sizes = run_on(board, remote.once("measure", "sizes"))
    run_on(
        board,
        f"""
import os
for name, size in {sizes}.items():
    parts = name.split("/")[:-1]
    for i in range(len(parts) + 1):
        try:
            os.mkdir("/".join(["/lib"] + parts[:i]))
        except OSError:
            pass
    with open("/fw/" + name, "rb") as file, open("/lib/" + name, "wb") as target:
        target.write(file.read(size))
""",
    )
    old = [OLD_HASH, "boot.py"]
    old += [name for name in files_on(board) if name.startswith(("lib/", "profiles/"))]
    old.remove("lib/jeton_pack.mpy")
    boot = "import sys\nsys.path.insert(0, '/lib')\nfrom jeton_main import meter\n"
    run_on(
        board,
        f"""
import os
for name, text in (("firmware.id", {chr(10).join(old)!r}), ("boot.py", {boot!r})):
    with open(name, "w") as file:
        file.write(text)
os.remove("firmware.pack")
os.remove("lib/jeton_pack.mpy")
""",
    )


@pytest.mark.parametrize("kind", ["virtual", "esp32_lcd2004"])
def test_a_board_with_separate_files_gets_the_archive(kind: str) -> None:
    with VirtualBoard(board=kind) as board:
        new = set(files_on(board))
        with Meter(board.path) as meter:
            meter.provision(make_config() | {"credit_wh": 12_340})
        _as_before(board)
        modify(board, "lib/mine.py", text="mine = 1", mode="w")
        board.reset()
        with Meter(board.path) as meter:
            assert meter.status().credit_wh == 12_340
            assert "/fw" not in meter.run("import os, jeton_main\nprint(os.listdir('/'))")
        found = flash(board)
        assert {"boot.py", "lib/jeton_pack.mpy", SUPPLY} <= set(found["copied"])
        assert "lib/jeton/supply.mpy" in found["removed"]
        with Meter(board.path) as meter:
            assert meter.status().credit_wh == 12_340
            assert meter.run("import mine, os\nprint(mine.mine, os.listdir('/lib'))").startswith(
                "1"
            )
        there = {name for name in files_on(board) if not name.startswith("meter")}
        assert there == new | {"lib/mine.py"}
        assert flash(board)["copied"] == []


def test_an_image_with_separate_files_gets_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "flash.img"
    with VirtualBoard(path) as board:
        new = set(files_on(board))
        with Meter(board.path) as meter:
            meter.provision(make_config() | {"credit_wh": 12_340})
        _as_before(board)
    with VirtualBoard(path) as board:
        with Meter(board.path) as meter:
            assert meter.status().credit_wh == 12_340
        assert {n for n in files_on(board) if not n.startswith("meter")} == new


def test_an_end_after_each_step_to_the_archive_keeps_the_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a meter at every moment: first the old files, then the archive."""
    old, path = tmp_path / "old.img", tmp_path / "flash.img"
    with VirtualBoard(old) as board:
        with Meter(board.path) as meter:
            meter.provision(make_config() | {"credit_wh": 12_340})
        _as_before(board)
    firmware = replace(firmware_build.build(find()), hash=OLD_HASH)  # the flash is current
    whole = Meter.run
    places = ("place(", "'unmount'", "note(", "remove(")
    ended = True
    for cut in (*range(12), 40, 1000):
        path.write_bytes(old.read_bytes())
        left = [cut]

        def counted(self: Meter, source: str, left: list[int] = left, **more: Any) -> str:
            if any(place in source for place in places):
                if left[0] == 0:
                    raise _Cut
                left[0] -= 1
            return whole(self, source, **more)

        with VirtualBoard(path, firmware=firmware) as board:
            monkeypatch.setattr(Meter, "run", counted)
            try:
                ended = False
                ran("flash", board.path, "--board", "virtual")
            except _Cut:
                ended = True
            monkeypatch.setattr(Meter, "run", whole)
            board.power_cut()
            board.power_on()
            with Meter(board.path) as meter:
                assert meter.status().credit_wh == 12_340, cut
    assert not ended


def test_a_users_modules_are_found_and_replace_none_of_the_firmware(board: VirtualBoard) -> None:
    run_on(
        board,
        "for name in ('/board', '/jeton', '/lib/jeton', '/lib/drivers/clock', '/mine',"
        " '/lib/ours', '/os', '/lib/json'):\n"
        "    with open(name + '.py', 'w') as file: file.write('who = %r' % name)",
    )
    with Meter(board.path) as meter:
        meter.soft_reset()
        assert meter.info().board == "virtual"
        assert meter.run("import mine, ours\nprint(mine.who, ours.who)").split() == [
            *("/mine", "/lib/ours"),
        ]


def test_modules_can_be_listed_and_not_written(board: VirtualBoard) -> None:
    sizes = json.loads(run_on(board, remote.once("measure", "sizes")))
    files = firmware_build.build(find()).modules
    assert sizes == {
        path.relative_to(files).as_posix(): path.stat().st_size for path in files.rglob("*.mpy")
    }
    said = run_on(
        board,
        """
import os
for source in ("open('/fw/new.py', 'w')", "open('/fw/jeton/meter.mpy', 'wb')",
    "os.rename('/fw/board.mpy', '/fw/b')", "os.mkdir('/fw/mine')", "os.stat('/fw/none.mpy')",
    "open('/fw/jeton', 'rb')", "list(os.ilistdir('/fw/none'))", "os.statvfs('/fw')"):
    try:
        eval(source)
        print(source)
    except OSError as error:
        print(error.errno)
print(os.listdir("/fw/jeton/sts") > [], os.stat("/fw")[0], os.stat("/fw/board.mpy")[0])
""",
    )
    assert said.split() == ["2", "30", "30", "30", "2", "21", "2", "30", "True", "16384", "32768"]
