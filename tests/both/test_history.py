"""Tests of the history: the first day, a clock that was set wrong, days of the local time."""

from both_support import T0, again, configuration, new_meter, raises
from jeton import calendar, history, status, summer
from jeton.meter import Meter

DAY = 86400
HOUR = 3600
MIDNIGHT = T0 // DAY * DAY  # 2025-05-08 00:00
PLAIN = {"credit.low_wh": None, "credit.alarm_wh": None, "credit.emergency_wh": 0}
EU = [3, 5, 6, 8, 10, 5, 6, 8]  # the last Sundays of March and October, 2:00 of UTC+1


def days(meter, now):
    return [(entry["date"], entry["wh"]) for entry in meter.history(now)["days"]]


def bare(clock=0, changes=PLAIN, **config):
    """Return (meter, store) of a meter that was set up at `clock`, by default without one."""
    meter, store = new_meter(changes=changes, credit_wh=9_000_000)
    meter.provision(configuration(credit_wh=9_000_000, **config), clock)
    return meter, store


def test_the_first_day_of_a_board_without_a_clock_is_in_the_history():
    meter, store = bare()
    meter.set_load(100, 0)
    meter.process(3 * DAY)
    wanted = [("2000-01-01", 2400), ("2000-01-02", 2400), ("2000-01-03", 2400), ("2000-01-04", 0)]
    assert days(meter, 3 * DAY) == wanted
    after = again(store, PLAIN)
    assert days(after, after.state.clock) == wanted
    # A day without consumption is a day too.
    meter, _ = bare()
    meter.process(DAY + 5)
    assert days(meter, DAY + 5) == [("2000-01-01", 0), ("2000-01-02", 0)]
    # The clock set, and set back to the first day: that day goes on.
    meter.set_load(1000, DAY + 5)
    meter.clock_set(DAY + 5, MIDNIGHT)
    meter.clock_set(MIDNIGHT, 2 * HOUR)
    meter.process(3 * HOUR)
    assert days(meter, 3 * HOUR) == [("2000-01-01", 1000)]


def test_an_entry_of_day_0_of_older_firmware_is_read():
    meter, _ = bare()
    meter.state.days = bytes(180) + b"\0\0" + (777).to_bytes(4, "little")
    meter.state.day = 1
    assert history.as_dict(meter.state)["days"][0] == {"date": "2000-01-01", "wh": 777}


def test_a_clock_set_ahead_by_mistake_keeps_no_slot():
    meter, _ = new_meter(changes=PLAIN, credit_wh=9_000_000)
    meter.clock_set(T0, MIDNIGHT)
    meter.set_load(100, MIDNIGHT)
    now = MIDNIGHT + 40 * DAY + HOUR
    meter.process(now)
    before = days(meter, now)
    assert len(before) == 32
    wrong = now + 4000 * DAY
    meter.clock_set(now, wrong)
    meter.process(wrong + 2 * DAY)
    meter.clock_set(wrong + 2 * DAY, now)
    # At once no later day is shown. The days until the mistake are all there, but for those that
    # the wrong midnights have pushed out.
    found = days(meter, now)
    assert found[-1] == before[-1]
    assert set(found) <= set(before)
    assert len(found) >= 29
    months = meter.history(now)["months"]
    assert [one["month"] for one in months] == ["2025-05", "2025-06"]
    # A month later the ring holds 31 real days.
    now += 31 * DAY
    meter.process(now)
    found = days(meter, now)
    assert len(found) == 32
    assert [wh for _, wh in found] == 31 * [2400] + [100]
    assert found[0][0] == "2025-06-17"
    # The wrong month is gone too, also if the clock reaches it.
    assert len(meter.history(now)["months"]) == 3
    meter.process(wrong + DAY)
    assert history.month_wh(meter.state) < 31 * 2400


def test_days_end_at_midnight_of_the_time_zone():
    for minutes in (60, -300, 345, 840, -720):
        meter, store = bare(T0, zone_min=minutes)
        meter.set_load(1000, T0)
        local = T0 + 60 * minutes
        left_s = DAY - local % DAY
        now = T0 + left_s + 1800
        meter.process(now)
        name = "%04d-%02d-%02d" % calendar.date(local // DAY + 1)
        assert days(meter, now)[-1] == (name, 500)
        assert days(meter, now)[-2][1] == left_s * 1000 // 3600
        assert again(store, PLAIN).state.zone == meter.state.zone
        zone = status.zone_name(meter.state)
        assert meter.history(now)["timezone"] == zone == meter.status(now)["timezone"]
        assert meter.status(now)["utc_offset_s"] == 60 * minutes
    assert zone == "-12:00"


def test_the_first_hours_of_2000_west_of_greenwich_are_day_0():
    meter, _ = bare(zone_min=-300)
    meter.set_load(1000, 0)
    meter.process(DAY)
    assert days(meter, DAY) == [("2000-01-01", 24_000)]
    meter.process(DAY + 6 * HOUR)
    assert days(meter, DAY + 6 * HOUR)[-1] == ("2000-01-02", 1000)


def test_days_of_a_clock_change_have_23_and_25_hours():
    # 2025: 30 March and 26 October.
    for date, hours in (((2025, 3, 29), 23), ((2025, 10, 25), 25)):
        start = T0
        while calendar.date(start // DAY) != date:
            start += DAY if date[1] > 5 else -DAY
        start = start // DAY * DAY
        meter, _ = bare(start, zone_min=60, dst=EU)
        meter.set_load(1000, start)
        meter.process(start + 4 * DAY)
        found = days(meter, start + 4 * DAY)
        assert found[1][1] == hours * 1000, found
        assert found[2][1] == 24_000
        assert meter.status(start + 4 * DAY)["timezone"] == "+01:00 DST"


def test_daylight_saving_time_begins_and_ends_to_the_second():
    # 30 March 2025 and 26 October 2025, 1:00 UTC; in the south the summer is around the new year.
    spring, autumn = 796_611_600, 814_755_600
    rule = bytes([4] + EU)
    for at, before, after in ((spring, 0, 3600), (autumn, 3600, 0)):
        assert summer.rule(rule, at + 3600 - 1) == (before, at + 3600)
        assert summer.rule(rule, at + 3600)[0] == after
    south = bytes([0, 10, 1, 6, 8, 4, 1, 6, 8])
    assert summer.rule(south, 25 * 366 * DAY)[0] == 3600
    assert summer.rule(south, spring + 90 * DAY)[0] == 0


def test_friendly_hours_are_hours_of_the_time_zone():
    changes = dict(PLAIN)
    # Thursday 18:00 to Friday 9:00.
    changes["credit.friendly"] = [3 * DAY + 18 * HOUR, 4 * DAY + 9 * HOUR]
    changes["credit.min_wh"] = -9_999_999
    # 2025-05-08 is a Thursday. The credit ends at 17:30 UTC, which is 18:30 in Douala.
    for minutes, dst, ends in ((60, None, DAY + 8 * HOUR), (60, EU, DAY + 7 * HOUR), (0, None, 0)):
        meter, _ = new_meter(changes=changes)
        config = configuration(credit_wh=1000, zone_min=minutes, dst=dst)
        meter.provision(config, MIDNIGHT + 16 * HOUR + 1800)
        meter.set_load(1000, MIDNIGHT + 16 * HOUR + 1800)
        meter.process(MIDNIGHT + 2 * DAY)
        opened = [e["time"] for e in meter.events() if e["kind"] == "switch_opened"]
        assert opened == [MIDNIGHT + (ends or 17 * HOUR + 1800)]


def test_the_zone_is_that_of_the_profile_unless_it_is_given():
    changes = {"time.zone_min": 60, "time.dst": EU}
    meter, _ = new_meter(changes=changes)
    assert list(meter.state.zone) == [4] + EU
    meter, _ = new_meter(changes=changes, zone_min=-180)
    assert meter.state.zone == bytes([244]) + bytes(8)
    assert new_meter(profile="eneo")[0].state.zone[0] == 4


def test_a_wrong_zone_is_refused():
    meter, _ = new_meter()
    for wrong in (
        {"zone_min": 841},
        {"zone_min": 61},
        {"zone_min": "1"},
        {"dst": [3, 5, 6]},
        {"dst": [3, 5, 6, 8, 3, 5, 6, 8]},
        {"dst": [13, 5, 6, 8, 10, 5, 6, 8]},
        {"dst": [3, 0, 6, 8, 10, 5, 6, 8]},
        {"dst": "M3.5.0"},
    ):
        config = configuration()
        config.update(wrong)
        message = raises(ValueError, meter.provision, config, T0)
        assert "zone_min" in message or "dst" in message


def test_token_identifiers_know_no_time_zone():
    """IEC 62055-41 6.3.5: a TID is in minutes since the base date, 00:00 UTC."""
    first, _ = new_meter()
    second, _ = new_meter(zone_min=840, dst=EU)
    for meter in (first, second):
        assert isinstance(meter, Meter)
    assert bytes(first.tids.data) == bytes(second.tids.data)
