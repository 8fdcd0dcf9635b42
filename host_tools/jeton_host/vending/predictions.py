"""Predict the result of a token on a meter, for each state that the meter may have.

The result comes from the firmware: the token is entered into a copy of the meter (`meter_copy`).
This module finds the states that are possible, and puts the result in words.
"""

import itertools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Any

from jeton.sts import digits
from jeton.sts import tokens as layouts
from jeton.sts.keys import KeyChange
from jeton_host.client.answers import Snapshot, seconds_of
from jeton_host.errors import VendingError
from jeton_host.vending import ciphers, meter_copy, tid
from jeton_host.vending.chain import Chain, Change, Events
from jeton_host.vending.functions import KEY_CHANGE_SUBS, LAST_TEST, NO_TESTS
from jeton_host.vending.keychange import check_change
from jeton_host.vending.keys import DDTK, DUTK, KEY_TYPES
from jeton_host.vending.meter_copy import MeterCopy, Sections
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterKey, MeterRecord
from jeton_host.vending.tokens import Decoded, decode, split, tests_of

TidState = Callable[[int], str]
"""Asks a live meter for the state of a TID: "Valid", "Used" or "Old"."""

SECTION_WORDS = {1: "nkho", 2: "nklo", 3: "nkmo2", 4: "nkmo1"}
"""The field of each section that carries 32 bits of the new key."""
_ASKED_TIDS = 20  # newest issued tokens whose TID a live meter is asked about
# What a token that was guessed may carry at most; larger values are not sold or set at homes.
_MOST_UNITS = 10_000  # 0.1 kWh; or the greatest credit ever issued
_MOST_WATTS = 100_000
_MOST_RATE = 255
_MOST_PENDING = 16  # possible contents of the pending sections that are tried
FUTURE = timedelta(days=1)
_RECENT = timedelta(days=3 * 366)


@dataclass(slots=True)
class MeterState:
    """One state that the meter may have: a copy of it, and the key that it has then.

    `known` is False if the value of the key is not known, for the reason `why`; the copy then has
    any key. `condition`: what distinguishes this state from others with the same key.
    """

    key: MeterKey
    copy: MeterCopy
    known: bool = True
    why: str = ""
    condition: str = ""

    def again(self) -> "MeterState":
        """Return a copy of this state."""
        return replace(self, copy=self.copy.again())


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
    condition: str = ""


class Predictor:
    """Predicts the result of a token in each of the states that a meter may have.

    `status`, `tid_state` and `events` are those of the live meter, if there is one; `snapshot`
    replaces them all.
    """

    def __init__(
        self,
        pos: PointOfSale,
        status: Mapping[str, Any],
        tid_state: TidState | None,
        events: Events | None,
        now: datetime,
        snapshot: Snapshot | None = None,
    ):
        self._pos = pos
        self._status = status
        self._tid_state = tid_state
        self._events = events
        self._now = now
        self._snapshot = snapshot
        self._profiles = meter_copy.Profiles()

    @property
    def _live(self) -> bool:
        """Return whether the data of the live meter shows which key it has."""
        return self._snapshot is not None or "krn" in self._status

    # -- the states of the meter ------------------------------------------------------------------

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

    def _states(self, chain: Chain, parts: list[str]) -> list[MeterState]:
        """Return the states that the meter may have, newest key first.

        `parts`: the tokens that will be entered. If it is not known whether one of them was
        entered before, return a state for each case.
        """
        if self._snapshot is not None:
            copy = meter_copy.from_snapshot(self._snapshot, self._profiles)
            return [MeterState(self._key_in(chain, copy), copy)]
        possible = self._possible(chain)
        if all(key.number == 0 for key in possible):
            return self._shown_states(chain, possible, parts)
        found = []
        for key in possible:
            found += self._states_with(chain, key, parts)
        return found

    def _shown_states(
        self, chain: Chain, shown: list[MeterKey], parts: list[str]
    ) -> list[MeterState]:
        """Return the states of a meter whose key another system changed.

        Of the keys that it may have, it has the one that makes the tokens authentic, if their
        issue dates are possible under its base date and the meter shows its SGC. Else it is not
        known.
        """
        matches = []
        for key in shown:
            for part in parts:
                decoded = self._read(part, chain.meter, key) if _is_encrypted(part) else None
                if decoded:
                    matches.append((not self._plausible(decoded, chain.meter, key), key))
                    break
        if not matches:
            return self._states_with(chain, shown[0], parts)
        doubtful, best = min(matches, key=lambda match: match[0])
        others = [key for key in shown if key.sgc != best.sgc]
        others += [key for key in shown if key.bdt != best.bdt] if doubtful else []
        found = []
        for key in (best, *others[:1]):
            for state in self._states_with(chain, key, parts):
                if others:
                    more = f" and {state.condition}" if state.condition else ""
                    which = f"its SGC is {key.sgc} and its base date {key.bdt}"
                    state.condition = which + more
                found.append(state)
        return found

    def _states_with(self, chain: Chain, key: MeterKey, parts: list[str]) -> list[MeterState]:
        why = ""
        try:
            value = self._pos.decoder_key(chain.meter, key)
        except VendingError as error:
            why = f"The key {key} cannot be derived: {error}"
            value = bytes(ciphers.KEY_BYTES[chain.meter.ea])
        decoded = [self._with_value(part, chain.meter, value) for part in parts] if not why else []
        numbers = [one.tid for one in decoded if one is not None and one.tid is not None]
        clock, until = self._status.get("clock"), self._status.get("lock_until")
        at = seconds_of(self._now) if clock is None else _seconds(clock)
        lock_until = _seconds(until) if until and clock is not None else 0
        found = []
        for (entered, tids), (waiting, sections), (counted, wrong) in itertools.product(
            self._stores(numbers, chain, key),
            self._pending(chain, key, value),
            self._wrong(chain.meter, parts),
        ):
            copy = meter_copy.from_status(
                chain.meter, key, value, self._status, at=max(at, 0), lock_until=lock_until,
                tids=tids, sections=sections, wrong=wrong, port=self._profiles,
            )  # fmt: skip
            condition = " and ".join(text for text in (entered, waiting, counted) if text)
            found.append(MeterState(key, copy, not why, why, condition))
        return found

    def _stores(
        self, numbers: list[int], chain: Chain, key: MeterKey
    ) -> list[tuple[str, set[int]]]:
        """Return the possible contents of the TID store, each with its condition."""
        oldest, newest = self._status.get("tid_oldest"), self._status.get("tid_newest")
        start = _start(chain, key)
        stored = {oldest if oldest is not None else start or 0}
        if newest is not None:
            stored.add(newest)
        unknown = set()
        for number in numbers:
            if self._tid_state is None:
                if newest is not None and min(stored) < number < newest:
                    unknown.add(number)
                continue
            state = self._tid_state(number)
            if state == "Used":
                stored.add(number)
            elif state == "Old":
                stored = {other for other in stored if other > number} or {number + 1}
            else:
                stored = {other for other in stored if other != number}
                stored.add(min([max(number - 1, 0), *stored]))
        if unknown:
            return [
                ("it was not entered before", stored),
                ("it was entered before", stored | unknown),
            ]
        return [("", stored)]

    def _pending(self, chain: Chain, key: MeterKey, value: bytes) -> list[tuple[str, Sections]]:
        """Return the possible pending sections of a key change, each with its condition.

        A status shows their numbers only: their content is that of an issued token.
        """
        same = {other.number for other in chain.same(key)} if key.number else set()
        options: list[list[tuple[int, str, Mapping[str, int]]]] = []
        for number in self._status.get("pending", ()):
            found = []
            for entry in chain.issued:
                if entry.section == number and entry.key.number in same:
                    decoded = self._with_value(entry.token, chain.meter, value)
                    if decoded is not None:
                        found.append((number, entry.grouped, decoded.fields))
            options.append(found or self._unknown_section(chain.meter, number))
        fitting: dict[str, Sections] = {}
        for one in itertools.islice(itertools.product(*options), _MOST_PENDING):
            sections = {number: fields for number, _, fields in one}
            if self._fits_missing(chain.meter, sections):
                fitting[", ".join(f"section {n} is {text}" for n, text, _ in one)] = sections
        if len(fitting) < 2:
            return [("", sections) for sections in fitting.values()] or [("", {})]
        return list(fitting.items())

    def _wrong(self, meter: MeterRecord, parts: list[str]) -> list[tuple[str, int | None]]:
        """Return how many wrong tokens the lock-out may have counted, each with its condition.

        It matters only for several tokens: a status does not show the number. None: it does not
        count these tokens, as they belong to earlier keys of the meter.
        """
        profile = self._profiles(meter_copy.profile_of(meter, self._status))
        after = int(profile["lockout"]["after"] or 0)
        if len(parts) < 2 or not after or not self._live:
            return [("", 0)]
        counts = sorted({0, *range(max(0, after - len(parts)), after)})
        former = "a token that it cannot read belongs to an earlier key of the meter"
        before = [(f"{count} wrong tokens were entered before", count) for count in counts]
        return [*before, (former, None)]

    def _fits_missing(self, meter: MeterRecord, sections: Sections) -> bool:
        """Return whether the sections that the status says are missing go with these ones."""
        missing = self._status.get("missing")
        if not missing:
            return True
        change = KeyChange(meter.ea, self._status.get("kct", meter.kct))
        change.sections = dict(sections)
        return bool(change.missing() == list(missing))

    def _unknown_section(
        self, meter: MeterRecord, number: int
    ) -> list[tuple[int, str, Mapping[str, int]]]:
        """Return the possible contents of a section that this point of sale did not issue."""
        key = meter.key
        if number == 1:
            three = meter.ea == 7 and self._status.get("kct", meter.kct) == 3
            first = {"kenho": 15, "krn": key.krn, "ro": 0, "kt": DUTK, "nkho": 0}
            return [
                (1, f"one of a set of {3 if kct3 else 2}", first | {"kct3": kct3})
                for kct3 in ((0, 1) if three else (0,))
            ]
        fields = {
            2: {"kenlo": 15, "ti": key.ti, "nklo": 0},
            3: {"sgc": 0, "pad": 0} if meter.ea == 7 else {"sgclo": 0, "nkmo2": 0},
            4: {"sgcho": 0, "nkmo1": 0},
        }
        return [(number, "", fields[number])] if number in fields else []

    def _key_in(self, chain: Chain, copy: MeterCopy) -> MeterKey:
        """Return the key of a copy: one of the chain, else one with the values that it shows.

        The latter has the number 0.
        """
        status = self._status_of(copy)
        same = [key for key in chain.keys if chain.identity(key) == copy.key]
        if same:
            fits = [key for key in chain.possible(status, self._events) if key in same]
            return fits[0] if fits else same[-1]
        for key in chain.shown(status):
            if self._value(chain.meter, key) == copy.key:
                return key
        return replace(chain.shown(status)[0], given=copy.key)

    def _status_of(self, copy: MeterCopy) -> dict[str, Any]:
        """Return the attributes of a copy's key as its status shows them."""
        state = copy.state
        return {
            "krn": state.krn, "kt": state.kt, "ti": state.ti, "ken": state.ken,
            "kct": state.kct, "sgc": f"{state.sgc:06d}",
            "bdt": f"{state.bdt:02d}" if state.bdt else None,
        }  # fmt: skip

    def _value(self, meter: MeterRecord, key: MeterKey) -> bytes | None:
        try:
            return self._pos.decoder_key(meter, key)
        except VendingError:
            return None

    # -- results ----------------------------------------------------------------------------------

    def _predict(self, text: str, chain: Chain, state: MeterState) -> Prediction:
        """Enter a token into the copy of a state, which changes it; return the result."""
        before = state.again().copy
        key = state.key
        outcome = state.copy.outcomes(text)[-1]
        result = meter_copy.name_of(outcome)
        decoded = None
        if outcome.token is not None:
            try:
                decoded = self._with_value(text, chain.meter, before.key)
            except VendingError:  # class 3
                decoded = None
        if result == "CRCError" and not state.known and _is_encrypted(text):
            return Prediction(key, None, None, "unknown", state.why, state.condition)
        cause, words = self._words(chain, state, before, outcome, decoded)
        if state.copy.key != before.key:
            state.key = self._key_in(chain, state.copy)
            if len(state.key.as_dict()) and state.key.number == 0:
                words += self._mixed(chain, before, decoded)
        return Prediction(key, decoded, result, cause, words, state.condition)

    def _words(
        self,
        chain: Chain,
        state: MeterState,
        before: MeterCopy,
        outcome: meter_copy.Outcome,
        decoded: Decoded | None,
    ) -> tuple[str, str]:
        """Return the cause of a result, and the result in words."""
        result = meter_copy.name_of(outcome)
        cls, sub = (decoded.cls, decoded.sub or 0) if decoded else (None, 0)
        if result in _CAUSES:
            return _CAUSES[result]
        number = decoded.tid if decoded else None
        if result == "UsedError":
            assert number is not None
            return "used", self._used(number, chain, state.key)
        if result == "OldError":
            assert number is not None
            return "old", self._old(number, chain, state.key, before)
        if result == "NotReady":
            return self._not_ready(outcome)
        if decoded and cls == 1:
            return _words_of_test(decoded, result)
        if decoded and cls == 2 and sub in KEY_CHANGE_SUBS:
            return self._words_of_section(state, before, result, sub, decoded)
        if result == "FunctionError":
            if cls == 2 and sub == 1:
                return (
                    "function",
                    "refused, an electricity meter does not have this credit register",
                )
            return "function", "refused, an electricity meter does not support it"
        if result == "RangeError":
            register = decoded.fields.get("register") if decoded else None
            return "range", f"refused, there is no credit register {register}"
        if result == "FormatError":
            if decoded:
                return "format", "refused, the padding after its TID must be zero"
            return "not-a-token", outcome.message
        if number is None or self._is_new(number):
            return "none", "the meter accepts it"
        if state.condition:
            return "none", "the meter accepts it"
        return "none", "the meter accepts it, if it was not entered before"

    def _is_new(self, number: int) -> bool:
        """Return whether it is known that a meter has no token with this TID."""
        newest = self._status.get("tid_newest")
        return (
            self._snapshot is not None
            or self._tid_state is not None
            or (newest is not None and number > newest)
        )

    def _not_ready(self, outcome: meter_copy.Outcome) -> tuple[str, str]:
        if outcome.missing:
            return (
                "order",
                "refused for now (NotReady), this meter needs the sections in order: enter "
                f"section {outcome.missing[0]} first",
            )
        if outcome.token is None:
            return "no-key", "refused (NotReady), the meter has no key yet"
        return (
            "tamper",
            "refused for now (NotReady), the meter was tampered with: first enter a token "
            "that clears the tamper condition",
        )

    def _words_of_section(
        self, state: MeterState, before: MeterCopy, result: str, sub: int, decoded: Decoded
    ) -> tuple[str, str]:
        """Return the cause of the result of a section of a key change, and the result in words."""
        number = KEY_CHANGE_SUBS[sub]
        if result == "FunctionError":
            return (
                "function",
                f"refused, the meter supports key changes of {before.state.kct} tokens only",
            )
        if result == "FormatError":
            return "format", "refused, the padding after its SGC must be zero"
        first = decoded.fields if number == 1 else before.key_change.sections.get(1)
        wrong = ""
        if first and (number == 1 or result == "KeyTypeError"):
            parent, new = before.state.kt, first["kt"]
            try:
                check_change(parent, new)
            except VendingError:
                wrong = (
                    f"a {KEY_TYPES[parent]} may not be changed to a {KEY_TYPES[new]} "
                    "(KeyTypeError)"
                )
        if result == "RangeError":
            return "range", "refused, its KRN, tariff index or SGC is out of range"
        if result == "KeyTypeError":
            return "key-type", f"the last section of its key change, which is refused: {wrong}"
        if result == "Accept":
            return (
                "none",
                "the last section of its key change, the meter accepts it and has the new key",
            )
        if wrong:
            return (
                "key-type",
                f"the meter accepts this section, but will refuse the whole key change: {wrong}",
            )
        return "none", "the meter accepts it and waits for the other sections of its key change"

    def _mixed(self, chain: Chain, before: MeterCopy, decoded: Decoded | None) -> str:
        """Say so if the sections of a finished key change belong to different key changes."""
        sections = dict(before.key_change.sections)
        if decoded and decoded.sub in KEY_CHANGE_SUBS:
            sections[KEY_CHANGE_SUBS[decoded.sub]] = decoded.fields
        owners = self._owners(chain, sections)
        return f", but {mixed_text(owners)}" if len(set(owners.values())) > 1 else ""

    def _owners(self, chain: Chain, sections: Sections) -> dict[int, str]:
        """Return section number -> the known key whose 32 bits the section carries."""
        found = {}
        known = [(key, self._value(chain.meter, key)) for key in chain.keys]
        for number, fields in sections.items():
            word = fields.get(SECTION_WORDS[number])
            for key, value in known:
                if value is not None and word == _word_of(value, number):
                    found[number] = f"{key}"
        return found

    def _parts_of(self, chain: Chain, value: bytes) -> dict[int, str]:
        """Return section number -> the known key of which a key value has the 32 bits."""
        sections = (1, 2) if len(value) == 8 else (1, 2, 3, 4)
        words = {n: {SECTION_WORDS[n]: _word_of(value, n)} for n in sections}
        return self._owners(chain, words)

    def _issued_under(self, chain: Chain, key: MeterKey, log: list[Issued]) -> MeterKey:
        """Return the key with the base date of a token's TID.

        Several entries of the chain can be the same decoder key; the one in the log is right.
        """
        same = {other.number for other in chain.same(key)}
        for entry in log:
            if entry.meter == chain.meter.name and entry.key.number in same:
                return entry.key
        return key

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

    def _old(self, number: int, chain: Chain, key: MeterKey, before: MeterCopy) -> str:
        """Say why the result is OldError."""
        start = _start(chain, key)
        if start is not None and number < start:
            return (
                f"refused, its TID is before the meter's date of manufacture, {chain.meter.made}"
            )
        oldest = before.tids.oldest
        if oldest == before.tids.newest:
            # All 50 TIDs are equal: the store still has the value of the set-up.
            return (
                "refused, its TID is before the one that the meter was set up with, of "
                f"{minute_text(tid.tid_time(oldest, key.bdt))}"
            )
        return "refused, it is older than the 50 tokens that the meter remembers"

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

    def _with_value(self, text: str, meter: MeterRecord, value: bytes) -> Decoded | None:
        """Return the decoded token if it is authentic under a decoder key, else None."""
        if len(text) != digits.DIGITS:
            return None
        try:
            decoded = decode(text, key=value, ea=meter.ea, tables=meter.tables)
        except VendingError:
            return None
        return decoded if decoded.authentic else None

    def _plausible(self, decoded: Decoded, meter: MeterRecord, key: MeterKey) -> bool:
        """Return whether a point of sale could have issued this authentic token for a meter.

        If not, the checksum matches by chance: another kind of token than those of an electricity
        meter, a value that is not sold or set, or a date before the meter or in the future.
        """
        cls, sub, fields = decoded.cls, decoded.sub or 0, decoded.fields
        if cls == 1:
            possible = sub in (0, 1)
        elif cls == 0:
            sold = layouts.amount_value(fields["amount"]) if sub == 0 else 0
            possible = 0 < sold <= self._most_sold
        elif sub in (0, 6):
            watts = layouts.amount_value(fields["mpl" if sub == 0 else "mppul"])
            possible = watts <= _MOST_WATTS
        elif sub == 1:
            possible = fields["register"] in (0, 0xFFFF)
        elif sub == 2:
            possible = fields["rate"] <= _MOST_RATE
        elif sub in KEY_CHANGE_SUBS:
            possible = KEY_CHANGE_SUBS[sub] <= (4 if meter.ea == 11 else 3)
        else:
            possible = sub == 5
        if not possible or fields.get("pad"):
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
        )

    @cached_property
    def _most_sold(self) -> int:
        """Return the greatest credit (0.1 kWh) that a token may have to be a guess."""
        sold = [
            layouts.amount_value(entry.fields["amount"])
            for entry in self._pos.issued()
            if (entry.cls, entry.sub) == (0, 0)
        ]
        return max([_MOST_UNITS, *sold])

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


_CAUSES = {
    "CRCError": ("key", "it is refused (CRCError)"),
    "LockOut": ("lock-out", "refused (LockOut), after wrong tokens the meter accepts none"),
    "DDTKError": (
        "ddtk",
        "refused, the meter has a default key (DDTK) and accepts no credit",
    ),
    "KeyExpiredError": ("expired", "refused, the meter's key has expired (KEN)"),
    "OverflowError": ("overflow", "refused, the credit register cannot hold this amount"),
    "MfrCodeError": ("maker", "refused, it is for meters of another maker"),
}


def _seconds(when: str | int) -> int:
    """Return a time of a status in seconds since 2000; a board sends it in this form."""
    return when if isinstance(when, int) else seconds_of(datetime.fromisoformat(when))


def _is_encrypted(text: str) -> bool:
    """Return whether the digits are a token that needs a key."""
    try:
        return split(text)[0] in (0, 2)
    except VendingError:
        return False


def _words_of_test(decoded: Decoded, result: str) -> tuple[str, str]:
    """Return the cause of the result of a class 1 token, and the result in words."""
    if result == "RangeError":
        return "range", "refused, it requests no test"
    if result == "FunctionError":
        if decoded.sub not in (0, 1):
            return "function", "refused, the meter does not support this kind of token"
        missing = [str(n) for n in tests_of(decoded) if n in NO_TESTS or n > LAST_TEST]
        return "function", f"refused, an electricity meter has no test {', '.join(missing)}"
    return "none", "the meter accepts it. It needs no key and may be entered any number of times"


def _word_of(value: bytes, number: int) -> int:
    """Return the 32 bits of a key that section `number` of a key change carries."""
    words = struct.unpack(f">{len(value) // 4}I", value)
    return words[{1: 0, 2: -1, 3: 1, 4: 2}[number]]


def mixed_text(owners: Mapping[int, str]) -> str:
    """Say of which keys the sections of a key change are, if they are of several."""
    parts = ", ".join(f"section {number} of {key}" for number, key in sorted(owners.items()))
    number = len(set(owners.values()))
    neither = "neither of these two" if number == 2 else "none of these"
    return (
        f"sections of {number} key changes are mixed ({parts}): the resulting key is {neither} "
        "keys, and no token for them will work"
    )


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
