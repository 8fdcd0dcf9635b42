"""What a meter answers to a token under each key that it may have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

from jeton import credit
from jeton.sts import tokens as layouts
from jeton_host.errors import ProfileError, VendingError
from jeton_host.firmware import profiles
from jeton_host.vending import tid
from jeton_host.vending.chain import Chain, Change, Events
from jeton_host.vending.keychange import check_change
from jeton_host.vending.keys import DDTK, DUTK, KEY_TYPES
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterKey, MeterRecord
from jeton_host.vending.tokens import REGISTERS, Decoded, decode

TidState = Callable[[int], str]
"""Asks a live meter about a TID: "Valid", "Used" or "Old"."""

KEY_CHANGE_SUBS = {3: 1, 4: 2, 8: 3, 9: 4}
NO_TESTS = (12,)
"""The tests up to 18 that an electricity meter does not have: the water factor."""
LAST_TEST = 18
_ASKED_TIDS = 20  # issued tokens that a live meter is asked about
FUTURE = timedelta(days=1)
_RECENT = timedelta(days=3 * 366)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a meter answers that has `key`; `decoded` is None where the token is not under it."""

    key: MeterKey
    decoded: Decoded | None
    result: str | None
    cause: str
    text: str


class Judge:
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

    def _verdict(self, text: str, chain: Chain, key: MeterKey) -> Verdict:
        try:
            decoded = self._decoded(text, chain.meter, key)
        except VendingError as error:
            return Verdict(key, None, None, "unknown", f"The key {key} cannot be made: {error}")
        if not decoded.authentic:
            return Verdict(key, None, "CRCError", "key", "it is refused (CRCError)")
        result, cause, said = self._judge(chain, key, decoded)
        return Verdict(key, decoded, result, cause, said)

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
                f"{minute_text(tid.tid_time(number, key.bdt))}"
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
                f"{minute_text(tid.tid_time(oldest, key.bdt))}"
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
            return made - timedelta(days=366) <= issued <= self._now + FUTURE
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


def _start(chain: Chain, key: MeterKey) -> int | None:
    """Return the TID with which a meter's store was filled, None where it began otherwise.

    That of its date of manufacture; a rollover fills it with 0.
    """
    made = datetime.combine(chain.meter.made, time(), UTC)
    first, last = tid.first_and_last(key.bdt)
    filled = not any(c.rollover for c in chain.changes if c.after.number <= key.number)
    return tid.tid_of(made, key.bdt) if filled and first <= made <= last else None


def change_text(change: Change) -> str:
    """Return a key change by its date and what it changes."""
    before, after = change.before.as_dict(), change.after.as_dict()
    changed = [
        parameter_text(name, value) for name, value in after.items() if value != before[name]
    ]
    to = f" to {', '.join(changed)}" if changed else ""
    return f"the key change of {minute_text(change.after.since)}{to}"


def parameter_text(name: str, value: Any) -> str:
    """Return a key parameter and its value in words."""
    if name == "dkga":
        return f"DKGA{value:02d}"
    words = {"krn": "KRN", "ti": "tariff index", "bdt": "base date", "kt": "key type"}
    if name == "ti":
        value = f"{value:02d}"
    return f"{words.get(name, name.upper())} {value}"


def issue_date_text(decoded: Decoded, key: MeterKey) -> str:
    """Return when a token was issued, as a part of a sentence; empty without a TID."""
    if decoded.tid is None:
        return ""
    return f", issued {minute_text(tid.tid_time(decoded.tid, key.bdt))}"


def minute_text(moment: datetime) -> str:
    """Return a UTC time to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def capitalized(text: str) -> str:
    """Return a text with its first letter as a capital."""
    return text[:1].upper() + text[1:]
