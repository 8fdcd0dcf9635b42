"""Predict the result of a token on a meter, for each key that the meter may have.

The order of the checks is that of a meter (IEC 62055-41 8.2).
"""

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
from jeton_host.vending.functions import KEY_CHANGE_SUBS
from jeton_host.vending.keychange import check_change
from jeton_host.vending.keys import DDTK, DUTK, KEY_TYPES
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterKey, MeterRecord
from jeton_host.vending.tokens import REGISTERS, Decoded, decode

TidState = Callable[[int], str]
"""Asks a live meter for the state of a TID: "Valid", "Used" or "Old"."""

_ASKED_TIDS = 20  # newest issued tokens whose TID a live meter is asked about
FUTURE = timedelta(days=1)
_RECENT = timedelta(days=3 * 366)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of a token if the meter has `key`; `decoded` is None if `key` does not match.

    `result` is None if it cannot be known. `text` says the result in words, for people.
    """

    key: MeterKey
    decoded: Decoded | None
    result: str | None
    cause: str
    text: str


class Predictor:
    """Predicts the result of a token under each of the keys that a meter may have.

    `status`, `tid_state` and `events` are those of the live meter, if there is one.
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
        """Return the keys that the meter may have, newest first.

        A used token excludes keys: the meter had the key of that token at some time.
        """
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
        """Return whether the live meter is known to have accepted a token with this TID."""
        if number == self._status.get("tid_oldest"):
            return False  # the TID store may have been filled with this TID at set-up
        if number == self._status.get("tid_newest"):
            return True
        return self._tid_state is not None and self._tid_state(number) == "Used"

    def _prediction(self, text: str, chain: Chain, key: MeterKey) -> Prediction:
        try:
            decoded = self._decoded(text, chain.meter, key)
        except VendingError as error:
            return Prediction(
                key, None, None, "unknown", f"The key {key} cannot be derived: {error}"
            )
        if not decoded.authentic:
            return Prediction(key, None, "CRCError", "key", "it is refused (CRCError)")
        result, cause, words = self._evaluate(chain, key, decoded)
        return Prediction(key, decoded, result, cause, words)

    def _issued_under(self, chain: Chain, key: MeterKey, log: list[Issued]) -> MeterKey:
        """Return the key with the base date of a token's TID.

        Several entries of the chain can be the same decoder key; the one in the log is right.
        """
        same = {other.number for other in chain.same(key)}
        for entry in log:
            if entry.meter == chain.meter.name and entry.key.number in same:
                return entry.key
        return key

    def _evaluate(
        self, chain: Chain, key: MeterKey, decoded: Decoded
    ) -> tuple[str | None, str, str]:
        """Return (result, cause, text); the checks have the order of a meter's checks."""
        meter = chain.meter
        cls, sub, fields = decoded.cls, decoded.sub or 0, decoded.fields
        number = decoded.tid
        if self._blocked_by_tamper(chain.meter, cls, sub):
            return (
                "NotReady",
                "tamper",
                "refused for now (NotReady), the meter was tampered with: first enter a token "
                "that clears the tamper condition",
            )
        if cls == 0 and key.kt == DDTK:
            return (
                "DDTKError",
                "ddtk",
                "refused, the meter has a default key (DDTK) and accepts no credit",
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
            return self._evaluate_key_change(chain, key, sub, fields)
        if (cls == 0 and sub != 0) or (cls == 2 and (sub == 7 or sub >= 10)):
            return "FunctionError", "function", "refused, an electricity meter does not support it"
        if cls == 2 and sub == 1 and fields["register"] not in REGISTERS.values():
            return (
                "RangeError",
                "range",
                f"refused, there is no credit register {fields['register']}",
            )
        if cls == 2 and sub == 1 and fields["register"] not in (0, 0xFFFF):
            return (
                "FunctionError",
                "function",
                "refused, an electricity meter does not have this credit register",
            )
        if cls == 2 and sub == 5 and fields["pad"]:
            return "FormatError", "format", "refused, the padding after its TID must be zero"
        if cls == 0 and self._overflows(meter, fields["amount"]):
            return (
                "OverflowError",
                "overflow",
                "refused, the credit register cannot hold this amount",
            )
        newest = self._status.get("tid_newest")
        known = self._tid_state is not None or (newest is not None and (number or 0) > newest)
        if number is None or known:
            return "Accept", "none", "the meter accepts it"
        return "Accept", "none", "the meter accepts it, if it was not entered before"

    def _profile(self, meter: MeterRecord) -> dict[str, Any] | None:
        """Return the meter's profile, or None if this installation does not include it."""
        try:
            return profiles.load(self._status.get("profile") or meter.profile)
        except ProfileError:
            return None

    def _blocked_by_tamper(self, meter: MeterRecord, cls: int, sub: int) -> bool:
        """Return whether the live meter refuses this kind of token until tamper is cleared."""
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
        """Say why the result is UsedError.

        A meter is set up with one TID in its store: that TID is used without a token.
        """
        if number == _start(chain, key):
            return (
                "refused as used, its TID is the one that the meter was set up with, of "
                f"{minute_text(tid.tid_time(number, key.bdt))}"
            )
        return "refused, it was entered before"

    def _old(self, number: int, chain: Chain, key: MeterKey) -> str:
        """Say why the result is OldError."""
        start = _start(chain, key)
        if start is not None and number < start:
            return (
                f"refused, its TID is before the meter's date of manufacture, {chain.meter.made}"
            )
        oldest = self._status.get("tid_oldest")
        if oldest is not None and oldest == self._status.get("tid_newest"):
            # All 50 TIDs are equal: the store still has the value of the set-up.
            return (
                "refused, its TID is before the one that the meter was set up with, of "
                f"{minute_text(tid.tid_time(oldest, key.bdt))}"
            )
        return "refused, it is older than the 50 tokens that the meter remembers"

    def _evaluate_key_change(
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
                f"refused, the meter supports key changes of {kct} tokens only",
            )
        if fields.get("pad"):
            return "FormatError", "format", "refused, the padding after its SGC must be zero"
        if (
            fields.get("ti", 0) > 99
            or fields.get("krn", 1) not in range(1, 10)
            or fields.get("sgc", 0) > 999_999
        ):
            return "RangeError", "range", "refused, its KRN, tariff index or SGC is out of range"
        pending = set(self._status.get("pending", ()))
        earlier = [str(n) for n in range(1, number) if n not in pending]
        profile = self._profile(meter)
        if earlier and profile and profile["key_change"]["ordered"]:
            return (
                "NotReady",
                "order",
                "refused for now (NotReady), this meter needs the sections in order: enter "
                f"section {' and '.join(earlier)} first",
            )
        wrong = ""
        if number == 1:
            try:
                check_change(key.kt, fields["kt"])
            except VendingError:
                new = KEY_TYPES[fields["kt"]]
                wrong = f"a {KEY_TYPES[key.kt]} may not be changed to a {new} (KeyTypeError)"
        entered = pending | {number}
        complete = {entered >= set(n) for n in self._sets(chain, key, entered, number, fields)}
        if len(complete) > 1:
            return (
                None,
                "unknown",
                "the meter accepts it, perhaps as the last section of its key change",
            )
        if True in complete:
            if wrong:
                return (
                    "KeyTypeError",
                    "key-type",
                    f"the last section of its key change, which is refused: {wrong}",
                )
            return (
                "Accept",
                "none",
                "the last section of its key change, the meter accepts it and has the new key",
            )
        if wrong:
            return (
                f"{ordinal}KCT",
                "key-type",
                f"the meter accepts this section, but will refuse the whole key change: {wrong}",
            )
        return (
            f"{ordinal}KCT",
            "none",
            "the meter accepts it and waits for the other sections of its key change",
        )

    def _sets(
        self,
        chain: Chain,
        key: MeterKey,
        entered: set[int],
        number: int,
        fields: Mapping[str, int],
    ) -> list[tuple[int, ...]]:
        """Return the possible sets of sections that complete the key change.

        Several if the status does not show how many sections it has.
        """
        two, three = (1, 2), (1, 2, 3)
        if chain.meter.ea == 11:
            return [(1, 2, 3, 4)]
        if self._status.get("kct", chain.meter.kct) < 3:
            return [two]
        if number == 1:
            return [three if fields["kct3"] else two]
        if 1 in entered:
            # The meter does not show whether the first section announced a third one: use what
            # the issued first sections say.
            same = {other.number for other in chain.same(key)} if key.number else set()
            firsts = [e for e in chain.issued if e.section == 1 and e.key.number in same]
            if firsts:
                return sorted({three if first.fields["kct3"] else two for first in firsts})
        return [three if 3 in entered else two]

    def _read(self, text: str, meter: MeterRecord, key: MeterKey) -> Decoded | None:
        """Return the decoded token if it is authentic under this key of a meter, else None."""
        try:
            decoded = self._decoded(text, meter, key)
        except VendingError:
            return None  # the available vending keys do not derive this key
        return decoded if decoded.authentic else None

    def _decoded(self, text: str, meter: MeterRecord, key: MeterKey) -> Decoded:
        decoder_key = self._pos.decoder_key(meter, key)
        return decode(text, key=decoder_key, ea=meter.ea, tables=meter.tables)

    def _plausible(self, decoded: Decoded, meter: MeterRecord, key: MeterKey) -> bool:
        """Return whether a point of sale could have issued this authentic token.

        If not, the checksum matches by chance.
        """
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
        """Return whether a token was issued in the last 3 years; without a date: True."""
        if decoded.tid is None:
            return True
        return tid.tid_time(decoded.tid, key.bdt) > self._now - _RECENT


def _start(chain: Chain, key: MeterKey) -> int | None:
    """Return the TID that the meter's TID store was filled with at set-up, else None.

    It is the TID of the date of manufacture. None after a base date change, which fills the store
    with 0, and if the date of manufacture is outside the range of the base date.
    """
    made = datetime.combine(chain.meter.made, time(), UTC)
    first, last = tid.first_and_last(key.bdt)
    filled = not any(c.rollover for c in chain.changes if c.after.number <= key.number)
    return tid.tid_of(made, key.bdt) if filled and first <= made <= last else None


def change_text(change: Change) -> str:
    """Return a key change in words: its date and the parameters that it changes."""
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
    """Return ", issued DATE" for a sentence; empty for a token without a TID."""
    if decoded.tid is None:
        return ""
    return f", issued {minute_text(tid.tid_time(decoded.tid, key.bdt))}"


def minute_text(moment: datetime) -> str:
    """Return a UTC time as text, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def capitalized(text: str) -> str:
    """Return a text with its first letter as a capital."""
    return text[:1].upper() + text[1:]
