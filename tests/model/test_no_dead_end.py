"""No state of a meter is a dead end: each has a way out that a customer and a utility can go.

Every profile is brought into each combination of states (tampered, locked out, key change vended
and partly entered, credit, trips, kind of key), with public actions only. Then the way out is
gone: wait, clear the tamper condition, enter the codes, press Enter, buy. At the end the meter has
the key of the point of sale, accepts credit, and supplies a small load.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "both"))

from both_support import Store
from jeton.meter import Meter
from jeton.sts.results import GOOD, TokenResult
from jeton_host.firmware import profiles
from jeton_host.vending import tid
from jeton_host.vending.pos import PointOfSale

R = TokenResult
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
AT = datetime(2026, 6, 3, 9, tzinfo=UTC)  # a Wednesday morning: no friendly hours
NOW = int((AT - EPOCH).total_seconds())
LIMIT_W = 1000
WRONG = [f"{number:020}" for number in range(5 << 61, (5 << 61) + 40, 3)]
WRONG = [token for token in WRONG if int(token) >> 27 & 3 == 0]

CREDIT = ("some", "none", "full", "emergency", "advance")
TRIPS = ("none", "tripped", "locked", "unbalanced")

# What `add_meter` gets, what the key change changes, and the clock of the meter.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], datetime]] = {
    "EA07": ({}, {"krn": 2}, AT),
    "EA07, three codes": ({"kct": 3}, {"krn": 2, "sgc": "201458", "three": True}, AT),
    "EA11": ({"ea": 11}, {"krn": 2}, AT),
    "default key": ({"kt": 1}, {"kt": 2}, AT),
    "expired key": ({"ken": 99}, {"krn": 2, "ken": 255}, AT),
    "rollover": ({"bdt": "93"}, {"krn": 2, "bdt": "14"}, datetime(2024, 11, 23, tzinfo=UTC)),
    "rollover too late": ({"bdt": "93"}, {"krn": 2, "bdt": "14"}, AT),
}


@dataclass
class Desk:
    """The tokens that the point of sale issues for a meter before and after its key change."""

    config: dict[str, Any]
    codes: list[str]
    before: dict[str, str]
    after: dict[str, str]


def desk(folder: Path, profile: str, kind: str) -> Desk:
    """Issue the tokens with public calls; those under the present key as `--krn` does."""
    options, change, at = KINDS[kind]
    pos = PointOfSale(folder / "pos.sqlite")
    record = pos.add_meter("home", profile=profile, **options)
    old = record.key
    codes = [section.token for section in pos.key_change("home", at=at, **change)]
    # Under a key that has expired, tokens are issued at an earlier time: `--at`.
    last = tid.BASE_DATES[old.bdt] + timedelta(minutes=((old.ken + 1) << 16) - 1)
    earlier = min(at, last) - timedelta(days=20)
    krn = {} if change.get("krn") is None else {"krn": old.krn}
    key = {} if krn else {"key": old}
    return Desk(
        pos.config_for("home", at=at, key=old),
        codes,
        _issue(pos, earlier, old.kt != 1, **krn, **key),
        _issue(pos, at + timedelta(days=1), True),
    )


def _issue(pos: PointOfSale, at: datetime, sells: bool, **under: Any) -> dict[str, str]:
    found = {
        "limit": pos.power_limit("home", LIMIT_W, at=at, **under),
        "unbalance": pos.unbalance_limit("home", LIMIT_W, at=at, **under),
        "clear_credit": pos.clear_credit("home", at=at, **under),
        "clear_again": pos.clear_credit("home", at=at, **under),
        "clear_tamper": pos.clear_tamper("home", at=at, **under),
    }
    if sells:
        found["credit"] = pos.credit("home", 100, at=at, **under)
        found["more"] = pos.credit("home", 100, at=at, **under)
    return {name: issued.token for name, issued in found.items()}


class House:
    """A meter with its keypad, its load, and the desk."""

    def __init__(self, desk: Desk, credit_wh: int) -> None:
        self.desk = desk
        self.now = desk.config["clock"]
        self.store = Store()
        self.meter = Meter(self.store, profiles.port)
        self.meter.start()
        self.meter.provision(desk.config | {"credit_wh": credit_wh}, self.now)

    @property
    def state(self) -> Any:
        return self.meter.state

    def enter(self, token: str) -> int:
        return self.meter.enter(token, self.now).result

    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.meter.process(self.now)

    def use_up(self) -> None:
        """Use all credit, if the switch is closed."""
        if self.state.switch_closed and self.state.credit_wh > 0:
            self.meter.use_energy(self.state.credit_wh, self.now)

    # The states

    def reach(
        self, tampered: bool, locked: bool, codes: Sequence[str] | None, credit: str, trips: str
    ) -> None:
        if trips != "none":
            self._trip(trips)
        if credit == "none":
            self._empty()
        elif credit == "emergency":
            self._empty()
            self.meter.emergency(self.now)
            self.use_up()
        elif credit == "advance":
            self._empty()
            if self.meter.profile.credit_advance_share:
                self.meter.grant(7000, self.now)
            self.use_up()
        for code in codes or ():
            self.enter(code)  # an ordered set can refuse it: that is a state too
        if tampered:
            self.meter.set_tamper(True, self.now)
        for wrong in WRONG if locked else ():
            if not self.meter.lockout.blocked(self.now):
                self.enter(wrong)

    def _empty(self) -> None:
        self.enter(self.desk.before["clear_credit"])
        self.use_up()

    def _trip(self, trips: str) -> None:
        phases = trips == "unbalanced"
        assert self.enter(self.desk.before["unbalance" if phases else "limit"]) == R.ACCEPT
        for _ in range(1 if trips == "tripped" else 12):
            if phases:
                self.meter.set_load(5 * LIMIT_W, self.now, 5 * LIMIT_W)
            else:
                self.meter.set_load(5 * LIMIT_W, self.now)
            self.wait(self.meter.profile.supply_limit_delay_s + 1)
            assert not self.state.switch_closed
            if phases or trips == "tripped" or not self.state.reconnect_at:
                return
            if self.state.trips == self.meter.profile.supply_trips:
                return
            self.wait(self.state.reconnect_at - self.now)

    # The way out

    def leave(self) -> None:
        left = self.meter.lockout.blocked(self.now)
        if left:
            assert self.enter(self.desk.before["clear_tamper"]) == R.LOCK_OUT
            self.wait(left)
        if self.state.tamper:
            assert self.enter(self.desk.before["clear_tamper"]) == R.ACCEPT
        for code in self.desk.codes:
            result = self.enter(code)
            assert result in GOOD
            if result == R.ACCEPT:  # the later codes were entered before
                break
        assert result == R.ACCEPT
        assert not self.meter.key_change.sections
        self.buy("credit")
        self.supply()
        if not self.state.switch_closed:
            self.buy("more")
            self.supply()
        assert self.state.switch_closed
        assert self.meter.status(self.now)["power_w"] == 100

    def buy(self, name: str) -> None:
        result = self.enter(self.desk.after[name])
        if result == R.OVERFLOW:
            assert self.enter(self.desk.after["clear_again"]) == R.ACCEPT
            result = self.enter(self.desk.after[name])
        assert result == R.ACCEPT

    def supply(self) -> None:
        """Connect a small load, wait for the end of a trip, and press Enter if need be."""
        self.meter.set_load(100, self.now)
        for _ in range(3):
            self.wait(60)  # the result of the last token leaves the display
            if self.state.reconnect_at:
                self.wait(self.state.reconnect_at - self.now)
            if not self.state.switch_closed:
                self.meter.press("#", self.now)


def _subsets(codes: Sequence[str]) -> Iterator[Sequence[str] | None]:
    """Yield None (no codes are entered), and each set of codes that is not complete."""
    yield None
    for count in range(1, len(codes)):
        yield from itertools.combinations(codes, count)


def _combinations(profile: str, kind: str, codes: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    settings = profiles.load(profile)
    whole = kind == "EA07"
    credit = [
        name
        for name in (CREDIT if whole else CREDIT[:2])
        if (name != "emergency" or settings["credit"]["emergency_wh"])
        and (name != "advance" or settings["credit"]["advance_share"])
    ]
    trips = [
        name
        for name in (TRIPS if whole else TRIPS[:1])
        if (name != "unbalanced" or settings["supply"]["unbalance"])
        and (name != "locked" or settings["supply"]["trips"])
    ]
    locked = (False, True) if settings["lockout"]["after"] else (False,)
    return itertools.product((False, True), locked, _subsets(codes), credit, trips)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("profile", sorted(profiles.names()))
def test_each_state_has_a_way_out(tmp_path: Path, profile: str, kind: str) -> None:
    settings = profiles.load(profile)
    if kind == "EA07, three codes" and settings["key_change"]["tokens"] < 3:
        pytest.skip("the meters of this profile take two codes")
    one = desk(tmp_path, profile, kind)
    most_wh = settings["credit"]["max_wh"]
    for state in _combinations(profile, kind, one.codes):
        house = House(one, most_wh if state[3] == "full" else 50_000)
        house.reach(*state)
        try:
            house.leave()
        except Exception as error:
            error.add_note(f"profile {profile}, {kind}: {state}")
            raise
