"""Tests of short codes: each code of each profile shows a page; known codes show their values."""

from both_support import PROFILES, T0, class1, credit, new_meter, raises, text
from jeton import shortcodes
from jeton.sts.results import TokenResult as R


def keys(profile, code):
    """Return the keys to press for a short code."""
    if profile.codes_start == "#":
        return "#" + code + "#"
    by_itself = profile.codes_start and len(code) == profile.codes_digits
    return profile.codes_start + code + ("" if by_itself else "#")


def press(meter, pressed, now=T0):
    outcome = None
    for key in pressed:
        outcome = meter.press(key, now) or outcome
    return outcome


def shown(meter, code, now=T0):
    assert press(meter, keys(meter.profile, code), now) is None
    return text(meter, now)


def codes(profile):
    """Return the short codes of a profile; of a range, the first and the last."""
    found = []
    for code in profile.codes_show:
        found += code.split("-")
    return found


def test_every_code_of_every_profile_shows_a_page():
    for name in PROFILES:
        for size in ((2, 16), (4, 20)):
            meter, _ = new_meter(profile=name, credit_wh=50000, display=list(size))
            meter.enter(credit(2000, 50), T0)
            meter.screen.clear()
            idle = text(meter, T0)
            unknown = meter.profile.say("no_code")
            for code in codes(meter.profile):
                lines = shown(meter, code)
                assert lines != idle, (name, code)
                assert lines[0].strip() not in ("", unknown), (name, code, lines)
                for page in meter.screen._pages:
                    for line in page:
                        assert len(line) <= size[1], (name, code, line)
                if meter.profile.codes_start == "#":
                    continue  # here "#" starts the next code; it does not turn pages
                # Enter shows the next page, and after the last one the idle screen.
                for _ in range(3):
                    if meter.screen.deadline(T0):
                        press(meter, "#")
                assert meter.screen.deadline(T0) is None, (name, code)


def test_every_page_fits_every_display():
    whats = set(shortcodes._TESTS)
    for name in PROFILES:
        whats |= set(new_meter(profile=name)[0].profile.codes_show.values())
    whats |= {"credit", "total", "load", "last_result", "last_token", "last_amount", "last_tid"}
    whats |= {"history_token", "power_fails", "date", "advance", "emergency", "mute", "day"}
    whats |= {"month", "index"}
    for token in (None, credit(2000, 125)):
        for size in ((2, 16), (2, 20), (4, 16), (4, 20)):
            meter, _ = new_meter(display=list(size))
            if token:
                assert meter.enter(token, T0).result == R.ACCEPT
            for what in whats:
                pages = shortcodes.show(what, meter, T0)
                assert len(pages) > 0, what
                for page in pages:
                    assert 0 < len(page) <= 2, what
                    assert all(0 < len(line) <= size[1] for line in page), (what, page)
    raises(ValueError, shortcodes.show, "nothing", meter, T0)


def test_codes_show_the_last_token():
    meter, _ = new_meter()
    for code in ("105", "106", "107", "108"):
        assert shown(meter, code)[1] == "-", code
    token = credit(2000, 125)
    meter.enter(token, T0)
    meter.enter("1" * 20, T0 + 60)
    now = T0 + 100
    assert shown(meter, "105", now) == ["Last result   13", "Rejected"]
    assert shown(meter, "106", now) == ["Last token", "2025-05-08 06:13"]
    press(meter, "#", now)
    assert text(meter, now) == [
        " ".join([token[i : i + 4] for i in range(0, 12, 4)]),
        " ".join([token[12:16], token[16:]]),
    ]
    assert shown(meter, "107", now) == ["Last amount", "12.5 kWh"]
    assert shown(meter, "108", now) == ["Last TID", "2000"]
    assert shown(meter, "110", now) == ["Date", "2025-05-08 06:15"]


def test_codes_show_the_registers():
    meter, _ = new_meter(credit_wh=20000)
    meter.set_load(2000, T0)
    now = T0 + 3600
    assert shown(meter, "07", now) == ["Credit", "18.00 kWh"]
    assert shown(meter, "65", now) == ["Meter number", "00000000000"]
    assert shown(meter, "100", now) == ["Total", "2.00 kWh"]
    assert shown(meter, "101", now) == ["Load", "2000 W"]
    assert shown(meter, "103", now) == ["Used today", "2.00 kWh"]
    assert shown(meter, "104", now) == ["Used this month", "2.00 kWh"]
    assert shown(meter, "112", now) == ["KRN / key type", "1 / 2"]
    assert shown(meter, "113", now) == ["Supply group", "201457"]


def test_codes_begin_with_the_key_of_the_maker():
    meter, _ = new_meter(profile="conlog")
    assert shown(meter, "005") == ["KRN / key type", "1 / 2"]
    press(meter, "#00")
    assert text(meter, T0) == ["Code", "             #00"]
    press(meter, "5#")
    meter.enter("1" * 20, T0)
    assert shown(meter, "078") == ["Last result   13", "AAAAAAA"]
    assert shown(meter, "999") == ["Unknown code", "999"]
    meter, _ = new_meter(profile="landis_gyr", credit_wh=12340)
    press(meter, "i00")
    assert text(meter, T0) == ["Code", "             i00"]
    press(meter, "2")
    assert text(meter, T0) == ["Credit", "12.34 kWh"]
    for key in "ix":
        raises(ValueError, new_meter()[0].press, key, T0)


def test_the_history_begins_with_the_newest_token():
    meter, _ = new_meter(profile="landis_gyr", credit_wh=100)
    assert shown(meter, "301") == ["Token -1", "-"]
    for i in range(3):
        meter.enter(credit(2000 + i, 10 + i), T0 + 60 * i)
        meter.enter(class1(4), T0 + 60 * i)
    now = T0 + 300
    assert shown(meter, "301", now) == ["Token -1", "2025-05-08 06:15"]
    press(meter, "#", now)
    assert text(meter, now) == ["Token -1", "1.2 kWh"]
    assert shown(meter, "303", now) == ["Token -3", "2025-05-08 06:13"]
    assert shown(meter, "304", now) == ["Token -4", "-"]
    assert shown(meter, "350", now) == ["Token -50", "-"]


def test_a_code_borrows_units():
    meter, _ = new_meter(profile="eneo", credit_wh=20000)
    say = meter.profile.say
    assert shown(meter, "811")[1] == say("emergency_not_needed")
    meter.use_energy(19000, T0)
    assert shown(meter, "811") == [say("emergency"), "10.00 kWh"]
    assert meter.state.credit_wh == 11000
    assert shown(meter, "811")[1] == say("emergency_used")
    assert meter.state.credit_wh == 11000
    # Repaid first from the next credit; then it may be taken again.
    meter.enter(credit(2000, 150), T0)
    assert meter.state.credit_wh == 16000
    assert shown(meter, "811")[1] == say("emergency_not_needed")


def test_a_meter_without_a_key_shows_that_it_is_not_set_up():
    meter, _ = new_meter()
    meter.state.provisioned = 0
    assert text(meter, T0)[0] == "Not set up"
