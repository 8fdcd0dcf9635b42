"""A meter and its point of sale together, through random lives; no dead end.

The point of sale sells and changes keys, to and fro, also with base dates. Another vending system
changes keys too. Customers lose tokens, enter them late, twice, in any order, and mix the codes of
two key changes. Meters are tampered with, locked out, and lose their power. After each step:

- no token was credited twice, and the credit is the sum of the accepted tokens minus the use;
- each key that the meter gets is found by the point of sale from the entered codes;
- a point of sale that knows of no pending change has the key of the meter.

At the end, the way out leads to a meter that accepts a new token.

`JETON_MODEL_EXAMPLES=20000 pytest tests/model -s` runs for hours, with other steps each time.
"""

import os
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "both"))

from both_support import Store
from jeton.management import SECTIONS
from jeton.meter import Meter
from jeton.sts import tokens as layouts
from jeton.sts.results import GOOD, TokenResult
from jeton_host.errors import VendingError
from jeton_host.firmware import profiles
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued

EXAMPLES = int(os.environ.get("JETON_MODEL_EXAMPLES", "40"))
STEPS = 40
PHASES = [Phase.generate]  # DEV
R = TokenResult
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
AT = datetime(2024, 6, 3, 9, tzinfo=UTC)  # base dates 93 and 14 both have token identifiers
VARIANTS: list[dict[str, Any]] = [
    {"profile": "generic"},
    {"profile": "generic", "ea": 11},
    {"profile": "itron"},
    {"profile": "ceet"},
    {"profile": "clou"},
    {"profile": "landis_gyr", "ea": 11},
    {"profile": "hexing"},
]
TALLY: Counter[str] = Counter()


class DeskAndMeter(RuleBasedStateMachine):
    """A meter in this process, its point of sale, and another vending system."""

    @initialize(variant=st.sampled_from(VARIANTS), bdt=st.sampled_from(["93", "14"]))
    def set_up(self, variant: dict[str, Any], bdt: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.pos = PointOfSale(Path(self.folder.name) / "pos.sqlite")
        self.pos.add_meter("home", bdt=bdt, **variant)
        self.variant = variant
        self.at = AT
        config = self.pos.config_for("home", at=AT)
        self.store = Store()
        self.meter = Meter(self.store, profiles.port)
        self.meter.start()
        self.meter.provision(config | {"credit_wh": 20_000}, self.now)
        self.papers: list[str] = []
        self.amounts: dict[str, int] = {}
        self.accepted: list[str] = []
        self.had = {self.key}  # every decoder key that the meter has had
        self.sections: dict[int, str] = {}  # the codes that the meter has of an unfinished set
        self.done: list[list[str]] = []  # completed sets that the desk does not know of

    @property
    def now(self) -> int:
        return int((self.at - EPOCH).total_seconds())

    @property
    def key(self) -> bytes:
        return bytes(self.meter.state.decoder_key[: 16 if self.variant.get("ea") == 11 else 8])

    def present(self) -> bytes:
        record = self.pos.meter("home")
        return self.pos.decoder_key(record, record.present)

    # The point of sale

    def issue(self, *issued: Issued) -> None:
        for one in issued:
            assert one.tid is None or one.token not in self.papers
            self.papers.append(one.token)
            if one.cls == 0:
                self.amounts[one.token] = 100 * layouts.amount_value(one.fields["amount"])

    @rule(kwh=st.integers(1, 90), present=st.booleans(), days=st.sampled_from([0, 0, 0, -9, 1]))
    def sell(self, kwh: int, present: bool, days: int) -> None:
        at = self.at + timedelta(days=days)
        krn = self.pos.meter("home").present.krn if present else None
        self.issue(self.pos.credit("home", kwh, at=at, krn=krn))

    @rule(what=st.integers(0, 4), present=st.booleans())
    def manage(self, what: int, present: bool) -> None:
        pos = self.pos
        how: dict[str, Any] = {"at": self.at}
        how["krn"] = pos.meter("home").present.krn if present else None
        if what == 0:
            self.issue(pos.clear_credit("home", **how))
        elif what == 1:
            self.issue(pos.power_limit("home", 2000, **how))
        else:
            self.issue(pos.clear_tamper("home", **how))

    @rule(krn=st.integers(1, 9), rollover=st.sampled_from([False, False, True]), ti=st.booleans())
    def change_key(self, krn: int, rollover: bool, ti: bool) -> None:
        record = self.pos.meter("home")
        change: dict[str, Any] = {"krn": krn}
        if rollover:
            change["bdt"] = "14" if record.key.bdt == "93" else "93"
        if ti:
            change["ti"] = record.key.ti % 2 + 1
        try:
            codes = self.pos.key_change("home", at=self.at, **change)
        except VendingError as error:
            TALLY["refused changes"] += 1
            if "already has" in str(error) or "would work again" in str(error):
                return
            raise
        TALLY["key changes"] += 1
        self.issue(*codes)

    @rule(krn=st.integers(1, 9), rollover=st.booleans())
    def change_key_elsewhere(self, krn: int, rollover: bool) -> None:
        """Another system with the same vending keys changes the key that the meter has now."""
        if self.done:
            return  # the point of sale knows the key only after these codes
        record = self.pos.meter("home")
        present = record.present
        with tempfile.TemporaryDirectory() as folder:
            other = PointOfSale(Path(folder) / "other.sqlite")
            other.add_meter(
                "home", drn=record.drn, ti=present.ti, krn=present.krn, sgc=present.sgc,
                bdt=present.bdt, decoder_key=self.key, **self.variant,
            )  # fmt: skip
            bdt = present.bdt
            if rollover:
                bdt = "14" if bdt == "93" else "93"
            if (krn, bdt) == (present.krn, present.bdt):
                return
            codes = other.key_change("home", krn=krn, bdt=bdt, at=self.at)
            changed = other.decoder_key(other.meter("home"))
        # This system knows no history: it must not bring back a key with used tokens.
        if changed not in self.had:
            TALLY["changes elsewhere"] += 1
            self.papers += [code.token for code in codes]

    @rule()
    @precondition(lambda self: self.done)
    def note_at_the_desk(self) -> None:
        """Note at the point of sale which codes were entered, as `jeton enter` does."""
        TALLY["noted"] += 1
        self.pos.entered("home", self.done.pop(0))
        if not self.done:
            assert self.present() == self.key

    # The meter

    def enter(self, token: str) -> int:
        self.meter.process(self.now)
        self.keep_sections()
        before = self.meter.state.tokens_wh
        outcome = self.meter.enter(token, self.now)
        result = outcome.result
        TALLY["tokens"] += 1
        added = self.meter.state.tokens_wh - before
        if token in self.amounts and result == R.ACCEPT:
            assert token not in self.accepted, "a token was credited twice"
            self.accepted.append(token)
            assert added == self.amounts[token]
        else:
            assert added == 0
        decoded = outcome.token
        if result in GOOD and decoded.cls == 2 and decoded.sub in SECTIONS:
            self.sections[SECTIONS[decoded.sub]] = token
            if result == R.ACCEPT:
                TALLY["changed"] += 1
                self.done.append([self.sections[n] for n in sorted(self.sections)])
                self.had.add(self.key)
                self.sections = {}
        self.keep_sections()
        self.check()
        return result

    def keep_sections(self) -> None:
        """Forget the sections that the meter has forgotten."""
        kept = self.meter.key_change.sections
        self.sections = {n: code for n, code in self.sections.items() if n in kept}

    @rule(number=st.integers(0, 1000), times=st.sampled_from([1, 1, 2]))
    @precondition(lambda self: self.papers)
    def enter_a_paper(self, number: int, times: int) -> None:
        for _ in range(times):
            self.enter(self.papers[-1 - number % len(self.papers)])

    @rule(count=st.integers(1, 8))
    @precondition(lambda self: self.papers)
    def enter_the_last_papers(self, count: int) -> None:
        for token in self.papers[-count:]:
            self.enter(token)

    @rule(first=st.integers(0, 9 * 10**18), count=st.integers(1, 4))
    def enter_wrong_tokens(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.enter(f"{number:020}")

    @rule(watts=st.sampled_from([0, 500, 9000]), minutes=st.integers(0, 300))
    def live(self, watts: int, minutes: int) -> None:
        self.meter.set_load(watts, self.now)
        self.at += timedelta(minutes=minutes)
        self.meter.process(self.now)
        self.keep_sections()
        self.check()

    @rule()
    def tamper(self) -> None:
        self.meter.set_tamper(True, self.now)
        self.check()

    @rule(saves=st.booleans())
    def restart(self, saves: bool) -> None:
        """Restart the meter; without saving, as a power cut does."""
        if saves:
            self.meter.save(self.now)
        self.meter = Meter(self.store, profiles.port)
        self.meter.start()
        self.meter.process(self.now)
        self.keep_sections()
        self.check()

    def check(self) -> None:
        state = self.meter.state
        assert state.tokens_wh == sum(self.amounts[token] for token in self.accepted)
        gained = state.initial_wh + state.tokens_wh + state.advances_wh + state.emergency_wh
        spent = state.charged_wh + state.recovered_wh + state.cleared_wh
        assert state.credit_wh == gained - spent
        record = self.pos.meter("home")
        if not record.pending and not self.done:
            assert self.present() == self.key

    # The way out

    def teardown(self) -> None:
        if not hasattr(self, "meter"):
            return
        while self.done:
            self.note_at_the_desk()
        assert self.present() == self.key
        left = self.meter.lockout.blocked(self.now)
        self.at += timedelta(seconds=left)
        self.meter.process(self.now)
        self.keep_sections()
        if self.meter.state.tamper:
            key = self.pos.meter("home").present
            self.issue(self.pos.clear_tamper("home", at=self.at, key=key))
            assert self.enter(self.papers[-1]) == R.ACCEPT
        while self.pos.meter("home").pending:
            self.finish_change()
        self.issue(self.pos.credit("home", 5, at=self.at))
        if self.enter(self.papers[-1]) != R.ACCEPT:
            raise AssertionError("the meter does not accept the token that was just sold")
        self.folder.cleanup()

    def finish_change(self) -> None:
        """Enter the codes of the next pending change, as `jeton vend home keys` lists them."""
        present = self.pos.meter("home").present
        codes = [one.token for one in self.pos.issued("home") if one.section]
        numbers = [one.key.number for one in self.pos.issued("home") if one.section]
        self.restart(False)  # without the codes of an unfinished change
        self.at += timedelta(hours=1)
        self.meter.process(self.now)
        self.keep_sections()
        found = [code for code, n in zip(codes, numbers, strict=True) if n == present.number]
        assert found, "a pending change without codes"
        for code in found:
            assert self.enter(code) in GOOD
        assert self.done
        while self.done:
            self.note_at_the_desk()
        assert self.pos.meter("home").present.number > present.number


def test_desk_and_meter_agree(capsys: pytest.CaptureFixture[str]) -> None:
    run_state_machine_as_test(
        DeskAndMeter,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="JETON_MODEL_EXAMPLES" not in os.environ,
            print_blob=False,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(
            "\ndesk and meter:", ", ".join(f"{n:,} {what}" for what, n in TALLY.items()), end=" "
        )
    assert {"changed", "noted", "refused changes", "changes elsewhere"} <= set(TALLY), TALLY
