"""The real meter in MicroPython and a plain one by the standard: they agree after every step.

`JETON_MODEL_EXAMPLES=20000 pytest tests/model -s` goes on for hours, other ways each time.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reference import Reference, Rules, read

from jeton_host.firmware import profiles
from jeton_host.vending import tokens
from rig import Rig

EXAMPLES = int(os.environ.get("JETON_MODEL_EXAMPLES", "100"))
STEPS = 60
T0 = 800_000_000
TID0 = 1000

KEYS = {
    7: [bytes.fromhex(k) for k in ("87f3ecbb2e46b48f", "0123456789abcdef", "fedcba9876543210")],
    11: [
        bytes.fromhex("929bd3a415c9420a05ec5ee9f3ce91c3"),
        bytes.fromhex("00112233445566778899aabbccddeeff"),
    ],
}


@dataclass(frozen=True)
class Variant:
    """A meter of a shipped profile, some settings changed, and how it is set up."""

    profile: str
    ea: int = 7
    changes: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


# No supply without credit: friendly hours are tested where time is (tests/both/test_credit.py).
PLAIN = {"credit.friendly": [], "credit.holidays": [], "supply.reconnect": "auto"}
VARIANTS = {
    "generic": Variant("generic"),
    "generic EA11": Variant("generic", 11),
    "ceet": Variant("ceet"),
    "clou": Variant("clou"),
    "landis_gyr": Variant("landis_gyr", changes=PLAIN),
    "itron DDTK": Variant("itron", changes=PLAIN, config={"kt": 1}),
    "sections kept, small register": Variant(
        "generic",
        changes={
            "key_change.keep_at_power_up": True,
            "key_change.window_s": None,
            "credit.max_wh": 2_000_000,
            "lockout.cleared_by_power_cycle": False,
            "supply.tamper": "open",
            "supply.tamper_takes": "clear",
        },
        config={"ken": 0, "kt": 0},
    ),
    "short steps EA11, ordered": Variant(
        "clou",
        11,
        changes={
            "key_change.ordered": True,
            "key_change.keep_at_power_up": True,
            "lockout.after": 2,
            "lockout.within_s": 300,
            "lockout.cleared_by_power_cycle": False,
            "supply.limit_delay_s": 3,
            "supply.trips": 2,
            "supply.lock_s": 90,
        },
    ),
}


def rules_of(variant: Variant) -> Rules:
    data = profiles.load(variant.profile)
    for path, value in variant.changes.items():
        section, _, name = path.partition(".")
        data[section][name] = value
    change, lock, supply = data["key_change"], data["lockout"], data["supply"]
    return Rules(
        kct=4 if variant.ea == 11 else variant.config.get("kct", change["tokens"]),
        ordered=change["ordered"],
        window_s=change["window_s"],
        keep_sections=change["keep_at_power_up"],
        wrong_after=lock["after"],
        wrong_within_s=lock["within_s"],
        lock_steps_s=tuple(lock["steps_s"]),
        power_cycle_unlocks=lock["cleared_by_power_cycle"],
        min_wh=data["credit"]["min_wh"],
        max_wh=data["credit"]["max_wh"],
        trip_delay_s=supply["limit_delay_s"],
        reconnect_s=supply["reconnect_s"],
        trips=supply["trips"],
        lock_s=supply["lock_s"],
        tamper_opens=supply["tamper"] == "open",
        tamper_bars=supply["tamper_takes"] != "all",
    )


tids = st.one_of(
    st.integers(TID0 - 5, TID0 + 120), st.integers(0, (1 << 24) - 1), st.sampled_from([0, 1])
)
codes = st.one_of(st.integers(0, 300), st.integers(0, 0xFFFF))
bits = st.integers

TALLY: Counter[str] = Counter()
RESULTS: Counter[str] = Counter()


class Both(RuleBasedStateMachine):
    """The two meters; each rule does the same to both."""

    rig: Rig

    @initialize(
        name=st.sampled_from(sorted(VARIANTS)), credit_wh=st.sampled_from([0, 10, 900, 60_000])
    )
    def set_up(self, name: str, credit_wh: int) -> None:
        variant = VARIANTS[name]
        self.ea = variant.ea
        self.keys = KEYS[self.ea]
        self.issued: list[str] = []
        attributes = {"kt": 2, "krn": 1, "ti": 1, "ken": 255, "sgc": "201457"}
        attributes |= {k: v for k, v in variant.config.items() if k in attributes}
        config = {"drn": "00000000000", "ea": self.ea, "decoder_key": self.keys[0].hex()}
        config |= {"profile": variant.profile, "tid0": TID0, "credit_wh": credit_wh}
        config |= attributes
        self.reference = Reference(
            rules_of(variant),
            self.ea,
            self.keys[0],
            **(attributes | {"sgc": 201457}),
            offset_s=T0,
            bought_wh=credit_wh,
            tids=[TID0] * 50,
        )
        self.reference.settle()
        _, shown = self.rig.say("new", config, variant.changes, T0)
        self.committed()
        self.agree(shown)

    # What the two say

    def agree(self, shown: dict[str, Any]) -> None:
        TALLY["steps"] += 1
        wanted = self.reference.shown()
        wanted |= {"ledger": True, "fault": None}
        assert shown == wanted, {
            name: (shown[name], wanted[name]) for name in wanted if shown[name] != wanted[name]
        }

    def committed(self, perhaps: bool = False) -> None:
        """Note that the meter has saved all there is, or that it perhaps has."""
        self.kept = [*(self.kept if perhaps else ()), self.reference.copy()]

    def enter(self, digits: str, keyed: bool = False) -> None:
        TALLY["tokens"] += 1
        if digits not in self.issued:
            self.issued.append(digits)
        unsaved = self.refused_again(digits)
        result, shown = self.rig.say("key" if keyed else "enter", digits)
        wanted = self.reference.enter(digits)
        RESULTS[result] += 1
        assert result == wanted
        self.agree(shown)
        self.committed(unsaved)

    def refused_again(self, digits: str) -> bool:
        """Tell whether a token is refused as the one before it was: that is not saved again."""
        return self.reference.locked_out(digits) and self.reference.result == "LockOut"

    def token(self, cls: int, sub: int, key: bytes | None = None, **fields: int) -> str:
        key = self.reference.key if key is None else key
        return tokens.encode(cls, sub, fields, key=key, ea=self.ea)

    # Tokens

    @rule(tid=tids, amount=codes, sub=st.sampled_from([0] * 9 + [1, 4, 7]), keyed=st.booleans())
    def credit(self, tid: int, amount: int, sub: int, keyed: bool) -> None:
        first = {"se" if sub >= 4 else "rnd": 3}
        self.enter(self.token(0, sub, **first, tid=tid, amount=amount), keyed)

    @rule(number=st.integers(0, 1000), keyed=st.booleans())
    @precondition(lambda self: self.issued)
    def once_more(self, number: int, keyed: bool) -> None:
        self.enter(self.issued[-1 - number % len(self.issued)], keyed)

    @rule(tid=tids, key=st.integers(0, 2))
    def foreign(self, tid: int, key: int) -> None:
        key %= len(self.keys)
        self.enter(self.token(0, 0, self.keys[key], rnd=1, tid=tid, amount=100))

    @rule(digits=st.integers(0, (1 << 66) + 1000), keyed=st.booleans())
    def made_up(self, digits: int, keyed: bool) -> None:
        self.enter(f"{digits:020}", keyed)

    @rule(tid=tids, sub=st.sampled_from([0, 2, 6, 7, 10]), value=codes)
    def register(self, tid: int, sub: int, value: int) -> None:
        names = {0: "mpl", 2: "rate", 6: "mppul", 7: "wmfactor", 10: "value"}
        self.enter(self.token(2, sub, rnd=0, tid=tid, **{names[sub]: value}))

    @rule(tid=tids, value=st.sampled_from([0, 0xFFFF, 1, 7, 8]))
    def clear_credit(self, tid: int, value: int) -> None:
        self.enter(self.token(2, 1, rnd=0, tid=tid, register=value))

    @rule(tid=tids, pad=st.sampled_from([0, 0, 1]))
    def clear_tamper(self, tid: int, pad: int) -> None:
        self.enter(self.token(2, 5, rnd=0, tid=tid, pad=pad))

    @rule(sub=bits(0, 15), body=bits(0, (1 << 44) - 1))
    def any_test(self, sub: int, body: int) -> None:
        """Any bits of class 1, and so mostly a maker's code that is not ours."""
        fields = {"value": body}
        if sub <= 2 or sub >= 6:
            low = 8 if sub == 0 or sub >= 11 else 16
            fields = {"control": body >> low, "mfr_code": body & ((1 << low) - 1)}
        self.enter(self.token(1, sub, **fields))

    @rule(numbers=st.sets(st.integers(1, 20), max_size=3), every=st.booleans(), sub=bits(0, 1))
    def test(self, numbers: set[int], every: bool, sub: int) -> None:
        control = (1 << (28 if sub else 36)) - 1 if every else sum(1 << n - 1 for n in numbers)
        self.enter(self.token(1, sub, control=control, mfr_code=0))

    def sections(self, data: st.DataObject) -> list[str]:
        draw = data.draw
        key = self.keys[draw(bits(0, len(self.keys) - 1))]
        ken = draw(st.sampled_from([255, 255, 255, 0, 100]))
        kct3 = draw(bits(0, 1))
        ro = draw(st.sampled_from([0, 0, 0, 1]))
        first = {"kenho": ken >> 4, "krn": draw(st.sampled_from([1, 2, 9, 9, 0, 10]))}
        first |= {"ro": ro, "kct3": kct3, "kt": draw(st.sampled_from([2, 2, 2, 1, 0, 3]))}
        words = [int.from_bytes(key[i : i + 4], "big") for i in range(0, len(key), 4)]
        ti = draw(st.sampled_from([1, 2, 99, 99, 100]))
        found = [
            self.token(2, 3, **first, nkho=words[0]),
            self.token(2, 4, kenlo=ken & 15, ti=ti, nklo=words[-1]),
        ]
        sgc = draw(st.sampled_from([201458, 999999, 0, 1000000]))
        if self.ea == 11:
            found.append(self.token(2, 8, sgclo=sgc & 0xFFF, nkmo2=words[1]))
            found.append(self.token(2, 9, sgcho=sgc >> 12, nkmo1=words[2]))
        elif kct3 or draw(st.booleans()):
            pad = draw(st.sampled_from([0, 0, 0, 0, 1]))
            found.append(self.token(2, 8, sgc=sgc, pad=pad))
        return found

    @rule(data=st.data(), waits=st.sampled_from([0, 0, 0, 50, 119, 121, 599, 601]))
    def key_change(self, data: st.DataObject, waits: int) -> None:
        found = self.sections(data)
        order = data.draw(st.permutations(found)) if data.draw(st.booleans()) else found
        for i, digits in enumerate(order):
            self.enter(digits)
            if i == 0 and waits:
                self.go_on(waits)

    @rule(data=st.data())
    def a_section(self, data: st.DataObject) -> None:
        self.enter(data.draw(st.sampled_from(self.sections(data))))

    # Time and energy

    @rule(seconds=st.one_of(bits(1, 40), bits(1, 4000)))
    def go_on(self, seconds: int) -> None:
        TALLY["seconds"] += seconds
        _, shown = self.rig.say("go_on", seconds)
        self.reference.run(seconds)
        self.agree(shown)
        self.committed(perhaps=True)

    @rule(moved=st.one_of(bits(-200_000, 200_000), bits(-5, 5)))
    def clock(self, moved: int) -> None:
        TALLY["clock jumps"] += 1
        clock = self.reference.clock + moved
        _, shown = self.rig.say("clock", clock)
        self.reference.set_clock(clock)
        self.agree(shown)
        self.committed()

    @rule(watts=st.one_of(st.sampled_from([0, 1, 3600, 36_000]), bits(0, 400), bits(0, 10**6)))
    def load(self, watts: int) -> None:
        _, shown = self.rig.say("load", watts)
        self.reference.connect(watts)
        self.agree(shown)
        self.committed()

    @rule(energy_wh=st.one_of(bits(0, 200), bits(0, 10**6)))
    def consume(self, energy_wh: int) -> None:
        value, shown = self.rig.say("consume", energy_wh)
        assert value == self.reference.consume(energy_wh)
        self.agree(shown)
        if value:
            self.committed()

    @rule()
    def tamper(self) -> None:
        _, shown = self.rig.say("tamper")
        before = self.reference.tamper
        self.reference.raise_tamper()
        self.agree(shown)
        if not before:
            self.committed()

    @rule()
    def reconnect(self) -> None:
        value, shown = self.rig.say("reconnect")
        assert value == self.reference.reconnect()
        self.agree(shown)
        if value:
            self.committed()

    # Resets and power cuts

    @rule()
    def reset(self) -> None:
        TALLY["resets"] += 1
        _, shown = self.rig.say("reset")
        self.reference.power_up()
        self.agree(shown)
        self.committed()

    @rule()
    def cut(self) -> None:
        """Cut the power: nothing but the last little consumption may be lost."""
        TALLY["power cuts"] += 1
        _, shown = self.rig.say("cut")
        places = [i for i, one in enumerate(self.kept) if one.clock == shown["clock"]]
        assert places, "a time at which nothing was saved"
        found = self.kept[places[-1]]
        for later in self.kept[places[-1] + 1 :]:
            used_wh = later.used_ws // 3600 - found.used_ws // 3600
            assert used_wh < 10 or later.passed_s - found.passed_s < 10
        self.reference = found.copy()
        self.reference.power_up()
        self.agree(shown)
        self.committed()

    @rule(data=st.data(), at=bits(1, 2), done=st.booleans(), tid=tids, which=bits(0, 3))
    def cut_while_saving(
        self, data: st.DataObject, at: int, done: bool, tid: int, which: int
    ) -> None:
        TALLY["power cuts"] += 1
        TALLY["tokens"] += 1
        if which == 0 and self.issued:
            digits = data.draw(st.sampled_from(self.issued))
        elif which == 1:
            digits = self.token(0, 0, self.keys[1], rnd=0, tid=tid, amount=50)
        elif which == 2:
            digits = data.draw(st.sampled_from(self.sections(data)))
        else:
            digits = self.token(0, 0, rnd=0, tid=tid, amount=50)
        states = [self.reference.copy()]
        plain = self.reference
        if plain.counted(digits):
            wrong = plain.copy()
            wrong.count_wrong()
            states.append(wrong)
        refused = self.refused_again(digits)
        if not refused and (len(states) == 1 or read(digits, plain.ea, plain.key) is not None):
            after = plain.copy()
            after.enter(digits)
            states.append(after)
        result, shown = self.rig.say("enter_cut", digits, at, done)
        if at < len(states):
            assert result is None
            self.reference = states[at if done else at - 1]
            self.reference.power_up()
        else:
            assert result == self.reference.enter(digits)
        self.agree(shown)
        self.committed(refused)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as one:
        yield one


def test_the_meter_and_the_plain_model_agree(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    Both.rig = rig
    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="JETON_MODEL_EXAMPLES" not in os.environ,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print("\nmodel:", ", ".join(f"{count:,} {what}" for what, count in TALLY.items()), end=" ")
    # What never came up has not been tested.
    wanted = ("Accept", "1stKCT", "2ndKCT", "UsedError", "OldError", "CRCError", "LockOut")
    assert {*wanted, "FunctionError", "RangeError", "MfrCodeError"} <= set(RESULTS), RESULTS
