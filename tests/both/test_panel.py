"""Tests of keypad and display with different profiles and sizes, and of the console's verbs."""

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


def test_a_token_can_be_keyed():
    meter, _ = new_meter()
    twenty = credit(2000, 125)
    assert press(meter, twenty, T0) is None
    shown = text(meter, T0)
    assert shown[0] == "Token      20/20"
    # The digits have scrolled to the left: the display shows the last ones, in groups.
    assert shown[1] == " ".join([twenty[i : i + 4] for i in range(0, 20, 4)])[-16:]
    assert press(meter, "#", T0).result == R.ACCEPT
    assert text(meter, T0) == ["Accepted", "+12.5 kWh"]
    assert text(meter, T0 + 5) == ["Credit       0 W", "       12.50 kWh"]


def test_too_few_or_too_many_digits_are_refused():
    meter, _ = new_meter(credit_wh=50000)
    press(meter, "123**", T0)
    assert meter.entry.digits == "1"
    assert press(meter, "#", T0).result == R.FORMAT
    assert text(meter, T0) == ["Wrong format", "1 of 20 digits"]
    for count in (19, 21, 41, 200):
        assert press(meter, "1" * count + "#", T0).result == R.FORMAT
        assert meter.entry.digits == ""
    assert press(meter, "*#", T0) is None
    assert meter.state.credit_wh == 50000
    raises(ValueError, meter.press, "x", T0)
    raises(ValueError, meter.press, "", T0)
    raises(ValueError, meter.press, "12", T0)


def test_a_number_too_large_for_a_token_is_refused():
    meter, _ = new_meter()
    assert press(meter, "9" * 20 + "#", T0).result == R.FORMAT
    assert text(meter, T0) == ["Wrong format", ""]


def test_an_entry_is_dropped_after_30_s():
    meter, _ = new_meter()
    press(meter, "1234", T0)
    assert meter.process(T0) == T0 + 30
    meter.press("5", T0 + 29)
    assert text(meter, T0 + 58)[0] == "Token       5/20"
    assert text(meter, T0 + 59)[0] == "Emergency? Enter"


def test_enter_shows_the_next_page_and_a_digit_leaves_the_pages():
    meter, _ = new_meter(credit_wh=50000)
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


def test_all_sizes_of_display_are_filled():
    for size in ((2, 16), (2, 20), (4, 16), (4, 20)):
        meter, _ = new_meter(display=list(size), credit_wh=1234560)
        meter.set_load(2300, T0)
        for now in (T0, T0 + 1):
            lines = meter.display(now)
            assert len(lines) == size[0]
            assert [len(line) for line in lines] == [size[1]] * size[0]
        press(meter, "12345678901234", T0 + 2)
        assert "5678" in meter.display(T0 + 2)[1]
    four = [line.rstrip() for line in new_meter(display=[4, 20], credit_wh=51234)[0].display(T0)]
    assert four == [
        "Credit     51.23 kWh",
        "Load             0 W",
        "Total       0.00 kWh",
        "Supply            on",
    ]


def test_60_digits_are_three_tokens():
    tokens = [credit(2000, 10), credit(2001, 20), credit(2002, 30)]
    meter, _ = new_meter(credit_wh=50000)
    assert press(meter, "".join(tokens) + "#", T0).result == R.ACCEPT
    assert meter.state.credit_wh == 56000
    # The display shows the result of each token, one after another.
    seen = [text(meter, T0), text(meter, T0 + 5), text(meter, T0 + 8), text(meter, T0 + 11)]
    assert [page[1] for page in seen[:3]] == ["+1.0 kWh", "+2.0 kWh", "+3.0 kWh"]
    assert seen[3] == ["Credit       0 W", "       56.00 kWh"]
    # One of them is wrong: the others are accepted.
    tokens = [credit(2003, 10), credit(2000, 20)]
    assert press(meter, "".join(tokens) + "#", T0).result == R.USED
    assert meter.state.credit_wh == 57000
    meter, _ = new_meter(profile="ceet", credit_wh=50000)
    assert press(meter, "".join(tokens) + "#", T0).result == R.FORMAT
    assert text(meter, T0) == ["FORMAT ERRONE", "40/20 CHIFFRES"]
    assert meter.state.credit_wh == 50000


def test_result_and_amount_show_in_turn_while_the_keypad_is_locked():
    meter, _ = new_meter(profile="clou", credit_wh=50000)
    press(meter, credit(2000, 125), T0)
    assert text(meter, T0)[0] == "Token      20/20"
    press(meter, "#", T0)
    # The result for 3 s, then the amount for 5 s; keys have no effect in this time.
    assert text(meter, T0 + 2) == ["Accepted", ""]
    assert meter.process(T0 + 2) == T0 + 3
    press(meter, "#", T0 + 2)  # a second Enter is a habit: the meter says nothing about it
    assert text(meter, T0 + 2) == ["Accepted", ""]
    press(meter, "5*", T0 + 2)
    assert text(meter, T0 + 2) == ["Accepted", "Keys locked"]
    assert text(meter, T0 + 3) == ["+12.5 kWh", "Keys locked"]
    press(meter, "5", T0 + 7)
    assert text(meter, T0 + 7) == ["+12.5 kWh", "Keys locked"]
    assert text(meter, T0 + 8)[0].startswith("Credit")
    press(meter, "5", T0 + 8)
    assert text(meter, T0 + 8) == ["Token       1/20", "               5"]
    # If the keypad is not locked, a digit begins the next token.
    meter, _ = new_meter(credit_wh=50000)
    press(meter, credit(2000, 125) + "#7", T0)
    assert text(meter, T0)[0] == "Token       1/20"


def test_separator_and_counter_follow_the_profile():
    for name, shown in (
        ("clou", ["Token      11/20", "   1234-5678-901"]),
        ("landis_gyr", ["Token", "   1234.5678.901"]),
        ("generic", ["Token      11/20", "   1234 5678 901"]),
    ):
        meter, _ = new_meter(profile=name)
        press(meter, "12345678901", T0)
        assert text(meter, T0) == shown, name
        meter = _ = None  # a small heap has no room for a second meter


def test_two_quick_backspaces_clear_the_entry():
    meter, _ = new_meter(profile="landis_gyr", credit_wh=50000)
    press(meter, "1234*", T0)
    assert meter.entry.digits == "123"
    press(meter, "*", T0 + 1)
    assert text(meter, T0 + 1)[0].startswith("Credit")


def test_the_twentieth_digit_enters_the_token():
    meter, _ = new_meter(profile="landis_gyr")
    assert press(meter, credit(2000, 10), T0).result == R.ACCEPT
    assert text(meter, T0) == [":-)", "+1.0 kWh"]


def test_a_result_flashes_if_the_profile_sets_it():
    for name, flashes in (("conlog", True), ("generic", False)):
        meter, _ = new_meter(profile=name)
        assert not meter.flashes(T0)
        meter.enter(credit(2000, 10), T0)
        result_s = meter.profile.screens_result_s
        assert meter.flashes(T0 + result_s - 1) == flashes
        assert not meter.flashes(T0 + result_s)


def test_the_idle_screen_shows_alarms():
    meter, _ = new_meter(credit_wh=50000)
    assert text(meter, T0)[0] == "Credit       0 W"
    meter.set_load(2300, T0)
    meter.use_energy(45500, T0)
    assert text(meter, T0) == ["Low credit", "2300 W  4.50 kWh"]
    meter.set_tamper(True, T0)
    # Several alarms take turns, one page each.
    page_s = meter.profile.screens_page_s
    first = T0 - T0 % (2 * page_s) + 2 * page_s
    assert [text(meter, first + i * page_s)[0] for i in range(3)] == [
        "Tampered",
        "Low credit",
        "Tampered",
    ]
    meter, _ = new_meter(profile="ceet", display=[4, 20])
    assert text(meter, T0)[2] == meter.profile.say("no_credit")
    assert text(meter, T0)[3].endswith(meter.profile.say("off"))


def test_a_key_mutes_the_alarm_if_the_profile_allows():
    for name in ("generic", "hexing"):
        meter, _ = new_meter(profile=name, credit_wh=50000)
        meter.use_energy(48000, T0)
        assert meter.status(T0)["alarm"]
        press(meter, "5", T0)
        assert meter.status(T0)["alarm"] != meter.profile.credit_mute_any_key
        press(meter, "*", T0)
    press(meter, "045#", T0)
    assert text(meter, T0)[0] == "Alarm muted"
    assert not meter.status(T0)["alarm"]


def test_enter_takes_offered_emergency_credit_once():
    meter, _ = new_meter()
    assert text(meter, T0) == ["Emergency? Enter", "OFF     0.00 kWh"]
    press(meter, "#", T0)
    assert text(meter, T0) == ["Emergency", "5.00 kWh"]
    press(meter, "##", T0)
    assert meter.state.credit_wh == 5000
    assert text(meter, T0)[0] == "Low credit"


def test_arabic_is_shown_from_right_to_left():
    meter, _ = new_meter(profile="somelec", display=[2, 16, 1], credit_wh=50000)
    say = meter.profile.say
    assert meter.profile.rtl
    lines = meter.display(T0)
    assert lines[0].endswith(say("credit"))
    assert lines[0].startswith("0 W")
    assert lines[1].startswith("50.00 kWh")
    meter.enter(credit(2000, 10), T0)
    assert meter.display(T0)[0] == " " * (16 - len(say("Accept"))) + say("Accept")
    # A character display cannot draw Arabic: the meter uses the second language.
    meter, _ = new_meter(profile="somelec", credit_wh=50000)
    assert not meter.profile.rtl
    assert meter.display(T0)[0].startswith(meter.profile.say("credit"))


def test_kwh_is_truncated_not_rounded():
    assert kwh(1999) == "1.99 kWh"
    assert kwh(-5) == "0.00 kWh"
    assert kwh(-1050) == "-1.05 kWh"
    assert kwh(12500, 1) == "12.5 kWh"
    # No word is truncated: if space is short, drop the unit, then the label.
    assert row("Credit", "999.99 kWh", 16) == "Credit    999.99"
    assert row("Credit", "9999999.99 kWh", 16) == "  9999999.99 kWh"
    assert row("Credit", "9999999.99 kWh", 16, True) == "9999999.99 kWh  "
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


def test_each_verb_answers_with_json():
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


def test_a_wrong_request_gets_one_line_of_error():
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
    assert len(VERBS) == 28


def test_a_request_with_one_wrong_key_presses_no_key():
    rig = console()
    call(rig, "provision", CONFIG)
    assert "keypad" in call(rig, "press", "70630503470028726114#x")["error"]
    assert call(rig, "status")["ok"]["credit_wh"] == 0
    assert call(rig, "press", "")["ok"]["display"][0] == "Emergency? Enter"


def test_the_clock_stops_at_its_largest_value():
    rig = console()
    call(rig, "provision", dict(CONFIG, clock=0xFFFFFFFF - 5))
    rig._clock.advance(1000)
    assert call(rig, "status")["ok"]["clock"] == 0xFFFFFFFF
    assert "error" in call(rig, "advance", 1)


def test_a_full_flash_is_reported_in_words():
    rig = console()
    call(rig, "provision", CONFIG)
    rig._meter._storage.full = True
    assert call(rig, "enter", "70630503470028726114")["error"] == "the flash is full"
    assert call(rig, "status")["ok"]["credit_wh"] == 0


def test_a_clock_at_rate_0_moves_only_by_advance():
    clock = Clock()
    clock.set(1000)
    clock.rate = 0
    assert [clock.now(), clock.advance(5), clock.now()] == [1000, 1005, 1005]
