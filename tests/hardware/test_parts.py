"""Relay, LED, buzzer, pulse input, tamper switch and energy sensor, with their models."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from board_rig import Rig
from drivers.startup import ONCE
from jeton_host.firmware import boards
from jeton_host.firmware import build as firmware_build
from jeton_host.paths import boards_dir

DRN, KEY = "00000000000", "87f3ecbb2e46b48f"


@pytest.fixture
def own_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Rig]:
    """Return a function that makes the usual board with other parts."""

    def make(changes: str) -> Rig:
        folder = tmp_path / "boards"
        shutil.copytree(boards_dir(), folder)
        (folder / "own").mkdir()
        source = (folder / "esp32_lcd2004" / "board.py").read_text()
        (folder / "own" / "board.py").write_text(f"{source}\nNAME = 'own'\n{changes}\n")
        for module in (boards, firmware_build):
            monkeypatch.setattr(module, "boards_dir", lambda: folder)
        assert not boards.load("own").problems()
        return Rig("own", tmp_path)

    return make


def test_the_relay_follows_the_switch_after_its_delay(tmp_path: Path) -> None:
    with Rig("esp32_lcd2004", tmp_path) as rig:
        relay = rig.bench.part("relay")
        rig.tick(10)
        assert not relay.closed
        rig.provision()
        rig.tick(1)
        assert not relay.closed  # its contact is still moving
        rig.ms += 10
        assert relay.closed
        rig.rpc("consume", 100_000)
        rig.tick(2)
        assert not relay.closed
        assert relay.thrown == 2


def test_the_relay_opens_without_power_and_closes_again(tmp_path: Path) -> None:
    with Rig("esp32_lcd2004", tmp_path) as rig:
        rig.provision()
        rig.tick(2)
        assert rig.bench.part("relay").closed
        rig.power_cut()
        rig.bench.connect().close()
        rig.ms += 10
        assert not rig.bench.part("relay").closed
        rig.power_on()
        rig.tick(2)
        assert rig.bench.part("relay").closed


def test_a_bistable_relay_keeps_its_state(own_board: Callable[[str], Rig]) -> None:
    coils = "PARTS['relay'] = {'driver': 'relay', 'set': 23, 'reset': 4, 'pulse_ms': 60}"
    with own_board(coils) as rig:
        relay = rig.bench.part("relay")
        rig.provision()
        rig.tick(10)
        assert relay.closed
        for _ in range(3):  # faster than one pulse of the coil
            rig.run("meter._meter.state.switch_closed ^= 1")
            rig.tick(1)
        rig.tick(20)
        assert not relay.closed
        assert not relay.warm
        assert not rig.bench.faults
        rig.run("meter._meter.state.switch_closed = 1")
        rig.tick(10)
        assert relay.closed
        rig.power_cut()
        rig.bench.connect().close()
        assert relay.closed  # it keeps its state


def test_the_led_flashes_with_the_energy_register(rig: Rig) -> None:
    led = rig.bench.part("led")
    rig.rpc("load", 3600)  # one pulse per second, at 1000 per kWh
    rig.tick(50)
    before = led.flashes
    rig.tick(50 * 20)
    assert led.flashes - before == 20
    gaps = [b - a for a, b in zip(led.times[-20:], led.times[-19:], strict=False)]
    assert max(gaps) <= 1.0201
    assert min(gaps) >= 0.9799


def test_led_pulses_are_even_within_a_second(rig: Rig) -> None:
    led = rig.bench.part("led")
    rig.rpc("load", 23_000)  # 6.39 pulses per second
    rig.tick(50)
    before, energy_wh = led.flashes, rig.rpc("status")["total_wh"]
    rig.tick(50 * 10)
    used_wh = rig.rpc("status")["total_wh"] - energy_wh
    assert used_wh == pytest.approx(63, abs=2)
    assert led.flashes - before == pytest.approx(used_wh, abs=2)
    gaps = [b - a for a, b in zip(led.times[-50:], led.times[-49:], strict=False)]
    assert max(gaps) <= 0.1801
    assert min(gaps) >= 0.1399


def test_the_led_reaches_its_highest_pulse_rate(rig: Rig) -> None:
    led = rig.bench.part("led")
    rig.rpc("load", 84_000)  # 23.3 pulses per second
    rig.tick(50)
    before, energy_wh = led.flashes, rig.rpc("status")["total_wh"]
    rig.tick(50 * 10)
    used_wh = rig.rpc("status")["total_wh"] - energy_wh
    assert led.flashes - before == pytest.approx(used_wh, abs=2)


def test_advanced_time_leaves_no_backlog_of_led_pulses(rig: Rig) -> None:
    rig.rpc("load", 1000)
    rig.rpc("advance", 40 * 3600)
    before = rig.bench.part("led").flashes
    rig.tick(150)
    assert rig.bench.part("led").flashes - before <= 27
    rig.rpc("load", 0)
    rig.tick(150)
    before = rig.bench.part("led").flashes
    rig.tick(150)
    assert rig.bench.part("led").flashes == before


def test_credit_lamp_blinks_when_credit_is_low(rig: Rig) -> None:
    lamp = rig.bench.part("credit")
    assert lamp.lit
    before = lamp.flashes
    rig.tick(150)
    assert lamp.flashes == before
    rig.rpc("consume", 99_000)
    rig.tick(150)
    assert 2 <= lamp.flashes - before <= 4
    rig.rpc("consume", 1000)
    rig.tick(1)
    assert not lamp.lit


def test_the_buzzer_clicks_only_at_keys(rig: Rig) -> None:
    buzzer = rig.bench.part("buzzer")
    rig.bench.part("keypad").press("1")
    heard = []
    for _ in range(20):
        rig.tick(1)
        heard.append(buzzer.sounds)
    assert 1 <= sum(heard) <= 2
    assert not heard[-1]


def test_the_hardware_counts_pulses_while_the_firmware_is_blocked(rig: Rig) -> None:
    pulses = rig.bench.part("pulses")
    total_wh = rig.rpc("status")["total_wh"]
    for _ in range(30):
        pulses.pulse()
        rig.tick(2)
    assert rig.rpc("status")["total_wh"] == total_wh + 30
    pulses.pulse(90)  # while a write to the flash blocks the firmware
    rig.tick(1, ms=5000)
    assert rig.rpc("status")["total_wh"] == total_wh + 120
    pulses.pulse(1200)  # one minute without reading the counter
    rig.tick(1, ms=60_000)
    assert rig.rpc("status")["credit_wh"] == 100_000 - 1320


@pytest.mark.parametrize("board", ["esp32_lcd2004", "esp32c3_oled"])
def test_mains_hum_on_an_input_is_not_counted(board: str, tmp_path: Path) -> None:
    with Rig(board, tmp_path) as rig:
        rig.provision()
        for _ in range(500):  # 50 per second: mains frequency
            rig.bench.part("pulses").pulse()
            rig.tick(1)
        said = rig.rpc("info")["faults"]["pulses"]
        assert said == "more pulses than any load: is the input wired?"
        counted_wh = rig.rpc("status")["total_wh"]
        assert counted_wh < 200
        for _ in range(500):
            rig.bench.part("pulses").pulse()
            rig.tick(1)
        assert rig.rpc("status")["total_wh"] == counted_wh
        rig.tick(600)  # the input is now wired
        assert "pulses" not in rig.rpc("info")["faults"]
        rig.bench.part("pulses").pulse()
        rig.tick(2)
        assert rig.rpc("status")["total_wh"] == counted_wh + 1


def test_the_highest_load_is_counted(rig: Rig) -> None:
    for _ in range(60):  # 68.4 kW
        rig.bench.part("pulses").pulse(19)
        rig.tick(1, ms=1000)
    assert rig.rpc("status")["total_wh"] == 60 * 19


def test_an_unwired_input_has_the_pull_of_the_chip(tmp_path: Path) -> None:
    rig = Rig("esp32c3_oled", tmp_path)
    for part in ("pulses", "tamper"):
        rig.bench.pins[rig.bench.board.parts[part]["pin"]].drive(None)
    with rig:
        rig.provision()
        rig.tick(10)
        assert not rig.bench.faults
        assert rig.rpc("status")["total_wh"] == 0


def test_parts_that_are_left_out_cause_no_fault(tmp_path: Path) -> None:
    board = boards.load("esp32_lcd2004").changed(("pulses", "tamper"), {"relay": 0})
    with Rig(board, tmp_path) as rig:
        assert rig.said == ""
        rig.provision()
        rig.tick(600)
        assert rig.rpc("info")["faults"] == {}
        assert not rig.bench.pins[34].mode
        assert rig.bench.pins[23].level == 0
        assert rig.bench.part("relay").closed


def test_the_board_reports_which_parts_are_left_out(own_board: Callable[[str], Rig]) -> None:
    with own_board("WITHOUT = ('tamper', 'buzzer')") as rig:
        assert {"tamper", "buzzer"} & set(rig.ask("list(runtime.parts)")) == set()
        assert rig.rpc("info")["faults"] == {}


def test_pulses_are_counted_by_interrupt_without_a_counter(tmp_path: Path) -> None:
    with Rig("esp32c3_oled", tmp_path) as rig:
        rig.provision()
        assert rig.ask("runtime.parts['pulses'].__class__.__name__") == "Interrupted"
        for _ in range(30):
            rig.bench.part("pulses").pulse()
            rig.tick(2)
        assert rig.rpc("status")["total_wh"] == 30
        rig.bench.part("pulses").pulse(3)  # a contact that bounces
        rig.tick(2)
        assert rig.rpc("status")["total_wh"] == 31


def test_fractions_of_a_wh_are_not_lost(own_board: Callable[[str], Rig]) -> None:
    with own_board("PARTS['pulses']['per_kwh'] = 1600") as rig:
        rig.provision()
        for _ in range(160):
            rig.bench.part("pulses").pulse()
            rig.tick(1)
        assert rig.rpc("status")["total_wh"] == 100


def test_pulses_cause_no_more_flash_writes_than_time_does(rig: Rig) -> None:
    rig.run(
        "saves = 0\nstorage = _meter._storage\nreal = storage.save_tick\n"
        "def save_tick(data):\n    global saves\n    saves += 1\n    real(data)\n"
        "storage.save_tick = save_tick"
    )
    for _ in range(100):
        rig.bench.part("pulses").pulse()
        rig.tick(1, ms=500)
    assert 3 <= rig.ask("saves") <= 6


def test_pulses_open_the_switch_when_credit_is_used_up(rig: Rig) -> None:
    rig.rpc("consume", 99_990)
    rig.tick(2)
    rig.bench.part("pulses").pulse(10)
    rig.tick(2)
    assert rig.rpc("status")["switch"] == "open"
    assert not rig.bench.part("relay").closed


def test_the_tamper_switch_acts_after_three_ticks(rig: Rig) -> None:
    cover = rig.bench.part("tamper")
    cover.set(True)
    rig.tick(2)
    cover.set(False)
    rig.tick(3)
    assert not rig.rpc("status")["tamper"]
    cover.set(True)
    rig.tick(3)
    assert rig.rpc("status")["tamper"]
    cover.set(False)
    rig.tick(10)
    assert rig.rpc("status")["tamper"]


def test_the_power_failure_input_saves_the_record(own_board: Callable[[str], Rig]) -> None:
    with own_board("PARTS['supply'] = {'pin': 36, 'active': 0}") as rig:
        rig.provision()
        rig.rpc("load", 3600)
        rig.tick(50 * 5)
        supply = rig.bench.part("supply")
        supply.set(True)
        rig.tick(2)
        rig.power_cut()
        supply.set(False)
        rig.power_on()
        assert rig.rpc("status")["total_wh"] == 5
        rig.tick(50 * 5)  # without that input, the energy of the last 10 s is lost
        rig.power_cut()
        rig.power_on()
        assert rig.rpc("status")["total_wh"] == 5


def test_pulses_are_not_counted_before_the_meter_is_set_up(tmp_path: Path) -> None:
    with Rig("esp32_lcd2004", tmp_path) as rig:
        rig.bench.part("pulses").pulse(3)
        rig.tick(5)
        assert rig.ask("_meter.state.total_wh") == 0
        assert rig.ask("runtime._failed") == 0


def test_the_energy_sensor_is_counted(own_board: Callable[[str], Rig]) -> None:
    sensor = (
        "BUSES['uart'] = {'kind': 'UART', 'id': 2, 'tx': 4, 'rx': 36, 'baudrate': 9600}\n"
        "PARTS['energy'] = {'driver': 'pzem004t', 'bus': 'uart'}"
    )
    with own_board(sensor) as rig:
        rig.provision()
        model = rig.bench.part("energy")
        rig.tick(150)
        assert rig.rpc("status")["total_wh"] == 0  # the earlier count is not included
        model.energy_wh += 70_000
        model.power_w = 2300
        rig.tick(101)
        assert rig.rpc("status")["total_wh"] == 70_000
        assert rig.ask("runtime.parts['energy'].power_w") == 2300
        model.spoil = True
        model.energy_wh += 5
        rig.tick(151)
        assert rig.rpc("status")["total_wh"] == 70_005
        model.energy_wh = 0  # the sensor is reset
        rig.tick(101)
        model.energy_wh = 3
        rig.tick(101)
        assert rig.rpc("status")["total_wh"] == 70_008
        model.present = False
        rig.tick(300)
        assert rig.rpc("info")["faults"]["energy"] == "it does not answer any more"
        model.present = True
        rig.tick(500)
        assert "energy" not in rig.rpc("info")["faults"]
        assert rig.rpc("status")["total_wh"] == 70_008


def test_only_a_release_has_a_watchdog(rig: Rig) -> None:
    rig.tick(10)
    assert rig.bench.watchdog_s is None
    rig.run("runtime.start(True)")
    rig.tick(10)
    assert rig.bench.watchdog_s == 8
    rig.tick(10, ms=1000)
    assert not rig.bench.hungry
    rig.ms += 9000
    assert rig.bench.hungry


def test_the_watchdog_is_not_fed_if_every_tick_fails(rig: Rig) -> None:
    rig.run("runtime.start(True)\nruntime._update = None\n")
    for _ in range(30):
        rig.tick(1, ms=1000)
    assert not rig.bench.hungry  # a single failed tick is tolerated
    rig.run("runtime._step = None")
    rig.tick(250, ms=100)
    assert rig.bench.hungry


def test_the_watchdog_allows_a_verb_at_most_one_minute(rig: Rig) -> None:
    rig.run("runtime.start(True)")
    rig.tick(5)
    for seconds, hungry in ((50, False), (75, True)):
        rig.run("runtime.lock.acquire()")
        rig.tick(seconds, ms=1000)
        assert rig.bench.hungry is hungry
        rig.run("runtime.lock.release()")
        rig.tick(5)
        assert not rig.bench.hungry


def test_a_failed_tick_is_reported(rig: Rig) -> None:
    rig.run("look = runtime._update\nruntime._update = None\nruntime.fresh = True")
    rig.tick(60)
    rig.run("runtime._update = look")
    assert rig.rpc("info")["faults"]["tick"].startswith("it fails: TypeError")
    rig.tick(1000)
    assert rig.rpc("info")["faults"] == {}


def test_a_stuck_key_does_not_disturb_the_other_parts(tmp_path: Path) -> None:
    rig = Rig("esp32_lcd2004", tmp_path)
    rig.bench.part("keypad").press("5")
    rig.ms += 100
    with rig:
        rig.provision()
        rig.tick(10)
        before = rig.bench.part("relay").thrown
        rig.tick(1100)
        assert "keypad" in rig.rpc("info")["faults"]
        assert rig.bench.part("relay").thrown == before


def test_a_retry_of_a_part_keeps_the_modules_of_a_program(rig: Rig) -> None:
    rig.run(
        "import sys\nfor name in ('my_start', 'app.parts', 'parts'):\n    sys.modules[name] = sys"
    )
    rig.bench.part("display").present = False
    rig.tick(1100)
    assert "display" in rig.rpc("info")["faults"]
    kept = set(rig.ask("[name for name in sys.modules]"))
    assert {"my_start", "app.parts", "parts"} <= kept
    assert not set(ONCE) & kept


def test_a_start_unloads_modules_needed_only_at_start(rig: Rig) -> None:
    assert not set(ONCE) & set(rig.ask("[name for name in sys.modules]"))
