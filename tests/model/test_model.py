"""Compares the real meter in MicroPython with the reference model after every random step.

`JETON_MODEL_EXAMPLES=20000 pytest tests/model -s` runs for hours, with other steps each time.
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
from rig import Rig

from jeton_host.firmware import profiles
from jeton_host.vending import tokens

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
    """A shipped profile, changes of its settings, and a configuration of the meter."""

    profile: str
    ea: int = 7
    changes: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


# The model has no friendly hours; tests/both/test_credit.py tests them.
NO_FRIENDLY_HOURS = {"credit.friendly": [], "credit.holidays": [], "supply.reconnect": "auto"}
VARIANTS = {
    "generic": Variant("generic"),
    "generic EA11": Variant("generic", 11),
    "ceet": Variant("ceet"),
    "clou": Variant("clou"),
    "landis_gyr": Variant("landis_gyr", changes=NO_FRIENDLY_HOURS),
    "itron DDTK": Variant("itron", changes=NO_FRIENDLY_HOURS, config={"kt": 1}),
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
        tamper_refuses_tokens=supply["tamper_takes"] != "all",
    )


tids = st.one_of(
    st.integers(TID0 - 5, TID0 + 120), st.integers(0, (1 << 24) - 1), st.sampled_from([0, 1])
)
codes = st.one_of(st.integers(0, 300), st.integers(0, 0xFFFF))
bits = st.integers

TALLY: Counter[str] = Counter()
RESULTS: Counter[str] = Counter()


class MeterAndModel(RuleBasedStateMachine):
    """The real meter and the model; each rule does the same step on both."""

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
        _, shown = self.rig.call("new", config, variant.changes, T0)
        self.note_saved()
        self.compare(shown)

    # Comparison

    def compare(self, shown: dict[str, Any]) -> None:
        TALLY["steps"] += 1
        wanted = self.reference.shown()
        wanted |= {"ledger": True, "fault": None}
        assert shown == wanted, {
            name: (shown[name], wanted[name]) for name in wanted if shown[name] != wanted[name]
        }

    def note_saved(self, perhaps: bool = False) -> None:
        """Note that the meter has saved its state; `perhaps`: that it may have saved it."""
        self.saved = [*(self.saved if perhaps else ()), self.reference.copy()]

    def enter(self, digits: str, keyed: bool = False) -> None:
        TALLY["tokens"] += 1
        if digits not in self.issued:
            self.issued.append(digits)
        unsaved = self.refused_again(digits)
        result, shown = self.rig.call("key" if keyed else "enter", digits)
        wanted = self.reference.enter(digits)
        RESULTS[result] += 1
        assert result == wanted
        self.compare(shown)
        self.note_saved(unsaved)

    def refused_again(self, digits: str) -> bool:
        """Return whether the lock-out refuses a token again: the meter does not save that."""
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
    def token_again(self, number: int, keyed: bool) -> None:
        self.enter(self.issued[-1 - number % len(self.issued)], keyed)

    @rule(tid=tids, key=st.integers(0, 2))
    def token_of_another_key(self, tid: int, key: int) -> None:
        key %= len(self.keys)
        self.enter(self.token(0, 0, self.keys[key], rnd=1, tid=tid, amount=100))

    @rule(digits=st.integers(0, (1 << 66) + 1000), keyed=st.booleans())
    def random_digits(self, digits: int, keyed: bool) -> None:
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
    def random_test_token(self, sub: int, body: int) -> None:
        """Enter class 1 with random bits: mostly the code of another manufacturer."""
        fields = {"value": body}
        if sub <= 2 or sub >= 6:
            low = 8 if sub == 0 or sub >= 11 else 16
            fields = {"control": body >> low, "mfr_code": body & ((1 << low) - 1)}
        self.enter(self.token(1, sub, **fields))

    @rule(numbers=st.sets(st.integers(1, 20), max_size=3), every=st.booleans(), sub=bits(0, 1))
    def test_token(self, numbers: set[int], every: bool, sub: int) -> None:
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
    def one_section(self, data: st.DataObject) -> None:
        self.enter(data.draw(st.sampled_from(self.sections(data))))

    # Time and energy

    @rule(seconds=st.one_of(bits(1, 40), bits(1, 4000)))
    def go_on(self, seconds: int) -> None:
        TALLY["seconds"] += seconds
        _, shown = self.rig.call("go_on", seconds)
        self.reference.run(seconds)
        self.compare(shown)
        self.note_saved(perhaps=True)

    @rule(moved=st.one_of(bits(-200_000, 200_000), bits(-5, 5)))
    def clock(self, moved: int) -> None:
        TALLY["clock jumps"] += 1
        clock = self.reference.clock + moved
        _, shown = self.rig.call("clock", clock)
        self.reference.set_clock(clock)
        self.compare(shown)
        self.note_saved()

    @rule(watts=st.one_of(st.sampled_from([0, 1, 3600, 36_000]), bits(0, 400), bits(0, 10**6)))
    def load(self, watts: int) -> None:
        _, shown = self.rig.call("load", watts)
        self.reference.connect(watts)
        self.compare(shown)
        self.note_saved()

    @rule(energy_wh=st.one_of(bits(0, 200), bits(0, 10**6)))
    def consume(self, energy_wh: int) -> None:
        value, shown = self.rig.call("consume", energy_wh)
        assert value == self.reference.consume(energy_wh)
        self.compare(shown)
        if value:
            self.note_saved()

    @rule()
    def tamper(self) -> None:
        _, shown = self.rig.call("tamper")
        before = self.reference.tamper
        self.reference.raise_tamper()
        self.compare(shown)
        if not before:
            self.note_saved()

    @rule()
    def reconnect(self) -> None:
        value, shown = self.rig.call("reconnect")
        assert value == self.reference.reconnect()
        self.compare(shown)
        if value:
            self.note_saved()

    # Resets and power cuts

    @rule()
    def reset(self) -> None:
        TALLY["resets"] += 1
        _, shown = self.rig.call("reset")
        self.reference.power_up()
        self.compare(shown)
        self.note_saved()

    @rule()
    def cut(self) -> None:
        """Cut the power: at most the consumption since the last save may be lost."""
        TALLY["power cuts"] += 1
        _, shown = self.rig.call("cut")
        places = [i for i, one in enumerate(self.saved) if one.clock == shown["clock"]]
        assert places, "a time at which nothing was saved"
        found = self.saved[places[-1]]
        for later in self.saved[places[-1] + 1 :]:
            used_wh = later.used_ws // 3600 - found.used_ws // 3600
            assert used_wh < 10 or later.passed_s - found.passed_s < 10
        self.reference = found.copy()
        self.reference.power_up()
        self.compare(shown)
        self.note_saved()

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
        model = self.reference
        if model.counted(digits):
            wrong = model.copy()
            wrong.count_wrong()
            states.append(wrong)
        refused = self.refused_again(digits)
        good = read(digits, model.ea, model.key) is not None or model.of_former_key(digits)
        if not refused and (len(states) == 1 or good):
            after = model.copy()
            after.enter(digits)
            states.append(after)
        result, shown = self.rig.call("enter_cut", digits, at, done)
        if at < len(states):
            assert result is None
            self.reference = states[at if done else at - 1]
            self.reference.power_up()
        else:
            assert result == self.reference.enter(digits)
        self.compare(shown)
        self.note_saved(refused)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as one:
        yield one


def test_meter_and_model_agree(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    MeterAndModel.rig = rig
    run_state_machine_as_test(
        MeterAndModel,
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
    # The run must have produced each of these results.
    wanted = ("Accept", "1stKCT", "2ndKCT", "UsedError", "OldError", "CRCError", "LockOut")
    assert {*wanted, "FunctionError", "RangeError", "MfrCodeError"} <= set(RESULTS), RESULTS
