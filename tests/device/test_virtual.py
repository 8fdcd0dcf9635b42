"""The virtual board alone, over its serial port."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client import RAW, Client

from jeton_host.errors import BoardError, JetonError
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import remote
from jeton_host.firmware.interpreter import Interpreter, find
from jeton_host.virtual.board import VirtualBoard
from jeton_host.virtual.bridge import _Output

pytestmark = pytest.mark.virtual_only


@pytest.fixture
def board() -> Iterator[VirtualBoard]:
    with VirtualBoard() as board:
        yield board


@pytest.fixture
def client(board: VirtualBoard) -> Iterator[Client]:
    with Client(board.path) as client:
        client.raw()
        yield client


def wait_until(done: Callable[[], bool], timeout: float = 8.0) -> bool:
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


# The serial line


def test_the_root_is_the_boards_own_flash(client: Client) -> None:
    output, error = client.run("import os, sys; print(os.listdir('/'), os.getcwd(), sys.path)")
    assert error == b""
    assert output == (
        b"['fw', 'boot.py', 'firmware.id', 'firmware.pack', 'lib', 'meter.copy', 'meter', "
        b"'profiles'] / ['/fw', '', '.frozen', '/lib']\r\n"
    )
    assert client.run("print(os.stat('/etc'))")[1].endswith(b"OSError: [Errno 2] ENOENT\r\n")


def test_flash_has_the_geometry_of_an_esp32(client: Client) -> None:
    assert client.run("import os; print(os.statvfs('/')[:3])")[0] == b"(4096, 4096, 512)\r\n"


def test_the_heap_has_the_size_of_a_small_board(client: Client) -> None:
    output, _ = client.run("import gc; gc.collect(); print(gc.mem_free() + gc.mem_alloc())")
    assert 180_000 < int(output) <= 192 * 1024


def test_the_start_leaves_no_global_names(client: Client) -> None:
    output, _ = client.run("print(sorted(n for n in globals() if not n.startswith('__')))")
    assert output == b"['meter']\r\n"


def test_raw_paste_works(client: Client) -> None:
    client.send(b"\x05A\x01")
    assert client.expect(b"R\x01\x80\x00\x01")
    client.send(b"print('pasted')\n\x04")
    client.expect(b"\x04")
    assert client.expect(b"\x04\x04>") == b"pasted\r\n\x04\x04>"


def test_line_ends_are_those_of_a_board(client: Client) -> None:
    client.send(b"\x02")
    banner = client.expect(b">>> ")
    assert banner.startswith(b"\r\nMicroPython ")
    assert banner.endswith(b'\r\nType "help()" for more information.\r\n>>> ')
    assert b"\n" not in banner.replace(b"\r\n", b"")
    client.send(b"print('a\\nb')\r")
    assert client.expect(b">>> ").endswith(b"a\r\nb\r\n>>> ")


@pytest.mark.parametrize("presses", [b"\x03", b"\x03\x03", b"\x03" * 20])
def test_ctrl_c_interrupts_a_program(client: Client, presses: bytes) -> None:
    client.send(b"kept = 7\nprint('on')\nwhile True: pass\x04")
    client.expect(b"on\r\n")
    client.send(presses)
    assert client.expect(b"\x04>").endswith(b"KeyboardInterrupt: \r\n\x04>")
    client.send(b"\x03")
    assert client.run("print(kept)")[0] == b"7\r\n"


def test_ctrl_c_interrupts_a_pasted_program(client: Client) -> None:
    client.send(b"\x05A\x01")
    client.expect(b"R\x01\x80\x00\x01")
    client.send(b"print('on')\nwhile True: pass\n\x04")
    client.expect(b"on\r\n")
    client.send(b"\x03")
    assert client.expect(b"\x04>").endswith(b"KeyboardInterrupt: \r\n\x04>")


def test_input_typed_ahead_is_kept_after_an_interrupt(client: Client) -> None:
    client.send(b"print('on')\nwhile True: pass\x04")
    client.expect(b"on\r\n")
    client.send(b"\r\x03\r\x01print('after')\x04")
    client.expect(RAW)
    assert b"after\r\n" in client.expect(b"after\r\n\x04\x04>")


# Resets


def test_soft_reset_from_the_raw_repl_stays_raw(client: Client) -> None:
    client.run("open('/kept', 'w').close(); gone = 1")
    client.send(b"\x04")
    assert client.expect(RAW) == b"OK\r\nMPY: soft reboot\r\n" + RAW
    assert client.run("import os; print('gone' in globals(), 'kept' in os.listdir('/'))") == (
        b"False True\r\n",
        b"",
    )


def test_soft_reset_from_the_friendly_repl_stays_friendly(client: Client) -> None:
    client.send(b"\x02")
    client.expect(b">>> ")
    client.send(b"\x04")
    said = client.expect(b">>> ")
    assert said.startswith(b"\r\nMPY: soft reboot\r\nMicroPython ")
    assert b"raw REPL" not in said


@pytest.mark.parametrize("ending", ["raise SystemExit", "import machine; machine.soft_reset()"])
def test_a_program_can_soft_reset(client: Client, ending: str) -> None:
    client.send(ending.encode() + b"\x04")
    assert b"MPY: soft reboot\r\n" in client.expect(RAW)


def test_machine_reset_returns_to_the_friendly_repl(client: Client) -> None:
    client.send(b"import machine; machine.reset()\x04")
    said = client.expect(b">>> ")
    assert b"MicroPython " in said
    assert b"soft reboot" not in said


def test_machine_keeps_the_functions_of_the_interpreter(client: Client) -> None:
    output, error = client.run("from machine import *; print(callable(idle), callable(reset))")
    assert (output, error) == (b"True True\r\n", b"")


def test_bytes_sent_during_a_restart_are_held(client: Client) -> None:
    client.send(b"\x04\x04\x04print('late')\x04")
    assert client.expect(b"late\r\n").count(b"soft reboot") == 3


def test_the_methods_of_a_virtual_board_work(board: VirtualBoard) -> None:
    path = board.path
    with Client(path) as client:
        board.soft_reset()
        client.expect(b"MPY: soft reboot\r\n")
        client.expect(b">>> ")
        board.reset()
        assert b"soft reboot" not in client.expect(b">>> ")
        client.raw()
        client.run("open('/before', 'w').close()")
        board.power_cut()
        assert not board.running
        client.send(b"not received")
        board.power_on()
        assert board.running
        client.expect(b">>> ")
        client.raw()
        assert b"before" in client.run("import os; print(os.listdir('/'))")[0]
    assert board.path == path


def test_a_power_cut_ends_a_program(board: VirtualBoard, client: Client) -> None:
    client.send(b"print('on')\nwhile True: open('/n', 'w').write('x' * 500)\x04")
    client.expect(b"on\r\n")
    board.power_cut()
    board.power_on()
    client.expect(b">>> ")
    client.raw()
    assert client.run("print(meter)")[1] == b""


# boot.py and main.py


def _put(client: Client, name: str, source: str) -> None:
    assert client.run(f"with open({name!r}, 'w') as f: f.write({source!r})")[1] == b""


def test_a_failing_boot_py_prints_a_traceback_and_the_prompt(client: Client) -> None:
    _put(client, "/boot.py", "print('half')\n1 / 0\n")
    client.send(b"\x04")
    said = client.expect(RAW)
    assert said.startswith(
        b"OK\r\nMPY: soft reboot\r\nhalf\r\nTraceback (most recent call last):\r\n"
    )
    assert said.count(b"File ") == 1
    assert b'File "boot.py", line 2, in <module>' in said
    assert b"ZeroDivisionError: divide by zero\r\n" in said
    assert client.run("print(1)")[0] == b"1\r\n"


def test_main_py_runs_only_after_a_friendly_reset(client: Client) -> None:
    _put(client, "/boot.py", "")  # the usual boot.py would import this main.py
    _put(client, "/main.py", "print('main runs')")
    client.send(b"\x04")
    assert b"main runs" not in client.expect(RAW)
    client.send(b"\x02")
    client.expect(b">>> ")
    client.send(b"\x04")
    assert b"MPY: soft reboot\r\nmain runs\r\nMicroPython" in client.expect(b">>> ")


def test_a_boot_py_that_never_ends_can_be_interrupted(client: Client) -> None:
    _put(client, "/boot.py", "print('loops')\nwhile True: pass")
    client.send(b"\x04")
    client.expect(b"loops\r\n")
    client.send(b"\x03")
    assert b"KeyboardInterrupt" in client.expect(RAW)


# Output without a reader


def test_unread_output_does_not_stop_the_board(board: VirtualBoard) -> None:
    with Client(board.path) as client:
        client.raw()
        client.send(b"for _ in range(3000): print('x' * 100)\nraise SystemExit\x04")
        client.expect(b"OK")
    assert board.wait_for(lambda: board.boots == 2, 8)
    with Client(board.path) as client:
        client.raw()
        assert client.run("print(1)")[0] == b"1\r\n"


def test_long_output_is_complete(client: Client) -> None:
    output, _ = client.run("for n in range(2000): print(n, '=' * 50)")
    assert output.count(b"\r\n") == 2000
    assert output.endswith(b"1999 " + b"=" * 50 + b"\r\n")


def test_line_ends_are_completed_across_chunks() -> None:
    text = b'a\nb\r\nc\n\nraw REPL; CTRL-B to exit\r\n>x\nType "help()" for more information.\r\n'
    whole = _Output()
    expected = whole.feed(text)
    assert expected.count(b"\r\n") == expected.count(b"\n") == 7
    assert b"\r\r" not in expected
    for cut in range(1, len(text)):
        parts = _Output()
        assert parts.feed(text[:cut]) + parts.feed(text[cut:]) == expected
        assert not parts.raw
    assert whole.feed(b"") == b""


def test_the_mode_is_recognised_by_the_last_output() -> None:
    output = _Output()
    assert not output.raw
    for byte in b"raw REPL; CTRL-B to exit\r\n>":
        output.feed(bytes([byte]))
    assert output.raw


# The flash


def test_a_flash_is_kept(tmp_path: Path) -> None:
    flash = tmp_path / "a folder" / "fläsh.img"
    for line, expected in (("w", b"['0']"), ("w", b"['00']")):
        with VirtualBoard(flash) as board, Client(board.path) as client:
            client.raw()
            client.run(f"f = open('/n', 'a+'); f.{line}rite('0'); f.close()")
            assert client.run("print([open('/n').read()])")[0].strip() == expected


def test_a_temporary_flash_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with VirtualBoard() as board:
        assert list(tmp_path.iterdir()) == []
        assert board.running
    with pytest.raises(RuntimeError), VirtualBoard():
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def _damaged(good: bytes) -> bytes:
    return good[:20] + b"\x5a" * (len(good) - 20)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a flash image"),
        (b"hello", "not a flash image"),
        (bytes(2 * 1024 * 1024), "no littlefs"),
        (random.Random(1).randbytes(65536), "no littlefs"),
        ("cut", "not a flash image"),
        ("spoiled", "not a flash image"),
    ],
    ids=["empty", "text", "zeros", "noise", "cut", "spoiled"],
)
def test_a_file_that_is_not_a_flash_image_is_refused_and_kept(
    tmp_path: Path, content: bytes | str, message: str
) -> None:
    if isinstance(content, str):
        good = firmware_build.build(find()).image.read_bytes()
        content = good[:-100] if content == "cut" else _damaged(good)
    flash = tmp_path / "flash.img"
    flash.write_bytes(content)
    with pytest.raises(BoardError, match=message) as caught:
        VirtualBoard(flash).start()
    assert "\n" not in str(caught.value)
    assert str(flash) in str(caught.value)
    assert flash.read_bytes() == content
    assert list(tmp_path.iterdir()) == [flash]


def test_a_directory_is_refused_as_a_flash_image(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="is a directory"):
        VirtualBoard(tmp_path).start()


def test_a_flash_can_be_used_by_only_one_board(tmp_path: Path) -> None:
    flash = tmp_path / "flash.img"
    with (
        VirtualBoard(flash),
        pytest.raises(BoardError, match="stop that first"),
    ):
        VirtualBoard(flash).start()
    with VirtualBoard(flash) as board:
        assert board.running


@pytest.mark.parametrize("heap", ["", "0", "many", "-1", "192kb", "1; rm"])
def test_a_wrong_heap_size_is_refused(heap: str) -> None:
    with pytest.raises(BoardError, match="not a heap size"):
        VirtualBoard(heap=heap)


def test_a_heap_that_is_too_small_is_reported() -> None:
    with VirtualBoard(heap="48k") as board, Client(board.path) as client:
        client.raw()
        client.send(b"\x04")
        assert b"MemoryError" in client.expect(RAW)


def test_new_firmware_replaces_old_and_keeps_other_files(tmp_path: Path) -> None:
    interpreter = find()
    old = firmware_build.build(interpreter)
    flash = tmp_path / "flash.img"
    firmware_build.new_image(old, flash)
    with VirtualBoard(flash) as board, Client(board.path) as client:
        client.raw()
        client.run("open('/meter/record', 'w').write('state'); open('/lib/mine.py', 'w').close()")
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "boot.py").write_text("new = True\n")
    (tree / "lib" / "more.py").write_text("")
    new = firmware_build.Firmware("fedcba9876543210", tree, flash)
    assert firmware_build.update_image(interpreter, flash, new)
    assert not firmware_build.update_image(interpreter, flash, new)
    files = _listed(interpreter, flash)
    assert {"/meter/record", "/lib/mine.py", "/lib/more.py", "/boot.py"} <= files
    assert not any(name.startswith(("/lib/jeton", "/firmware.pack")) for name in files)
    assert firmware_build.update_image(interpreter, flash, old)
    assert {"/meter/record", "/lib/mine.py", "/firmware.pack"} <= _listed(interpreter, flash)


def test_a_damaged_list_of_files_is_ignored(tmp_path: Path) -> None:
    interpreter = find()
    firmware = firmware_build.build(interpreter)
    flash = tmp_path / "flash.img"
    firmware_build.new_image(firmware, flash)
    with VirtualBoard(flash) as board, Client(board.path) as client:
        client.raw()
        client.run(r"open('/firmware.id', 'wb').write(b'\xff\xfe\x00garbage')")
        client.run("import gc; gc.collect()")
    assert firmware_build.update_image(interpreter, flash, firmware)
    assert not firmware_build.update_image(interpreter, flash, firmware)


def _listed(interpreter: Interpreter, flash: Path) -> set[str]:
    device = textwrap.indent(remote.source("image", "Flash"), "    ")
    source = (
        "def walk(path):\n    import os\n    for name, kind, *_ in os.ilistdir(path):\n"
        "        full = path + '/' + name\n"
        "        walk(full) if kind == 0x4000 else print(full[6:])\n"
        f"def go():\n    import vfs\n{device}"
        f"    vfs.mount(vfs.VfsLfs2(Flash({str(flash)!r})), '/flash')\n"
        "    walk('/flash')\ngo()\n"
    )
    return set(interpreter.run(source).split())


def test_processes_started_together_compile_the_firmware_once(tmp_path: Path) -> None:
    source = (
        "from jeton_host.firmware import build as firmware_build, interpreter\n"
        "print(firmware_build.build(interpreter.find()).image)"
    )
    environment = os.environ | {"JETON_HOME": str(tmp_path)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", source], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = {run.communicate(timeout=60)[0] for run in runs}
    assert len(said) == 1
    assert [p.name for p in (tmp_path / "cache" / "firmware").iterdir() if p.name[0] != "."] == [
        Path(said.pop().strip()).parent.name
    ]


def test_an_unwritable_cache_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("JETON_HOME", str(tmp_path))
    with pytest.raises(BoardError) as caught:
        VirtualBoard().start()
    assert f"cannot be prepared in {tmp_path / 'cache'}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_home_that_is_not_a_folder_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The user's profiles are searched there first.
    home = tmp_path / "file"
    home.write_text("")
    monkeypatch.setenv("JETON_HOME", str(home))
    with pytest.raises(JetonError) as caught:
        VirtualBoard().start()
    assert str(caught.value) == f"$JETON_HOME is {home}, which is not a folder"


def test_no_path_of_the_host_is_on_the_board() -> None:
    firmware = firmware_build.build(find())
    for path in firmware.tree.rglob("*"):
        assert path.is_dir() or str(Path.cwd()).encode() not in path.read_bytes()


# The link, and the end


def test_serial_line_serves_a_board_and_its_link(tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.symlink_to("/dev/pts/99999")
    with VirtualBoard(link=link) as board:
        assert board.path == str(link)
        assert board.device == os.readlink(link)
        with Client(str(link)) as client:
            client.raw()
    assert not link.is_symlink()


def test_a_link_does_not_replace_a_file(tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.write_text("precious")
    with pytest.raises(BoardError, match="is not a link"):
        VirtualBoard(link=link).start()
    assert link.read_text() == "precious"
    for target in ("file", "/nowhere", "/dev/null", str(tmp_path)):
        own = tmp_path / "own"
        own.symlink_to(target)
        with pytest.raises(BoardError, match=f"is a link to {target}, not to a serial port"):
            VirtualBoard(link=own).start()
        assert os.readlink(own) == target
        own.unlink()
    assert list(tmp_path.iterdir()) == [link]


def test_a_link_belongs_to_one_board(tmp_path: Path) -> None:
    link = tmp_path / "port"
    with VirtualBoard(link=link) as board:
        with pytest.raises(BoardError, match="is the link of a running board"):
            VirtualBoard(link=tmp_path / "." / "port").start()
        assert os.readlink(link) == board.device
    assert list(tmp_path.iterdir()) == []


def test_the_interpreter_dies_with_its_parent(tmp_path: Path) -> None:
    source = """
        import sys, time
        from jeton_host.virtual.board import VirtualBoard
        board = VirtualBoard().start()
        print(board.pid, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_until(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or ") Z " not in state.read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_missing_interpreter_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JETON_MICROPYTHON", str(tmp_path / "none"))
    with pytest.raises(BoardError, match="no MicroPython found"):
        VirtualBoard().start()
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)
    monkeypatch.setenv("JETON_MICROPYTHON", str(fake))
    with pytest.raises(BoardError, match="not a MicroPython interpreter"):
        VirtualBoard().start()


def test_an_interpreter_on_the_path_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = find()
    program = tmp_path / "micropython"
    launcher = here.launcher.replace("'", "'\\''")
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S -c '{launcher}' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("JETON_MICROPYTHON", str(program))
    with VirtualBoard() as board, Client(board.path) as client:
        client.raw()
        assert client.run("print(6 * 7)")[0] == b"42\r\n"
        client.send(b"\x04")
        client.expect(RAW)


# Ctrl-C that ends no program, and the watchdog

WATCHDOG_RESET = b"\r\nMPY: watchdog reset\r\n"
LOCKED = "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\nprint('on')\n"


@pytest.fixture
def short_watchdog(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[VirtualBoard, Client]]:
    """A board with a short watchdog timeout, and a client in its raw REPL."""
    monkeypatch.setattr("jeton_host.virtual.bridge.IDLE_LIMIT", 0.3)
    monkeypatch.setattr("jeton_host.virtual.bridge.SAMPLE", 0.05)
    with VirtualBoard() as board, Client(board.path) as client:
        client.raw()
        yield board, client


def _boots(board: VirtualBoard) -> int:
    return board.boots


@pytest.mark.parametrize(
    "stuck",
    [LOCKED + "lock.acquire()", "import os; print('on'); os.system('sleep 60')"],
    ids=["lock", "system"],
)
def test_a_program_that_ctrl_c_cannot_end_is_reset(
    short_watchdog: tuple[VirtualBoard, Client], stuck: str
) -> None:
    board, client = short_watchdog
    client.run("open('/kept', 'w').close()")
    client.send(stuck.encode() + b"\x04")
    client.expect(b"on\r\n")
    client.send(b"\x03\x01")
    assert client.expect(b">>> ").startswith(WATCHDOG_RESET + b"MicroPython ")
    assert _boots(board) == 2
    client.raw()
    assert client.run("import os; print('kept' in os.listdir('/'), meter)")[0].startswith(b"True")


@pytest.mark.parametrize(
    "end",
    [LOCKED + "import board; board.tick = lock.acquire", "micropython.heap_lock()"],
    ids=["waits", "no heap"],
)
def test_a_board_that_cannot_tick_is_reset(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr("jeton_host.virtual.bridge._TICK_TIMEOUT", 0.1)
    monkeypatch.setattr("jeton_host.virtual.bridge.IDLE_LIMIT", 0.3)
    monkeypatch.setattr("jeton_host.virtual.bridge.SAMPLE", 0.05)
    with VirtualBoard(tick_s=0.2) as board, Client(board.path) as client:
        client.raw()
        client.run("import micropython\n" + end)
        assert client.expect(b">>> ").startswith(WATCHDOG_RESET + b"MicroPython ")
        client.raw()
        assert client.run("print(1)")[0] == b"1\r\n"
        assert _boots(board) == 2


@pytest.mark.parametrize(
    "program",
    [
        "time.sleep(1)",
        "select.poll().poll(1000)",
        "try: time.sleep(60)\nexcept KeyboardInterrupt: time.sleep(1)",
        "try: input()\nexcept KeyboardInterrupt: select.poll().poll(1000)",
        "try: time.sleep(60)\nexcept KeyboardInterrupt:\n    t = time.time()\n"
        "    while time.time() - t < 1: pass",
        LOCKED + "def later():\n    time.sleep(1)\n    lock.release()\n"
        "_thread.start_new_thread(later, ())\nlock.acquire()",
    ],
    ids=["sleeps", "polls", "sleeps on", "polls on", "computes on", "waits for a thread"],
)
def test_a_waiting_program_is_not_reset(
    short_watchdog: tuple[VirtualBoard, Client], program: str
) -> None:
    board, client = short_watchdog
    client.send(
        b"import time, select\nprint('begun')\n" + program.encode() + b"\nprint('rested')\x04"
    )
    client.expect(b"begun\r\n")
    if "except" in program:
        client.send(b"\x03")
    client.expect(b"rested\r\n\x04\x04>")
    assert _boots(board) == 1


def test_a_second_ctrl_c_ends_an_unresponsive_program(
    board: VirtualBoard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jeton_host.virtual.bridge._FORCE_AFTER", 0.1)
    monkeypatch.setattr("jeton_host.virtual.bridge.IDLE_LIMIT", 60)
    client.send(LOCKED.encode() + b"lock.acquire()\x04")
    client.expect(b"on\r\n")
    client.send(b"\x03")
    assert wait_until(lambda: board.ctrl_c_s > 0.1)
    client.send(b"\x03")
    assert client.expect(b"\x04>").endswith(b"KeyboardInterrupt: \r\n\x04>")
    assert board.boots == 1


@pytest.mark.parametrize("half", [b"print(", b"\x05A\x01print("], ids=["raw", "paste"])
def test_a_repl_blocked_by_a_lock_is_reset(
    short_watchdog: tuple[VirtualBoard, Client], monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    board, client = short_watchdog
    monkeypatch.setattr("jeton_host.virtual.bridge.awaits_lock", lambda _: True)
    client.send(half)
    assert WATCHDOG_RESET in client.expect(b">>> ")
    assert _boots(board) == 2


def test_without_process_information_silence_after_ctrl_c_causes_a_reset(
    short_watchdog: tuple[VirtualBoard, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    board, client = short_watchdog
    monkeypatch.setattr("jeton_host.virtual.process.PROC", False)
    monkeypatch.setattr("jeton_host.virtual.bridge.SILENCE_LIMIT", 0.3)
    monkeypatch.setattr("jeton_host.virtual.bridge.catches_interrupt", lambda _: None)
    monkeypatch.setattr("jeton_host.virtual.bridge.awaits_lock", lambda _: None)
    client.send(LOCKED.encode() + b"import time; time.sleep(1); print('asks')\nlock.acquire()\x04")
    client.expect(b"asks\r\n")
    assert _boots(board) == 1
    client.send(b"\x03")
    assert client.expect(b">>> ").startswith(WATCHDOG_RESET)


def test_a_ctrl_c_just_before_a_wait_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find()
    if found.interrupt == signal.SIGINT:
        pytest.skip("this interpreter leaves by a long jump")
    # The real signal comes before the program waits.
    harmless = dataclasses.replace(found, interrupt=signal.SIGCONT)
    monkeypatch.setattr("jeton_host.virtual.board.find", lambda: harmless)
    program = "import os, time; os.system('kill -%d $PPID; echo on'); time.sleep(60)\x04"
    with VirtualBoard() as board, Client(board.path) as client:
        client.raw()
        client.send((program % found.interrupt).encode())
        client.expect(b"on\r\n")
        client.send(b"\x03")
        assert client.expect(b"\x04>").endswith(b"KeyboardInterrupt: \r\n\x04>")


def test_ctrl_c_at_any_moment_leaves_the_interpreter_working(
    board: VirtualBoard, client: Client
) -> None:
    """An earlier Ctrl-C jumped out of allocations and left locks or the heap locked."""
    for _ in range(100):
        client.send(b"print('on')\nwhile True: exec('a = str([9] * 9)', {})\x04")
        client.expect(b"on\r\n")
        client.send(b"\x03")
        assert client.expect(b"\x04>").endswith(b"KeyboardInterrupt: \r\n\x04>")
        assert client.run("print(1)") == (b"1\r\n", b"")
    assert _boots(board) == 1
