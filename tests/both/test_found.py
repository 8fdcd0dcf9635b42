"""Tests for faults found in long or unusual use: set clocks, debts, several tokens at once."""

from both_support import T0, again, class1, credit, new_meter, raises, text, token
from jeton import history
from jeton.sts.results import TokenResult as R

DAY = 86400
MIDNIGHT = T0 // DAY * DAY
OTHER = bytes.fromhex("0123456789abcdef")


def test_setting_the_clock_back_and_forth_keeps_the_history():
    meter, _ = new_meter(credit_wh=9_000_000)
    meter.clock_set(T0, MIDNIGHT)
    meter.set_load(1000, MIDNIGHT)
    now = MIDNIGHT + 200 * DAY
    meter.process(now)
    before = meter.history(now)
    assert len(before["days"]) == 32
    for _ in range(40):
        for to in (now - 28 * DAY, now - 40 * DAY, now):
            meter.clock_set(meter.state.clock, to)
            meter.process(to)
    after = meter.history(now)
    assert after["months"] == before["months"]
    assert sum([entry["wh"] for entry in after["months"]]) == 200 * 24_000
    # Days set back to are added once each; the oldest days are dropped for them.
    assert after["days"][-28:] == before["days"][-28:]
    assert len({entry["date"] for entry in after["days"]}) == len(after["days"])
    # A day that continues after the clock was set shows its full total, on display and client.
    meter.clock_set(now, now - DAY + 3600)
    now += 3600 - DAY
    assert meter.history(now)["days"][-1]["wh"] == 24_000
    assert meter.state.total_wh - meter.state.day_from_wh == 24_000
    assert history.today_wh(meter.state) == 24_000


def test_a_repeated_load_follows_the_clock():
    meter, _ = new_meter(credit_wh=900_000)
    day = [[0, 100], [18 * 3600, 900]]
    meter.clock_set(T0, MIDNIGHT)
    meter.set_load_steps(day, MIDNIGHT, MIDNIGHT, DAY)
    meter.clock_set(MIDNIGHT + 60, MIDNIGHT + 17 * 3600)
    assert meter.state.load_w == 100
    meter.process(MIDNIGHT + 18 * 3600)
    assert meter.state.load_w == 900
    meter.clock_set(MIDNIGHT + 18 * 3600, MIDNIGHT - 5 * DAY + 3600)
    assert meter.state.load_w == 100
    meter.process(MIDNIGHT - 5 * DAY + 18 * 3600)
    assert meter.state.load_w == 900


def test_energy_without_credit_becomes_debt_or_is_reported_as_uncharged():
    changes = {"credit.never_cut": True, "credit.min_wh": -2000}
    meter, _ = new_meter(changes=changes, credit_wh=1000)
    meter.set_load(1000, T0)
    ledger = meter.ledger(T0 + 5 * 3600)
    assert (ledger["credit_wh"], ledger["charged_wh"], ledger["uncharged_wh"]) == (
        -2000,
        3000,
        2000,
    )


def test_a_report_is_given_only_after_its_number_is_saved():
    meter, store = new_meter(credit_wh=9000)
    meter.set_load(600, T0)
    meter.enter(token(2, 0, {"rnd": 1, "tid": 2000, "mpl": 500}), T0)
    store.full = True
    meter.process(T0 + 40)
    assert "full" in meter.store_error
    raises(OSError, meter.reports, T0 + 40)
    store.full = False
    first = meter.reports(T0 + 50)
    assert [(report["seq"], report["kind"]) for report in first] == [(1, "trip")]
    assert again(store).reports(T0 + 60) == first


def test_a_new_meter_reports_no_credit():
    meter, _ = new_meter()
    assert meter.status(T0)["switch_reason"] == "no_credit"


def test_a_mistyped_test_token_does_not_count_as_a_guess():
    meter, _ = new_meter(profile="clou")
    digits = class1(4)
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    for _ in range(9):
        assert meter.enter(wrong, T0).result == R.CRC
    assert meter.status(T0)["lock_until"] is None
    for _ in range(3):
        meter.enter(credit(2000, key=OTHER), T0)
    until = meter.status(T0)["lock_until"]
    assert until == T0 + 10
    assert meter.enter(wrong, T0 + 1).result == R.CRC
    assert meter.status(T0 + 1)["lock_until"] == until


def test_each_of_several_tokens_has_a_result():
    good, foreign, late = credit(2000, 10), credit(2001, 10, OTHER), credit(2002, 20)
    for how in ("line", "keys"):
        meter, _ = new_meter()
        if how == "line":
            outcome = meter.enter(good + foreign + late, T0)
        else:
            for key in good + foreign + late:
                meter.press(key, T0)
            outcome = meter.press("#", T0)
        found = [before["result"] for before in outcome.as_dict()["earlier"]]
        assert found + [outcome.result] == [R.ACCEPT, R.CRC, R.ACCEPT]
        assert meter.state.credit_wh == 3000
    meter, _ = new_meter(profile="ceet")
    assert meter.enter(good + late, T0).result == R.FORMAT


def test_enter_after_the_last_digit_keeps_the_result_and_borrows_nothing():
    meter, _ = new_meter(profile="landis_gyr")
    for key in credit(2000, key=OTHER):
        meter.press(key, T0)
    meter.press("#", T0)
    meter.press("#", T0)
    assert text(meter, T0)[0] == ":-("
    assert meter.state.emergency_wh == 0


def test_enter_borrows_nothing_if_emergency_credit_needs_a_code():
    for name in ("eneo", "hexing"):
        meter, _ = new_meter(profile=name)
        meter.press("#", T0)
        assert meter.state.emergency_wh == 0
        for key in "811#":
            meter.press(key, T0)
        assert meter.state.emergency_wh > 0
        assert "811" in " ".join(new_meter(profile=name)[0].display(T0))


def test_the_repaid_amount_is_shown():
    meter, _ = new_meter(changes={"screens.amount_s": None, "screens.result_s": 5})
    meter.emergency(T0)
    meter.enter(credit(2000, 120), T0)
    assert text(meter, T0) == ["Accepted", "+12.0 kWh"]
    assert text(meter, T0 + 5) == ["Repaid", "5.00 kWh"]
