"""Keypad and display: what is keyed, what is seen, in every profile and size of display."""

import json

from both_support import T0, Store, credit, new_meter, profiles, raises, text
from drivers.clock import Clock
from jeton.console import VERBS, Console
from jeton.meter import Meter
from jeton.screens import kwh, row
from jeton.sts.results import TokenResult as R


def press(meter, keys, now):
    outcome = None
    for key in keys:
        outcome = meter.press(key, now) or outcome
    return outcome


def test_token_by_keypad():
    meter, _ = new_meter()
    twenty = credit(2000, 125)
    assert press(meter, twenty, T0) is None
    shown = text(meter, T0)
    assert shown[0] == "Token      20/20"
    # The digits have scrolled to the left: the last ones are seen, in groups.
    assert shown[1] == " ".join([twenty[i : i + 4] for i in range(0, 20, 4)])[-16:]
    assert press(meter, "#", T0).result == R.ACCEPT
    assert text(meter, T0) == ["Accepted", "+12.5 kWh"]
    assert text(meter, T0 + 5) == ["Credit       0 W", "       12.50 kWh"]


def test_backspace_and_enter_with_too_few_or_too_many():
    meter, _ = new_meter()
    press(meter, "123**", T0)
    assert meter.entry.digits == "1"
    assert press(meter, "#", T0).result == R.FORMAT
    assert text(meter, T0) == ["Wrong format", "1 digits not 20"]
    for count in (40, 60, 200):
        assert press(meter, "1" * count + "#", T0).result == R.FORMAT
        assert meter.entry.digits == ""
    assert press(meter, "*#", T0) is None
    assert meter.state.credit_wh == 0
    raises(ValueError, meter.press, "x", T0)
    raises(ValueError, meter.press, "", T0)
    raises(ValueError, meter.press, "12", T0)


def test_twenty_digits_that_are_no_token():
    meter, _ = new_meter()
    assert press(meter, "9" * 20 + "#", T0).result == R.FORMAT
    assert text(meter, T0) == ["Wrong format", ""]


def test_an_entry_left_alone_is_dropped():
    meter, _ = new_meter()
    press(meter, "1234", T0)
    assert meter.process(T0) == T0 + 30
    meter.press("5", T0 + 29)
    assert text(meter, T0 + 58)[0] == "Token       5/20"
    assert text(meter, T0 + 59)[0] == "Credit       OFF"


def test_enter_turns_pages_and_a_digit_leaves_them():
    meter, _ = new_meter()
    meter.enter("18446744073843772416", T0)  # test 4
    assert text(meter, T0) == ["KRN / key type", "1 / 2"]
    meter.press("#", T0)
    assert text(meter, T0)[0].startswith("Credit")
    meter.enter("56493153725450313471", T0)  # test 0
    first = text(meter, T0)
    meter.press("#", T0)
    assert text(meter, T0) != first
    meter.press("7", T0)
    assert text(meter, T0)[0] == "Token       1/20"


def test_displays_of_two_and_four_lines():
    for size in ((2, 16), (2, 20), (4, 16), (4, 20)):
        meter, _ = new_meter(display=list(size), credit_wh=1234560)
        meter.set_load(2300, T0)
        for now in (T0, T0 + 1):
            lines = meter.display(now)
            assert len(lines) == size[0]
            assert [len(line) for line in lines] == [size[1]] * size[0]
        press(meter, "12345678901234", T0 + 2)
        assert "5678" in meter.display(T0 + 2)[1]
    four = [line.rstrip() for line in new_meter(display=[4, 20], credit_wh=1234)[0].display(T0)]
    assert four == [
        "Credit      1.23 kWh",
        "Load             0 W",
        "Total       0.00 kWh",
        "Supply            on",
    ]


def test_kwh_is_cut_not_rounded():
    assert kwh(1999) == "1.99 kWh"
    assert kwh(-5) == "0.00 kWh"
    assert kwh(-1050) == "-1.05 kWh"
    assert kwh(12500, 1) == "12.5 kWh"
    assert row("Credit", "9999999.99 kWh", 16) == "C 9999999.99 kWh"
    assert row("x", "y" * 30, 16) == "y" * 16


def console():
    meter = Meter(Store(), profiles)
    meter.start()
    clock = Clock()
    clock.rate = 0
    return Console(meter, clock, dict)


def call(rig, *request):
    return json.loads(rig.rpc(json.dumps(list(request))))


CONFIG = {"drn": "00000000000", "decoder_key": "87f3ecbb2e46b48f", "clock": T0, "tid0": 1}


def test_verbs_answer_in_json():
    rig = console()
    assert call(rig, "provision", CONFIG)["ok"]["clock"] == T0
    assert call(rig, "enter", "7063 0503 4700 2872 6114")["ok"]["amount_wh"] == 100
    assert call(rig, "tid", 85740)["ok"] == "UsedError"
    assert call(rig, "load", 100)["ok"]["load_w"] == 100
    assert call(rig, "advance", 1800)["ok"]["credit_wh"] == 50
    assert call(rig, "consume", 10)["ok"]["credit_wh"] == 40
    assert call(rig, "tamper", True)["ok"]["tamper"] is True
    assert call(rig, "clock", T0 - 5)["ok"] == T0 - 5
    assert call(rig, "rate", 5)["ok"]["rate"] == 5
    assert call(rig, "press", "12")["ok"]["display"][0].rstrip() == "Token       2/20"
    assert call(rig, "display")["ok"]["cols"] == 16
    assert call(rig, "info")["ok"]["drn"] == "00000000000"
    assert call(rig, "events", 1)["ok"][0]["seq"] == 2
    assert "decoder_key" not in rig.rpc('["status"]') + rig.rpc('["info"]')
    assert "87f3ecbb" not in "".join([rig.rpc('["%s"]' % v) for v in ("status", "info", "events")])


def test_requests_that_are_wrong_are_answered_in_one_line():
    rig = console()
    call(rig, "provision", CONFIG)
    before = rig._meter.state.pack()
    for line in (
        "",
        "{",
        "[]",
        "5",
        "null",
        '{"verb": "enter"}',
        '["nothing"]',
        '["rpc", "[]"]',
        '["_outcome"]',
        '["enter"]',
        '["enter", 5]',
        '["enter", "1", "2"]',
        '["press", "x"]',
        '["press", null]',
        '["advance", -1]',
        '["advance", 1e3]',
        '["advance", "5"]',
        '["advance", 99999999999]',
        '["load", -5]',
        '["load", 1.5]',
        '["clock", -1]',
        '["rate", -1]',
        '["tid", 16777216]',
        '["events", "x"]',
        '["provision"]',
        '["provision", []]',
        '["provision", {"drn": "00000000000", "decoder_key": "87f3ecbb2e46b48f", "clock": -1}]',
        '["consume", -1]',
        "[[]]",
    ):
        answer = json.loads(rig.rpc(line))
        assert list(answer) == ["error"], line
        assert answer["error"], line
        assert "\n" not in answer["error"], line
    assert rig._meter.state.pack() == before
    assert len(VERBS) == 15


def test_a_wrong_key_among_others_presses_none():
    rig = console()
    call(rig, "provision", CONFIG)
    assert "keypad" in call(rig, "press", "70630503470028726114#x")["error"]
    assert call(rig, "status")["ok"]["credit_wh"] == 0
    assert call(rig, "press", "")["ok"]["display"][0].startswith("Credit")


def test_the_clock_stands_still_at_its_end():
    rig = console()
    call(rig, "provision", dict(CONFIG, clock=0xFFFFFFFF - 5))
    rig._clock.advance(1000)
    assert call(rig, "status")["ok"]["clock"] == 0xFFFFFFFF
    assert "error" in call(rig, "advance", 1)


def test_an_error_of_the_flash_is_told_in_words():
    rig = console()
    call(rig, "provision", CONFIG)
    rig._meter._storage.full = True
    assert call(rig, "enter", "70630503470028726114")["error"] == "the flash is full"
    assert call(rig, "status")["ok"]["credit_wh"] == 0


def test_clock_rate():
    clock = Clock()
    clock.set(1000)
    clock.rate = 0
    assert [clock.now(), clock.advance(5), clock.now()] == [1000, 1005, 1005]
