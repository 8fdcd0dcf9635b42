"""Tests of the meter: tokens, loads, time, damaged records and failed saves."""

from both_support import (
    T0,
    Store,
    again,
    class1,
    credit,
    key_change,
    new_meter,
    profiles,
    raises,
    text,
    token,
)
from jeton import events, reading
from jeton import state as states
from jeton.meter import Meter
from jeton.sts import digits, tokens
from jeton.sts.results import TokenResult as R


def managed(sub, tid, **fields):
    return token(2, sub, dict({"rnd": 1, "tid": tid}, **fields))


def test_a_credit_token_closes_the_switch_and_works_once():
    meter, store = new_meter()
    assert not meter.state.switch_closed
    outcome = meter.enter(credit(2000, 125), T0)
    assert (outcome.result, outcome.amount_wh) == (R.ACCEPT, 12500)
    assert meter.state.credit_wh == 12500
    assert meter.state.switch_closed
    assert meter.enter(credit(2000, 125), T0 + 9).result == R.USED
    assert meter.state.credit_wh == 12500
    assert again(store).enter(credit(2000, 125), T0 + 9).result == R.USED


def test_old_used_and_expired_tokens_are_refused_and_others_work_in_any_order():
    meter, _ = new_meter(ken=1)
    assert meter.enter(credit(999), T0).result == R.OLD
    assert meter.enter(credit(1000), T0).result == R.USED
    assert meter.enter(credit(0x20000), T0).result == R.KEY_EXPIRED
    for tid in (5000, 4000, 0x1FFFF, 4500):
        assert meter.enter(credit(tid), T0).result == R.ACCEPT


def test_a_default_key_allows_no_credit_tokens():
    meter, _ = new_meter(kt=1, ken=0)
    # DDTK is checked before KEN; management tokens work.
    assert meter.enter(credit(0x20000), T0).result == R.DDTK
    assert meter.enter(credit(2000), T0).result == R.DDTK
    assert meter.enter(managed(2, 2000, rate=7), T0).result == R.ACCEPT


def test_a_token_that_overflows_the_register_can_be_used_later():
    meter, _ = new_meter(credit_wh=9_999_999_990 - 50)
    assert meter.enter(credit(2000, 1), T0).result == R.OVERFLOW
    meter.use_energy(50, T0)
    assert meter.enter(credit(2000, 1), T0).result == R.ACCEPT


def test_functions_that_an_electricity_meter_lacks_are_refused():
    meter, _ = new_meter()
    tid = 2000
    for sub in (1, 2, 3):
        assert meter.enter(credit(tid, sub=sub), T0).result == R.FUNCTION
    for sub in (4, 5, 6, 7):
        fields = {"se": 0, "tid": tid, "amount": 1}
        assert meter.enter(token(0, sub, fields), T0).result == R.FUNCTION
    assert meter.enter(managed(7, tid, wmfactor=1), T0).result == R.FUNCTION
    assert meter.enter(managed(10, tid, value=1), T0).result == R.FUNCTION
    for cls, sub in ((0, 8), (0, 15), (2, 11), (2, 15), (1, 3)):
        reserved = token(cls, sub, {"value": 1})
        assert meter.enter(reserved, T0).result == R.FUNCTION, (cls, sub)
    # Class 3 is reserved; the standard does not say that it is encrypted.
    block = tokens.pack(3, 0, {"value": 1})
    assert meter.enter(digits.join(3, block), T0).result == R.FUNCTION
    assert meter.enter(token(3, 0, {"value": 1}), T0).result == R.CRC
    for sub in (2, 6, 10, 11, 15):
        other = token(1, sub, {"control": 1, "mfr_code": 0})
        assert meter.enter(other, T0).result == R.FUNCTION
    fourth = token(2, 9, {"sgcho": 0, "nkmo1": 0})
    assert meter.enter(fourth, T0).result == R.FUNCTION
    # None of them marked the identifier as used.
    assert meter.enter(credit(tid), T0).result == R.ACCEPT


def test_management_tokens_set_limits_and_tariff_and_clear_a_tamper():
    meter, _ = new_meter()
    assert meter.enter(managed(0, 2000, mpl=16384), T0).result == R.ACCEPT
    assert meter.enter(managed(6, 2001, mppul=500), T0).result == R.ACCEPT
    assert meter.enter(managed(2, 2002, rate=65535), T0).result == R.ACCEPT
    status = meter.status(T0)
    assert status["max_power_limit_w"] == 16384
    assert status["phase_unbalance_limit_w"] == 500
    assert status["tariff_rate"] == 65535
    meter.set_tamper(True, T0)
    assert meter.status(T0)["tamper"]
    assert meter.enter(managed(5, 2003, pad=1), T0).result == R.FORMAT
    assert meter.enter(managed(5, 2003, pad=0), T0).result == R.ACCEPT
    assert not meter.status(T0)["tamper"]
    assert meter.enter(managed(5, 2003, pad=0), T0).result == R.USED


def test_clear_credit_works_for_register_0_and_all_registers():
    meter, _ = new_meter(credit_wh=5000)
    for register in (1, 2, 3, 4, 5, 6, 7):
        assert meter.enter(managed(1, 2000, register=register), T0).result == R.FUNCTION
    for register in (8, 0xFFFE):
        assert meter.enter(managed(1, 2000, register=register), T0).result == R.RANGE
    assert meter.state.credit_wh == 5000
    assert meter.enter(managed(1, 2000, register=0), T0).result == R.ACCEPT
    assert meter.state.credit_wh == 0
    assert not meter.state.switch_closed
    meter.enter(credit(2001), T0)
    assert meter.enter(managed(1, 2002, register=0xFFFF), T0).result == R.ACCEPT
    assert meter.status(T0)["switch_reason"] == "clear_credit"


def test_each_test_shows_its_value():
    meter, _ = new_meter(credit_wh=1500, display=[4, 20], ti=7, mfr_code=12)
    meter.set_load(750, T0)
    expected = {
        1: "on",
        2: "8" * 20,
        3: "0.00 kWh",
        4: "1 / 2",
        5: "07",
        6: "OK",
        7: "no",  # a limit of 0 W is no limit
        8: "no",
        9: "750 W",
        10: "0.2.0",
        11: "no",
        13: "0",
        14: "07",
        15: "3",
        16: "201457",
        17: "255",
        18: "00000000000",
    }
    for number, value in expected.items():
        for sub in (0, 1):
            assert meter.enter(class1(number, sub=sub), T0).result == R.ACCEPT, number
            assert text(meter, T0)[1] == value, number
    for number in (12, 19, 28):
        assert meter.enter(class1(number), T0).result == R.FUNCTION
    # Several tests in one token show one page after another; test 0 is all of them except 1.
    assert meter.enter(class1(4, 5), T0).result == R.ACCEPT
    assert [text(meter, T0)[1], text(meter, T0 + 3)[1]] == ["1 / 2", "07"]
    assert text(meter, T0 + 6)[0].startswith("Credit")
    outcome = meter.enter(class1(0), T0)
    assert outcome.result == R.ACCEPT
    assert len(outcome.pages) == len(expected) - 1
    assert meter.enter(class1(0, sub=1), T0).result == R.ACCEPT
    # The manufacturer code of the meter and 0 work, other codes do not.
    assert meter.enter(class1(4, mfr_code=12), T0).result == R.ACCEPT
    assert meter.enter(class1(4, mfr_code=13), T0).result == R.MFR_CODE
    assert meter.enter(class1(), T0).result == R.RANGE


def test_the_switch_test_opens_and_closes_the_switch():
    meter, _ = new_meter(credit_wh=1500)
    before = meter.state.event_seq
    meter.enter(class1(1), T0)
    kinds = [(e["kind"], e.get("reason")) for e in meter.events(before)]
    assert kinds[:2] == [("switch_opened", "test"), ("switch_closed", "test")]
    assert meter.state.switch_closed
    dark, _ = new_meter()
    dark.enter(class1(1), T0)
    assert not dark.state.switch_closed


def test_the_switch_opens_on_the_second_when_credit_ends():
    meter, _ = new_meter(credit_wh=1000)
    meter.set_load(700, T0)
    # 3,600,000 Ws at 700 W: 5142.86 s.
    assert meter.process(T0) == T0 + 5143
    meter.process(T0 + 86400)
    assert meter.state.credit_wh == 0
    assert meter.state.total_wh == 1000
    opened = [e for e in meter.events() if e["kind"] == "switch_opened"]
    assert [(e["time"], e["reason"]) for e in opened] == [(T0 + 5143, "no_credit")]
    # No energy is used while the switch is open; a token closes it.
    meter.enter(credit(2000, 10), T0 + 90000)
    assert meter.state.credit_wh == 1000
    assert meter.state.switch_closed


def test_many_small_steps_use_what_one_large_step_uses():
    a, _ = new_meter(credit_wh=100_000)
    b, _ = new_meter(credit_wh=100_000)
    for meter in (a, b):
        meter.set_load(777, T0)
    now = T0
    for step in [1, 7, 59, 3600, 1, 1, 12345, 2] * 20:
        now += step
        a.process(now)
    b.process(now)
    ours = (a.state.credit_wh, a.state.total_wh, a.state.rest_ws)
    assert ours == (b.state.credit_wh, b.state.total_wh, b.state.rest_ws)
    assert a.state.credit_wh + a.state.total_wh == 100_000
    used_ws = a.state.total_wh * 3600 + a.state.rest_ws
    assert used_ws == 777 * (now - T0)


def test_energy_can_be_counted_directly():
    meter, _ = new_meter(credit_wh=100)
    meter.use_energy(30, T0)
    assert (meter.state.credit_wh, meter.state.total_wh) == (70, 30)
    meter.use_energy(100, T0)
    assert (meter.state.credit_wh, meter.state.total_wh) == (0, 130)  # the lowest value is 0
    assert "open" in raises(ValueError, meter.use_energy, 1, T0)
    raises(ValueError, meter.use_energy, -1, T0)
    raises(ValueError, meter.set_load, True, T0)


def test_a_year_at_100_kw_is_exact():
    meter, _ = new_meter(credit_wh=9_999_999_990)
    meter.set_load(100_000, T0)
    meter.process(T0 + 365 * 86400)
    assert meter.state.total_wh == 100_000 * 365 * 24
    assert meter.state.credit_wh + meter.state.total_wh == 9_999_999_990


def test_no_load_uses_more_than_the_credit():
    """9 MW use 2,500 Wh a second: more than from the first warning to the end of the credit."""
    for load_w in (9_000_000, 100_000_000, 0xFFFFFFFF):
        for step_s in (1, 60):
            meter, _ = new_meter(credit_wh=5000)
            meter.set_load(load_w, T0)
            for now in range(T0 + 1, T0 + 62, step_s):
                meter.process(now)
            state = meter.state
            assert (state.credit_wh, state.total_wh, state.rest_ws) == (0, 5000, 0), load_w
            assert not state.switch_closed
            kinds = [e["kind"] for e in meter.events()]
            assert kinds.count("low_credit") == kinds.count("switch_opened") == 1


def test_consumption_is_saved_each_10_wh_and_at_most_every_10_s():
    meter, store = new_meter(credit_wh=1_000_000)
    meter.set_load(23_000, T0)
    saves, ticks = store.saves, store.ticks
    for second in range(1, 101):
        meter.process(T0 + second)
    assert (store.saves, store.ticks - ticks) == (saves, 10)
    meter.set_load(36, T0 + 100)
    ticks = store.ticks
    for second in range(101, 1101):
        meter.process(T0 + second)
    assert (store.saves, store.ticks - ticks) == (saves, 1)


def test_setting_the_clock_uses_no_energy():
    meter, _ = new_meter(credit_wh=1000)
    meter.set_load(1000, T0)
    meter.enter(key_change()[0], T0)
    meter.clock_set(T0 + 36, T0 + 1_000_000)
    assert meter.state.credit_wh == 990
    assert meter.status(T0 + 1_000_100)["pending"] == [1]
    meter.clock_set(T0 + 1_000_100, T0 - 50)
    assert meter.state.total_wh == 10 + 27
    moved = [e["moved_s"] for e in meter.events() if e["kind"] == "clock_set"]
    assert moved == [999_964, -1_000_150]


def test_a_full_flash_accepts_no_token():
    meter, store = new_meter(credit_wh=500)
    store.full = True
    raises(OSError, meter.enter, credit(2000), T0 + 5)
    assert meter.state.credit_wh == 500
    assert meter.tids.newest == 1000
    store.full = False
    assert meter.enter(credit(2000), T0 + 6).result == R.ACCEPT
    assert meter.state.credit_wh == 10500


def test_a_meter_without_key_is_not_ready():
    meter = Meter(Store(), profiles)
    assert meter.start() == 0
    assert meter.enter(credit(2000), T0).result == R.NOT_READY
    # The same by keypad.
    for key in credit(2000):
        assert meter.press(key, T0) is None
    assert meter.press("#", T0).result == R.NOT_READY
    assert text(meter, T0 + 60)[0] == "Not set up"


def test_a_meter_without_key_answers_tokens_that_need_no_key():
    meter = Meter(Store(), profiles)
    meter.start()
    assert meter.enter(class1(5), T0).result == R.ACCEPT
    assert meter.enter(class1(12), T0).result == R.FUNCTION
    assert meter.enter(class1(5)[:-1] + "9", T0).result == R.CRC
    assert meter.enter("123", T0).result == R.FORMAT
    assert meter.enter(token(2, 5, {"rnd": 0, "tid": 2000, "pad": 0}), T0).result == R.NOT_READY
    meter.process(T0 + 100)
    assert text(meter, T0 + 100)[0] == "Not set up"


def test_a_record_can_be_read_again_and_damage_is_detected():
    meter, store = new_meter(credit_wh=12345, profile="ceet")
    meter.enter(credit(2000), T0)
    packed = store.record
    assert reading.unpack(packed).pack()[states.TICK_START :] == packed[states.TICK_START :]
    for at in range(0, len(packed), 37):
        broken = bytearray(packed)
        broken[at] ^= 4
        raises(ValueError, reading.unpack, bytes(broken))
    raises(ValueError, reading.unpack, packed[:-1])
    raises(ValueError, reading.unpack, b"")
    raises(ValueError, reading.unpack, packed + b"\0")


def test_the_log_keeps_the_last_100_events():
    meter, _ = new_meter()
    for i in range(130):
        meter.enter(class1(4)[:-1] + "0", T0 + i)  # class 1 is never locked out
    events = meter.events()
    assert len(events) == 100
    assert [e["seq"] for e in events] == list(range(events[0]["seq"], events[0]["seq"] + 100))
    assert events[-1]["time"] == T0 + 129
    assert meter.events(events[-3]["seq"]) == events[-2:]
    assert meter.events(10**6) == []


def test_provisioning_refuses_invalid_values():
    cases = (
        ({"drn": "12345678904"}, "check digit"),
        ({"drn": "1234"}, "11 or 13 digits"),
        ({"decoder_key": "00"}, "needs 16"),
        ({"decoder_key": "zz" * 8}, "hexadecimal"),
        ({"ea": 9}, "withdrawn"),
        ({"kt": 3}, "kt must"),
        ({"krn": 0}, "krn must"),
        ({"ti": 100}, "ti must"),
        ({"ken": 256}, "ken must"),
        ({"sgc": "20145"}, "six digits"),
        ({"bdt": "99"}, "bdt must"),
        ({"profile": "unknown"}, "no profile"),
        ({"profile": 5}, "profile"),
        ({"display": [3, 16]}, "rows"),
        ({"display": "2x16"}, "rows, columns"),
        ({"kct": 4}, "kct"),
        ({"tid0": -1}, "tid0"),
        ({"credit_wh": 1.5}, "credit_wh"),
        ({"colour": 1}, "no configuration value colour"),
        ({"decoder_key": "00 11 22 33 44  "}, "hexadecimal"),
        ({"ea": 7.0}, "ea must"),
        ({"display": [2.0, 16]}, "rows"),
        ({"profile": "../profiles/ceet"}, "profile must"),
        ({"profile": "a" * 17}, "profile must"),
        ({"profile": ""}, "profile must"),
    )
    for change, words in cases:
        message = raises(ValueError, new_with, change)
        assert words in message, message
        assert "\n" not in message
    meter, store = new_meter(credit_wh=77)
    before = store.record
    raises(ValueError, meter.provision, {"drn": "00000000000"}, T0)
    assert store.record == before
    assert meter.state.credit_wh == 77


def new_with(change):
    return new_meter(**change)


def test_an_action_that_fails_leaves_the_meter_unchanged():
    # For example: memory runs out after the credit is added. The token must not count twice.
    for place in ("record", "add"):
        for error in (MemoryError, KeyboardInterrupt):
            meter, store = new_meter(credit_wh=500)
            meter.enter(key_change()[0], T0)
            owner = events if place == "record" else meter.tids
            real = getattr(owner, place)
            setattr(owner, place, failing(error))
            try:
                raises(error, meter.enter, credit(2000), T0 + 5)
            finally:
                setattr(owner, place, real)
            assert meter.state.credit_wh == 500
            assert meter.tids.newest == 1000
            assert meter.status(T0 + 5)["pending"] == [1]
            assert meter.enter(credit(2000), T0 + 6).result == R.ACCEPT
            assert meter.enter(credit(2000), T0 + 7).result == R.USED
            assert meter.state.credit_wh == 10500
            assert again(store).state.credit_wh == 10500


def failing(error):
    def fail(*_):
        raise error

    return fail


def test_an_action_refused_by_a_full_flash_has_no_effect():
    meter, store = new_meter(changes={"credit.never_cut": True}, credit_wh=500_000)
    meter.set_load(1000, T0)
    store.full = True
    raises(OSError, meter.set_load, 5, T0)
    raises(OSError, meter.use_energy, 100, T0)
    raises(OSError, meter.set_tamper, True, T0)
    raises(OSError, meter.clock_set, T0 + 1, 5)
    config = {"drn": "00000000000", "decoder_key": "00" * 8}
    raises(OSError, meter.provision, config, 5)
    state = meter.state
    assert (state.load_w, state.tamper, state.total_wh) == (1000, 0, 0)
    # Reading works, time passes, and the record is saved as soon as possible.
    assert meter.status(T0 + 36)["total_wh"] == 10
    assert "is full" in meter.status(T0 + 40)["fault"]
    store.full = False
    meter.process(T0 + 72)
    assert meter.status(T0 + 72)["fault"] is None
    assert again(store).state.total_wh == 20
    meter.set_tamper(True, T0 + 72)
    assert again(store).state.tamper == 1


def test_a_damaged_record_is_reported_and_not_changed():
    meter, store = new_meter(credit_wh=500)
    good = store.record
    for bad in (b"hello", b"", good[:-1], good[:60] + b"\xff" + good[61:], b"JTON\x09" + good[5:]):
        store.record = bad
        meter = again(store)
        fault = meter.status(0)["fault"]
        assert "record" in fault
        assert store.record == bad
        assert meter.display(0)[0].startswith("STORE FAULT")
        for action, value in (
            (meter.enter, credit(2000)),
            (meter.press, "1"),
            (meter.set_load, 5),
        ):
            assert "provision" in raises(ValueError, action, value, T0)
        assert store.record == bad
    config = {"drn": "00000000000", "decoder_key": "00" * 8}
    meter.provision(config, T0)
    assert meter.status(T0)["fault"] is None
    assert again(store).state.provisioned


def test_save_keeps_energy_and_time():
    meter, store = new_meter(credit_wh=500)
    meter.set_load(100, T0)
    for minute in range(1, 7):
        meter.save(T0 + 300 * minute)
        meter = again(store)
    assert meter.state.clock == T0 + 1800
    assert meter.state.total_wh == 50


def test_clear_credit_keeps_the_rest_of_a_watt_hour():
    meter, _ = new_meter(credit_wh=5000)
    meter.set_load(3599, T0)
    meter.enter(managed(1, 2000, register=0), T0 + 1)
    assert meter.state.rest_ws == 3599
    meter.enter(credit(2001), T0 + 1)
    meter.set_load(1, T0 + 1)
    meter.process(T0 + 2)
    assert meter.state.total_wh == 1


def test_process_returns_the_time_of_the_next_change():
    meter, _ = new_meter()
    meter.enter(key_change()[0], T0)
    meter.screen.clear()
    deadline = meter.process(T0 + 10)
    assert deadline == T0 + 601
    midnight = T0 // 86400 * 86400 + 86400
    assert meter.process(deadline) == midnight
    assert meter.status(deadline)["pending"] == []


def test_power_ups_are_logged_unless_within_one_second():
    meter, store = new_meter(credit_wh=10000)
    for _ in range(5):
        meter = again(store)
    power = ["power_down", "power_up"]
    assert [e["kind"] for e in again(store).events()] == ["provisioned", "switch_closed"] + power
    meter = again(store)
    meter.save(T0 + 60)
    meter = again(store)
    meter.save(T0 + 61)
    meter = again(store)
    found = [(e["kind"], e["time"] - T0) for e in again(store).events()][2:]
    assert found == [(kind, at) for at in (0, 60, 61) for kind in power]
    meter.enter("0" * 20, T0 + 61)
    again(store)
    meter = again(store)
    assert [e["kind"] for e in meter.events()][-3:] == ["token"] + power
    assert meter.state.power_fails == 11
