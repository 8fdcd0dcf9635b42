"""A meter that is kept is not lost without a question.

Sources: `pytest --meter=NAME` set up a kept meter again for each test, without a word; then list,
status and explain contradicted each other. `jeton delete` deleted meter and sales without a word.
"""

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters.named import NamedBoard, make_config
from jeton_host.vending.pos import PointOfSale

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.virtual_only

TEST = """
def test_it(meter, meter_pos):
    assert meter.enter(meter_pos.credit(1).token).good
"""


@pytest.fixture
def home() -> str:
    """A kept meter with 5 kWh, whose number is not that of a meter for tests."""
    pos = PointOfSale()
    pos.add_meter("home", drn="00000000059")
    meters.create("home", pos.config_for("home") | {"credit_wh": 5000})
    return "home"


@pytest.fixture
def port(home: str) -> Iterator[str]:
    with NamedBoard(meters.find(home)) as board:
        yield board.path


def jeton(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jeton_host", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("by_name", [True, False])
def test_tests_do_not_erase_a_kept_meter(
    pytester: pytest.Pytester, port: str, by_name: bool
) -> None:
    pytester.makepyfile(TEST)
    where = "home" if by_name else port
    result = pytester.runpytest_inprocess(f"--meter={where}")
    assert result.ret != 0
    assert "is meter home (00000000059) of the point of sale" in result.stdout.str()
    assert "give --meter-erase to agree" in result.stdout.str()
    with Meter.open("home") as meter:
        status = meter.status()
        assert (status.drn, status.credit_wh) == ("00000000059", 5000)


def test_every_command_reports_another_meter_on_the_board(
    pytester: pytest.Pytester, port: str
) -> None:
    pytester.makepyfile(TEST)
    pytester.runpytest_inprocess(f"--meter={port}", "--meter-erase").assert_outcomes(passed=1)
    for command in (["status", "home"], ["events", "home"], ["enter", "home", "1" * 20]):
        done = jeton(*command)
        assert "warning: the board of meter home is now meter 00000000018, not 00000000059" in (
            done.stderr
        )
        assert done.stdout or command[0] == "enter"


def test_tests_use_a_board_that_is_no_meter_of_the_desk(
    pytester: pytest.Pytester, port: str
) -> None:
    with Meter.open(port) as meter:
        meter.provision(make_config(drn="00000000026"))
    PointOfSale().remove_meter("home")
    pytester.makepyfile(TEST)
    pytester.runpytest_inprocess(f"--meter={port}").assert_outcomes(passed=1)


def test_delete_says_what_it_deleted(home: str) -> None:
    PointOfSale().credit(home, 5)
    done = jeton("delete", home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "deleted: meter home (00000000059) and 1 issued token\n"
    assert not meters.exists(home)


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
def test_ctrl_c_at_the_question_deletes_nothing(home: str, key: bytes) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-m", "jeton_host", "delete", home])
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, key)
    with contextlib.suppress(OSError):
        while more := os.read(terminal, 1024):
            seen += more
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert b"Traceback" not in seen
    assert meters.exists(home)


@pytest.mark.parametrize(("answer", "deleted"), [("n", False), ("y", True), ("", False)])
def test_delete_asks_at_a_terminal(home: str, answer: str, deleted: bool) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-m", "jeton_host", "delete", home])
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(terminal, 1024)
    assert b"Delete meter home (00000000059) and 0 issued tokens?" in seen
    os.write(terminal, answer.encode() + b"\n")
    while True:
        try:
            seen += os.read(terminal, 1024)
        except OSError:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert (status == 0) == deleted == (not meters.exists(home))
    assert (b"meter home was not deleted" in seen) == (not deleted)


def test_delete_with_yes_does_not_ask(home: str) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-m", "jeton_host", "delete", home, "--yes"])
    seen = b""
    while b"deleted: meter home" not in seen:
        seen += os.read(terminal, 1024)
    os.close(terminal)
    os.waitpid(pid, 0)
    assert not meters.exists(home)
