"""The clock of the chip, `machine.RTC`: mpremote shows and sets it, and the meter follows it."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jeton_host.client.answers import seconds_of
from jeton_host.meter import Meter
from jeton_host.meters.named import make_config
from jeton_host.virtual.board import VirtualBoard

AT = datetime(2024, 11, 24, 23, 59, 30, tzinfo=UTC)
NEAR = timedelta(minutes=5)  # a busy machine


@pytest.fixture(scope="module", params=["virtual", "esp32_oled"])
def board(request: pytest.FixtureRequest) -> Iterator[VirtualBoard]:
    with VirtualBoard(board=request.param) as board:
        yield board


@pytest.fixture(autouse=True)
def _meter(board: VirtualBoard) -> None:
    with Meter.open(board.path) as meter:
        meter.set_rate(1)
        meter.provision(make_config() | {"clock": seconds_of(AT), "credit_wh": 1000})


def rtc(board: VirtualBoard, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", board.path, "rtc", *arguments],
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def shown(board: VirtualBoard) -> datetime:
    year, month, day, weekday, hour, minute, second, _ = ast.literal_eval(rtc(board))
    found = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    assert weekday == found.weekday()
    return found


def test_mpremote_shows_the_clock_of_the_meter(board: VirtualBoard) -> None:
    assert AT <= shown(board) < AT + NEAR
    with Meter.open(board.path) as meter:
        meter.clock(AT + timedelta(days=700))
        meter.advance(3600)
    assert timedelta(days=700, hours=1) <= shown(board) - AT < timedelta(days=700, hours=1) + NEAR


def test_mpremote_sets_the_clock_of_the_meter(board: VirtualBoard) -> None:
    before = datetime.now(UTC)
    with Meter.open(board.path) as meter:
        meter.set_load(1000)
    rtc(board, "--set")
    with Meter.open(board.path) as meter:
        assert timedelta(seconds=-2) <= meter.clock() - before < NEAR
        event = meter.events()[-1]
        assert event.kind == "clock_set"
        assert event.details["moved_s"] > 365 * 86_400
        # A clock that is set uses no energy, and waits do not end by it.
        assert meter.status().total_wh < 100
        meter.save()


def test_the_clock_outlives_a_reset_but_no_power_cut(board: VirtualBoard) -> None:
    with Meter.open(board.path) as meter:
        meter.run("import machine; machine.RTC().datetime((2031, 1, 1, 2, 0, 0, 0, 0))")
        assert meter.clock().year == 2031
    board.soft_reset()
    with Meter.open(board.path) as meter:
        assert meter.clock().year == 2031
        saved = meter.save().clock
    board.power_cut()
    board.rtc.advance(3600)
    board.power_on()
    # Without battery it begins in 2000; the meter goes on from the saved time and sets it.
    with Meter.open(board.path) as meter:
        assert saved <= meter.clock() < saved + NEAR
    assert saved <= shown(board) < saved + NEAR


def test_a_battery_keeps_the_time_during_a_power_cut(board: VirtualBoard) -> None:
    board.rtc.battery = True
    try:
        with Meter.open(board.path) as meter:
            meter.set_load(1000)
            used_wh = meter.save().total_wh
        board.power_cut()
        board.rtc.advance(3 * 86_400)
        board.power_on()
        with Meter.open(board.path) as meter:
            assert timedelta(days=3) <= meter.clock() - AT < timedelta(days=3) + NEAR
            assert meter.status().total_wh < used_wh + 100
            assert list(meter.history().days) == [f"2024-11-{day}" for day in range(24, 28)]
        # A clock that was set back in the meantime is not trusted.
        board.power_cut()
        board.rtc.advance(-30 * 86_400)
        board.power_on()
        with Meter.open(board.path) as meter:
            assert meter.clock() - AT >= timedelta(days=3)
    finally:
        board.rtc.battery = False


def test_a_clock_at_another_rate_is_not_led_by_the_chip(board: VirtualBoard) -> None:
    with Meter.open(board.path) as meter:
        meter.set_rate(0)
        at = meter.clock()
        meter.run("import machine; machine.RTC().datetime((2031, 1, 1, 2, 0, 0, 0, 0))")
        assert meter.clock() == at
        meter.set_rate(1)
        assert at <= meter.clock() < at + NEAR


def test_the_processes_of_a_board_have_a_short_command_line(board: VirtualBoard) -> None:
    said = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(board.pid)], capture_output=True, text=True
    ).stdout
    assert "launch.py" in said
    assert said.count("\n") == 1
    assert len(said) < 400 + 2 * len(sys.prefix)
    assert "def " not in said
