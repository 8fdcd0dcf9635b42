"""The unchanged public mpremote, run as a separate process on a virtual board."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jeton_host.meter import Meter
from jeton_host.virtual.board import VirtualBoard


@pytest.fixture
def port(meter: Meter) -> str:
    meter.release()
    return meter.port


def mpremote(port: str, *arguments: str, status: int = 0) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", port, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=20,
        check=False,
    )
    said = run.stdout.decode()
    assert run.returncode == status, said
    return said.replace("\r\n", "\n")


@pytest.mark.virtual_only
def test_a_link_can_be_used_as_a_port(tmp_path: Path) -> None:
    with VirtualBoard(link=tmp_path / "meter") as board:
        assert board.path == str(tmp_path / "meter")
        assert mpremote(board.path, "eval", "6 * 7") == "42\n"


def test_exec_and_eval_can_be_repeated(port: str) -> None:
    for number in range(3):
        assert mpremote(port, "exec", f"print({number})") == f"{number}\n"
        assert mpremote(port, "eval", f"{number} + 1") == f"{number + 1}\n"


def test_a_failing_program_gives_a_traceback(port: str) -> None:
    assert "ZeroDivisionError" in mpremote(port, "exec", "1 / 0", status=1)
    assert mpremote(port, "eval", "1") == "1\n"


def test_resume_keeps_global_names(port: str) -> None:
    assert mpremote(port, "exec", "here = 5") == ""
    assert mpremote(port, "resume", "exec", "print(here)") == "5\n"
    assert "NameError" in mpremote(port, "exec", "print(here)", status=1)


def test_run_executes_a_file(port: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfor n in range(200):\n    print(n, sys.path[-1])\n" + "#" * 3000
    )
    said = mpremote(port, "run", str(script))
    assert said.splitlines()[-1] == "199 /lib"
    assert len(said.splitlines()) == 200


def test_files_are_copied_both_ways(port: str, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent.bin", tmp_path / "back.bin"
    sent.write_bytes(os.urandom(5000) + bytes(range(256)))
    mpremote(port, "fs", "cp", str(sent), ":copy.bin")
    assert "5256 copy.bin" in mpremote(port, "fs", "ls")
    mpremote(port, "fs", "cp", ":copy.bin", str(back))
    assert back.read_bytes() == sent.read_bytes()
    mpremote(port, "fs", "mkdir", ":folder")
    assert "folder/" in mpremote(port, "fs", "ls", ":/")
    mpremote(port, "fs", "rmdir", ":folder")
    assert "from jeton_main import meter" in mpremote(port, "fs", "cat", ":boot.py")
    mpremote(port, "fs", "rm", ":copy.bin")
    assert "copy.bin" not in mpremote(port, "fs", "ls")
    assert mpremote(port, "eval", "1") == "1\n"


def test_soft_reset_clears_global_names(port: str) -> None:
    mpremote(port, "exec", "gone = 1")
    mpremote(port, "soft-reset")
    assert mpremote(port, "resume", "eval", "'gone' in globals()") == "False\n"


def test_the_board_works_after_a_reset(port: str) -> None:
    mpremote(port, "reset")
    assert "meter" in mpremote(port, "resume", "exec", "print(dir())")


def test_several_commands_run_in_one_call(port: str) -> None:
    said = mpremote(port, "exec", "print(1)", "soft-reset", "+", "exec", "print(2)", "eval", "3")
    assert said == "1\n2\n3\n"


def test_the_meter_answers_in_a_program(port: str) -> None:
    assert '"firmware"' in mpremote(port, "exec", "print(meter.rpc('[\"info\"]'))")


def test_the_repl_works_at_a_terminal(port: str) -> None:
    """A person at the prompt: a line, Ctrl-C, Ctrl-D, and Ctrl-X to leave."""
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-m", "mpremote", "connect", port, "repl"])
    seen = b""

    def expect(text: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + 15
        while text not in seen:
            left = deadline - time.monotonic()
            assert left > 0, seen
            assert select.select([terminal], [], [], left)[0], seen
            seen += os.read(terminal, 4096)
        seen = seen.partition(text)[2]

    try:
        expect(b"to exit this shell")
        os.write(terminal, b"\r")
        expect(b">>> ")
        os.write(terminal, b"print(6 * 7)\r")
        expect(b"\r\n42\r\n>>> ")
        os.write(terminal, b"while True: print('loop')\r\r")
        expect(b"loop\r\n")
        os.write(terminal, b"\x03")
        expect(b"KeyboardInterrupt: \r\n>>> ")
        os.write(terminal, b"\x04")
        expect(b"MPY: soft reboot\r\nMicroPython")
        expect(b">>> ")
        os.write(terminal, b"\x18")
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(terminal)
    assert mpremote(port, "eval", "1") == "1\n"
