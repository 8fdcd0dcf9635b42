"""Modelled boards as a whole: keys at the pins, a running timer, serial line and clients."""

import time
from collections.abc import Callable

import pytest

from jeton_host.client.answers import Seen
from jeton_host.firmware import boards
from jeton_host.meter import Meter
from jeton_host.virtual.board import VirtualBoard
from jeton_host.virtual.models.hardware import Bench

WIRED = [name for name in boards.names() if boards.load(name).parts]
CONFIG = {"drn": "00000000000", "decoder_key": "87f3ecbb2e46b48f", "credit_wh": 100_000}
pytestmark = [pytest.mark.device, pytest.mark.virtual_only]


PATIENCE_S = 30.0


def wait_until(bench: Bench, done: Callable[[], bool]) -> None:
    """Wait until a condition of the parts is true, which is read at each tick of the board."""
    assert bench.wait_for(done, PATIENCE_S)


def wait_seen(bench: Bench, done: Callable[[], bool]) -> None:
    """Wait until a condition of the meter is true, which is asked for after each tick."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert bench.wait_beats(1, PATIENCE_S)
        assert time.monotonic() < end


def seen(meter: Meter) -> Seen:
    """Return the counters of what a board has seen at its pins."""
    found = meter.seen()
    assert found is not None
    return found


def press(board: VirtualBoard, meter: Meter, keys: str) -> None:
    """Press and release each key; wait until the meter has seen both."""
    assert board.bench is not None
    keypad = board.bench.part("keypad")
    for key in keys:
        before = seen(meter).keys_taken
        keypad.press(key)
        wait_seen(board.bench, lambda before=before: seen(meter).keys_taken != before)  # type: ignore[misc]
        keypad.release(key)
        wait_seen(board.bench, lambda: not seen(meter).keys_down)


@pytest.mark.parametrize("name", WIRED)
def test_keys_relay_and_info_work(name: str) -> None:
    with VirtualBoard(board=name) as board, Meter.open(board.path) as meter:
        bench = board.bench
        assert bench is not None
        relay = bench.part("relay")
        assert not relay.closed
        meter.provision(CONFIG)
        display = meter.display()
        assert (display.rows, display.cols) == bench.board.display[:2]
        wait_until(bench, lambda: relay.closed)
        press(board, meter, "12")
        assert any("12" in line for line in meter.display().lines)
        assert meter.info().board == name
        assert meter.info().faults == {}
        meter.consume(100_000)
        wait_until(bench, lambda: not relay.closed)
        assert bench.faults == []


def test_the_timer_runs_at_the_prompt_under_a_client_and_after_every_reset() -> None:
    with VirtualBoard(board="esp32_lcd2004") as board:
        bench = board.bench
        assert bench is not None
        led, relay = bench.part("led"), bench.part("relay")

        def check_timer() -> None:
            before = led.flashes
            wait_until(bench, lambda: led.flashes > before + 3)
            with Meter.open(board.path) as meter:
                before = led.flashes
                # A program that keeps the interpreter busy for one second.
                meter.run(
                    "import time\nend = time.ticks_add(time.ticks_ms(), 1000)\n"
                    "while time.ticks_diff(end, time.ticks_ms()) > 0: pass"
                )
                assert led.flashes >= before + 3
                assert meter.status().switch == "closed"

        with Meter.open(board.path) as meter:
            meter.provision(CONFIG)
            meter.set_load(20_000)
        check_timer()
        with Meter.open(board.path) as meter:
            meter.reset()
            before = led.flashes
            wait_until(bench, lambda: led.flashes > before + 3)
        for restart in (board.soft_reset, board.reset):
            restart()
            check_timer()
        board.power_cut()
        bench.connect().close()  # the relay's pin has no level any more
        wait_until(bench, lambda: not relay.closed)
        board.power_on()
        check_timer()


def test_a_missing_part_is_reported_at_start_and_in_info() -> None:
    board = VirtualBoard(board="esp32_lcd2004")
    board.start()
    try:
        assert board.bench is not None
        board.bench.part("display").present = False
        board.reset()
        with Meter.open(board.path) as meter:
            said = "nothing answers on i2c at 0x27, 0x3F"
            assert meter.info().faults == {"display": said}
            meter.provision(CONFIG)
            assert meter.status().switch == "closed"
    finally:
        board.close()


def test_a_locked_meter_on_a_board_has_its_timer_and_a_watchdog() -> None:
    with VirtualBoard(board="esp32_lcd2004") as board:
        bench = board.bench
        assert bench is not None
        with Meter.open(board.path) as meter:
            meter.provision(CONFIG)
            meter.set_load(20_000)
            assert bench.watchdog_s is None
            meter.lock("12345678")
        wait_until(bench, lambda: bench.watchdog_s == 8)
        before = bench.part("led").flashes
        wait_until(bench, lambda: bench.part("led").flashes > before + 3)
        with Meter.open(board.path) as meter:
            press(board, meter, "12")
            assert not bench.hungry
            boots = bench.boots
            meter.open_up("12345678")
            # A hard reset: after a soft reset the watchdog would run on without being fed.
            wait_until(bench, lambda: bench.boots > boots)
            assert bench.watchdog_s is None


# The timer's thread reads a font while a program imports modules, repeatedly.
TWO_THREADS = """
import _thread, os
wrong = []
ended = []
def read(path, size):
    try:
        with open(path, "rb") as file:
            whole = file.read()
        for i in range(1500):
            at = i * 997 % (len(whole) - size)
            with open(path, "rb") as file:
                file.seek(at)
                if file.read(size) != whole[at : at + size]:
                    wrong.append(at)
    except Exception as error:
        wrong.append(error)
    ended.append(path)
_thread.start_new_thread(read, ("/fonts/8x16", 16))
while not ended:
    try:
        import no_such_module
    except ImportError:
        pass
    if os.stat("/boot.py")[6] != SIZE or "boot.py" not in os.listdir("/"):
        wrong.append("boot.py")
print(wrong)
"""


def test_the_timer_thread_and_a_program_can_use_files_together() -> None:
    with VirtualBoard(board="esp32_oled") as board, Meter.open(board.path) as meter:
        size = meter.run("import os; print(os.stat('/boot.py')[6])").strip()
        assert meter.run(TWO_THREADS.replace("SIZE", size), timeout=60) == "[]\r\n"
        assert board.bench is not None
        assert board.bench.boots == 1


def test_files_of_a_board_with_a_timer_work_as_usual() -> None:
    with VirtualBoard(board="esp32_oled") as board, Meter.open(board.path) as meter:
        said = meter.run(
            "import os\nos.mkdir('/d')\nos.chdir('/d')\n"
            "with open('a', 'w') as file: print(file.write('one\\ntwo\\n'), file.tell())\n"
            "with open('a') as file: print(list(file), file.seek(0), file.readline(), "
            "file.readlines())\n"
            "os.rename('a', 'b.py')\nprint(os.getcwd(), list(os.ilistdir('/d')))\n"
            "with open('b.py', 'wb') as file: file.write(b'x = 5'); file.flush()\n"
            "import b\nprint(b.x, os.statvfs('/')[0])\n"
            "try: open('c')\nexcept OSError as error: print(error)\n"
            "os.remove('b.py')\nos.chdir('/')\nos.rmdir('/d')\nprint('d' in os.listdir())\n"
        )
    assert said.splitlines() == [
        "8 8",
        "['one\\n', 'two\\n'] 0 one",
        " ['two\\n']",
        "/d [('b.py', 32768, 0, 8)]",
        "5 4096",
        "[Errno 2] ENOENT",
        "False",
    ]
