"""Tests that a key which bounces costs one wrong token at most, on every profile.

The Gemini HMI manual of Landis+Gyr (p. 16): digit 20 enters the token and the meter locks its
keypad while it shows the result.
"""

from both_support import PROFILES, T0, class1, configuration, credit, new_meter, profiles, text
from jeton.sts.results import TokenResult as R


def typed(meter, keys, now, pace_s):
    """Key at an even pace; return (the last outcome, the time of the next key)."""
    outcome = None
    for key in keys:
        outcome = meter.press(key, now) or outcome
        now += pace_s
    return outcome, now


def bounced(digits, at):
    return digits[: at + 1] + digits[at:]


def enter(profile):
    return "" if profile.entry_auto_enter else "#"


def cases(name):
    """Return (place of the key that bounces, seconds between keys).

    Only where digit 20 enters by itself is there much to try.
    """
    if profiles(name)["entry"]["auto_enter"]:
        return [(at, pace_s) for at in (0, 18, 19) for pace_s in (0, 1, 4, 5, 7)]
    return [(9, 1)]


def test_digit_21_does_not_hide_the_sad_face():
    meter, _ = new_meter(profile="landis_gyr", credit_wh=10**6)
    outcome, _ = typed(meter, bounced(credit(2000, 10), 4), T0, 0)
    assert outcome.result == R.CRC
    assert meter.entry.digits == ""
    assert text(meter, T0) == [":-(", "Keys locked"]
    assert meter.flashes(T0)
    # The next try, after the sad face, is a whole token again.
    assert typed(meter, credit(2000, 10), T0 + 5, 1)[0].result == R.ACCEPT


def test_a_retry_after_a_bounced_key_is_never_off_by_one():
    meter = new_meter()[0]
    token = credit(2000, 10)
    for name in PROFILES:
        for at, pace_s in cases(name):
            meter.provision(configuration(profile=name, credit_wh=10**6), T0)
            keys = bounced(token, at) + enter(meter.profile)
            outcome, now = typed(meter, keys, T0, pace_s)
            assert not meter.lockout.blocked(now), (name, at, pace_s)
            if outcome.result == R.ACCEPT:
                continue  # the last digit bounced where digit 20 enters
            # One look at the display, then the same token again.
            now += 16
            outcome, now = typed(meter, token + enter(meter.profile), now, pace_s)
            assert outcome.result == R.ACCEPT, (name, at, pace_s)


def test_who_keys_on_without_a_look_does_not_lock_the_meter():
    """Key the bounced token and then the right one again and again, without a pause."""
    meter = new_meter()[0]
    token = credit(2000, 10)
    for name in PROFILES:
        for at, pace_s in cases(name):
            meter.provision(configuration(profile=name, credit_wh=10**6), T0)
            keys = bounced(token, at) + enter(meter.profile)
            _, now = typed(meter, keys, T0, pace_s)
            for _ in range(6):
                _, now = typed(meter, token + enter(meter.profile), now, pace_s)
                assert not meter.lockout.blocked(now), (name, at, pace_s)
            assert meter.state.lock_count <= 1, (name, at, pace_s)


def test_a_profile_of_ones_own_without_the_lock_is_protected_too():
    changes = {"entry.auto_enter": True, "entry.lock_while_result": False}
    meter, _ = new_meter(changes=changes, credit_wh=10**6)
    outcome, _ = typed(meter, bounced(credit(2000, 10), 4), T0, 0)
    assert (outcome.result, meter.entry.digits) == (R.CRC, "")
    assert text(meter, T0) == ["Rejected", "Keys locked"]


def test_a_digit_more_does_not_hide_the_pages_of_a_test():
    meter, _ = new_meter(profile="landis_gyr", credit_wh=10**6)
    typed(meter, class1(4) + "6", T0, 0)
    assert meter.entry.digits == ""
    assert text(meter, T0)[0] == "KRN / key type"
    # Enter turns these pages, and the key i begins a short code.
    typed(meter, class1(4, 5), T0 + 5, 0)
    meter.press("#", T0 + 5)
    assert text(meter, T0 + 5)[0] == "Tariff index"
    typed(meter, "i002", T0 + 5, 0)
    assert text(meter, T0 + 5)[0] == "Credit"


def test_refused_keys_are_said_beside_the_amount_in_turn():
    meter, _ = new_meter(profile="landis_gyr", credit_wh=0)
    typed(meter, credit(2000, 125) + "5", T0, 0)
    assert text(meter, T0) == [":-)", "Keys locked"]
    assert text(meter, T0 + 1) == [":-)", "+12.5 kWh"]
    assert text(meter, T0 + 2) == [":-)", "Keys locked"]
    # A second Enter is a habit: it hides nothing.
    typed(meter, credit(2001, 125) + "##", T0 + 10, 0)
    assert text(meter, T0 + 10) == [":-)", "+12.5 kWh"]


def test_a_second_enter_does_not_hide_the_result_where_it_begins_a_code():
    meter, _ = new_meter(profile="conlog", credit_wh=0)
    typed(meter, credit(2000, 125) + "##", T0, 0)
    assert text(meter, T0)[0] == "Accepted"
    # It is no part of the next token either.
    outcome, _ = typed(meter, credit(2001, 10) + "#", T0 + 3, 0)
    assert outcome.result == R.ACCEPT
    assert typed(meter, "#" + credit(2002, 10) + "#", T0 + 60, 0)[0].result == R.ACCEPT
    assert profiles("conlog")["codes"]["start"] == "#"
