"""Tests of locked mode: verbs without the unlock code, and delays after wrong codes."""

import json

from both_support import T0, again, configuration, credit, new_meter, raises
from jeton import locked
from jeton.console import VERBS, Console
from jeton.sts.results import TokenResult

CODE = "open sesame"
SALT = bytes(range(16))


class Clock:
    def __init__(self):
        self.seconds = T0
        self.rate = 1

    def now(self):
        return self.seconds

    def set(self, seconds):
        self.seconds = seconds

    def advance(self, seconds):
        self.seconds += seconds


class Line:
    """The board's side of `lock`. On a real board `restart` does not return."""

    def __init__(self):
        self.answers = []

    def salt(self):
        return SALT

    def restart(self, answer):
        self.answers.append(answer)


class Rig:
    """A locked meter with its guard and console."""

    def __init__(self, meter=None, store=None, clock=None):
        if meter is None:
            meter, store = new_meter(credit_wh=5000)
            locked.lock(meter, CODE, Line(), T0)
        self.meter, self.store, self.clock = meter, store, clock or Clock()
        self.console = Console(meter, self.clock, dict)
        self.guard = locked.Guard(self.console, meter, lambda: SALT)

    def send(self, data):
        """Send bytes; return the answers."""
        found = []
        for byte in data:
            answer = self.guard.take(byte)
            if answer is not None:
                found.append(answer)
        return found

    def call(self, *request):
        (answer,) = self.send(json.dumps(request).encode() + b"\n")
        return json.loads(answer)

    def error(self, *request):
        return self.call(*request)["error"]

    def power_cycled(self):
        return Rig(again(self.store), self.store, self.clock)


def test_locking_needs_a_code_of_8_to_64_characters():
    meter, _ = new_meter()
    line = Line()
    console = Console(meter, Clock(), dict, lambda: line)
    for code in ("", "1234567", "x" * 65, None, 12345678, ["12345678"]):
        assert "8 to 64" in json.loads(console.rpc(json.dumps(["lock", code])))["error"]
    assert not any(meter.state.lock)
    assert line.answers == []
    console.lock("12345678")
    assert [json.loads(answer) for answer in line.answers] == [{"ok": None}]
    assert any(meter.state.lock)


def test_the_record_does_not_contain_the_code():
    rig = Rig()
    assert CODE.encode() not in rig.store.record
    other, _ = new_meter(credit_wh=5000)
    locked._set_code(other, CODE, bytes(16), T0)
    assert other.state.lock[16:48] != rig.meter.state.lock[16:48]


def test_customers_verbs_work_without_the_code():
    rig = Rig()
    assert rig.call("enter", credit(5000, 100))["ok"]["result"] == TokenResult.ACCEPT
    assert rig.call("press", "12")["ok"]["display"]
    assert rig.call("acknowledge", 0)["locked"]  # else it could hide a tamper report
    assert rig.call("tid", 5000)["ok"] == "UsedError"
    assert rig.call("clock")["ok"] == T0
    for verb in (
        "info display status events emergency ledger reconnect mute language history led reports"
    ).split():
        assert "ok" in rig.call(verb), verb
    assert rig.meter.state.credit_wh == 15000


def test_all_other_verbs_need_the_code():
    rig = Rig()
    before = rig.meter.state.pack()
    guarded = [verb for verb in VERBS if verb not in locked._FREE_VERBS and verb != "clock"]
    assert sorted(guarded) == [
        "acknowledge",
        "advance",
        "advance_grant",
        "consume",
        "load",
        "load_profile",
        "lock",
        "phases",
        "provision",
        "rate",
        "save",
        "tamper",
    ]
    for request in (
        ("advance", 5),
        ("advance_grant", 5),
        ("consume", 5),
        ("load", 5),
        ("load_profile", [[0, 5]]),
        ("phases", [1, 2, 3]),
        ("provision", configuration()),
        ("rate", 5),
        ("save",),
        ("tamper", True),
        ("clock", T0 + 5),
        ("lock", "another code"),
        ("reset",),
    ):
        answer = rig.call(*request)
        assert answer["locked"] is True, request
        assert request[0] in answer["error"] or request[0] == "lock"
        assert "ok" not in answer
    assert rig.meter.state.pack() == before
    assert not rig.guard.resets


def test_an_unlocked_meter_can_be_locked_again():
    rig = Rig()
    assert rig.call("unlock", CODE) == {"ok": None}
    assert rig.call("load", 500)["ok"]["load_w"] == 500
    assert rig.call("rate", 60)["ok"]["rate"] == 60
    assert rig.call("lock") == {"ok": None}
    assert rig.clock.rate == 1  # a faster clock would shorten the waits
    assert rig.call("load", 5)["locked"]
    assert rig.guard.locked
    rig.call("unlock", CODE)
    assert rig.power_cycled().call("load", 5)["locked"]


def test_the_code_can_be_changed_while_unlocked():
    rig = Rig()
    rig.call("unlock", CODE)
    assert "8 to 64" in rig.error("lock", "short")
    assert rig.call("lock", "another code") == {"ok": None}
    assert rig.call("load", 5)["locked"]
    assert rig.error("unlock", CODE) == "that is not the unlock code"
    assert rig.call("unlock", "another code") == {"ok": None}


def test_open_removes_the_lock():
    rig = Rig()
    assert "not the unlock code" in rig.error("open", "wrong code")
    assert rig.guard.locked
    assert rig.call("open", CODE) == {"ok": None}
    assert not rig.guard.locked
    assert not any(rig.meter.state.lock)
    assert not any(again(rig.store).state.lock)


def test_provisioning_does_not_remove_the_lock():
    rig = Rig()
    rig.call("unlock", CODE)
    assert "ok" in rig.call("provision", configuration(clock=T0))
    assert rig.guard.locked
    assert rig.power_cycled().call("unlock", CODE) == {"ok": None}


def test_a_reset_after_unlocking_is_requested():
    rig = Rig()
    rig.call("unlock", CODE)
    assert rig.call("reset") == {"ok": None}
    assert rig.guard.resets


def test_each_wrong_code_doubles_the_wait():
    rig = Rig()
    waits = []
    for _ in range(10):
        assert rig.error("unlock", "wrong code") == "that is not the unlock code"
        answer = rig.error("unlock", None)  # reports the wait; does not count as a try
        waits.append(int(answer.split()[-2]) if "wait" in answer else 0)
        rig.clock.seconds += waits[-1]
    assert waits == [0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert rig.call("unlock", CODE) == {"ok": None}
    assert rig.error("open", "wrong code") == "that is not the unlock code"
    assert rig.call("open", CODE) == {"ok": None}  # a right code clears the count


def test_a_wait_survives_power_cuts_and_tries_in_it_are_not_saved():
    rig = Rig()
    for _ in range(3):
        rig.error("unlock", "wrong code")
    saves = rig.store.saves
    rig = rig.power_cycled()
    assert "wait 60 s" in rig.error("unlock", CODE)
    saves = rig.store.saves
    for _ in range(50):
        assert "wait 60 s" in rig.error("unlock", CODE)
        assert "wait 60 s" in rig.error("open", CODE)
    assert rig.store.saves == saves
    rig.clock.seconds += 60
    assert rig.call("unlock", CODE) == {"ok": None}


def test_a_try_is_counted_before_the_code_is_compared():
    rig = Rig()
    rig.store.full = True
    assert "full" in rig.error("unlock", CODE)
    assert rig.call("load", 5)["locked"]
    rig.store.full = False
    hashed = locked._hash
    try:

        def cut(code, salt):
            raise OSError(5)

        locked._hash = cut
        rig.error("unlock", "wrong code")
    finally:
        locked._hash = hashed
    assert again(rig.store).state.lock[48] == 1


def test_codes_of_wrong_type_or_content_are_refused():
    rig = Rig()
    for code in (None, 5, [], {"a": 1}, True):
        assert rig.error("unlock", code) == "an unlock code is a string"
    for code in ("", "x" * 3000, "\u20ac" * 100, CODE + "x", CODE[:-1]):
        rig.clock.seconds += 3600
        assert rig.error("unlock", code) == "that is not the unlock code"
    assert "ok" not in rig.call("unlock")


def test_control_characters_and_long_lines_are_handled():
    rig = Rig()
    assert rig.send(b"\n\r\n\x02\x03\x04\x05\r") == []
    assert rig.send(b"\x01") == [locked.MARK]
    assert rig.send(b'["sta\x01["tid",1]\r\n') == [locked.MARK, '{"ok": "OldError"}']
    assert rig.send(b'["t\x03id"\x04,1]\n') == ['{"ok": "OldError"}']
    long = rig.send(b"x" * (locked.LONGEST_LINE + 5000))
    assert [list(json.loads(answer)) for answer in long] == [["error"]]
    assert rig.send(b'["tid",1]\n["tid",1]\n') == ['{"ok": "OldError"}']
    assert "ok" in json.loads(rig.send(b" " * (locked.LONGEST_LINE - 9) + b'["tid",1]\n')[0])


def test_each_wrong_line_gets_one_line_of_error():
    rig = Rig()
    before = rig.meter.state.pack()
    for line in (
        b"{",
        b"[]",
        b"5",
        b"null",
        b'"status"',
        b'["nothing"]',
        b'["rpc", "[]"]',
        b'["_unlock"]',
        b'["_unlocked", true]',
        b"[[]]",
        b'[{"a": 1}]',
        b'["unlock"]',
        b'["unlock", "a", "b"]',
        b'["open"]',
        b'["lock", 1, 2]',
        b"\xff\xfe\x80",
        b'["enter", "\xff"]',
        b"[" * 1000,
        b"[" * 1000 + b"]" * 1000,
        b'["enter", ' + b"[" * 1000 + b"]" * 1000 + b"]",
        bytes(range(32, 256)),
        b"import os",
        b"print(meter)",
    ):
        (answer,) = rig.send(line + b"\n")
        assert list(json.loads(answer)) == ["error"], line[:20]
        assert "\n" not in answer
    assert rig.meter.state.pack() == before


def test_a_meter_without_a_lock_has_zeros_in_the_lock_field():
    meter, _ = new_meter()
    assert not any(meter.state.lock)
    assert "8 to 64" in raises(ValueError, locked._set_code, meter, "1234567", SALT, T0)


def test_ctrl_w_is_answered_and_does_not_change_the_line():
    rig = Rig()
    assert rig.send(b"\x17") == [locked.HEARD]
    assert rig.send(b'["dis') == []
    assert rig.send(b"\x17") == [locked.HEARD]
    (answer,) = rig.send(b'play"]\n')
    assert "lines" in json.loads(answer)["ok"]
    # It does not allow a longer line.
    (error, heard) = rig.send(b" " * (locked.LONGEST_LINE + 1) + b"\x17")
    assert "at most" in error
    assert heard == locked.HEARD
    assert rig.send(b"\n") == []
