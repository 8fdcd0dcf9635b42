"""Tests of loads in steps and of the consumption history: exact to the second in any step size."""

from both_support import T0, again, new_meter, raises
from jeton import calendar, history
from jeton.load import STEPS

DAY = 86400
MIDNIGHT = T0 // DAY * DAY + DAY
PLAIN = {"credit.low_wh": None, "credit.alarm_wh": None}


def used_ws(meter):
    return meter.state.total_wh * 3600 + meter.state.rest_ws


def test_steps_run_once():
    meter, store = new_meter(changes=PLAIN, credit_wh=100_000)
    meter.set_load(50, T0)
    meter.set_load_steps([[10, 1000], [70, 0], [100, 300]], T0)
    assert meter.process(T0) == T0 + 10
    assert meter.status(T0 + 69)["load_w"] == 1000
    meter = again(store, PLAIN)
    at = meter.state.clock
    meter.process(at)
    meter.process(T0 + 1000)
    assert meter.state.load_w == 300
    assert used_ws(meter) == 10 * 50 + 60 * 1000 + 900 * 300


def test_repeated_steps_can_begin_in_the_past():
    meter, _ = new_meter(changes=PLAIN, credit_wh=9_000_000)
    meter.set_load_steps([[0, 100], [6 * 3600, 500], [18 * 3600, 900]], T0, T0 // DAY * DAY, DAY)
    # 06:13:20
    assert meter.status(T0)["load_w"] == 500
    assert meter.process(T0) == T0 // DAY * DAY + 18 * 3600
    meter.process(T0 + 10 * DAY)
    assert used_ws(meter) == 10 * 3600 * (6 * 100 + 12 * 500 + 6 * 900)
    # No step at the beginning of the period: the last step of the period before applies.
    meter.set_load_steps([[3600, 7], [7200, 9]], T0 + 10 * DAY, T0 + 10 * DAY, 86400)
    assert meter.state.load_w == 9


def test_one_long_and_many_short_calls_give_the_same_result():
    steps = [[i * 977, (i * 7919) % 3000] for i in range(60)]
    stores = []
    for periods in ((86400 * 3,), [1, 59, 3600, 17, 80_000] * 3):
        meter, _ = new_meter(credit_wh=60_000)
        meter.set_load_steps(steps, T0, None, 60_000)
        now = T0
        for period in periods:
            now += period
            meter.process(now)
        meter.process(T0 + 3 * DAY)
        s = meter.state
        stores.append(
            (
                s.credit_wh,
                s.total_wh,
                s.rest_ws,
                s.load_w,
                bytes(s.events),
                s.days,
                s.switch_closed,
            )
        )
    assert stores[0] == stores[1]


def test_setting_the_clock_does_not_move_steps_that_run_once():
    meter, _ = new_meter(changes=PLAIN, credit_wh=100_000)
    meter.set_load_steps([[100, 1000]], T0)
    meter.clock_set(T0 + 40, 1000)
    meter.process(1059)
    assert meter.state.load_w == 0
    meter.process(1060)
    assert meter.state.load_w == 1000


def test_steps_can_be_sent_in_parts():
    meter, _ = new_meter(changes=PLAIN, credit_wh=100_000)
    meter.set_load_steps([[0, 10], [50, 20]], T0)
    meter.set_load_steps([[100, 30], [150, 40]], T0 + 60, None, 200, True)
    meter.process(T0 + 400)
    assert used_ws(meter) == 2 * 50 * (10 + 20 + 30 + 40)
    meter.set_load(5, T0 + 400)
    assert meter.state.load_steps == b""


def test_invalid_steps_are_refused():
    meter, store = new_meter()
    before = bytes(store.record)
    cases = (
        None,
        [],
        5,
        [5],
        [[0]],
        [[0, -1]],
        [[0, 1.5]],
        [[0, True]],
        [[5, 1], [5, 2]],
        [[-1, 1]],
        [[i, 1] for i in range(STEPS + 1)],
    )
    for steps in cases:
        message = raises(ValueError, meter.set_load_steps, steps, T0)
        assert "\n" not in message
    raises(ValueError, meter.set_load_steps, [[0, 1], [50, 2]], T0, None, 50)
    assert bytes(store.record) == before


def test_the_history_keeps_days_and_months():
    meter, store = new_meter(changes=PLAIN, credit_wh=90_000_000)
    meter.set_load(1000, MIDNIGHT)
    meter.process(MIDNIGHT + 40 * DAY + 3600)
    found = again(store, PLAIN)
    found.process(MIDNIGHT + 40 * DAY + 3600)
    found = found.history(MIDNIGHT + 40 * DAY + 3600)
    assert len(found["days"]) == history.DAYS + 1
    assert found["days"][-1] == {"date": "2025-06-18", "wh": 1000}
    assert found["days"][-2] == {"date": "2025-06-17", "wh": 24_000}
    assert found["days"][0]["date"] == "2025-05-18"
    # From the 9th: on the 8th the meter had no load.
    assert found["months"] == [
        {"month": "2025-05", "wh": 23 * 24_000},
        {"month": "2025-06", "wh": 17 * 24_000 + 1000},
    ]
    meter.process(MIDNIGHT + 800 * DAY)
    months = meter.history(MIDNIGHT + 800 * DAY)["months"]
    assert len(months) == history.MONTHS + 1
    assert history.as_dict(meter.state)["days"][-2]["wh"] == 24_000


def test_consumption_before_and_after_setting_the_clock_is_kept_by_date():
    meter, _ = new_meter(changes=PLAIN, credit_wh=9_000_000)
    meter.set_load(1000, T0)
    meter.clock_set(T0 + 3600, T0 + 3600 + 5 * DAY)
    meter.process(T0 + 7200 + 5 * DAY)
    days = meter.history(T0 + 7200 + 5 * DAY)["days"]
    assert days == [{"date": "2025-05-08", "wh": 1000}, {"date": "2025-05-13", "wh": 1000}]


def test_dates_and_weekdays_are_correct():
    expected = {0: (2000, 1, 1), 59: (2000, 2, 29), 60: (2000, 3, 1), 366: (2001, 1, 1)}
    expected[9190] = (2025, 2, 28)
    expected[9191] = (2025, 3, 1)
    expected[36524] = (2099, 12, 31)
    expected[36584] = (2100, 3, 1)
    for day in expected:
        assert calendar.date(day) == expected[day], day
    assert calendar.weekday(0) == 5
    assert calendar.weekday(T0 // DAY) == 3


def test_a_year_of_an_hourly_load_is_exact():
    meter, _ = new_meter(changes=PLAIN, credit_wh=900_000_000)
    steps = [[3600 * i, 300 + (i * 7919) % 2500] for i in range(168)]
    meter.set_load_steps(steps, T0, T0, 168 * 3600)
    meter.process(T0 + 364 * DAY)
    assert meter.state.total_wh == 52 * sum([w for _, w in steps])
    assert meter.state.rest_ws == 0
