"""Tests of the supply: trips, locks, reconnection, unbalanced phases, tamper, pulses."""

from both_support import T0, again, credit, key_change, new_meter, token
from jeton.sts.results import TokenResult as R

LIMIT = {
    "supply.limit_delay_s": 30,
    "supply.reconnect_s": 60,
    "supply.trips": 3,
    "supply.lock_s": 1800,
    "supply.reconnect": "auto",
    "supply.unbalance": True,
    "supply.tamper": "log",
    "supply.tamper_takes": "all",
    "credit.low_wh": None,
    "credit.alarm_wh": None,
}


def managed(sub, tid, **fields):
    return token(2, sub, dict({"rnd": 1, "tid": tid}, **fields))


def limited(changes=None, limit_w=2000):
    both = dict(LIMIT)
    both.update(changes or {})
    meter, store = new_meter(changes=both, credit_wh=100_000)
    assert meter.enter(managed(0, 2000, mpl=limit_w), T0).result == R.ACCEPT
    return meter, store, both


def seen(meter, *kinds):
    return [
        (e["time"] - T0, e.get("reason", e["kind"])) for e in meter.events() if e["kind"] in kinds
    ]


def test_a_load_above_the_limit_trips_reconnects_and_locks():
    meter, _, _ = limited()
    meter.set_load(2001, T0)
    meter.process(T0 + 5000)
    assert (
        seen(meter, "switch_opened", "switch_closed")[1:]
        == [
            (30, "over_power"),
            (90, "reconnected"),
            (120, "over_power"),
            (180, "reconnected"),
            (210, "locked"),
            (2010, "reconnected"),
            (2040, "over_power"),
            (2100, "reconnected"),
            (2130, "over_power"),
            (2190, "reconnected"),
            (2220, "locked"),
            (4020, "reconnected"),
            (4050, "over_power"),
            (4110, "reconnected"),
            (4140, "over_power"),
            (4200, "reconnected"),
            (4230, "locked"),
        ][: len(seen(meter, "switch_opened", "switch_closed")) - 1]
    )
    assert meter.status(T0 + 5000)["switch_reason"] == "locked"
    assert meter.status(T0 + 5000)["reconnect_at"] == T0 + 6030
    # Energy is used only while the switch is closed: 30 s each time.
    on_s = 30 * len(seen(meter, "trip"))
    used_ws = meter.state.total_wh * 3600 + meter.state.rest_ws
    assert used_ws == 2001 * on_s


def test_a_short_peak_and_a_load_at_the_limit_do_not_trip():
    meter, _, _ = limited()
    meter.set_load(2000, T0)
    meter.process(T0 + 1000)
    meter.set_load(9000, T0 + 1000)
    meter.process(T0 + 1029)
    meter.set_load(500, T0 + 1029)
    meter.process(T0 + 2000)
    assert seen(meter, "trip") == []
    assert meter.state.switch_closed


def test_the_trip_count_restarts_after_the_supply_stayed_on():
    meter, _, _ = limited()
    now = T0
    for _ in range(5):
        meter.set_load(5000, now)
        meter.process(now + 30)
        meter.set_load(100, now + 40)
        now += 4000
        assert meter.status(now)["trips"] == 1
        assert meter.state.switch_closed


def test_without_automatic_reconnection_a_key_reconnects():
    changes = {"supply.reconnect_s": None}
    meter, store, changes = limited(changes)
    meter.set_load(5000, T0)
    meter.process(T0 + 86400)
    assert seen(meter, "trip") == [(30, "trip")]
    assert not meter.state.switch_closed
    meter.set_load(100, T0 + 86400)
    meter.press("#", T0 + 86400)
    assert meter.state.switch_closed
    assert meter.status(T0 + 86400)["switch_reason"] == "key"
    assert not meter.reconnect(T0 + 86401)
    assert again(store, changes).state.switch_closed


def test_a_lock_survives_a_power_cut_and_follows_the_clock():
    meter, store, changes = limited({"supply.trips": 1})
    meter.set_load(5000, T0)
    meter.process(T0 + 100)
    assert meter.status(T0 + 100)["switch_reason"] == "locked"
    meter = again(store, changes)
    at = meter.state.clock
    meter.clock_set(at, at + 1_000_000)
    meter.set_load(5, at + 1_000_000)
    assert not meter.reconnect(at + 1_000_000)
    left = meter.state.reconnect_at - (at + 1_000_000)
    assert left == T0 + 30 + 1800 - at
    meter.process(meter.state.reconnect_at - 1)
    assert not meter.state.switch_closed
    meter.process(meter.state.reconnect_at)
    assert meter.state.switch_closed


def test_a_new_limit_below_the_load_trips_after_the_delay():
    meter, _ = new_meter(changes=LIMIT, credit_wh=100_000)
    meter.set_load(3000, T0)
    meter.process(T0 + 500)
    meter.enter(managed(0, 2000, mpl=1000), T0 + 500)
    meter.process(T0 + 529)
    assert meter.state.switch_closed
    meter.process(T0 + 530)
    assert not meter.state.switch_closed
    limits = [e["limit_w"] for e in meter.events() if e["kind"] == "limit"]
    assert limits == [1000]


def test_unbalanced_phases_trip_if_the_profile_sets_it():
    for trips in (True, False):
        meter, _ = new_meter(changes=dict(LIMIT, **{"supply.unbalance": trips}), credit_wh=10_000)
        meter.enter(managed(6, 2000, mppul=500), T0)
        meter.set_load(3000, T0, 501)
        meter.process(T0 + 31)
        assert bool(meter.state.switch_closed) != trips
        if trips:
            assert meter.status(T0 + 31)["switch_reason"] == "unbalance"
            assert [e["kind"] for e in meter.reports(T0 + 31)] == ["unbalance"]


def test_with_manual_reconnection_a_key_closes_the_switch_after_credit():
    meter, _ = new_meter(changes=dict(LIMIT, **{"supply.reconnect": "manual"}))
    meter.enter(credit(2000), T0)
    assert not meter.state.switch_closed
    assert meter.status(T0)["switch_reason"] == "wait_key"
    meter.screen.clear()
    meter.press("#", T0 + 60)
    assert meter.state.switch_closed


def test_each_tamper_policy_opens_or_keeps_the_switch():
    for policy, opens in (("open", True), ("log", False), ("open_at_zero", False)):
        meter, _ = new_meter(changes=dict(LIMIT, **{"supply.tamper": policy}), credit_wh=1000)
        meter.set_tamper(True, T0)
        meter.set_tamper(True, T0 + 5)
        assert bool(meter.state.switch_closed) != opens
        assert [e["kind"] for e in meter.reports(T0 + 5)] == ["tamper"]
        # Credit does not close a switch that the tamper holds open.
        meter.enter(credit(2000), T0 + 6)
        assert bool(meter.state.switch_closed) != opens
        meter.enter(managed(5, 2001, pad=0), T0 + 7)
        assert meter.state.switch_closed
        assert not meter.state.tamper


def test_tamper_ends_the_protection_of_friendly_hours():
    changes = dict(LIMIT, **{"supply.tamper": "open_at_zero", "credit.never_cut": True})
    meter, _ = new_meter(changes=changes)
    assert meter.state.switch_closed
    meter.set_tamper(True, T0)
    assert not meter.state.switch_closed
    meter.enter(managed(5, 2000, pad=0), T0 + 7)
    assert meter.state.switch_closed


def test_a_tampered_meter_can_accept_only_clearing_tokens():
    changes = dict(LIMIT, **{"supply.tamper_takes": "clearing"})
    meter, _ = new_meter(changes=changes, credit_wh=1000)
    meter.set_tamper(True, T0)
    assert meter.enter(credit(2000), T0).result == R.NOT_READY
    assert meter.enter(key_change()[0], T0).result == R.NOT_READY
    assert meter.enter("18446744073843772416", T0).result == R.ACCEPT
    assert meter.enter(managed(1, 2001, register=0), T0).result == R.ACCEPT
    assert meter.enter(managed(5, 2002, pad=0), T0).result == R.ACCEPT
    # The refused token was not marked as used.
    assert meter.enter(credit(2000), T0).result == R.ACCEPT


def test_pulses_count_the_exact_energy():
    meter, _ = new_meter(changes=LIMIT, credit_wh=1_000_000)
    now = T0
    for watts, seconds in ((777, 61), (1, 3599), (2300, 7), (3, 1)):
        meter.set_load(watts, now)
        now += seconds
        meter.process(now)
    used_ws = 777 * 61 + 3599 + 2300 * 7 + 3
    assert meter.led(now)["pulses"] == used_ws // 3600
    assert meter.state.rest_ws == used_ws % 3600


def test_an_incomplete_key_change_survives_a_power_cut_if_the_profile_keeps_it():
    for keeps in (True, False):
        changes = {
            "key_change.keep_at_power_up": keeps,
            "key_change.ordered": False,
            "key_change.window_s": 600,
        }
        meter, store = new_meter(changes=changes)
        codes = key_change()
        meter.enter(codes[0], T0 + 50)
        meter = again(store, changes)
        assert meter.status(T0 + 60)["pending"] == ([1] if keeps else [])
        assert meter.state.power_fails == 1
        assert meter.enter(codes[1], T0 + 650).result == (R.ACCEPT if keeps else R.KCT2)
        assert meter.state.sections == bytes(32) or not keeps
