"""Output that breaks does not change what a command does to a meter.

Source: `jeton enter CODE1 CODE2 | head -1` keyed only the first code of a key change, and so the
meter forgot it.
"""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime

import pytest

from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.vending.pos import PointOfSale

pytestmark = pytest.mark.virtual_only
AT = datetime(2024, 11, 3)


@pytest.fixture
def codes() -> list[str]:
    """A credit token and the two codes of a key change for the meter `home`."""
    pos = PointOfSale()
    pos.add_meter("home", bdt="93")
    meters.create("home", pos.config_for("home", at=AT))
    credit = pos.credit("home", "5", at=AT).token
    return [credit, *(one.token for one in pos.key_change("home", krn=2, bdt="14", at=AT))]


def shell(line: str) -> subprocess.CompletedProcess[str]:
    line = line.replace("jeton ", f"{sys.executable} -m jeton_host ")
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False
    )


def check_meter() -> None:
    with Meter.open("home") as meter:
        status = meter.status()
        assert (status.krn, status.credit_wh, status.pending) == (2, 5000, ())
        assert [event.kind for event in meter.events()].count("key_changed") == 1


ENTER: dict[str, Callable[[list[str]], str]] = {
    "enter": lambda codes: "jeton enter home " + " ".join(codes),
    "enter, refused first": lambda codes: "jeton enter home " + " ".join(["0" * 20, *codes]),
    "run": lambda codes: "printf '" + r"\n".join(codes) + r"\n' | jeton run home",
    "run with JSON": lambda codes: "printf '" + r"\n".join(codes) + r"\n' | jeton run home --json",
}


@pytest.mark.parametrize("command", ENTER)
@pytest.mark.parametrize("breaks", ["| head -1", "| true", ">/dev/full", ">/dev/full 2>&1"])
def test_all_codes_are_entered_although_the_output_breaks(
    codes: list[str], command: str, breaks: str
) -> None:
    done = shell(f"{ENTER[command](codes)} {breaks}")
    check_meter()
    assert done.returncode or "|" in breaks  # of a pipe, the status is that of the last command
    assert "Traceback" not in done.stderr


def test_all_codes_are_entered_although_the_terminal_closes(codes: list[str]) -> None:
    pid, terminal = pty.fork()
    if not pid:
        command = [sys.executable, "-m", "jeton_host", "enter", "home", *codes]
        os.execv(sys.executable, command)
    seen = b""
    while b"Accept" not in seen:
        seen += os.read(terminal, 1024)
    os.close(terminal)  # the command gets SIGHUP, and an error for each write
    os.waitpid(pid, 0)
    check_meter()
