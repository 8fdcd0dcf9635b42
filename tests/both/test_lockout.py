"""Tests of the lock-out: wrong tokens lock a meter for the steps of its profile."""

from both_support import (
    KEY,
    KEY11,
    NEW,
    NEW11,
    PROFILES,
    T0,
    again,
    class1,
    credit,
    key_change,
    new_meter,
    raises,
    text,
)
from jeton import reading, reports
from jeton import state as states
from jeton.acceptance import class_of
from jeton.lockout import Lockout, counts
from jeton.sts.results import GOOD, NAMES
from jeton.sts.results import TokenResult as R

T = 800_000_000
DOUBLING = [10, 20, 40, 80, 160, 320, 640, 1280]


class Rule:
    """The settings of a profile that concern the lock-out."""

    def __init__(self, after=3, within_s=None, steps_s=DOUBLING, by_power=True):
        self.lockout_after = after
        self.lockout_within_s = within_s
        self.lockout_steps_s = steps_s
        self.lockout_cleared_by_power_cycle = by_power


def rig(**rule):
    state = states.State()
    return Lockout(Rule(**rule), state), state


def test_locks_double_after_three_wrong_tokens_up_to_the_maximum():
    lockout, _ = rig()
    now = T
    assert [lockout.wrong(now), lockout.wrong(now)] == [0, 0]
    for i in range(12):
        seconds = lockout.wrong(now)
        assert seconds == min(10 * 2**i, 1280)
        assert lockout.blocked(now) == seconds
        assert lockout.deadline() == now + seconds
        assert lockout.blocked(now + seconds - 1) == 1
        assert not lockout.process(now + seconds - 1)
        assert lockout.process(now + seconds)
        assert lockout.blocked(now + seconds) == 0
        assert lockout.deadline() is None
        now += seconds + 5


def test_an_accepted_token_clears_the_count():
    lockout, state = rig()
    for _ in range(5):
        lockout.wrong(T)
    lockout.accepted(T)
    assert lockout.blocked(T) == 0
    assert state.lock_count == 0
    assert [lockout.wrong(T), lockout.wrong(T), lockout.wrong(T)] == [0, 0, 10]


def test_a_window_counts_from_its_first_wrong_token():
    lockout, state = rig(after=5, within_s=600, steps_s=[3600])
    for i in range(4):
        assert lockout.wrong(T + i) == 0
    assert lockout.deadline() == T + 600
    # Ten minutes after the first wrong token the count is cleared.
    assert lockout.wrong(T + 600) == 0
    assert state.lock_count == 1
    for i in range(3):
        assert lockout.wrong(T + 700 + i) == 0
    assert lockout.wrong(T + 1100) == 3600
    lockout.process(T + 1200)
    # The window ends before the lock.
    assert lockout.blocked(T + 1200) == 3500
    assert lockout.deadline() == T + 4700
    lockout.process(T + 4700)
    assert lockout.blocked(T + 4700) == 0
    assert lockout.wrong(T + 4700) == 0


def test_a_profile_without_lock_out_never_locks():
    lockout, state = rig(after=None, steps_s=[])
    for _ in range(500):
        assert lockout.wrong(T) == 0
    assert (lockout.blocked(T), lockout.deadline(), state.event_seq) == (0, None, 0)


def test_a_power_cycle_ends_a_lock_only_if_the_profile_allows():
    for by_power in (True, False):
        lockout, state = rig(by_power=by_power)
        for _ in range(4):
            lockout.wrong(T)
        state = reading.unpack(state.pack())
        lockout = Lockout(Rule(by_power=by_power), state)
        assert lockout.blocked(T + 1) == 19
        lockout.power_up(T + 1)
        assert lockout.blocked(T + 1) == (0 if by_power else 19)
        assert lockout.wrong(T + 2) == (0 if by_power else 40)


def test_setting_the_clock_does_not_end_a_lock():
    for moved in (86400, -86400):
        lockout, _ = rig(after=2, within_s=600, steps_s=[3600])
        lockout.wrong(T)
        lockout.shift(moved)
        assert lockout.deadline() == T + moved + 600
        lockout.wrong(T + moved + 10)
        lockout.shift(moved)
        assert lockout.blocked(T + 2 * moved + 10) == 3600


def test_a_lock_is_logged_and_reported():
    lockout, state = rig(after=1)
    lockout.wrong(T)
    logged = {"seq": 1, "time": T, "kind": "locked_out", "wrong": 1, "seconds": 10}
    assert reports.since(state, 0, ()) == [logged]
    assert reports.pending(state) == [logged]
    for _ in range(300):
        lockout.wrong(T)
    assert state.lock_count == 255
    assert lockout.blocked(T) == 1280


def test_only_a_crc_error_counts_as_wrong():
    assert [n for n in range(1, len(NAMES)) if counts(n)] == [R.CRC]


# The lock-out of a whole meter, by keypad and serial line


def wrong(tid, key=NEW):
    """Return a token encrypted with a key that is not the meter's."""
    return credit(tid, 100, key)


def lock(meter, now):
    """Enter wrong tokens until the meter is locked; return the seconds of the lock."""
    for tid in range(3000, 3099):
        assert meter.enter(wrong(tid), now).result == R.CRC
        if meter.lockout.blocked(now):
            return meter.lockout.blocked(now)
    raise AssertionError("the meter never locks")


def test_a_locked_meter_accepts_no_token_from_keypad_or_line():
    meter, _ = new_meter(profile="clou")
    good = credit(2000)
    assert lock(meter, T0) == 10
    for now in (T0, T0 + 9):
        outcome = meter.enter(good, now)
        assert outcome.result == R.LOCK_OUT
        assert outcome.amount_wh is None
    now = T0 + 3  # the display no longer shows the result, and the keypad is free
    meter.screen.clear()
    for key in good:
        meter.press(key, now)
    assert meter.press("#", now).result == R.LOCK_OUT
    assert text(meter, now) == [meter.profile.say("LockOut"), meter.profile.say("wait", 7)]
    # A token refused because of the lock is neither marked as used nor counted as wrong.
    assert meter.enter(good, T0 + 10).result == R.ACCEPT
    assert meter.state.lock_count == 0
    assert meter.state.credit_wh == 10000
    assert [e["kind"] for e in meter.events() if e["kind"] == "locked_out"] == ["locked_out"]


def test_class_1_tokens_and_short_codes_work_while_locked():
    meter, _ = new_meter(profile="clou")
    lock(meter, T0)
    assert meter.enter(class1(4), T0).result == R.ACCEPT
    # They do not end the lock.
    assert meter.lockout.blocked(T0) == 10
    meter.screen.clear()
    for key in "07#":
        meter.press(key, T0)
    assert text(meter, T0)[0] == meter.profile.say("credit")
    # Guessing class 1 tokens gives no information; too few digits are no token.
    assert meter.enter(class1(4)[:-1] + "0", T0).result != R.LOCK_OUT
    assert meter.enter("123", T0).result == R.FORMAT


def test_used_old_and_malformed_tokens_are_not_counted():
    meter, _ = new_meter(profile="clou")
    meter.enter(credit(2000), T0)
    for _ in range(20):
        assert meter.enter(credit(2000), T0).result == R.USED
        assert meter.enter(credit(5), T0).result == R.OLD
        assert meter.enter("12345", T0).result == R.FORMAT
        assert meter.enter("9" * 20, T0).result == R.FORMAT
    assert meter.state.lock_count == 0


def test_a_key_change_does_not_unlock():
    # Its sections have no TID: a change to the same key, or one forth and one back, could be
    # entered again and again, with guesses between them.
    meter, _ = new_meter(profile="clou")
    lock(meter, T0)
    count = meter.state.lock_count
    for section in key_change():
        meter.enter(section, T0 + 10)
    assert meter.state.krn == 2
    assert meter.state.lock_count == count


def test_repeated_tokens_while_locked_are_logged_once():
    meter, store = new_meter(profile="clou")
    lock(meter, T0)
    meter.enter(credit(2000), T0 + 1)
    saves, seq = store.saves, meter.state.event_seq
    for i in range(50):
        assert meter.enter(credit(2000 + i), T0 + 1).result == R.LOCK_OUT
    assert (store.saves, meter.state.event_seq) == (saves, seq)


def test_class_1_tokens_are_never_counted():
    meter, _ = new_meter(profile="clou")
    mistyped = class1(4)[:-1] + "0"
    assert class_of(mistyped) == 1
    for _ in range(5):
        assert meter.enter(mistyped, T0).result == R.CRC
    assert meter.state.lock_count == 0


def test_a_section_of_a_key_change_does_not_unlock():
    # A section has no TID and can be entered again and again: guesses between would never lock.
    meter, _ = new_meter(profile="clou")
    section = key_change()[0]
    for i in range(2):
        assert meter.enter(wrong(3000 + i), T0).result == R.CRC
        assert meter.enter(section, T0).result == R.KCT1
    assert meter.state.lock_count == 2
    assert meter.enter(wrong(4000), T0).result == R.CRC
    assert meter.lockout.blocked(T0) == 10


def test_tokens_of_earlier_keys_are_not_counted():
    # Customers key a used set of codes, or an old ticket, again.
    for key, new in ((KEY, NEW), (KEY11, NEW11)):
        meter, store = new_meter(key, profile="clou")
        old = [credit(2000, key=key), credit(2001, key=key)] + key_change(key, new)
        for digits in old:
            if digits != old[1]:
                assert meter.enter(digits, T0).result in GOOD
        assert meter.state.krn == 2
        for _ in range(2):
            for digits in old:
                outcome = meter.enter(digits, T0)
                assert outcome.result == R.CRC
                assert "earlier key" in outcome.message
            meter = again(store)  # it is remembered over a power cut
        assert meter.state.lock_count == 0
        assert meter.enter(credit(2002, key=new), T0).result == R.ACCEPT
        # Also after further changes; wrong tokens count as before.
        for i, (before, after) in enumerate(((new, key), (key, new))):
            for digits in key_change(before, after, krn=3 + i):
                assert meter.enter(digits, T0).result in GOOD
        assert meter.enter(old[1], T0).result == R.CRC
        assert meter.state.lock_count == 0
        assert meter.enter(credit(2000, key=bytes(len(key))), T0).result == R.CRC
        assert meter.state.lock_count == 1


class PowerCut(Exception):
    pass


def cut_while_decrypting(meter):
    def cut(block):
        raise PowerCut

    meter._decrypt = cut


def test_the_count_is_committed_before_a_token_is_decrypted():
    for token in (wrong(2000), credit(2000)):
        meter, store = new_meter(profile="landis_gyr")
        for i in range(4):
            cut_while_decrypting(meter)
            raises(PowerCut, meter.enter, token, T0)
            meter = again(store)
            assert meter.state.lock_count == i + 1
        cut_while_decrypting(meter)
        raises(PowerCut, meter.enter, token, T0)
        meter = again(store)
        assert meter.lockout.blocked(T0) == 3600
        assert meter.enter(credit(2000), T0 + 3600).result == R.ACCEPT


def test_a_good_token_leaves_no_trace_of_the_count_before_it():
    meter, store = new_meter(profile="clou")
    for i in range(2):
        meter.enter(wrong(3000 + i), T0)
    seen, reports_seen = meter.state.event_seq, meter.state.report_seq
    # This token, if wrong, would lock the meter. The lock is committed first; no log shows it.
    assert meter.enter(credit(2000), T0).result == R.ACCEPT
    assert (meter.state.lock_count, meter.state.lock_until) == (0, 0)
    assert [e["kind"] for e in meter.events(seen)] == ["token", "switch_closed"]
    assert meter.state.report_seq == reports_seen
    # An authentic but used token is no guess, and does not clear the count.
    meter.enter(wrong(3001), T0)
    assert meter.enter(credit(2000), T0).result == R.USED
    assert (meter.state.lock_count, meter.lockout.blocked(T0)) == (1, 0)
    assert reading.unpack(store.record).lock_count == 1


def test_counting_costs_one_more_save_per_token():
    for name, costs in (("clou", (1, 2, 2, 1)), ("conlog", (1, 1, 1, 1))):
        meter, store = new_meter(profile=name)
        for i, token in enumerate((wrong(1), credit(2000), credit(2000), class1(4))):
            before = store.saves
            meter.enter(token, T0)
            assert store.saves - before == costs[i], name


def test_a_token_is_not_decrypted_if_the_count_cannot_be_saved():
    meter, store = new_meter(profile="clou")
    cut_while_decrypting(meter)
    store.full = True
    raises(OSError, meter.enter, credit(2000), T0)  # not PowerCut: it was not decrypted
    assert meter.state.lock_count == 0
    store.full = False
    meter = again(store)
    assert meter.enter(credit(2000), T0).result == R.ACCEPT


def lock_and_restart(name):
    meter, store = new_meter(profile=name)
    if meter.profile.lockout_after is None:
        for tid in range(3000, 3030):
            assert meter.enter(wrong(tid), T0).result == R.CRC, name
        return
    first_s = meter.profile.lockout_steps_s[0]
    assert lock(meter, T0) == first_s, name
    assert meter.state.lock_count == meter.profile.lockout_after, name
    cleared = meter.profile.lockout_cleared_by_power_cycle
    meter = again(store)
    assert (meter.lockout.blocked(T0) == 0) == cleared, name
    assert (meter.enter(credit(2000), T0).result == R.ACCEPT) == cleared, name
    assert meter.lockout.blocked(T0) == (0 if cleared else first_s)


def test_a_lock_is_saved_in_the_record():
    for name in PROFILES:
        lock_and_restart(name)


def test_setting_the_clock_of_a_locked_meter_keeps_the_lock():
    meter, _ = new_meter(profile="landis_gyr")
    lock(meter, T0)
    for was, now in ((T0, T0 + 86400), (T0 + 86400, T0 - 86400)):
        meter.clock_set(was, now)
        assert meter.lockout.blocked(now) == 3600
        assert meter.enter(credit(2000), now).result == R.LOCK_OUT
