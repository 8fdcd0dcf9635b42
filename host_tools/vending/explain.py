"""Say what 20 digits are and why a meter would refuse them, with the keys a user has anyway.

What authenticates under a key that was guessed at (a neighbour in TI, KRN, SGC, base date or a
digit) is likely, never sure: a 16-bit checksum lets one in 65,536 wrong guesses through. So
guesses stay few, are ranked by the date they would give the token, and are worded as guesses. Only
keys that the user's vending keys derive, or that the point of sale holds, are tried.

A point of sale does not learn which key changes were entered. Without a live meter, what depends
on that is told for each case.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

from host_tools import profiles
from host_tools.errors import ProfileError, VendingError
from host_tools.vending import tid
from host_tools.vending.chain import Chain, Change, Events
from host_tools.vending.keychange import check_change
from host_tools.vending.keys import DDTK, DUTK, KEY_TYPES, PAIRS
from host_tools.vending.pos import Issued, MeterKey, MeterRecord, PointOfSale
from host_tools.vending.tokens import (
    REGISTERS,
    TESTS,
    Decoded,
    decode,
    describe,
    split,
    tests_of,
)
from jeton import credit
from jeton.sts import digits
from jeton.sts import tokens as layouts

TidState = Callable[[int], str]
"""Asks a live meter about a TID: "Valid", "Used" or "Old"."""

KEY_CHANGE_SUBS = {3: 1, 4: 2, 8: 3, 9: 4}
NO_TESTS = (12,)
"""The tests up to 18 that an electricity meter does not have: the water factor."""
LAST_TEST = 18
_ASKED_TIDS = 20
_FUTURE = timedelta(days=1)
_RECENT = timedelta(days=3 * 366)


@dataclass(frozen=True, slots=True)
class Guess:
    """One way in which the token would be authentic after all; `sure` if it was issued so."""

    cause: str
    text: str
    sure: bool
    plausible: bool
    steps: int

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Return what sorts the best guess first."""
        return (not self.sure, not self.plausible, self.steps)


@dataclass(frozen=True, slots=True)
class Case:
    """What a meter answers if it has one of the keys that it may have."""

    condition: str
    result: str | None
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a token is: one line to read first, and the rest.

    `result`: what the meter would answer, by the standard's names, as far as can be known; of a
    section of a key change, without a live meter, as the first of its set.
    `cause`: one word for programs: none, not-a-token, typing, other-meter, previous-key, next-key,
    key-change, key, used, old, expired, ddtk, function, range, format, overflow, order, maker,
    key-type, reserved, tamper, lock-out or unknown. "lock-out": a live meter that takes no token
    now; the summary says what it would do otherwise. "key-change": the answer depends on which of
    the vended key changes were entered, and nothing tells; then `result` is None, and `cases` has
    each answer.
    """

    summary: str
    result: str | None
    cause: str
    details: tuple[str, ...] = ()
    decoded: Decoded | None = None
    meter: str | None = None
    issued: datetime | None = None
    guesses: tuple[Guess, ...] = ()
    cases: tuple[Case, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for --json; never a part of a key."""
        found: dict[str, Any] = {
            "summary": self.summary,
            "result": self.result,
            "cause": self.cause,
            "details": list(self.details),
            "meter": self.meter,
            "issued": self.issued.strftime("%Y-%m-%dT%H:%M:%SZ") if self.issued else None,
        }
        if self.decoded and self.decoded.authentic:
            fields = self.decoded.fields
            found |= {
                "class": self.decoded.cls,
                "subclass": self.decoded.sub,
                "name": self.decoded.name,
                "fields": {k: v for k, v in fields.items() if not k.startswith("nk")},
            }
        if self.guesses:
            found["guesses"] = [
                {"cause": g.cause, "text": g.text, "sure": g.sure, "plausible": g.plausible}
                for g in self.guesses
            ]
        if self.cases:
            found["cases"] = [
                {"if": c.condition, "result": c.result, "cause": c.cause, "text": c.text}
                for c in self.cases
            ]
        return found


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a meter answers that has `key`; `decoded` is None where the token is not under it."""

    key: MeterKey
    decoded: Decoded | None
    result: str | None
    cause: str
    text: str


def explain(
    token: str,
    *,
    pos: PointOfSale,
    meter: str | None = None,
    status: Mapping[str, Any] | None = None,
    tid_state: TidState | None = None,
    events: Events | None = None,
    now: datetime | None = None,
) -> Explanation:
    """Explain a token, for `meter` or, without one, for whichever known meter it fits.

    `status`: the live meter's `Status.as_dict`, where there is one; it says which key the meter
    really has.
    `tid_state`: asks the live meter whether a TID is used or old. `events`: its log, which counts
    its key changes. Raise VendingError for an unknown meter; everything that is wrong with the
    token itself is an Explanation.
    """
    moment = tid.utc(now or datetime.now(UTC))
    return _Explainer(pos, status or {}, tid_state, events, moment).explain(token, meter)


class _Judge:
    """What a meter answers to a token under each of the keys that it may have.

    `status`, `tid_state` and `events` are those of the live meter, where there is one.
    """

    def __init__(
        self,
        pos: PointOfSale,
        status: Mapping[str, Any],
        tid_state: TidState | None,
        events: Events | None,
        now: datetime,
    ):
        self._pos = pos
        self._status = status
        self._tid_state = tid_state
        self._events = events
        self._now = now

    def _possible(self, chain: Chain) -> list[MeterKey]:
        """Return the keys that the meter may have, newest first; the used tokens rule some out."""
        found = chain.possible(self._status, self._events)
        if len(found) == 1 or "krn" not in self._status:
            return found
        dated = [entry for entry in chain.issued if entry.tid is not None]
        under: dict[int | None, set[object]] = {}
        for entry in dated:
            under.setdefault(entry.tid, set()).add(chain.identity(entry.key))
        for entry in dated[: -_ASKED_TIDS - 1 : -1]:
            left = [key for key in found if chain.route([entry.key], key) is not None]
            if 0 < len(left) < len(found) and len(under[entry.tid]) == 1:
                assert entry.tid is not None
                if self._was_used(entry.tid):
                    found = left
        return found

    def _was_used(self, number: int) -> bool:
        """Say whether the live meter took a token with this TID, for all that can be asked."""
        if number == self._status.get("tid_oldest"):
            return False  # the store may have been filled with it
        if number == self._status.get("tid_newest"):
            return True
        return self._tid_state is not None and self._tid_state(number) == "Used"

    def _verdict(self, text: str, chain: Chain, key: MeterKey) -> _Verdict:
        try:
            decoded = self._decoded(text, chain.meter, key)
        except VendingError as error:
            return _Verdict(key, None, None, "unknown", f"The key {key} cannot be made: {error}")
        if not decoded.authentic:
            return _Verdict(key, None, "CRCError", "key", "it is refused (CRCError)")
        result, cause, said = self._judge(chain, key, decoded)
        return _Verdict(key, decoded, result, cause, said)

    def _issued_under(self, chain: Chain, key: MeterKey, log: list[Issued]) -> MeterKey:
        """Return the key whose base date a token's TID counts from: of equal keys, the logged."""
        same = {other.number for other in chain.same(key)}
        for entry in log:
            if entry.meter == chain.meter.name and entry.key.number in same:
                return entry.key
        return key

    def _judge(self, chain: Chain, key: MeterKey, decoded: Decoded) -> tuple[str | None, str, str]:
        """Return (result, cause, verdict) in the order in which a meter checks."""
        meter = chain.meter
        cls, sub, fields = decoded.cls, decoded.sub or 0, decoded.fields
        number = decoded.tid
        if self._bars(chain.meter, cls, sub):
            return (
                "NotReady",
                "tamper",
                "not ready for it, the meter was tampered with and a token must clear that first",
            )
        if cls == 0 and key.kt == DDTK:
            return (
                "DDTKError",
                "ddtk",
                "refused, the meter is on a default key and takes no credit",
            )
        if number is not None:
            if number >> 16 > int(self._status.get("ken", key.ken)):
                return "KeyExpiredError", "expired", "refused, the meter's key has expired (KEN)"
            state = self._state_of(number, chain, key)
            if state == "Used":
                return "UsedError", "used", self._used(number, chain, key)
            if state == "Old":
                return "OldError", "old", self._old(number, chain, key)
        if cls == 2 and sub in KEY_CHANGE_SUBS:
            return self._judge_key_change(chain, key, sub, fields)
        if (cls == 0 and sub != 0) or (cls == 2 and (sub == 7 or sub >= 10)):
            return "FunctionError", "function", "refused, an electricity meter has no use for it"
        if cls == 2 and sub == 1 and fields["register"] not in REGISTERS.values():
            return "RangeError", "range", f"refused, there is no register {fields['register']}"
        if cls == 2 and sub == 1 and fields["register"] not in (0, 0xFFFF):
            return (
                "FunctionError",
                "function",
                "refused, an electricity meter has no such register",
            )
        if cls == 2 and sub == 5 and fields["pad"]:
            return "FormatError", "format", "refused, what follows its TID must be zero"
        if cls == 0 and self._overflows(meter, fields["amount"]):
            return "OverflowError", "overflow", "refused, the credit register cannot hold so much"
        newest = self._status.get("tid_newest")
        known = self._tid_state is not None or (newest is not None and (number or 0) > newest)
        if number is None or known:
            return "Accept", "none", "the meter accepts it"
        return "Accept", "none", "the meter accepts it, if it was not entered before"

    def _profile(self, meter: MeterRecord) -> dict[str, Any] | None:
        """Return the meter's profile, None for one that does not ship."""
        try:
            return profiles.load(self._status.get("profile") or meter.profile)
        except ProfileError:
            return None

    def _bars(self, meter: MeterRecord, cls: int, sub: int) -> bool:
        """Say whether a live meter that was tampered with takes no such token."""
        if not self._status.get("tamper"):
            return False
        profile = self._profile(meter)
        if profile is None or profile["supply"]["tamper_takes"] == "all":
            return False
        return cls != 2 or sub not in (1, 5)

    def _overflows(self, meter: MeterRecord, amount: int) -> bool:
        profile = self._profile(meter)
        if "credit_wh" not in self._status or profile is None:
            return False
        status: Any = SimpleNamespace(**self._status)
        settings: Any = SimpleNamespace(
            credit_advance_share=profile["credit"]["advance_share"],
            credit_max_wh=profile["credit"]["max_wh"],
        )
        amount_wh = 100 * layouts.amount_value(amount)
        kept_wh = amount_wh - sum(credit.shares(status, settings, amount_wh))
        return bool(credit.overflows(status, settings, kept_wh))

    def _state_of(self, number: int, chain: Chain, key: MeterKey) -> str:
        if self._tid_state is not None:
            return self._tid_state(number)
        oldest, newest = self._status.get("tid_oldest"), self._status.get("tid_newest")
        if oldest is not None and number < oldest:
            return "Old"
        if number in (newest, oldest):
            return "Used"
        start = _start(chain, key)
        if oldest is None and start is not None and number <= start:
            return "Used" if number == start else "Old"
        return "Valid"

    def _used(self, number: int, chain: Chain, key: MeterKey) -> str:
        """Say why a meter calls a TID used; one that it began with need not have been entered."""
        if number == _start(chain, key):
            return (
                "refused as used, its TID is the one that the meter began with, of "
                f"{_minute(tid.tid_time(number, key.bdt))}"
            )
        return "refused, it was entered before"

    def _old(self, number: int, chain: Chain, key: MeterKey) -> str:
        """Say why a meter calls a TID old."""
        start = _start(chain, key)
        if start is not None and number < start:
            return (
                f"refused, its TID is before the meter's own starting date, {chain.meter.made}, "
                "when it was made"
            )
        oldest = self._status.get("tid_oldest")
        if oldest is not None and oldest == self._status.get("tid_newest"):
            # Not one of 50 was taken: the store is as it was filled.
            return (
                "refused, its TID is before the one that the meter was set up with, of "
                f"{_minute(tid.tid_time(oldest, key.bdt))}"
            )
        return "refused, it is older than the 50 tokens the meter remembers"

    def _judge_key_change(
        self, chain: Chain, key: MeterKey, sub: int, fields: Mapping[str, int]
    ) -> tuple[str | None, str, str]:
        meter = chain.meter
        number = KEY_CHANGE_SUBS[sub]
        ordinal = ("1st", "2nd", "3rd", "4th")[number - 1]
        kct = self._status.get("kct", meter.kct)
        if number > (4 if meter.ea == 11 else kct):
            return (
                "FunctionError",
                "function",
                f"refused, the meter takes key changes of {kct} tokens only",
            )
        if fields.get("pad"):
            return "FormatError", "format", "refused, what follows its SGC must be zero"
        if (
            fields.get("ti", 0) > 99
            or fields.get("krn", 1) not in range(1, 10)
            or fields.get("sgc", 0) > 999_999
        ):
            return "RangeError", "range", "refused, no key has such a KRN, tariff index or SGC"
        pending = set(self._status.get("pending", ()))
        earlier = [str(n) for n in range(1, number) if n not in pending]
        profile = self._profile(meter)
        if earlier and profile and profile["key_change"]["ordered"]:
            return (
                "NotReady",
                "order",
                f"not ready for it, this meter takes section {' and '.join(earlier)} first",
            )
        wrong = ""
        if number == 1:
            try:
                check_change(key.kt, fields["kt"])
            except VendingError:
                new = KEY_TYPES[fields["kt"]]
                wrong = f"a {KEY_TYPES[key.kt]} may not become a {new} (KeyTypeError)"
        entered = pending | {number}
        whole = {entered >= set(n) for n in self._sets(chain, key, entered, number, fields)}
        if len(whole) > 1:
            return None, "unknown", "the meter takes it, perhaps as the last of its set"
        if True in whole:
            if wrong:
                return "KeyTypeError", "key-type", f"the last of its set, and refused: {wrong}"
            return "Accept", "none", "the last of its set, the meter takes it and has the new key"
        if wrong:
            return f"{ordinal}KCT", "key-type", f"the meter takes it, but not its set: {wrong}"
        return f"{ordinal}KCT", "none", "the meter takes it and waits for the rest of its set"

    def _sets(
        self,
        chain: Chain,
        key: MeterKey,
        entered: set[int],
        number: int,
        fields: Mapping[str, int],
    ) -> list[tuple[int, ...]]:
        """Return which sections make whole what was entered; several where it cannot be known."""
        two, three = (1, 2), (1, 2, 3)
        if chain.meter.ea == 11:
            return [(1, 2, 3, 4)]
        if self._status.get("kct", chain.meter.kct) < 3:
            return [two]
        if number == 1:
            return [three if fields["kct3"] else two]
        if 1 in entered:
            # What the first section said the meter does not show: as in those that were issued.
            same = {other.number for other in chain.same(key)} if key.number else set()
            firsts = [e for e in chain.issued if e.section == 1 and e.key.number in same]
            if firsts:
                return sorted({three if first.fields["kct3"] else two for first in firsts})
        return [three if 3 in entered else two]

    def _read(self, text: str, meter: MeterRecord, key: MeterKey) -> Decoded | None:
        """Return the token under a key of a meter, if it is authentic under that key."""
        try:
            decoded = self._decoded(text, meter, key)
        except VendingError:
            return None  # the keys at hand do not make this one
        return decoded if decoded.authentic else None

    def _decoded(self, text: str, meter: MeterRecord, key: MeterKey) -> Decoded:
        octets = self._pos.decoder_key(meter, key)
        return decode(text, key=octets, ea=meter.ea, tables=meter.tables)

    def _plausible(self, decoded: Decoded, meter: MeterRecord, key: MeterKey) -> bool:
        """Say whether an authentic token is one that somebody could have issued."""
        cls, sub, fields = decoded.cls, decoded.sub or 0, decoded.fields
        if (cls == 0 and sub > 7) or (cls == 2 and sub > 10):
            return False
        if decoded.tid is not None:
            issued = tid.tid_time(decoded.tid, key.bdt)
            made = datetime.combine(meter.made, time(), UTC)
            return made - timedelta(days=366) <= issued <= self._now + _FUTURE
        return (
            fields.get("krn", 1) in range(1, 10)
            and fields.get("ti", 0) <= 99
            and fields.get("kt", DUTK) in (DDTK, DUTK)
            and fields.get("sgc", 0) <= 999_999
            and fields.get("pad", 0) == 0
        )

    def _recent(self, decoded: Decoded, key: MeterKey) -> bool:
        """Say whether a token is of the last years; those without a date count as recent."""
        if decoded.tid is None:
            return True
        return tid.tid_time(decoded.tid, key.bdt) > self._now - _RECENT


class _Guesser(_Judge):
    """Looks for the key, the meter or the typing error that would make a token authentic."""

    def _near(self, text: str, meter: MeterRecord | None) -> list[Guess]:
        if meter is None:
            return sorted(self._issued_nearby(text) + _near_tests(text), key=_rank)
        chain = Chain(self._pos, meter)
        return self._typing_guesses(text, chain, self._possible(chain))

    def _key_guesses(
        self, text: str, chain: Chain, possible: list[MeterKey], log: list[Issued]
    ) -> list[Guess]:
        """Return the keys that the token is under, of those the meter had or will have."""
        guesses = []
        seen = {chain.identity(key) for key in possible}
        oldest = min(key.number for key in possible)
        for newest in reversed(chain.keys):
            if chain.identity(newest) in seen:
                continue
            seen.add(chain.identity(newest))
            decoded = self._read(text, chain.meter, newest)
            if decoded is None:
                continue
            same = chain.same(newest)
            numbers = {key.number for key in same}
            sure = any(e.meter == chain.meter.name and e.key.number in numbers for e in log)
            key = self._issued_under(chain, newest, log)
            plausible = self._plausible(decoded, chain.meter, key)
            what = f"{describe(decoded)}{_issued_on(decoded, key)}"
            route = chain.route(possible, newest)
            if oldest == 0:
                cause, said = "key", f"{what} under another key than the meter shows ({key})"
            elif newest.number > oldest and route:
                cause, said = (
                    "next-key",
                    (
                        f"{what} under a key the meter does not have yet ({key}): enter the key "
                        f"change first, {', '.join(change.tokens for change in route)}"
                    ),
                )
            else:
                cause, said = "previous-key", self._previous(chain, key, decoded, what, route)
            guesses.append(Guess(cause, said, sure, plausible, 0))
        return guesses

    def _previous(
        self,
        chain: Chain,
        key: MeterKey,
        decoded: Decoded,
        what: str,
        route: list[Change] | None,
    ) -> str:
        change = chain.change_from(key.number)
        when = f", before the key change of {_minute(change.after.since)}" if change else ""
        if decoded.cls == 2 and decoded.sub in KEY_CHANGE_SUBS:
            lost = "it belongs to a key change that is done"
        else:
            lost = "tokens not entered before the change are lost"
        if route:
            lost += f", unless {', '.join(step.tokens for step in route)} bring that key back"
        return f"{what} under the meter's previous key ({key}){when}: {lost}"

    def _other_meters(self, text: str, meter: MeterRecord, log: list[Issued]) -> list[Guess]:
        guesses = []
        for other in self._pos.meters():
            if other.name == meter.name:
                continue
            for key in self._pos.keys_of(other.name):
                decoded = self._read(text, other, key)
                if decoded is None:
                    continue
                sure = any(e.meter == other.name and e.key.number == key.number for e in log)
                what = (
                    f"it is for another meter, {other.name} (DRN {other.drn}): "
                    f"{describe(decoded)}{_issued_on(decoded, key)}"
                )
                plausible = self._plausible(decoded, other, key)
                guesses.append(Guess("other-meter", what, sure, plausible, 1))
        return guesses

    def _typing_guesses(self, text: str, chain: Chain, possible: list[MeterKey]) -> list[Guess]:
        issued = {entry.token for entry in chain.issued}
        keys = {chain.identity(key): key for key in reversed(possible)}
        guesses = _near_tests(text)
        for near, what in neighbours(text):
            if split(near)[0] not in (0, 2):
                continue
            for key in keys.values():
                decoded = self._read(near, chain.meter, key)
                if decoded is None:
                    continue
                text_ = (
                    f"a typing error, {what} gives {digits.grouped(near)}: "
                    f"{describe(decoded)}{_issued_on(decoded, key)}"
                )
                plausible = self._plausible(decoded, chain.meter, key)
                guesses.append(Guess("typing", text_, near in issued, plausible, 1))
        return sorted(guesses, key=_rank)

    def _issued_nearby(self, text: str) -> list[Guess]:
        """Return the issued tokens, of any meter, that are one typing error away."""
        near = dict(neighbours(text))
        return [
            Guess(
                "typing",
                f"a typing error, {near[entry.token]} gives {entry.grouped}: "
                f"{entry.what} for meter {entry.meter}",
                sure=True,
                plausible=True,
                steps=1,
            )
            for entry in self._pos.issued()
            if entry.token in near
        ]

    def _parameter_guesses(
        self, text: str, meter: MeterRecord, present: MeterKey, keys: list[MeterKey]
    ) -> list[Guess]:
        tried = {(meter.ea, replace(key, number=0, since=self._now, ken=0)) for key in keys}
        guesses = []
        for ea, key, differs in self._near_keys(meter, present):
            same = (ea, replace(key, number=0, since=self._now, ken=0))
            if same in tried:
                continue
            tried.add(same)
            near = meter if ea == meter.ea else replace(meter, ea=ea)
            decoded = self._read(text, near, key)
            if decoded is None:
                continue
            plausible = self._plausible(decoded, meter, key)
            if len(differs) > 1:
                # Thousands were tried: chance explains as well what has no recent date to show.
                if not (plausible and self._recent(decoded, key)):
                    continue
                plausible = decoded.tid is not None
            what = (
                f"it is for this meter with {' and '.join(differs)}: "
                f"{describe(decoded)}{_issued_on(decoded, key)}"
            )
            guesses.append(Guess("key", what, False, plausible, len(differs)))
        return guesses

    def _near_keys(
        self, meter: MeterRecord, key: MeterKey
    ) -> Iterator[tuple[int, MeterKey, list[str]]]:
        """Yield (EA, key, what differs) for keys that differ in one or two parameters."""
        groups = self._pos.keys.supply_groups | {m.key.sgc for m in self._pos.meters()}
        options: dict[str, list[Any]] = {
            "krn": list(range(1, 10)),
            "ti": list(range(100)),
            "bdt": list(tid.BASE_DATES),
            "kt": [DDTK, DUTK],
            "sgc": sorted(groups),
        }
        singles = [
            (name, value)
            for name, values in options.items()
            for value in values
            if value != getattr(key, name)
        ]
        base = replace(key, given=None)
        for name, value in singles:
            yield meter.ea, replace(base, **{name: value}), [_said(name, value)]
        for dkga, ea in PAIRS:
            if (dkga, ea) != (key.dkga, meter.ea):
                made = f"DKGA{dkga:02d} and EA{ea:02d}"
                yield ea, replace(base, dkga=dkga), [made]
        for index, (name, value) in enumerate(singles):
            for other, second in singles[index + 1 :]:
                if other != name:
                    both: dict[str, Any] = {name: value, other: second}
                    yield (
                        meter.ea,
                        replace(base, **both),
                        [_said(name, value), _said(other, second)],
                    )


class _Explainer(_Guesser):
    def explain(self, token: str, name: str | None) -> Explanation:
        meter = None if name is None else self._pos.meter(name)
        text = digits.clean(token.strip())
        try:
            cls, _ = split(text)
        except VendingError as error:
            return self._no_token(text, str(error), meter)
        if cls == 3:
            return self._locked(self._class_3(text, meter))
        if cls == 1:
            return self._class_1(text, meter)
        log = self._pos.issued(token=text)
        if meter is None:
            meter = self._find_meter(text, log)
        if meter is None:
            return self._unknown(text, cls)
        return self._locked(self._for_meter(text, meter, log))

    def _locked(self, found: Explanation) -> Explanation:
        """Say first that the live meter takes no token yet, where that is so."""
        until, clock = self._status.get("lock_until"), self._status.get("clock")
        if not until or not clock:
            return found
        left = datetime.fromisoformat(until) - datetime.fromisoformat(clock)
        if left <= timedelta():
            return found
        return replace(
            found,
            summary=f"Not now: after wrong tokens meter {found.meter} takes none for "
            f"{left.total_seconds():.0f} s more (LockOut). Apart from that: {found.summary}",
            result="LockOut",
            cause="lock-out",
        )

    # -- not under a key --------------------------------------------------------------------------

    def _no_token(self, text: str, why: str, meter: MeterRecord | None) -> Explanation:
        name = meter.name if meter else None
        details: list[str] = []
        if len(text) in (40, 60) and digits.is_digits(text):
            parts = [text[i : i + 20] for i in range(0, len(text), 20)]
            details = [f"{digits.grouped(p)}: {self.explain(p, name).summary}" for p in parts]
        elif len(text) == 20 and digits.is_digits(text):
            details = self._typing_details(text, meter)
        return Explanation(
            f"Not a token: {why}.", "FormatError", "not-a-token", tuple(details), meter=name
        )

    def _typing_details(self, text: str, meter: MeterRecord | None) -> list[str]:
        return [f"Likely {guess.text}." for guess in self._near(text, meter)[:3]]

    def _class_3(self, text: str, meter: MeterRecord | None) -> Explanation:
        name = meter.name if meter else None
        if layouts.unpack(3, split(text)[1])[3]:
            return Explanation(
                "Token class 3 is reserved by the standard: no meter takes it.",
                "FunctionError", "reserved", meter=name,
            )  # fmt: skip
        guesses = self._near(text, meter)
        if guesses:
            return Explanation(
                f"No valid token: {_perhaps(guesses[0])} {guesses[0].text}.",
                "CRCError", "typing", tuple(_also(guesses)),
                meter=name, guesses=tuple(guesses[:8]),
            )  # fmt: skip
        return Explanation(
            "No valid token: class 3 is reserved by the standard, and the checksum is wrong.",
            "CRCError", "reserved", meter=name,
        )  # fmt: skip

    def _class_1(self, text: str, meter: MeterRecord | None) -> Explanation:
        decoded = decode(text)
        name = meter.name if meter else None
        if not decoded.authentic:
            guesses = self._near(text, meter)
            return Explanation(
                f"No valid token: {_perhaps(guesses[0])} {guesses[0].text}."
                if guesses
                else "No valid token: a test token (class 1) whose checksum is wrong.",
                "CRCError", "typing", decoded=decoded, meter=name, guesses=tuple(guesses),
            )  # fmt: skip
        maker = decoded.fields.get("mfr_code", 0)
        what = _capital(describe(decoded))
        if meter and maker not in (0, meter.mfr_code):
            return Explanation(
                f"{what}: meter {name} is of maker {meter.mfr_code} and refuses it.",
                "MfrCodeError", "maker", decoded=decoded, meter=name,
            )  # fmt: skip
        if decoded.sub not in (0, 1):
            return Explanation(
                f"{what}: not a token that this meter has.",
                "FunctionError", "function", decoded=decoded, meter=name,
            )  # fmt: skip
        numbers = tests_of(decoded)
        lacking = [str(n) for n in numbers if n in NO_TESTS or n > LAST_TEST]
        if lacking:
            return Explanation(
                f"{what}: refused, an electricity meter has no test {', '.join(lacking)}.",
                "FunctionError", "function", decoded=decoded, meter=name,
            )  # fmt: skip
        if not numbers:
            return Explanation(
                f"{what}: refused, it asks for no test at all.",
                "RangeError", "range", decoded=decoded, meter=name,
            )  # fmt: skip
        return Explanation(
            f"{what}. It needs no key and may be entered any number of times.",
            "Accept", "none", decoded=decoded, meter=name,
        )  # fmt: skip

    def _unknown(self, text: str, cls: int) -> Explanation:
        guesses = self._near(text, None)
        if guesses:
            return Explanation(
                "No token that was issued here as it stands: "
                f"{_perhaps(guesses[0])} {guesses[0].text}.",
                "CRCError" if guesses[0].sure else None, "typing", guesses=tuple(guesses),
            )  # fmt: skip
        kind = "credit" if cls == 0 else "management or key change"
        known = self._pos.meters()
        if not known:
            tail = "without the meter's key no more can be said: register it with jeton new"
        else:
            tail = (
                f"it fits none of the {len(known)} meters this point of sale knows, under no key "
                "they have or had: mistyped, or for another meter; name the meter to search on"
            )
        return Explanation(f"A {kind} token (class {cls}); {tail}.", None, "unknown")

    # -- for one meter ----------------------------------------------------------------------------

    def _find_meter(self, text: str, log: list[Issued]) -> MeterRecord | None:
        if log:
            return self._pos.meter(log[-1].meter)
        found = []
        for meter in self._pos.meters():
            for steps, key in enumerate(self._pos.keys_of(meter.name)):
                decoded = self._read(text, meter, key)
                if decoded:
                    plausible = self._plausible(decoded, meter, key)
                    found.append(((not plausible, steps), meter))
        found.sort(key=lambda item: item[0])
        return found[0][1] if found else None

    def _for_meter(self, text: str, meter: MeterRecord, log: list[Issued]) -> Explanation:
        chain = Chain(self._pos, meter)
        possible = self._possible(chain)
        verdicts = [self._verdict(text, chain, key) for key in possible]
        good = [(verdict, verdict.decoded) for verdict in verdicts if verdict.decoded]
        if not good:
            return self._refused(text, chain, possible, verdicts, log)
        # What was issued is told before what another key makes of it by chance.
        own = {entry.key.number for entry in log if entry.meter == meter.name}
        first, decoded = next((pair for pair in good if pair[0].key.number in own), good[0])
        details: list[str] = []
        issued = None
        what = _capital(describe(decoded)) + f" for meter {meter.name}"
        if decoded.tid is not None:
            issued = tid.tid_time(decoded.tid, self._issued_under(chain, first.key, log).bdt)
            what += f", issued {_minute(issued)} (TID {decoded.tid})"
            if issued > self._now + _FUTURE:
                details.append(
                    "Its date lies in the future; a meter has no clock for this and takes it."
                )
        for entry in log[-1:]:
            other = "" if entry.meter == meter.name else f" for meter {entry.meter}"
            details.append(
                f"This point of sale issued it{other}, asked for at {_minute(entry.at)}."
            )
        if len({(verdict.result, verdict.cause) for verdict in verdicts}) == 1:
            return Explanation(
                f"{what}: {first.text}.", first.result, first.cause,
                (f"Authentic under the meter's key: {first.key}.", *details),
                decoded, meter.name, issued,
            )  # fmt: skip
        cases = self._cases(chain, verdicts)
        told = "; ".join(f"if {case.condition}, {case.text}" for case in cases)
        details.insert(0, f"Authentic under the key {first.key}.")
        details += [f"{_capital(_named(change))}: {change.tokens}." for change in chain.changes]
        details.append(
            "What the meter shows fits more than one of its keys."
            if "krn" in self._status
            else "Which key changes were entered, only the meter knows."
        )
        return Explanation(
            f"{what}: {told}.", None, "key-change", tuple(details),
            decoded, meter.name, issued, cases=tuple(cases),
        )  # fmt: skip

    def _refused(
        self,
        text: str,
        chain: Chain,
        possible: list[MeterKey],
        verdicts: list[_Verdict],
        log: list[Issued],
    ) -> Explanation:
        """Explain a token that is under none of the keys that the meter may have."""
        meter = chain.meter
        guesses = self._key_guesses(text, chain, possible, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._other_meters(text, meter, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._typing_guesses(text, chain, possible)
            guesses += self._parameter_guesses(text, meter, possible[0], chain.keys)
        guesses.sort(key=_rank)
        details = [f"The meter's key: {possible[0]}."]
        if len(possible) > 1:
            details = [f"The key of the next token: {possible[0]}."]
        elif possible[0].number == 0:
            details.append("That is what the meter shows; no key of this point of sale fits it.")
        unknown = [verdict for verdict in verdicts if verdict.result is None]
        details += [verdict.text for verdict in unknown[:1]]
        if unknown and not (guesses and guesses[0].sure):
            head = f"Whether meter {meter.name} takes it cannot be said"
            result = None
        else:
            head, result = f"Meter {meter.name} refuses it (CRCError)", "CRCError"
        if not guesses:
            why = (
                "its key cannot be made with the vending keys at hand"
                if unknown
                else "it is under no key this meter has or had, nor under a near one; no "
                "single typing error explains it either"
            )
            return Explanation(
                f"{head}: {why}.", result, "unknown", tuple(details), meter=meter.name
            )
        best = guesses[0]
        likely = "" if best.sure else "likely " if best.plausible else "perhaps "
        details += _also(guesses)
        return Explanation(
            f"{head}: {likely}{best.text}.",
            result, best.cause, tuple(details), meter=meter.name, guesses=tuple(guesses[:8]),
        )  # fmt: skip

    def _cases(self, chain: Chain, verdicts: list[_Verdict]) -> list[Case]:
        """Return what the meter answers, by what was entered; what is refused comes last."""
        groups: dict[tuple[str | None, str], list[_Verdict]] = {}
        for verdict in verdicts:
            groups.setdefault((verdict.result, verdict.cause), []).append(verdict)
        ordered = sorted(groups.values(), key=lambda group: group[0].decoded is None)
        numbers = [verdict.key.number for verdict in reversed(verdicts)]
        return [
            Case(
                _condition(chain, numbers, [verdict.key.number for verdict in reversed(group)]),
                group[0].result,
                group[0].cause,
                group[0].text.rstrip("."),
            )
            for group in ordered
        ]


def _start(chain: Chain, key: MeterKey) -> int | None:
    """Return the TID with which a meter's store was filled, None where it began otherwise.

    That of its date of manufacture; a rollover fills it with 0.
    """
    made = datetime.combine(chain.meter.made, time(), UTC)
    first, last = tid.first_and_last(key.bdt)
    filled = not any(c.rollover for c in chain.changes if c.after.number <= key.number)
    return tid.tid_of(made, key.bdt) if filled and first <= made <= last else None


def _condition(chain: Chain, possible: list[int], numbers: list[int]) -> str:
    """Return which changes were entered and which not where the key is one of `numbers`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and possible.index(number) == possible.index(runs[-1][-1]) + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = []
    for run in runs:
        to = chain.change_to(run[0]) if run[0] != possible[0] else None
        off = chain.change_from(run[-1]) if run[-1] != possible[-1] else None
        parts = [f"{_named(to)} was entered"] if to else []
        parts += [f"{_named(off)} was not entered"] if off else []
        told.append(" and ".join(parts))
    return ", or ".join(told)


def _named(change: Change) -> str:
    """Return a key change by its date and what it changes."""
    before, after = change.before.as_dict(), change.after.as_dict()
    changed = [_said(name, value) for name, value in after.items() if value != before[name]]
    to = f" to {', '.join(changed)}" if changed else ""
    return f"the key change of {_minute(change.after.since)}{to}"


def _rank(guess: Guess) -> tuple[bool, bool, int]:
    return guess.rank


def _perhaps(guess: Guess) -> str:
    return "likely" if guess.sure or guess.plausible else "perhaps"


def _also(guesses: list[Guess]) -> list[str]:
    return [f"Also possible: {guess.text}." for guess in guesses[1:4]]


def _near_tests(text: str) -> list[Guess]:
    """Return the test tokens that are one typing error away."""
    guesses = []
    for near, what in neighbours(text):
        if split(near)[0] != 1:
            continue
        decoded = decode(near)
        if not decoded.authentic or decoded.sub not in (0, 1):
            continue
        known = all(number < len(TESTS) for number in tests_of(decoded))
        plausible = known and decoded.fields["control"] > 0
        said = f"a typing error, {what} gives {digits.grouped(near)}: {describe(decoded)}"
        guesses.append(Guess("typing", said, False, plausible, 1))
    return guesses


def neighbours(text: str) -> Iterator[tuple[str, str]]:
    """Yield (token, what was mended) for one digit changed and for two adjacent ones swapped."""
    for place, char in enumerate(text):
        for other in "0123456789":
            if other != char:
                near = text[:place] + other + text[place + 1 :]
                if int(near) < digits.LIMIT:
                    yield near, f"{other} for {char} at digit {place + 1}"
    for place in range(len(text) - 1):
        one, two = text[place], text[place + 1]
        if one != two:
            near = text[:place] + two + one + text[place + 2 :]
            if int(near) < digits.LIMIT:
                yield near, f"swapping digits {place + 1} and {place + 2}"


def _said(name: str, value: Any) -> str:
    if name == "dkga":
        return f"DKGA{value:02d}"
    words = {"krn": "KRN", "ti": "tariff index", "bdt": "base date", "kt": "key type"}
    if name == "ti":
        value = f"{value:02d}"
    return f"{words.get(name, name.upper())} {value}"


def _issued_on(decoded: Decoded, key: MeterKey) -> str:
    if decoded.tid is None:
        return ""
    return f", issued {_minute(tid.tid_time(decoded.tid, key.bdt))}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


__all__ = ["Case", "Explanation", "Guess", "TidState", "explain", "neighbours"]
