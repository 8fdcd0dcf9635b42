"""The keypad: contact bounce, ghost keys, stuck keys, two keys at once."""

from pathlib import Path

import pytest

from board_rig import Rig


def shown(rig: Rig) -> str:
    return "".join(rig.rpc("display")["lines"])


@pytest.mark.parametrize("bounce_ms", [0, 5, 15])
def test_each_key_counts_once_despite_contact_bounce(rig: Rig, bounce_ms: float) -> None:
    rig.bench.part("keypad").bounce(bounce_ms)
    for key in "1234567890":
        rig.key(key)
    assert "1234567890" in shown(rig).replace(" ", "").replace("-", "")
    assert not rig.bench.faults


def test_bounce_is_ignored_at_every_moment_of_a_tick(rig: Rig) -> None:
    keypad = rig.bench.part("keypad")
    keypad.bounce(12)
    for at in range(0, 20):
        rig.ms += at  # the key is pressed at any time within a tick
        rig.key("7")
        rig.ms -= at
    assert rig.ask("len(_meter.entry.digits)") == 20


def test_a_key_counts_within_two_ticks_and_only_once_while_held(rig: Rig) -> None:
    rig.bench.part("keypad").bounce(0)
    rig.bench.part("keypad").press("4")
    rig.tick(2)
    assert rig.ask("_meter.entry.digits") == "4"
    rig.tick(100)
    assert rig.ask("_meter.entry.digits") == "4"


def test_ticks_without_a_pause_count_as_one(rig: Rig) -> None:
    """After a flash write, delayed ticks run in a row; a contact may bounce at that time."""
    rig.bench.part("keypad").bounce(0)
    rig.bench.part("keypad").press("4")
    rig.tick(1, ms=80)
    for _ in range(3):
        rig.tick(1, ms=1)
    rig.bench.part("keypad").release("4")  # the press was only a bounce
    rig.tick(5)
    assert rig.ask("_meter.entry.digits") == ""


def test_two_keys_at_once_both_count(rig: Rig) -> None:
    keypad = rig.bench.part("keypad")
    keypad.press("1")
    rig.tick(3)
    keypad.press("5")
    rig.tick(3)
    keypad.release("1")
    rig.tick(3)
    keypad.press("1")
    rig.tick(3)
    assert rig.ask("_meter.entry.digits") == "151"
    keypad.release("1")
    keypad.release("5")
    rig.tick(3)
    for key in "79":  # two keys of one row at the same time
        keypad.press(key)
    rig.tick(3)
    assert sorted(rig.ask("_meter.entry.digits")[3:]) == ["7", "9"]
    assert not rig.bench.faults


def test_two_keys_of_a_column_cause_no_short_circuit(rig: Rig) -> None:
    keypad = rig.bench.part("keypad")
    keypad.press("2")
    keypad.press("8")
    rig.tick(5)
    assert not rig.bench.faults


def test_three_corners_give_no_ghost_key(rig: Rig) -> None:
    keypad = rig.bench.part("keypad")
    for key in "13":
        keypad.press(key)
        rig.tick(4)
    keypad.press("7")  # now 9 seems to be pressed too
    rig.tick(10)
    assert rig.ask("_meter.entry.digits") == "13"
    keypad.release("3")
    rig.tick(4)
    assert rig.ask("_meter.entry.digits") == "137"


def test_a_key_stuck_at_start_is_reported_and_ignored(tmp_path: Path) -> None:
    rig = Rig("esp32_lcd2004", tmp_path)
    rig.bench.part("keypad").press("5")
    rig.ms += 100
    with rig:
        rig.provision()
        assert "jeton: keypad: held down since the start: 5" in rig.said
        assert rig.rpc("info")["faults"]["keypad"] == "held down since the start: 5"
        rig.tick(50)
        rig.key("1")
        assert rig.ask("_meter.entry.digits") == "1"
        rig.bench.part("keypad").release("5")
        rig.tick(55)
        assert "keypad" not in rig.rpc("info")["faults"]
        rig.key("5")
        assert rig.ask("_meter.entry.digits") == "15"


def test_keys_without_a_meaning_do_nothing(rig: Rig) -> None:
    for key in "BCDA":
        rig.key(key)
    assert rig.ask("_meter.entry.digits") == ""
    rig.key("6")
    assert rig.ask("_meter.entry.digits") == "6"


def test_a_keypad_on_an_expander_works(tmp_path: Path) -> None:
    with Rig("esp32c3_oled", tmp_path) as rig:
        rig.provision()
        for key in "1234567890":
            rig.key(key)
        assert rig.ask("_meter.entry.digits") == "1234567890"
        keypad = rig.bench.part("keypad")
        for key in "13":
            keypad.press(key)
            rig.tick(4)
        keypad.press("7")
        rig.tick(10)
        assert rig.ask("_meter.entry.digits") == "123456789013"
        for key in "137":
            keypad.release(key)
        rig.tick(4)
        keypad.present = False
        rig.tick(2)
        assert rig.rpc("info")["faults"]["keypad"] == "it does not answer any more"
        rig.tick(500)
        assert rig.rpc("info")["faults"]["keypad"] == "nothing answers on i2c at 0x20, 0x38"
        assert rig.rpc("status")["credit_wh"] == 100_000  # the meter runs without its keypad
        keypad.present = True
        rig.tick(501)
        assert "keypad" not in rig.rpc("info")["faults"]
        rig.key("4")
        assert rig.ask("_meter.entry.digits").endswith("4")


def test_keys_are_queued_in_order_while_the_meter_is_busy(rig: Rig) -> None:
    rig.run("runtime.lock.acquire()")  # as during a long verb
    for key in "91914":
        rig.key(key)
    rig.run("runtime.lock.release()")
    rig.tick(2)
    assert rig.ask("_meter.entry.digits") == "91914"


def test_the_last_keys_are_lost_if_the_queue_is_full(rig: Rig) -> None:
    rig.run("runtime.lock.acquire()")
    for _ in range(20):
        rig.key("4")
        rig.key("*")
    rig.run("runtime.lock.release()")
    rig.tick(2)
    assert rig.ask("_meter.entry.digits") == ""
    rig.key("7")
    assert rig.ask("_meter.entry.digits") == "7"


def test_an_expander_works_again_after_a_short_loss_of_power(tmp_path: Path) -> None:
    with Rig("esp32c3_oled", tmp_path) as rig:
        rig.provision()
        rig.tick(5)
        keypad = rig.bench.part("keypad")
        keypad.present = False  # between two scans: no driver sees the loss
        keypad.present = True
        rig.tick(2)
        rig.key("5")
        assert rig.ask("_meter.entry.digits") == "5"
