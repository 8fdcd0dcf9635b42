"""Tests of low credit, alarm, emergency credit, advances, friendly hours, negative balances."""

from both_support import T0, again, credit, new_meter, raises, token
from jeton import credit as rules
from jeton.sts.results import TokenResult as R

DAY = 86400
MIDNIGHT = T0 // DAY * DAY  # Thursday, 2025-05-08
HOUR = 3600


def kinds(meter, *wanted):
    return [(e["time"], e["kind"]) for e in meter.events() if e["kind"] in wanted]


def balanced(meter):
    """Return whether the entries of the ledger add up to the credit register."""
    s = meter.state
    total = s.initial_wh + s.tokens_wh + s.advances_wh + s.emergency_wh
    total -= s.charged_wh + s.recovered_wh + s.cleared_wh
    return total == s.credit_wh


EMERGENCY = {
    "credit.emergency_wh": 5000,
    "credit.emergency_offer_wh": 1000,
    "credit.emergency_by": "enter",
    "credit.low_wh": None,
    "credit.alarm_wh": None,
    "credit.min_wh": 0,
}


def test_low_credit_and_alarm_start_on_the_second_and_once_per_descent():
    changes = {"credit.low_wh": 2000, "credit.alarm_wh": 1000, "credit.mute_any_key": True}
    meter, _ = new_meter(changes=changes, credit_wh=3000)
    meter.set_load(1000, T0)
    assert not meter.status(T0 + HOUR - 1)["low_credit"]
    status = meter.status(T0 + HOUR)
    assert (status["low_credit"], status["alarm"]) == (True, False)
    assert meter.status(T0 + 2 * HOUR)["alarm"]
    assert kinds(meter, "low_credit", "alarm") == [
        (T0 + HOUR, "low_credit"),
        (T0 + 2 * HOUR, "alarm"),
    ]
    meter.press("5", T0 + 2 * HOUR + 5)
    assert not meter.status(T0 + 2 * HOUR + 5)["alarm"]
    # The alarm stays muted until the credit has been above the level.
    assert not meter.status(T0 + 2 * HOUR + 600)["alarm"]
    meter.enter(credit(2000, 20), T0 + 2 * HOUR + 600)
    assert not meter.status(T0 + 2 * HOUR + 600)["low_credit"]
    assert meter.status(T0 + 5 * HOUR)["alarm"]
    assert len(kinds(meter, "low_credit", "alarm")) == 4


def test_a_code_mutes_an_alarm_that_keys_do_not_mute():
    changes = {"credit.low_wh": 2000, "credit.alarm_wh": 1000, "credit.mute_any_key": False}
    meter, store = new_meter(changes=changes, credit_wh=900)
    assert meter.status(T0)["alarm"]
    meter.press("5", T0)
    assert meter.status(T0)["alarm"]
    meter.mute(T0)
    assert not meter.status(T0)["alarm"]
    assert not again(store, changes).status(T0)["alarm"]


def test_emergency_credit_is_given_once_and_repaid_first():
    meter, store = new_meter(changes=EMERGENCY, credit_wh=1500)
    assert meter.emergency(T0) == (False, "not_needed")
    meter.set_load(1000, T0)
    assert not meter.status(T0 + 1799)["emergency"]
    assert meter.status(T0 + 1800)["emergency"]
    assert meter.emergency(T0 + 1800) == (True, "")
    assert meter.state.credit_wh == 6000
    assert meter.emergency(T0 + 1800) == (False, "used")
    meter.process(T0 + 1800 + 6 * HOUR)
    assert not meter.state.switch_closed
    now = T0 + 9 * HOUR
    # A token smaller than the debt only reduces the debt: no supply, no second offer.
    outcome = meter.enter(credit(2000, 30), now)
    assert (outcome.amount_wh, outcome.repaid_wh) == (3000, 3000)
    assert (meter.state.credit_wh, meter.state.emergency_debt_wh) == (0, 2000)
    assert not meter.state.switch_closed
    meter = again(store, EMERGENCY)
    assert meter.emergency(now) == (False, "used")
    outcome = meter.enter(credit(2001, 30), now)
    assert outcome.repaid_wh == 2000
    assert (meter.state.credit_wh, meter.state.emergency_debt_wh) == (1000, 0)
    assert meter.state.switch_closed
    assert meter.emergency(now) == (True, "")
    assert balanced(meter)
    none, _ = new_meter(changes={"credit.emergency_wh": 0})
    assert none.emergency(T0) == (False, "none")


def test_emergency_credit_restores_the_supply():
    meter, _ = new_meter(changes=EMERGENCY)
    assert not meter.state.switch_closed
    assert meter.emergency(T0)[0]
    assert meter.state.switch_closed


def test_automatic_emergency_credit_starts_without_a_gap():
    changes = dict(EMERGENCY)
    changes["credit.emergency_by"] = "auto"
    meter, _ = new_meter(changes=changes, credit_wh=1000)
    meter.set_load(7000, T0)
    meter.process(T0 + DAY)
    # 6 kWh at 7 kW, without a gap: 3085.7 s.
    opened = kinds(meter, "switch_opened", "emergency")
    assert opened == [(T0 + 515, "emergency"), (T0 + 3086, "switch_opened")]
    assert meter.state.total_wh == 6000
    assert balanced(meter)


def test_each_token_repays_a_share_of_an_advance():
    changes = dict(EMERGENCY)
    changes["credit.advance_share"] = 30
    meter, _ = new_meter(changes=changes, credit_wh=100)
    meter.grant(4000, T0)
    assert (meter.state.credit_wh, meter.state.advance_debt_wh) == (4100, 4000)
    outcome = meter.enter(credit(2000, 100), T0)
    assert (outcome.repaid_wh, outcome.recovered_wh) == (0, 3000)
    assert meter.state.credit_wh == 4100 + 7000
    outcome = meter.enter(credit(2001, 100), T0)
    assert outcome.recovered_wh == 1000
    assert meter.state.advance_debt_wh == 0
    assert meter.enter(credit(2002, 100), T0).recovered_wh == 0
    assert balanced(meter)


def test_a_token_repays_emergency_credit_before_advances():
    changes = dict(EMERGENCY)
    changes["credit.advance_share"] = 50
    meter, _ = new_meter(changes=changes)
    meter.emergency(T0)
    meter.grant(9000, T0)
    outcome = meter.enter(credit(2000, 60), T0)
    assert (outcome.repaid_wh, outcome.recovered_wh) == (5000, 1000)
    assert meter.state.credit_wh == 14000
    assert balanced(meter)


def test_advances_are_refused_if_not_possible():
    meter, store = new_meter(changes={"credit.advance_share": 0}, credit_wh=5)
    before = bytes(store.record)
    assert "no advances" in raises(ValueError, meter.grant, 100, T0)
    assert bytes(store.record) == before
    meter, _ = new_meter(changes={"credit.advance_share": 10, "credit.max_wh": 1000})
    assert "more than" in raises(ValueError, meter.grant, 1001, T0)
    for wh in (0, -5, True, "5"):
        raises(ValueError, meter.grant, wh, T0)
    assert balanced(meter)


FRIENDLY = {
    # Thursday from 18:00 to Friday 09:00, as seconds of the week from Monday.
    "credit.friendly": [3 * DAY + 18 * HOUR, 4 * DAY + 9 * HOUR],
    "credit.holidays": [],
    "credit.min_wh": -99999990,
    "credit.emergency_wh": 0,
    "credit.low_wh": None,
    "credit.alarm_wh": None,
}


def test_friendly_hours_end_on_the_second_and_make_a_debt():
    meter, _ = new_meter(changes=FRIENDLY, credit_wh=12_000)
    meter.set_load(1000, MIDNIGHT + 7 * HOUR)
    meter.process(MIDNIGHT + 3 * DAY)
    # Credit ends at 19:00; supply stays on until 09:00.
    assert kinds(meter, "switch_opened") == [(MIDNIGHT + DAY + 9 * HOUR, "switch_opened")]
    assert meter.state.credit_wh == -14_000
    assert meter.state.total_wh == 26_000
    assert balanced(meter)
    now = MIDNIGHT + 3 * DAY
    meter.enter(credit(2000, 100), now)
    assert meter.state.credit_wh == -4000
    assert not meter.state.switch_closed
    meter.enter(credit(2001, 100), now)
    assert meter.state.credit_wh == 6000
    assert meter.state.switch_closed


def test_outside_friendly_hours_supply_ends_with_the_credit():
    meter, _ = new_meter(changes=FRIENDLY, credit_wh=1000)
    meter.set_load(1000, MIDNIGHT + 7 * HOUR)
    meter.process(MIDNIGHT + 2 * DAY)
    assert kinds(meter, "switch_opened") == [(MIDNIGHT + 8 * HOUR, "switch_opened")]
    assert meter.state.credit_wh == 0


def test_holidays_are_friendly_all_day():
    changes = dict(FRIENDLY)
    changes["credit.holidays"] = ["05-08"]
    changes["credit.friendly"] = []
    meter, _ = new_meter(changes=changes, credit_wh=1000)
    meter.set_load(500, MIDNIGHT + 7 * HOUR)
    meter.process(MIDNIGHT + 2 * DAY)
    assert kinds(meter, "switch_opened") == [(MIDNIGHT + DAY, "switch_opened")]
    assert meter.state.credit_wh == 1000 - 8500


def test_a_clock_set_out_of_friendly_hours_ends_them():
    meter, _ = new_meter(changes=FRIENDLY, credit_wh=100)
    meter.set_load(1000, MIDNIGHT + 18 * HOUR)
    meter.process(MIDNIGHT + 20 * HOUR)
    assert meter.state.switch_closed
    meter.clock_set(MIDNIGHT + 20 * HOUR, MIDNIGHT + 12 * HOUR)
    assert not meter.state.switch_closed


def test_never_cut_keeps_the_supply_on_at_the_lowest_balance():
    changes = dict(FRIENDLY)
    changes["credit.never_cut"] = True
    changes["credit.min_wh"] = -5000
    meter, _ = new_meter(changes=changes)
    assert meter.state.switch_closed
    meter.set_load(1000, T0)
    meter.process(T0 + 10 * HOUR)
    # The register stops at its lowest balance; the total still counts.
    assert (meter.state.credit_wh, meter.state.total_wh) == (-5000, 10_000)
    assert meter.state.switch_closed
    meter.enter(token(2, 1, {"rnd": 1, "tid": 2000, "register": 0}), T0 + 10 * HOUR)
    assert (meter.state.credit_wh, meter.state.switch_closed) == (0, 1)
    assert balanced(meter)


def test_a_token_overflows_only_with_its_rest_after_debts():
    changes = dict(EMERGENCY)
    changes["credit.max_wh"] = 8000
    meter, _ = new_meter(changes=changes)
    meter.emergency(T0)
    assert meter.enter(credit(2000, 81), T0).result == R.OVERFLOW
    assert meter.state.emergency_debt_wh == 5000
    assert meter.enter(credit(2000, 80), T0).result == R.ACCEPT
    assert meter.state.credit_wh == 8000
    assert balanced(meter)


def test_credit_levels_are_reached_in_any_order():
    meter, _ = new_meter(changes={"credit.low_wh": 100, "credit.alarm_wh": 300}, credit_wh=1000)
    profile, state = meter.profile, meter.state
    found = []
    while rules.level(state, profile) > rules.NEVER:
        state.credit_wh = rules.level(state, profile)
        found.append(state.credit_wh)
    assert found == [300, 100, 0]


def test_energy_beyond_the_credit_is_taken_from_the_next_token():
    changes = dict(EMERGENCY)
    changes["credit.min_wh"] = -5000
    meter, _ = new_meter(changes=changes, credit_wh=1000)
    meter.use_energy(4000, T0)
    s = meter.state
    assert (s.credit_wh, s.total_wh, s.charged_wh, s.switch_closed) == (-3000, 4000, 4000, 0)
    meter.enter(credit(2000, 50), T0)
    assert (meter.state.credit_wh, meter.state.switch_closed) == (2000, 1)
    assert balanced(meter)
    # The largest energy: the total counts all of it, the register only down to its lowest value.
    meter.use_energy(0xFFFFFFFF, T0)
    meter.set_load(1000, T0)
    meter.process(T0 + DAY)
    ledger = meter.ledger(T0 + DAY)
    assert meter.state.total_wh == 4000 + 0xFFFFFFFF
    assert (ledger["credit_wh"], ledger["uncharged_wh"]) == (-5000, 0xFFFFFFFF - 7000)
    assert balanced(meter)


def test_emergency_credit_smaller_than_the_debt_is_refused():
    changes = dict(EMERGENCY)
    changes["credit.min_wh"] = -10000
    meter, _ = new_meter(changes=changes, credit_wh=1000)
    meter.use_energy(6000, T0)
    assert meter.emergency(T0) == (False, "debt")
    assert not meter.status(T0)["emergency"]
    assert meter.state.emergency_wh == 0
    meter.enter(credit(2000, 1), T0)
    assert meter.emergency(T0) == (True, "")
    assert (meter.state.credit_wh, meter.state.switch_closed) == (100, 1)
    assert balanced(meter)


def test_automatic_emergency_credit_starts_however_credit_ends():
    changes = dict(EMERGENCY)
    changes["credit.emergency_by"] = "auto"
    for how in ("load", "pulses", "clear"):
        meter, _ = new_meter(changes=changes, credit_wh=1000)
        if how == "load":
            meter.set_load(1000, T0)
            meter.process(T0 + HOUR)
        elif how == "pulses":
            meter.use_energy(1000, T0)
        else:
            meter.enter(token(2, 1, {"rnd": 1, "tid": 2000, "register": 0}), T0)
        s = meter.state
        assert (s.credit_wh, s.emergency_debt_wh, s.switch_closed) == (5000, 5000, 1), how
        assert len(kinds(meter, "emergency")) == 1
        assert not kinds(meter, "switch_opened")
        assert balanced(meter)
    changes["credit.emergency_wh"] = 0
    meter, _ = new_meter(changes=changes, credit_wh=1000)
    meter.set_load(1000, T0)
    meter.process(T0 + DAY)
    assert kinds(meter, "switch_opened", "emergency") == [(T0 + HOUR, "switch_opened")]
