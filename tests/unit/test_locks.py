"""Tests of locks between processes: which process has one, and that a check disturbs no other."""

import ast
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jeton_host import locks
from jeton_host.errors import BoardError
from jeton_host.meters import named as meters

ROOT = Path(__file__).parents[2]
HOLD_LOCK = """
import sys, time
from pathlib import Path
from jeton_host import locks
with locks.alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
# The child process inherits the lock; its parent kills itself.
LEAVE_LOCK_TO_CHILD = """
import os, subprocess, sys
from jeton_host import locks
file = open(sys.argv[1], "a")
assert locks.take(file)
child = subprocess.Popen(["sleep", "60"], pass_fds=[file.fileno()], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_lock_belongs_to_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("r") as second:
        assert locks.is_free(second)
        assert locks.take(first)
        assert not locks.take(second)
        assert not locks.is_free(second)
        assert not locks.take(second, 0.05)
        first.close()
        assert locks.is_free(second)
        assert locks.take(second)
    with path.open("a") as third:
        assert locks.is_free(third)


def test_a_lock_does_not_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("a flash")
    with path.open("rb") as file:  # a flash is only read
        assert locks.take(file)
    with locks.alone(path):
        pass
    assert path.read_text() == "a flash"


def test_take_waits_for_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        assert locks.take(first)
        closes = threading.Timer(0.1, first.close)
        closes.start()
        assert locks.take(second, 60)
        closes.join()


def test_only_one_thread_is_inside_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []

    def work(number: int) -> None:
        with locks.alone(tmp_path / "made" / "lock"):
            inside.append(number)
            time.sleep(0.005)
            assert inside[-1] == number
            inside.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside[::2] == inside[1::2]
    assert sorted(inside[::2]) == list(range(5))


def test_a_process_that_is_killed_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with path.open("a") as file:
            assert not locks.take(file)
            process.kill()
            assert locks.take(file, 60)


def test_a_child_process_inherits_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    done = subprocess.run(
        [sys.executable, "-c", LEAVE_LOCK_TO_CHILD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == -9
    try:
        with path.open("a") as file:
            assert not locks.is_free(file)
            subprocess.run(["kill", "-9", done.stdout.strip()], check=True)
            assert locks.take(file, 60)
    finally:
        subprocess.run(["kill", "-9", done.stdout.strip()], check=False, stderr=subprocess.DEVNULL)


def test_a_file_that_cannot_be_locked_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a") as file:
        number = file.fileno()

        class Closed:
            name = "lock"

            def fileno(self) -> int:
                return number

    with pytest.raises(BoardError, match="lock cannot be locked: Bad file"):
        locks.take(Closed())  # type: ignore[arg-type]


def test_checking_whether_a_meter_runs_disturbs_no_other_process(jeton_home: Path) -> None:
    """The check holds the lock of the meter for a moment."""
    folder = jeton_home / "meters" / "home"
    folder.mkdir(parents=True)
    meter = meters.NamedMeter("home", folder, {})
    meter.lock.write_text("\n/dev/pts/gone")  # left by a process that was killed
    seen: list[str | None] = []
    done = threading.Event()

    def check() -> None:
        while not done.is_set():
            seen.append(meter.port())

    threads = [threading.Thread(target=check) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        while len(seen) < 300:
            time.sleep(0.001)
        assert set(seen) == {None}
        for _ in range(100):
            file = meter.hold()
            assert file is not None
            assert meter.hold() is None
            assert meter.port() == "/dev/pts/gone"
            file.close()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(seen) <= {None, "/dev/pts/gone"}


def test_a_meter_is_found_in_a_read_only_folder(jeton_home: Path) -> None:
    folder = jeton_home / "meters" / "home"
    folder.mkdir(parents=True)
    meter = meters.NamedMeter("home", folder, {})
    assert meter.port() is None
    assert list(folder.iterdir()) == []
    meter.lock.touch()
    (jeton_home / ".meters.lock").mkdir()  # cannot be opened, as in a read-only folder
    assert meter.port() is None
    with meter.lock.open("a") as file:
        assert locks.take(file)
        assert meter.port() == ""


def test_no_module_imports_fcntl() -> None:
    """Locks are those of filelock. The launcher of the interpreter uses it for its terminal."""
    paths = set((ROOT / "host_tools").rglob("*.py"))
    for path in paths - {ROOT / "host_tools/jeton_host/firmware/launch.py"}:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert "fcntl" not in names, path
            assert not isinstance(node, ast.ImportFrom) or node.module != "fcntl", path
