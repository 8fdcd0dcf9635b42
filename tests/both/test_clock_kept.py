"""Tests of a clock that runs on during a power cut, and of one that cannot be right."""

from both_support import NEW, T0, again, behaving, key_change, new_meter, raises, text, token
from jeton import outage
from jeton.meter import Meter

DAY = 86400
MIDNIGHT = T0 // DAY * DAY
PLAIN = {"credit.low_wh": None, "credit.alarm_wh": None, "credit.emergency_wh": 0}


def after_cut(store, clock, changes=None):
    """Return (meter, its time) after a power cut, with the time of a clock that ran on."""
    meter = Meter(store, behaving(changes))
    return meter, meter.start(clock)


def kinds(meter):
    return [(event["kind"], event["time"]) for event in meter.events()]


def test_a_clock_that_ran_on_is_the_time_after_a_power_cut():
    meter, store = new_meter(changes=PLAIN, credit_wh=100_000)
    meter.set_load(1000, T0)
    meter.save(T0 + 3600)
    meter, now = after_cut(store, T0 + 3 * DAY, PLAIN)
    assert now == T0 + 3 * DAY == meter.state.clock
    # Nothing was used without supply; the load goes on now.
    assert meter.state.total_wh == 1000
    meter.process(now + 3600)
    assert meter.state.total_wh == 2000
    assert kinds(meter)[-2:] == [("power_down", T0 + 3600), ("power_up", T0 + 3 * DAY)]
    days = [(entry["date"][-2:], entry["wh"]) for entry in meter.history(now + 3600)["days"]]
    assert days == [("08", 1000), ("09", 0), ("10", 0), ("11", 1000)]
    assert again(store, PLAIN).state.clock == now + 3600


def test_a_clock_that_cannot_be_right_is_not_used():
    """It is in 2000 without battery, was set back, or is beyond what the record can hold."""
    for clock in (None, 0, 200 * DAY, T0 - DAY, T0 + 59, 1 << 33):
        meter, store = new_meter(credit_wh=100_000)
        meter.save(T0 + 60)
        meter, now = after_cut(store, clock)
        assert now == T0 + 60, clock
    # A meter whose own clock was never set: the clock of the chip in 2000 says nothing either.
    meter, store = new_meter()
    meter.clock_set(T0, 500)
    assert after_cut(store, 100 * DAY)[1] == 500
    assert after_cut(store, T0)[1] == T0


def test_a_new_meter_takes_the_time_of_the_clock():
    meter, now = after_cut(type(new_meter()[1])(), T0)
    assert now == T0
    assert not meter.state.provisioned


def locked_out():
    meter, store = new_meter(profile="landis_gyr")
    wrong = 0
    while not meter.state.lock_until:
        meter.enter("0000000000000000%04d" % wrong, T0)
        wrong += 1
    return meter.state.lock_until, store


def test_a_lock_out_ends_by_the_true_time():
    until, store = locked_out()
    assert after_cut(store, until - 100)[0].state.lock_until == until
    meter, now = after_cut(store, until + 5)
    assert meter.state.lock_until == 0
    assert meter.lockout.blocked(now) == 0
    # Without a clock that runs on, the lock-out waits for the rest of its time.
    until, store = locked_out()
    meter = again(store)
    assert meter.lockout.blocked(meter.state.clock) == until - meter.state.clock > 100


def test_a_lock_after_trips_ends_by_the_true_time():
    changes = {"supply.limit_delay_s": 0, "supply.reconnect_s": 60, "supply.trips": 1}
    changes["supply.lock_s"] = 1800
    for off_s, closed in ((1799, False), (1800, True), (9 * DAY, True)):
        meter, store = new_meter(changes=changes, credit_wh=100_000)
        meter.enter(token(2, 0, {"rnd": 1, "tid": 2000, "mpl": 100}), T0)
        meter.set_load(5000, T0)
        assert meter.state.reconnect_at == T0 + 1800
        meter.set_load(50, T0)
        meter, now = after_cut(store, T0 + off_s, changes)
        assert bool(meter.state.switch_closed) == closed, off_s
        if closed:
            # The switch closes when there is supply again, not during the cut.
            assert ("switch_closed", now) in kinds(meter)


def test_the_window_of_a_key_change_ends_by_the_true_time():
    changes = {"key_change.keep_at_power_up": True, "key_change.window_s": 120}
    for off_s, krn in ((100, 2), (121, 1)):
        meter, store = new_meter(changes=changes, kct=2)
        first, second = key_change(new=NEW)
        meter.enter(first, T0)
        meter, now = after_cut(store, T0 + off_s, changes)
        assert sorted(meter.key_change.sections) == ([1] if krn == 2 else [])
        meter.enter(second, now)
        assert meter.state.krn == krn


def test_a_repeated_load_follows_the_true_time():
    meter, store = new_meter(changes=PLAIN, credit_wh=900_000)
    meter.set_load_steps([[0, 100], [18 * 3600, 900]], T0, MIDNIGHT, DAY)
    meter, _ = after_cut(store, MIDNIGHT + 5 * DAY + 19 * 3600, PLAIN)
    assert meter.state.load_w == 900
    meter, _ = after_cut(store, MIDNIGHT + 6 * DAY + 3600, PLAIN)
    assert meter.state.load_w == 100


def test_a_client_can_say_that_time_has_passed():
    until, store = locked_out()
    meter = again(store)
    now = meter.state.clock
    meter.clock_set(now, now + DAY)
    assert meter.state.lock_until > now + DAY  # a clock that is set moves the wait
    meter.clock_set(now + DAY, now)
    meter.set_load(1000, now)
    raises(ValueError, outage.passed, meter, now, now - 1)
    outage.passed(meter, now, until)
    assert meter.state.lock_until == 0
    assert meter.state.total_wh == 0
    assert kinds(meter)[-1] == ("clock_set", until)
    assert text(meter, until)


def test_power_cuts_without_load_do_not_fill_the_log():
    meter, store = new_meter(changes=PLAIN, credit_wh=100_000)
    now = T0 + 600
    for _ in range(30):
        meter, at = after_cut(store, now, PLAIN)
        assert at == now
        now += 2  # a supply that flickers
    assert len(meter.events()) < 10
