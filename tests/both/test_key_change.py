"""Tests of key changes: order of the sections, missing sections, time window, power cuts."""

from both_support import (
    KEY,
    KEY11,
    NEW,
    NEW11,
    T0,
    again,
    credit,
    key_change,
    new_meter,
    text,
    token,
)
from jeton.sts.results import TokenResult as R


def test_two_sections_change_the_key_in_any_order():
    for order in ((0, 1), (1, 0)):
        meter, store = new_meter(credit_wh=5000)
        codes = key_change()
        names = [meter.enter(codes[i], T0).result for i in order]
        assert names == [(R.KCT1, R.KCT2)[order[0]], R.ACCEPT]
        assert meter.enter(credit(2000), T0).result == R.CRC
        assert meter.enter(credit(2000, key=NEW), T0).result == R.ACCEPT
        status = again(store).status(T0)
        assert (status["krn"], status["kt"], status["ti"], status["ken"]) == (2, 2, 2, 255)
        assert status["credit_wh"] == 15000
        assert status["sgc"] == "201457"


def test_three_or_four_sections_change_the_key_in_any_order():
    for key, new, three in ((None, NEW, True), (KEY11, NEW11, False)):
        count = 3 if three else 4
        orders = [(2, 1, 0), (1, 2, 0), (2, 0, 1)] if three else [(3, 2, 1, 0), (1, 3, 0, 2)]
        for order in orders:
            meter, _ = new_meter(key) if key else new_meter()
            codes = key_change(new=new, three=True) if three else key_change(key, new)
            assert len(codes) == count
            for i in order[:-1]:
                result = meter.enter(codes[i], T0).result
                assert result == (R.KCT1, R.KCT2, R.KCT3, R.KCT4)[i]
            outcome = meter.enter(codes[order[-1]], T0)
            assert outcome.result == R.ACCEPT
            assert meter.status(T0)["sgc"] == "201458"
            assert meter.enter(credit(2000, key=new), T0).result == R.ACCEPT


def test_the_display_asks_for_missing_sections():
    meter, _ = new_meter(KEY11)
    codes = key_change(KEY11, NEW11)
    outcome = meter.enter(codes[0], T0)
    assert outcome.missing == [2, 3, 4]
    assert text(meter, T0) == ["Key code 1 OK", "Enter code 2"]
    assert meter.enter(codes[2], T0).missing == [2, 4]
    assert meter.status(T0)["pending"] == [1, 3]


def test_a_change_with_two_sections_clears_the_supply_group():
    meter, _ = new_meter(kct=2)
    assert meter.enter(key_change(three=True)[2], T0).result == R.FUNCTION
    for code in key_change():
        meter.enter(code, T0)
    assert meter.status(T0)["sgc"] == "000000"


def test_only_a_rollover_clears_the_token_identifiers():
    for ro in (0, 1):
        meter, _ = new_meter()
        meter.enter(credit(3000), T0)
        for code in key_change(ro=ro):
            meter.enter(code, T0)
        low = meter.enter(credit(5, key=NEW), T0).result
        assert low == (R.ACCEPT if ro else R.OLD)
        assert meter.tids.oldest == (0 if ro else 1000)


def test_only_allowed_key_types_are_accepted():
    allowed = {0: (0, 1, 2), 1: (1, 2), 2: (1, 2)}
    for parent in (0, 1, 2):
        for child in (0, 1, 2, 3):
            meter, _ = new_meter(kt=parent)
            codes = key_change(kt=child)
            assert meter.enter(codes[0], T0).result == R.KCT1
            expected = R.ACCEPT if child in allowed[parent] else R.KEY_TYPE
            assert meter.enter(codes[1], T0).result == expected, (parent, child)
            # Both sections of a refused change are dropped.
            assert meter.status(T0)["pending"] == []
            assert meter.status(T0)["kt"] == (child if expected == R.ACCEPT else parent)


def test_fields_out_of_range_are_refused():
    meter, _ = new_meter()
    for krn in (0, 10, 15):
        assert meter.enter(key_change(krn=krn)[0], T0).result == R.RANGE
    assert meter.enter(key_change(ti=100)[1], T0).result == R.RANGE
    assert meter.enter(key_change(three=True, sgc=1000000)[2], T0).result == R.RANGE
    assert meter.status(T0)["pending"] == []
    big, _ = new_meter(KEY11)
    codes = key_change(KEY11, NEW11, sgc=1000000)
    results = [big.enter(code, T0).result for code in codes]
    assert results == [R.KCT1, R.KCT2, R.KCT3, R.RANGE]
    assert big.enter(credit(2000, key=KEY11), T0).result == R.ACCEPT


def test_a_section_can_be_replaced_and_other_tokens_can_come_between():
    meter, _ = new_meter()
    codes = key_change()
    other = key_change(krn=3)
    assert meter.enter(other[0], T0).result == R.KCT1
    assert meter.enter(codes[0], T0).result == R.KCT1
    assert meter.enter(credit(2000), T0).result == R.ACCEPT
    assert meter.enter("0" * 20, T0).result == R.CRC
    assert meter.enter(codes[1], T0).result == R.ACCEPT
    assert meter.status(T0)["krn"] == 2


def test_an_incomplete_change_is_dropped_after_the_window_and_at_power_up():
    meter, store = new_meter()
    codes = key_change()
    meter.enter(codes[0], T0)
    assert meter.process(T0) <= T0 + 600
    meter.process(T0 + 600)
    assert meter.status(T0 + 600)["pending"] == [1]
    assert meter.enter(codes[1], T0 + 601).result == R.KCT2
    assert "key_change_forgotten" in [e["kind"] for e in meter.events()]
    assert meter.enter(credit(2000), T0 + 602).result == R.ACCEPT
    after = again(store)
    assert after.status(T0 + 603)["pending"] == []
    assert after.enter(codes[0], T0 + 603).result == R.KCT1


def test_ceet_accepts_sections_in_order_within_two_minutes():
    meter, _ = new_meter(profile="ceet")
    codes = key_change(ro=1)
    assert meter.enter(codes[1], T0).result == R.NOT_READY
    assert text(meter, T0) == ["PAS PRET", "ENTRER CODE 1"]
    assert meter.enter(codes[0], T0).result == R.KCT1
    assert meter.enter(codes[1], T0 + 121).result == R.NOT_READY
    assert meter.enter(credit(2000), T0 + 122).result == R.ACCEPT
    assert meter.enter(codes[0], T0 + 130).result == R.KCT1
    assert meter.enter(codes[1], T0 + 250).result == R.ACCEPT
    assert text(meter, T0 + 250) == ["ACCEPT", "CLE MISE A JOUR"]


def test_a_section_entered_again_restarts_the_window():
    meter, _ = new_meter(profile="ceet")
    codes = key_change(ro=1)
    assert meter.enter(codes[0], T0).result == R.KCT1
    assert meter.enter(codes[0], T0 + 100).result == R.KCT1
    assert text(meter, T0 + 100)[1] == "ENTRER CODE 2"
    meter.process(T0 + 220)
    assert meter.status(T0 + 220)["pending"] == [1]
    assert meter.enter(codes[1], T0 + 220).result == R.ACCEPT
    # Also where the profile keeps sections over a power cut.
    changes = {"key_change.window_s": 120, "key_change.keep_at_power_up": True}
    meter, store = new_meter(changes=changes)
    meter.enter(codes[0], T0)
    meter.enter(codes[0], T0 + 100)
    after = again(store, changes)
    assert after.enter(codes[1], T0 + 220).result == R.ACCEPT
    # A refused section replaces nothing and restarts nothing.
    meter, _ = new_meter(profile="ceet")
    meter.enter(codes[0], T0)
    assert meter.enter(key_change(krn=0)[0], T0 + 100).result == R.RANGE
    assert meter.enter(codes[1], T0 + 121).result == R.NOT_READY


def test_a_third_section_with_padding_is_refused():
    meter, _ = new_meter()
    padded = token(2, 8, {"sgc": 201458, "pad": 5})
    assert meter.enter(padded, T0).result == R.FORMAT
    assert meter.status(T0)["pending"] == []


def test_a_dropped_change_is_logged_at_its_time():
    # One call of process passes the end of the window and the end of the credit.
    meter, _ = new_meter(credit_wh=1000, changes={"key_change.window_s": 600})
    meter.enter(key_change()[0], T0)
    meter.set_load(1000, T0)
    meter.process(T0 + 86400)
    found = [(e["kind"], e["time"] - T0) for e in meter.events()]
    at = found.index(("key_change_forgotten", 600))
    assert ("switch_opened", 3600) in found[at:]
    assert [time for _, time in found] == sorted([time for _, time in found])


def test_a_refused_section_does_not_replace_an_accepted_one():
    for key, new in ((KEY, NEW), (KEY11, NEW11)):
        changes = {"key_change.keep_at_power_up": True}
        meter, store = new_meter(key, changes)
        codes = key_change(key, new)
        assert meter.enter(codes[0], T0).result == R.KCT1
        assert meter.enter(key_change(key, new, krn=10)[0], T0).result == R.RANGE
        meter = again(store, changes)
        for code in codes[1:]:
            result = meter.enter(code, T0).result
        assert result == R.ACCEPT
