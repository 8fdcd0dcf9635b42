"""Tests that each profile works as its file says: messages on every display, and each setting.

The expected values are read from the profile, so that a new file is tested too.
"""

from both_support import (
    PROFILES,
    T0,
    again,
    class1,
    configuration,
    credit,
    key_change,
    new_meter,
    profiles,
    raises,
    text,
    token,
)
from jeton import calendar, pages
from jeton.acceptance import Outcome
from jeton.profile import Profile
from jeton.sts.results import GOOD, NAMES, SECTION
from jeton.sts.results import TokenResult as R

WRONG = "1" * 20
MONDAY = 799_718_400  # 2025-05-05, midnight
SIZES = ((2, 16), (2, 20), (4, 16), (4, 20))


def press(meter, keys, now=T0):
    outcome = None
    for key in keys:
        outcome = meter.press(key, now) or outcome
    return outcome


def key_in(meter, digits, now=T0):
    """Key a token, with Enter if this profile needs it."""
    return press(meter, digits if meter.profile.entry_auto_enter else digits + "#", now)


def each(**config):
    """Yield (settings, meter) for each profile; one meter, provisioned again, for a small heap."""
    meter = new_meter()[0]
    for name in PROFILES:
        meter.provision(configuration(profile=name, **config), T0)
        yield profiles(name), meter


def words(profile):
    """Return all messages of a profile's language by name."""
    lines = profile._words.decode().split("\n")
    return dict([line.split("=", 1) for line in lines if line])


class KeyToken:
    cls = 2
    sub = 4


def test_every_message_fits_every_display():
    longest = {"enter_code": 4, "digits": 99, "wait": 86400, "history": 50}
    for name in PROFILES:
        languages = profiles(name)["languages"]
        for language in languages:
            profile = Profile(profiles, name, language, True)
            assert profile.language == language
            messages = words(profile)
            for message in messages:
                shown = profile.say(message, longest.get(message, 99))
                assert "{" not in shown, (name, language, message)
                assert 0 < len(shown) <= 16, (name, language, message, shown)
                if not profile.rtl:
                    assert max([ord(c) for c in shown]) < 126, (name, language, message)
            for result in NAMES[1:]:
                assert result in messages, (name, language, result)


def test_every_result_fits_every_display():
    for name in PROFILES:
        for rows, cols in SIZES:
            meter, _ = new_meter(profile=name, display=[rows, cols, 1])
            for language in meter.profile.languages:
                meter.set_language(language, T0)
                for result in range(1, len(NAMES)):
                    outcome = Outcome(result)
                    outcome.token = KeyToken
                    outcome.missing = [2]
                    outcome.value = "+9999999.9 kWh" if result in GOOD else "1280"
                    shown = pages.result_pages(outcome, WRONG[:19], meter)
                    meter.screen.show(shown, T0, 5)
                    first = meter.screen.lines(T0, [])
                    assert [len(line) for line in first] == [cols] * rows
                    second = meter.profile.say("ordinals").split(" ")[1]
                    value = second if result in SECTION else 0
                    want = meter.profile.say(NAMES[result], value)
                    assert first[0].strip() == want, (name, language, result, first)
                    for page in shown:
                        for line in page:
                            assert len(line) <= cols, (name, language, result, line)


def test_arabic_needs_a_pixel_display():
    for name in PROFILES:
        if "ar" not in profiles(name)["languages"]:
            continue
        meter, store = new_meter(profile=name)
        assert meter.profile.language == "fr"
        assert "ar" in raises(ValueError, meter.set_language, "ar", T0)
        meter, store = new_meter(profile=name, display=[2, 16, 1])
        meter.set_language("ar", T0)
        assert meter.profile.rtl
        for line in meter.display(T0):
            assert len(line) == 16
        # The label, which is read first, is at the right.
        meter.press("1", T0)
        label = meter.profile.say("token")
        assert meter.display(T0)[0].endswith(label)
        assert again(store).profile.language == "ar"


def test_a_token_can_be_keyed():
    for settings, meter in each():
        digits = credit(2000, 125)
        outcome = press(meter, digits)
        separator = settings["entry"]["separator"]
        assert (outcome is not None) == settings["entry"]["auto_enter"], meter.profile.name
        if outcome is None:
            first, second = text(meter, T0)
            counted = first.endswith("20/20")
            assert counted == settings["entry"]["counter"], meter.profile.name
            assert second == (separator.join([digits[i : i + 4] for i in range(0, 20, 4)])[-16:])
            outcome = press(meter, "#")
        assert outcome.result == R.ACCEPT
        assert meter.state.credit_wh == 12500
        result_s = settings["screens"]["result_s"]
        amount_s = settings["screens"]["amount_s"]
        accepted = meter.profile.say("Accept")
        assert text(meter, T0)[0] == accepted
        assert text(meter, T0 + result_s - 1)[0] == accepted
        after = text(meter, T0 + result_s)
        assert (after[0] == "+12.5 kWh") == bool(amount_s), (meter.profile.name, after)
        idle = text(meter, T0 + result_s + (amount_s or 0))
        assert idle[0].startswith(meter.profile.say("credit")), (meter.profile.name, idle)
        assert meter.screen.deadline(T0 + 100) is None


def test_an_entry_is_dropped_when_idle_and_cleared_by_two_backspaces():
    for settings, meter in each(credit_wh=50000):
        idle_s = settings["entry"]["idle_timeout_s"]
        clear_s = settings["entry"]["clear_s"]
        press(meter, "1234")
        meter.process(T0 + idle_s - 1)
        assert meter.entry.digits == "1234", meter.profile.name
        meter.process(T0 + idle_s)
        assert meter.entry.digits == ""
        now = T0 + idle_s
        press(meter, "1234*", now)
        press(meter, "*", now + (clear_s or 1))
        assert meter.entry.digits == ("12" if clear_s is None else ""), meter.profile.name


def test_three_tokens_in_one_entry_are_split_or_refused():
    for settings, meter in each():
        digits = credit(2000, 10) + credit(2001, 20) + credit(2002, 30)
        press(meter, digits + "#")
        if settings["entry"]["auto_enter"]:
            # Digit 20 has entered the first token; keys are ignored while its result is shown.
            assert meter.state.credit_wh == 1000, meter.profile.name
            continue
        split = settings["entry"]["several"] == "split"
        assert meter.state.credit_wh == (6000 if split else 0), meter.profile.name
        assert (meter.state.result == R.FORMAT) != split


def test_keys_are_ignored_while_a_result_shows_if_the_profile_sets_it():
    for settings, meter in each(credit_wh=50000):
        key_in(meter, credit(2000, 10))
        meter.press("7", T0)
        locked = settings["entry"]["lock_while_result"]
        locked = locked or settings["entry"]["auto_enter"]
        assert meter.entry.digits == ("" if locked else "7"), meter.profile.name
        said = text(meter, T0)[1] == meter.profile.say("keys_locked")
        assert said == locked, meter.profile.name


def test_the_lock_out_follows_the_profile():
    for settings, meter in each():
        rule = settings["lockout"]
        now = T0
        for i in range(12):
            outcome = meter.enter(WRONG, now)
            assert outcome.result == R.CRC, meter.profile.name
            number = i + 1 - (rule["after"] or 100)
            if number < 0:
                assert not meter.lockout.blocked(now)
                continue
            steps = rule["steps_s"]
            locked_s = meter.lockout.blocked(now)
            assert locked_s == steps[min(number, len(steps) - 1)], (meter.profile.name, i)
            assert meter.enter(credit(2000 + i, 10), now).result == R.LOCK_OUT
            assert meter.enter(class1(4), now).result == R.ACCEPT
            assert meter.lockout.blocked(now + locked_s) == 0
            if rule["within_s"]:
                break
            now += locked_s
        if rule["after"]:
            meter.enter(WRONG, now)
            meter.save(now)
            other = again(meter._storage)
            blocked = other.lockout.blocked(now)
            assert (blocked == 0) == rule["cleared_by_power_cycle"], meter.profile.name


def test_a_key_change_follows_the_profile():
    for settings, meter in each():
        rule = settings["key_change"]
        name = meter.profile.name
        assert meter.state.kct == rule["tokens"], name
        first, second = key_change()[:2]
        outcome = meter.enter(second, T0)
        assert outcome.result == (R.NOT_READY if rule["ordered"] else R.KCT2), name
        window_s = rule["window_s"]
        now = T0 + 10000000
        assert meter.enter(first, now).result == (
            R.KCT1 if rule["ordered"] or window_s else R.ACCEPT
        )
        if window_s:
            late = now + window_s + 1
            assert meter.enter(second, late).result != R.ACCEPT, name
            assert meter.state.krn == 1
            now = late + window_s + 1
            assert meter.enter(first, now).result == R.KCT1, name
            assert meter.enter(second, now + window_s).result == R.ACCEPT, name
        assert (meter.state.krn, meter.state.ti) == (2, 2)
        # An incomplete change and a power cut.
        meter.provision(configuration(profile=name), T0)
        meter.enter(first, T0)
        kept = again(meter._storage).key_change.missing() == [2]
        assert kept == rule["keep_at_power_up"], name


def test_the_maximum_and_the_alarm_levels_of_the_credit_are_kept():
    for settings, meter in each():
        rule = settings["credit"]
        name = meter.profile.name
        meter.state.credit_wh = rule["max_wh"] - 999
        assert meter.enter(credit(2000, 10), T0).result == R.OVERFLOW, name
        low, alarm = rule["low_wh"], rule["alarm_wh"]
        meter.provision(configuration(profile=name, credit_wh=100000), T0)
        kinds = []
        for level in (low, alarm):
            if level is not None:
                meter.use_energy(meter.state.credit_wh - level - 1, T0)
                kinds.append([e["kind"] for e in meter.events()])
                meter.use_energy(1, T0)
                kinds.append([e["kind"] for e in meter.events()])
        if low is not None:
            assert ["low_credit" in seen for seen in kinds[:2]] == [False, True], name
        if alarm is not None:
            assert ["alarm" in seen for seen in kinds[-2:]] == [False, True], name
            assert meter.status(T0)["alarm"], name
            meter.press("*", T0)
            assert meter.status(T0)["alarm"] != rule["mute_any_key"], name


def test_emergency_credit_follows_the_profile():
    for settings, meter in each(credit_wh=100000):
        rule = settings["credit"]
        name = meter.profile.name
        if not rule["emergency_wh"]:
            assert meter.emergency(T0) == (False, "none"), name
            continue
        assert meter.emergency(T0) == (False, "not_needed"), name
        meter.use_energy(100000 - rule["emergency_offer_wh"], T0)
        before = meter.state.credit_wh
        assert meter.emergency(T0)[0], name
        assert meter.state.credit_wh == before + rule["emergency_wh"]
        assert meter.emergency(T0) == (False, "used"), name
        units = rule["emergency_wh"] // 100 + 10
        assert meter.enter(credit(2000, units), T0).result == R.ACCEPT
        assert meter.state.emergency_debt_wh == 0, name
        assert meter.state.credit_wh == before + units * 100, name


def test_advances_follow_the_profile():
    for settings, meter in each(credit_wh=1000):
        share = settings["credit"]["advance_share"]
        name = meter.profile.name
        if not share:
            assert "advance" in raises(ValueError, meter.grant, 10000, T0), name
            continue
        meter.grant(10000, T0)
        assert meter.state.credit_wh == 11000
        meter.enter(credit(2000, 100), T0)
        recovered = 10000 * share // 100
        assert meter.state.advance_debt_wh == 10000 - recovered, name
        assert meter.state.credit_wh == 21000 - recovered, name


def test_the_supply_at_zero_credit_follows_the_profile():
    for name in PROFILES:
        rule = profiles(name)["credit"]
        hours = rule["friendly"]
        times = [12 * 3600, 110 * 3600]  # Monday noon, Friday 14:00; then the limits of the hours
        times += hours
        for at in times:
            at %= 7 * 86400
            friendly = [i for i in range(0, len(hours), 2) if hours[i] <= at < hours[i + 1]]
            meter, _ = new_meter(profile=name, credit_wh=1000)
            begin = MONDAY + at - 3600
            meter.clock_set(T0, begin)
            meter.set_load(1000, begin)
            meter.process(begin + 3600)
            closed = bool(friendly) or rule["never_cut"] or rule["emergency_by"] == "auto"
            assert bool(meter.state.switch_closed) == closed, (name, at)
            if closed and rule["min_wh"] and rule["emergency_by"] != "auto":
                meter.process(begin + 3660)
                assert meter.state.credit_wh < 0, (name, at)
                assert meter.state.credit_wh >= rule["min_wh"]
        for day in rule["holidays"]:
            month, number = int(day[:2]), int(day[3:])
            found = 0
            while calendar.date(found)[1:] != (month, number) or (found + 5) % 7 > 4:
                found += 1
            meter, _ = new_meter(profile=name, credit_wh=1000)
            meter.clock_set(T0, found * 86400 + 43200)
            meter.set_load(1000, found * 86400 + 43200)
            meter.process(found * 86400 + 43200 + 3600)
            assert meter.state.switch_closed, (name, day)


def test_trips_at_the_power_limit_follow_the_profile():
    for settings, meter in each(credit_wh=10**9):
        rule = settings["supply"]
        name = meter.profile.name
        meter.enter(token(2, 0, {"rnd": 1, "tid": 2000, "mpl": 1000}), T0)
        assert meter.state.max_power_limit_w == 1000, name
        meter.set_load(2000, T0)
        now = T0
        for trip in range(1, (rule["trips"] or 3) + 1):
            meter.process(now + rule["limit_delay_s"] - 1)
            assert meter.state.switch_closed, (name, trip)
            now += rule["limit_delay_s"]
            meter.process(now)
            assert not meter.state.switch_closed, (name, trip)
            if trip == rule["trips"]:
                meter.process(now + rule["lock_s"] - 1)
                assert not meter.state.switch_closed, name
                now += rule["lock_s"]
            elif rule["reconnect_s"] is not None:
                meter.process(now + rule["reconnect_s"] - 1)
                assert not meter.state.switch_closed, (name, trip)
                now += rule["reconnect_s"]
            meter.process(now)
            if rule["reconnect_s"] is None:
                assert not meter.state.switch_closed, name
                assert meter.reconnect(now), name
            assert meter.state.switch_closed, (name, trip)


def test_reconnection_after_credit_follows_the_profile():
    for settings, meter in each():
        if settings["credit"]["never_cut"]:
            continue
        name = meter.profile.name
        noon = MONDAY + 43200
        meter, _ = new_meter(profile=name, credit_wh=1000)
        meter.clock_set(T0, noon)
        meter.use_energy(1000, noon)
        assert not meter.state.switch_closed, name
        meter.enter(credit(2000, 100), noon)
        automatic = settings["supply"]["reconnect"] == "auto"
        assert bool(meter.state.switch_closed) == automatic, name
        assert meter.reconnect(noon) != automatic, name
        assert meter.state.switch_closed, name


def test_a_tamper_follows_the_profile():
    for settings, meter in each(credit_wh=10000):
        rule = settings["supply"]
        name = meter.profile.name
        meter.set_tamper(True, T0)
        assert bool(meter.state.switch_closed) == (rule["tamper"] != "open"), name
        taken = meter.enter(credit(2000, 10), T0).result == R.ACCEPT
        assert taken == (rule["tamper_takes"] == "all"), name
        assert meter.enter(token(2, 5, {"rnd": 1, "tid": 2001, "pad": 0}), T0).result == R.ACCEPT
        assert meter.state.tamper == 0
        assert meter.state.switch_closed, name


def test_unbalanced_phases_follow_the_profile():
    for settings, meter in each(credit_wh=10**9):
        rule = settings["supply"]
        meter.enter(token(2, 6, {"rnd": 1, "tid": 2000, "mppul": 100}), T0)
        meter.set_load(3000, T0, 500)
        meter.process(T0 + rule["limit_delay_s"] + 1)
        assert bool(meter.state.switch_closed) != rule["unbalance"], meter.profile.name


def test_pulses_per_kwh_follow_the_profile():
    for settings, meter in each(credit_wh=10**7):
        meter.use_energy(3000, T0)
        assert meter.led(T0)["pulses"] == 3 * settings["supply"]["pulses_per_kwh"]
