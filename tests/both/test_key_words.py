"""Tests that words which ask for a code of a key change name a code that is missing.

Every profile, sets of two, three and four codes, in every order; the idle screen keeps asking
until the set is complete or its window ends.
"""

from both_support import (
    KEY,
    KEY11,
    NEW,
    NEW11,
    PROFILES,
    T0,
    again,
    configuration,
    key_change,
    new_meter,
    profiles,
    text,
)
from jeton import pages
from jeton.sts.results import NAMES
from jeton.sts.results import TokenResult as R

DAY = 86400


def orders(items):
    """Return all orders of some items."""
    if len(items) < 2:
        return [items]
    found = []
    for i in range(len(items)):
        found += [[items[i]] + rest for rest in orders(items[:i] + items[i + 1 :])]
    return found


def sets():
    """Yield (key, configuration, codes) of a set of two, of three and of four."""
    yield KEY, {"kct": 2}, key_change()
    yield KEY, {"kct": 3}, key_change(three=True)
    yield KEY11, {}, key_change(KEY11, NEW11)


def asked(profile, number):
    """Return the words in which a profile asks for a code."""
    return profile.say("enter_code", profile.say("ordinals").split(" ")[number - 1])


def test_each_word_asks_for_a_code_that_is_missing():
    meter = new_meter()[0]
    for name in PROFILES:
        ordered = profiles(name)["key_change"]["ordered"]
        meter.provision(configuration(profile=name), T0)
        for key, config, codes in sets():
            count = len(codes)
            found = orders(list(range(count)))
            for at in range(len(found)):
                order = found[at]
                shared = "{}" not in meter.profile.say("1stKCT") and not ordered
                if count == 4 and at % 6 and shared and name != "generic":
                    continue  # its words are those of generic, which does all orders
                meter.provision(configuration(key, profile=name, credit_wh=10**6, **config), T0)
                taken = []
                for i in order:
                    outcome = meter.enter(codes[i], T0)
                    where = (name, count, order, i, text(meter, T0))
                    if outcome.result == R.ACCEPT:
                        break
                    if outcome.result != R.NOT_READY:
                        taken.append(i + 1)
                    assert outcome.missing, where
                    wanted = outcome.missing[0]
                    assert wanted not in taken, where
                    shown = text(meter, T0)
                    ask = asked(meter.profile, wanted)
                    assert ask in shown, where
                    # No other code is asked for.
                    for other in range(1, 5):
                        if other != wanted:
                            assert asked(meter.profile, other) not in shown, where
                    if outcome.result != R.NOT_READY:
                        ordinal = meter.profile.say("ordinals").split(" ")[wanted - 1]
                        words = meter.profile.say(NAMES[outcome.result], ordinal)
                        assert shown[0] == words, where
                if not ordered:
                    assert meter.state.krn == 2, where


def test_a_maker_asks_in_its_own_words():
    """CLOU: PLS_1St and PLS_2nd; Hexing: the number of the code."""
    for name, key, order, want in (
        ("clou", KEY, (0,), ["PLS_2nd"]),
        ("clou", KEY, (1,), ["PLS_1St"]),
        ("clou", KEY11, (0, 1, 2), ["PLS_2nd", "PLS_3rd", "PLS_4th"]),
        ("clou", KEY11, (3, 2, 1), ["PLS_1St", "PLS_1St", "PLS_1St"]),
        ("hexing", KEY11, (1, 0, 2), ["1", "3", "4"]),
        ("hexing", KEY, (0,), ["2"]),
    ):
        meter, _ = new_meter(key, profile=name, credit_wh=10**6)
        codes = key_change(key, NEW if key == KEY else NEW11)
        shown = []
        for i in order:
            meter.enter(codes[i], T0)
            shown.append(text(meter, T0)[0])
        assert shown == want, (name, order)


def test_the_idle_screen_asks_until_the_window_ends():
    for rows, cols in ((2, 16), (2, 20), (4, 16), (4, 20)):
        for name in PROFILES:
            meter, _ = new_meter(profile=name, credit_wh=0, display=[rows, cols])
            window_s = meter.profile.key_change_window_s
            meter.enter(key_change()[0], T0)
            ask = asked(meter.profile, 2)
            # In each second after the result, beside alarms too: this meter has no credit.
            for after in list(range(10, 24)) + [window_s - 1, window_s]:
                assert ask in text(meter, T0 + after), (name, rows, after)
            assert ask not in text(meter, T0 + window_s + 1), (name, rows)
            meter = None


def test_a_complete_key_change_asks_for_nothing():
    meter, _ = new_meter(profile="ceet", credit_wh=10**6)
    first, second = key_change()
    meter.enter(first, T0)
    assert text(meter, T0 + 100)[0] == "ENTRER CODE 2"
    meter.enter(second, T0 + 110)
    assert text(meter, T0 + 115)[0].startswith("CREDIT")


def test_code_1_again_restarts_the_window():
    """At CEET code 2 may follow 120 s after the last code 1."""
    meter, _ = new_meter(profile="ceet", credit_wh=10**6)
    first, second = key_change()
    assert meter.enter(first, T0).result == R.KCT1
    assert meter.enter(first, T0 + 100).result == R.KCT1
    assert text(meter, T0 + 219)[0] == "ENTRER CODE 2"
    assert meter.enter(second, T0 + 219).result == R.ACCEPT


def test_a_change_without_a_window_asks_after_a_power_cut_too():
    changes = {"key_change.window_s": None, "key_change.keep_at_power_up": True}
    meter, store = new_meter(changes=changes, credit_wh=10**6)
    meter.enter(key_change()[1], T0)
    meter.save(T0 + 10 * DAY)
    assert text(meter, T0 + 10 * DAY)[0] == "Enter code 1"
    meter = None
    assert text(again(store, changes), T0 + 10 * DAY)[0] == "Enter code 1"


def test_the_last_result_of_a_dropped_key_change_asks_for_nothing():
    meter, _ = new_meter(profile="clou")
    for result in (R.KCT1, R.KCT4):
        assert pages.result_words(meter.profile, result, [], 0) == "PLS_-"
    assert pages.result_words(meter.profile, R.CRC, [], 8) == "Reject-8"
