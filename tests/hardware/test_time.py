"""The timer's callback: its cost when idle, its errors, and that no time is lost."""

import subprocess
from pathlib import Path

import pytest

from board_rig import Rig
from jeton import timeline
from jeton_host.firmware import boards

WIRED = [name for name in boards.names() if boards.load(name).parts]


@pytest.mark.parametrize("board", WIRED)
def test_an_idle_tick_allocates_nothing(board: str, tmp_path: Path) -> None:
    with Rig(board, tmp_path) as rig:
        rig.provision()
        rig.rpc("load", 2300)
        rig.tick(60)
        said = rig.run(
            "import micropython\n"
            "def idle():\n"
            "    quiet = 0\n"
            "    for i in range(200):\n"
            "        rig_time.ms += 20\n"
            "        if runtime._now == runtime._clock.now():\n"  # not the first tick of a second
            "            micropython.heap_lock()\n"
            "            runtime.tick()\n"
            "            micropython.heap_unlock()\n"
            "            assert runtime._failed == 0, i\n"
            "            quiet += 1\n"
            "        else:\n"
            "            runtime.tick()\n"
            "    print(quiet)\n"
            "idle()"
        )
        assert int(said) >= 190


@pytest.mark.parametrize("board", WIRED)
def test_an_idle_meter_allocates_nothing(board: str, tmp_path: Path) -> None:
    """Ten minutes without a load: no memory is allocated and the display does not change.

    Then the clock is saved, which needs memory.
    """
    with Rig(board, tmp_path) as rig:
        rig.provision(credit_wh=45_000)
        rig.tick(60)
        rig.rpc("save")
        rig.tick(60)
        before = rig.bench.part("display").text()
        said = rig.run(
            "import micropython\n"
            "def idle():\n"
            "    for i in range(590):\n"
            "        rig_time.ms += 1000\n"
            "        micropython.heap_lock()\n"
            "        runtime.tick()\n"
            "        micropython.heap_unlock()\n"
            "        assert runtime._failed == 0, i\n"
            "    print(i)\n"
            "idle()"
        )
        assert int(said) == 589
        assert rig.bench.part("display").text() == before
        saved = "print(meter._meter._saved_at)"
        before_save = int(rig.run(saved))
        rig.tick(30, ms=1000)
        assert int(rig.run(saved)) == before_save + timeline.CLOCK_SAVE_S
        # Changes without a key are still shown: here the end of the day, then a load.
        rig.rpc("advance", 86_400)
        rig.rpc("load", 3600)
        rig.tick(60, ms=100)
        assert rig.bench.part("display").text() != before


def test_a_day_of_ticks_loses_no_time(rig: Rig) -> None:
    """Ticks of 20 ms, ticks of 80 ms and 3 s as on a busy board, and ticks of many seconds."""
    rig.rpc("load", 100)
    start = rig.rpc("clock")
    began_ms = rig.ms
    rig.idle(2000)
    for _ in range(20):
        rig.idle(20, ms=80)  # while the flash is written
        rig.idle(1, ms=3000)  # while a client computes
    left_ms = 86_400_000 - (rig.ms - began_ms)
    rig.idle(left_ms // 59_990, ms=59_990)
    rig.idle(1, ms=left_ms % 59_990)
    assert rig.ms - began_ms == 86_400_000
    assert rig.rpc("clock") == start + 86_400
    assert rig.rpc("status")["total_wh"] == pytest.approx(2400, abs=1)


def test_a_wrap_of_the_ticks_loses_no_time(tmp_path: Path) -> None:
    """The millisecond counter of an ESP32 wraps after 12 days."""
    with Rig("esp32_lcd2004", tmp_path, ms=(1 << 30) - 2000) as rig:
        rig.provision()
        start = rig.rpc("clock")
        rig.idle(500)
        assert rig.rpc("clock") == start + 10
        rig.key("5")
        assert rig.ask("_meter.entry.digits") == "5"


def test_a_tick_does_not_disturb_a_running_verb(rig: Rig) -> None:
    """A callback may interrupt other code: here in the middle of a commit."""
    rig.rpc("load", 1000)
    rig.tick(1)
    rig.run(
        "storage = _meter._storage\nsave = storage.save\nseen = []\n"
        "def slow(parts):\n"
        "    before = _meter.state.credit_wh\n"
        "    tick(100)\n"
        "    seen.append([before, _meter.state.credit_wh, runtime.lock.locked()])\n"
        "    save(parts)\n"
        "storage.save = slow"
    )
    rig.rpc("advance_grant", 5000)
    (found,) = rig.ask("seen")
    assert found[0] == found[1]
    assert found[2]
    rig.run("storage.save = save")
    rig.tick(1)
    assert rig.ask("runtime.lock.locked()") is False
    assert rig.rpc("clock") == rig.ask("runtime._now")


def test_a_verb_in_a_callback_during_another_verb_is_an_error(rig: Rig) -> None:
    """On a chip both run in one thread, so waiting would never end."""
    rig.run(
        "storage = _meter._storage\nsave = storage.save\nsaid = []\n"
        "def slow(parts):\n"
        "    try:\n"
        "        meter.status()\n"
        "    except RuntimeError as error:\n"
        "        said.append(str(error))\n"
        "    save(parts)\n"
        "storage.save = slow\nbegan = rig_time.ms"
    )
    rig.rpc("advance_grant", 5000)
    assert rig.ask("said") == ["another verb is running: call it again"]
    assert rig.ask("rig_time.ms - began") == 0
    assert rig.ask("runtime.lock.locked()") is False
    assert rig.ask("runtime.caller") is None


def test_a_verb_waits_for_another_thread_but_not_for_ever(rig: Rig) -> None:
    rig.run("runtime.lock.acquire()\nbegan = rig_time.ms")
    with pytest.raises(AssertionError, match="RuntimeError: another verb is running"):
        rig.run("meter.status()")
    assert rig.ask("rig_time.ms - began") == 1000
    rig.run(
        "sleep = rig_time.sleep_ms\nimport drivers.runtime\n"
        "def ends(ms):\n    runtime.lock.release()\n    sleep(ms)\n"
        "drivers.runtime.sleep_ms = ends\nmeter.status()"
    )
    assert rig.ask("runtime.lock.locked()") is False


def test_a_program_may_use_the_first_timer(rig: Rig) -> None:
    rig.run(
        "import machine\ncount = 0\n"
        "def mine(timer):\n    global count\n    count += 1\n"
        "machine.Timer(0).init(period=20, mode=machine.Timer.PERIODIC, callback=mine)\n"
        "assert machine.Timer(0) is machine.Timer(0)"
    )
    rig.key("7")
    assert rig.ask("_meter.entry.digits") == "7"
    assert rig.ask("count") == 10


@pytest.mark.parametrize("board", ["esp32_lcd2004", "esp32c3_oled"])
def test_after_ctrl_c_in_the_timer_all_keys_work(board: str, tmp_path: Path) -> None:
    """Ctrl-C may occur at any step: here before each use of the bus or the pins."""
    with Rig(board, tmp_path) as rig:
        rig.provision()
        rig.tick(5)
        rig.run(
            "import machine\nleft = -1\n"
            "def interrupted(real):\n"
            "    def call(*arguments):\n"
            "        global left\n"
            "        left -= 1\n"
            "        if left == 0:\n"
            "            raise KeyboardInterrupt\n"
            "        return real(*arguments)\n"
            "    return call\n"
            "machine.Pin.__call__ = interrupted(machine.Pin.value)\n"
            "machine.I2C.readfrom_into = interrupted(machine.I2C.readfrom_into)\n"
            "hit = 0\n"
            "def tick_with(n):\n"
            "    global left, hit\n"
            "    left = n\n"
            "    try:\n"
            "        tick(1)\n"
            "    except KeyboardInterrupt:\n"
            "        hit += 1\n"
            "    left = -1\n"
        )
        keypad = rig.bench.part("keypad")
        for n in range(1, 36):
            keypad.press("5")
            rig.tick(3)
            rig.ms += 20
            rig.run(f"tick_with({n})")
            keypad.release("5")
            rig.tick(4)
            digits = rig.ask("_meter.entry.digits")
            for key in "39":  # keys in other rows
                rig.key(key)
            assert rig.ask("_meter.entry.digits") == digits + "39", n
            rig.key("*")
            rig.key("*")
            rig.key("*")
        assert rig.ask("hit") >= 5
        assert rig.ask("runtime.lock.locked()") is False


def test_ctrl_c_in_the_timer_reaches_the_program(rig: Rig) -> None:
    rig.run(
        "def no(now):\n    raise KeyboardInterrupt\n"
        "real = _meter.display\n_meter.display = no\nruntime.fresh = True"
    )
    with pytest.raises(AssertionError, match="KeyboardInterrupt"):
        rig.tick(60)
    rig.run("_meter.display = real")
    assert rig.ask("runtime.lock.locked()") is False
    rig.key("8")
    assert rig.ask("_meter.entry.digits") == "8"


def test_an_error_in_a_verb_leaves_the_timer_free(rig: Rig) -> None:
    rig.run("try:\n    meter.load('much')\nexcept Exception as error:\n    print(error)")
    assert rig.ask("runtime.lock.locked()") is False
    rig.key("3")
    assert rig.ask("_meter.entry.digits") == "3"


def test_a_tick_without_memory_does_no_harm(rig: Rig) -> None:
    rig.run("def no(now):\n    raise MemoryError\nreal = _meter.display\n_meter.display = no")
    rig.tick(60)
    rig.run("_meter.display = real")
    rig.key("8")
    assert rig.ask("_meter.entry.digits") == "8"


def test_every_start_starts_the_timer(rig: Rig) -> None:
    rig.key("1")
    rig.power_cut()
    rig.power_on()
    rig.tick(5)
    rig.key("2")
    assert rig.ask("_meter.entry.digits") == "2"
    assert rig.rpc("status")["provisioned"]


def test_the_machine_model_refuses_what_the_chip_refuses(tmp_path: Path) -> None:
    with Rig("esp32c3_oled", tmp_path) as rig:
        for wrong in ("Pin(12, Pin.OUT)", "Pin(22)", "Timer(2)"):
            said = rig.run(
                f"from machine import Pin, Timer\ntry:\n    {wrong}.value(1)\n"
                "except ValueError as error:\n    print(error)"
            )
            assert "invalid" in said
        assert rig.ask("hasattr(__import__('machine'), 'Counter')") is False
    with Rig("esp32_lcd2004", tmp_path) as rig, pytest.raises(AssertionError, match="only be in"):
        rig.run("from machine import Pin\nPin(34, Pin.OUT)")


def test_a_rig_runs_the_usual_interpreter(rig: Rig) -> None:
    assert isinstance(rig._process, subprocess.Popen)
    assert rig.ask("__import__('sys').implementation.name") == "micropython"
