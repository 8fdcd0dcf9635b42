"""Tests that keys become tokens, short codes and pages, in the way of each maker."""

from both_support import raises
from jeton.entry import Entry, find

T = 800_000_000
TWENTY = "12345678901234567890"


class Keypad:
    """The settings of a profile that concern keys."""

    entry_auto_enter = False
    entry_idle_timeout_s = 30
    entry_clear_s = None
    entry_several = "split"
    codes_start = ""
    codes_digits = None

    def __init__(self, **values):
        self.codes_show = {"07": "credit", "301-350": "history_token"}
        for name in values:
            setattr(self, name, values[name])


def keypad(**values):
    return Entry(Keypad(**values))


def press(entry, keys, now=T):
    found = [entry.press(key, now) for key in keys]
    return [one for one in found if one]


def test_a_token_is_entered_by_key_or_automatically():
    entry = keypad()
    assert press(entry, TWENTY) == []
    assert press(entry, "#") == [("token", [TWENTY])]
    assert entry.digits == ""
    entry = keypad(entry_auto_enter=True)
    assert press(entry, TWENTY[:-1]) == []
    assert press(entry, TWENTY[-1]) == [("token", [TWENTY])]
    assert press(entry, "#") == [("page",)]
    assert press(entry, "12345#") == [("token", ["12345"])]


def test_backspace_deletes_and_two_quick_ones_clear():
    entry = keypad()
    press(entry, "1234**")
    assert entry.digits == "12"
    entry = keypad(entry_clear_s=1)
    press(entry, "1234*", T)
    assert entry.digits == "123"
    press(entry, "*", T + 1)
    assert entry.digits == ""
    press(entry, "1234*", T)
    press(entry, "*", T + 2)
    assert entry.digits == "12"
    # A digit between two backspaces: they do not count as a quick pair.
    press(entry, "5*6*", T + 9)
    assert entry.digits == "12"
    press(entry, "***", T + 20)
    assert press(entry, "#", T + 20) == [("page",)]


def test_the_idle_time_starts_at_the_last_key():
    entry = keypad(entry_idle_timeout_s=20)
    assert entry.deadline() is None
    press(entry, "12", T)
    press(entry, "3", T + 15)
    assert entry.deadline() == T + 35
    entry.process(T + 34)
    assert entry.digits == "123"
    entry.shift(100)
    entry.process(T + 134)
    assert entry.digits == "123"
    entry.process(T + 135)
    assert entry.digits == ""
    entry = keypad(codes_start="i", codes_digits=3)
    press(entry, "i", T)
    assert entry.deadline() == T + 30
    entry.process(T + 30)
    assert not entry.code


def test_40_and_60_digits_are_several_tokens():
    other = "98765432109876543210"
    for split in ("split", "refuse"):
        entry = keypad(entry_several=split)
        for keyed in (TWENTY + other, TWENTY + other + TWENTY):
            tokens = [keyed[i : i + 20] for i in range(0, len(keyed), 20)]
            found = press(entry, keyed + "#")
            assert found == [("token", tokens if split == "split" else [keyed])]
        # 41 digits are not split: it is unknown which token is wrong.
        assert press(entry, TWENTY + other + "1#") == [("token", [TWENTY + other + "1"])]
    entry = keypad(entry_auto_enter=True)
    assert press(entry, TWENTY + other) == [("token", [TWENTY]), ("token", [other])]
    assert len(press(keypad(), "1" * 500 + "#")[0][1][0]) == 199


def test_a_short_code_can_be_digits_and_enter():
    entry = keypad()
    assert press(entry, "07#") == [("code", "07")]
    assert press(entry, "350#") == [("code", "350")]
    # An entry of 2 to 4 digits is meant as a code, also if the profile does not have it.
    assert press(entry, "08#") == [("code", "08")]
    assert press(entry, "9999#") == [("code", "9999")]
    assert press(entry, "7#") == [("token", ["7"])]
    assert press(entry, "99999#") == [("token", ["99999"])]
    # A meter without short codes has no unknown ones either.
    assert press(keypad(codes_show={}), "999#") == [("token", ["999"])]
    raises(ValueError, entry.press, "i", T)


def test_a_short_code_can_be_between_hashes():
    entry = keypad(codes_start="#", codes_show={"005": "krn_kt"})
    assert press(entry, "#005#") == [("code", "005")]
    assert press(entry, TWENTY + "#") == [("token", [TWENTY])]
    assert press(entry, "##") == [("page",)]
    assert press(entry, "005#") == [("token", ["005"])]
    # An unknown code is a short code too.
    assert press(entry, "#999#") == [("code", "999")]
    # A # too many before a token: no code has 20 digits.
    assert press(entry, "#" + TWENTY + "#") == [("token", [TWENTY])]
    press(entry, "#" + TWENTY[:-1])
    assert entry.code
    press(entry, TWENTY[-1])
    assert not entry.code
    assert press(entry, "#") == [("token", [TWENTY])]
    other = "98765432109876543210"
    assert press(entry, "#" + TWENTY + other + "#") == [("token", [TWENTY, other])]
    assert press(entry, "#" + TWENTY[:-1] + "#") == [("code", TWENTY[:-1])]
    press(entry, "#00*")
    assert (entry.code, entry.digits) == (True, "0")
    press(entry, "**")
    assert not entry.code


def test_a_short_code_can_begin_with_its_own_key():
    entry = keypad(codes_start="i", codes_digits=3, entry_auto_enter=True)
    assert press(entry, "i059") == [("code", "059")]
    assert press(entry, "i59#") == [("code", "59")]
    # The key discards the digits before it.
    assert press(entry, "123i007") == [("code", "007")]
    assert press(entry, "i0ii002") == [("code", "002")]
    assert press(entry, TWENTY) == [("token", [TWENTY])]
    raises(ValueError, entry.press, "x", T)


def test_codes_are_found_alone_and_in_ranges():
    show = {"07": "credit", "301-350": "history_token"}
    assert find(show, "07") == ("credit", 1)
    assert find(show, "301") == ("history_token", 1)
    assert find(show, "350") == ("history_token", 50)
    for unknown in ("351", "300", "7", "0301", "301-350x", "", "31"):
        assert find(show, unknown) is None
    assert find({}, "07") is None
