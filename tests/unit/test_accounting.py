"""Tests that the ledger always balances, for random sequences of tokens, loads and keys.

Two meters get the same inputs; one of them calls `process` far more often. Their states must be
equal, and each ledger must balance at every moment.
"""

import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

sys.path.insert(0, str(Path(__file__).parents[1] / "both"))

from both_support import T0, again, class1, credit, key_change, new_meter, token
from jeton.load import STEPS
from jeton.state import FIELDS
from jeton.sts.results import TokenResult as R

DAY = 86400
HOUR = 3600

# Seconds of the week: Wednesday to Thursday, the night of Thursday, Saturday.
_HOURS = [2 * DAY, 3 * DAY + 7 * HOUR, 3 * DAY + 18 * HOUR, 4 * DAY + 9 * HOUR, 5 * DAY, 6 * DAY]

BEHAVIOURS = st.fixed_dictionaries(
    {
        "credit.low_wh": st.sampled_from([None, 0, 500, 5000]),
        "credit.alarm_wh": st.sampled_from([None, 100, 5000]),
        "credit.min_wh": st.sampled_from([0, -700, -99999990]),
        "credit.max_wh": st.sampled_from([9999999990, 40_000]),
        "credit.emergency_wh": st.sampled_from([0, 1, 5000]),
        "credit.emergency_offer_wh": st.sampled_from([0, 1000]),
        "credit.emergency_by": st.sampled_from(["code", "enter", "auto"]),
        "credit.advance_share": st.sampled_from([0, 1, 30, 100]),
        "credit.never_cut": st.booleans(),
        "credit.friendly": st.sampled_from([[], _HOURS]),
        "credit.holidays": st.sampled_from([[], ["05-09"]]),
        "supply.limit_delay_s": st.sampled_from([0, 1, 30]),
        "supply.reconnect_s": st.sampled_from([None, 0, 1, 60]),
        "supply.trips": st.sampled_from([None, 1, 3]),
        "supply.lock_s": st.sampled_from([1, 1800]),
        "supply.reconnect": st.sampled_from(["auto", "manual"]),
        "supply.tamper": st.sampled_from(["open", "log", "open_at_zero"]),
        "supply.tamper_takes": st.sampled_from(["all", "clearing"]),
    }
)
LOADS = st.sampled_from([0, 1, 59, 1000, 3600, 9999, 1_000_000])
# Fields that only contain the time of the last save.
_SAVED = ("clock",)


class Accounting(RuleBasedStateMachine):
    @initialize(changes=BEHAVIOURS, credit_wh=st.sampled_from([0, 1, 999, 30_000]))
    def begin(self, changes: dict[str, Any], credit_wh: int) -> None:
        self.changes = changes
        made = [new_meter(changes=changes, credit_wh=credit_wh) for _ in range(2)]
        self.meters = [meter for meter, _ in made]
        self.stores = [store for _, store in made]
        self.now = T0
        self.tid = 2000
        self.known_wh = credit_wh  # the expected credit, before consumption

    def both(self, name: str, *arguments: Any) -> Any:
        found = []
        for meter in self.meters:
            try:
                found.append(getattr(meter, name)(*arguments))
            except ValueError as error:
                found.append(str(error))
        first, second = found
        if not hasattr(first, "result"):
            assert first == second
        return first

    def enter(self, code: str) -> Any:
        return self.both("enter", code, self.now)

    @rule(
        seconds=st.one_of(
            st.integers(0, 200), st.integers(0, 3 * DAY), st.sampled_from([HOUR, DAY, 40 * DAY])
        ),
        times=st.lists(st.integers(1, 99), max_size=4),
    )
    def time_passes(self, seconds: int, times: list[int]) -> None:
        for percent in sorted(times):
            self.meters[1].process(self.now + seconds * percent // 100)
        self.now += seconds
        self.both("process", self.now)

    @rule(units=st.sampled_from([1, 7, 50, 400]), repeated=st.booleans())
    def credit_token(self, units: int, repeated: bool) -> None:
        self.tid += not repeated
        outcome = self.enter(credit(self.tid, units))
        if outcome.result == R.ACCEPT:
            assert 0 <= outcome.repaid_wh + outcome.recovered_wh <= outcome.amount_wh
            self.known_wh += 100 * units - outcome.repaid_wh - outcome.recovered_wh
        else:
            assert outcome.result in (R.USED, R.OLD, R.OVERFLOW, R.NOT_READY, R.LOCK_OUT)

    @rule(register=st.sampled_from([0, 0xFFFF, 3]))
    def clear_credit(self, register: int) -> None:
        self.tid += 1
        self.both("process", self.now)
        was = self.meters[0].state.credit_wh
        code = token(2, 1, {"rnd": 1, "tid": self.tid, "register": register})
        if self.enter(code).result == R.ACCEPT:
            self.known_wh -= was

    @rule(
        sub=st.sampled_from([0, 5, 6]), limit=st.sampled_from([0, 500, 2000]), wrong=st.booleans()
    )
    def other_token(self, sub: int, limit: int, wrong: bool) -> None:
        self.tid += 1
        field = {0: {"mpl": limit}, 5: {"pad": 0}, 6: {"mppul": limit}}[sub]
        code = token(2, sub, {"rnd": 1, "tid": self.tid, **field})
        self.enter("0" * 20 if wrong else code)
        self.enter(class1(1))

    @rule(half=st.booleans())
    def key_change_to_the_same_key(self, half: bool) -> None:
        codes = key_change(new=bytes.fromhex("87f3ecbb2e46b48f"))
        for code in codes[: 1 if half else 2]:
            self.enter(code)

    @rule(load_w=LOADS, unbalance_w=st.sampled_from([0, 900]))
    def load(self, load_w: int, unbalance_w: int) -> None:
        self.both("set_load", load_w, self.now, unbalance_w)

    @rule(
        gaps=st.lists(
            st.tuples(st.integers(1, 50_000), LOADS), min_size=1, max_size=min(6, STEPS)
        ),
        start=st.integers(-90_000, 90_000),
        repeats=st.booleans(),
    )
    def load_in_steps(self, gaps: list[tuple[int, int]], start: int, repeats: bool) -> None:
        steps: list[list[int]] = []
        at = -1
        for gap, load_w in gaps:
            at += gap
            steps.append([at, load_w])
        repeat_s = at + 777 if repeats else 0
        self.both("set_load_steps", steps, self.now, max(0, self.now + start), repeat_s)

    @rule(energy_wh=st.sampled_from([0, 1, 300, 20_000]))
    def energy(self, energy_wh: int) -> None:
        self.both("process", self.now)
        s = self.meters[0].state
        before, room = s.charged_wh, s.credit_wh - self.changes["credit.min_wh"]
        if self.both("use_energy", energy_wh, self.now) is None:
            assert self.meters[0].state.charged_wh - before == min(energy_wh, room)

    @rule()
    def emergency(self) -> None:
        taken, reason = self.both("emergency", self.now)
        assert taken == (not reason)
        if taken:
            self.known_wh += self.changes["credit.emergency_wh"]

    @rule(energy_wh=st.sampled_from([1, 3000]))
    def advance(self, energy_wh: int) -> None:
        if self.both("grant", energy_wh, self.now) is None:
            self.known_wh += energy_wh

    @rule(key=st.sampled_from("#*5"))
    def key(self, key: str) -> None:
        before = self.meters[0].state.emergency_wh
        self.both("press", key, self.now)
        self.known_wh += self.meters[0].state.emergency_wh - before
        self.both("reconnect", self.now)
        self.both("mute", self.now)

    @rule()
    def tamper(self) -> None:
        self.both("set_tamper", True, self.now)

    @rule(moved=st.sampled_from([-30 * DAY, -HOUR, 1, 12 * HOUR, 100 * DAY]))
    def clock_is_set(self, moved: int) -> None:
        self.both("clock_set", self.now, self.now + moved)
        self.now += moved

    @rule()
    def power_cut_after_saving(self) -> None:
        self.both("save", self.now)
        self.meters = [again(store, self.changes) for store in self.stores]

    @invariant()
    def the_ledger_balances(self) -> None:
        for meter in getattr(self, "meters", ()):
            s = meter.state
            came = s.initial_wh + s.tokens_wh + s.advances_wh + s.emergency_wh
            assert came - s.charged_wh - s.recovered_wh - s.cleared_wh == s.credit_wh
            assert s.emergency_debt_wh + s.advance_debt_wh == (
                s.emergency_wh + s.advances_wh - s.recovered_wh
            )
            assert s.credit_wh <= self.changes["credit.max_wh"]
            assert self.changes["credit.min_wh"] <= s.credit_wh
            assert 0 <= s.charged_wh <= s.total_wh
            assert 0 <= s.rest_ws < 3600
            if s.charged_wh != s.total_wh:  # the register was at its lowest value
                assert s.total_wh > s.charged_wh
                lowest = came - s.recovered_wh - s.cleared_wh - self.changes["credit.min_wh"]
                assert s.charged_wh <= lowest
            assert bool(s.switch_closed) == (not s.hold)

    @invariant()
    def the_state_does_not_depend_on_how_often_process_is_called(self) -> None:
        if hasattr(self, "meters"):
            for name in (*FIELDS, "load_steps"):
                if name not in _SAVED:
                    first, second = (getattr(meter.state, name) for meter in self.meters)
                    assert first == second, name

    @invariant()
    def the_credit_is_as_expected(self) -> None:
        if hasattr(self, "meters") and self.changes["credit.emergency_by"] != "auto":
            s = self.meters[0].state
            assert s.credit_wh == self.known_wh - s.charged_wh


TestAccounting = Accounting.TestCase
Accounting.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
