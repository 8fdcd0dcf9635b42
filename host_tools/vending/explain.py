"""Say what 20 digits are and why a meter would refuse them, with the keys a user has anyway.

What authenticates under a key that was guessed at (a neighbour in TI, KRN, SGC, base date or a
digit) is likely, never sure: a 16-bit checksum lets one in 65,536 wrong guesses through. So
guesses stay few, are ranked by the date they would give the token, and are worded as guesses. Only
keys that the user's vending keys derive, or that the point of sale holds, are tried.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from host_tools.errors import VendingError
from host_tools.vending import tid
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
from jeton.sts import digits

TidState = Callable[[int], str]
"""Asks a live meter about a TID: "Valid", "Used" or "Old"."""

KEY_CHANGE_SUBS = {3: 1, 4: 2, 8: 3, 9: 4}
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
class Explanation:
    """What a token is: one line to read first, and the rest.

    `result`: what the meter would answer, by the standard's names, as far as can be known.
    `cause`: one word for programs: none, not-a-token, typing, other-meter, previous-key, next-key,
    key, used, old, expired, ddtk, function, range, maker, key-type, reserved or unknown.
    """

    summary: str
    result: str | None
    cause: str
    details: tuple[str, ...] = ()
    decoded: Decoded | None = None
    meter: str | None = None
    issued: datetime | None = None
    guesses: tuple[Guess, ...] = field(default=())

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
        return found


def explain(
    token: str,
    *,
    pos: PointOfSale,
    meter: str | None = None,
    status: Mapping[str, Any] | None = None,
    tid_state: TidState | None = None,
    now: datetime | None = None,
) -> Explanation:
    """Explain a token, for `meter` or, without one, for whichever known meter it fits.

    `status`: the live meter's status, where there is one; it says which key the meter really has.
    `tid_state`: asks the live meter whether a TID is used or old. Raise VendingError for an
    unknown meter; everything that is wrong with the token itself is an Explanation.
    """
    return _Explainer(pos, status or {}, tid_state, tid.utc(now or datetime.now(UTC))).explain(
        token, meter
    )


class _Explainer:
    def __init__(
        self,
        pos: PointOfSale,
        status: Mapping[str, Any],
        tid_state: TidState | None,
        now: datetime,
    ):
        self._pos = pos
        self._status = status
        self._tid_state = tid_state
        self._now = now

    def explain(self, token: str, name: str | None) -> Explanation:
        meter = None if name is None else self._pos.meter(name)
        text = digits.clean(token.strip())
        try:
            cls, _ = split(text)
        except VendingError as error:
            return self._no_token(text, str(error), meter)
        if cls == 3:
            return Explanation(
                "Token class 3 is reserved by the standard: no meter takes it.",
                "FunctionError",
                "reserved",
                tuple(self._typing_details(text, meter)),
            )
        if cls == 1:
            return self._class_1(text, meter)
        log = self._pos.issued(token=text)
        if meter is None:
            meter = self._find_meter(text, log)
        if meter is None:
            return self._unknown(text, cls)
        return self._for_meter(text, meter, log)

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

    def _near(self, text: str, meter: MeterRecord | None) -> list[Guess]:
        return self._typing_guesses(text, meter) if meter else self._issued_nearby(text)

    def _class_1(self, text: str, meter: MeterRecord | None) -> Explanation:
        decoded = decode(text)
        name = meter.name if meter else None
        if not decoded.authentic:
            guesses = self._near(text, meter) + _near_tests(text)
            guesses.sort(key=lambda guess: guess.rank)
            return Explanation(
                f"No valid token: likely {guesses[0].text}."
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
        return Explanation(
            f"{what}. It needs no key and may be entered any number of times.",
            "Accept", "none", decoded=decoded, meter=name,
        )  # fmt: skip

    def _unknown(self, text: str, cls: int) -> Explanation:
        guesses = self._issued_nearby(text)
        if guesses:
            return Explanation(
                f"No token that was issued here as it stands: likely {guesses[0].text}.",
                "CRCError", "typing", guesses=tuple(guesses),
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
        keys = self._pos.keys_of(meter.name)
        present = self._present_key(keys)
        decoded = self._read(text, meter, present)
        if decoded and not self._logged_elsewhere(log, meter, present):
            return self._authentic(text, meter, present, decoded, log)
        guesses = self._key_guesses(text, meter, present, keys, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._other_meters(text, meter, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._typing_guesses(text, meter)
            guesses += self._parameter_guesses(text, meter, present, keys)
        guesses.sort(key=lambda guess: guess.rank)
        refused = f"Meter {meter.name} refuses it (CRCError)"
        details = [f"The meter's key: {present}."]
        if not guesses:
            return Explanation(
                f"{refused}: it is under no key this meter has or had, nor under a near one; no "
                "single typing error explains it either.",
                "CRCError", "unknown", tuple(details), meter=meter.name,
            )  # fmt: skip
        best = guesses[0]
        likely = "" if best.sure else "likely " if best.plausible else "perhaps "
        details += [f"Also possible: {guess.text}." for guess in guesses[1:4]]
        return Explanation(
            f"{refused}: {likely}{best.text}.",
            "CRCError", best.cause, tuple(details), meter=meter.name, guesses=tuple(guesses[:8]),
        )  # fmt: skip

    def _logged_elsewhere(self, log: list[Issued], meter: MeterRecord, key: MeterKey) -> bool:
        """Say whether the point of sale issued this token, but not for this meter and key."""
        return bool(log) and not any(
            entry.meter == meter.name and entry.key.number == key.number for entry in log
        )

    def _present_key(self, keys: list[MeterKey]) -> MeterKey:
        """Return the key a live meter has; without one, the key the next token would be under."""
        status = self._status
        if "krn" in status:
            for key in keys:
                sgc = str(status.get("sgc", key.sgc))
                if (
                    key.krn == status["krn"]
                    and key.kt == status.get("kt", key.kt)
                    and key.ti == int(status.get("ti", key.ti))
                    and sgc in (key.sgc, "000000", "0")
                ):
                    return key
        return keys[0]

    def _authentic(
        self, text: str, meter: MeterRecord, key: MeterKey, decoded: Decoded, log: list[Issued]
    ) -> Explanation:
        what = _capital(describe(decoded)) + f" for meter {meter.name}"
        issued = None
        if decoded.tid is not None:
            issued = tid.tid_time(decoded.tid, key.bdt)
            what += f", issued {_minute(issued)} (TID {decoded.tid})"
        details = [f"Authentic under the meter's key: {key}."]
        if log:
            details.append(f"This point of sale issued it, asked for at {_minute(log[-1].at)}.")
        if issued and issued > self._now + _FUTURE:
            details.append(
                "Its date lies in the future; a meter has no clock for this and takes it."
            )
        result, cause, verdict = self._judge(meter, key, decoded, details)
        return Explanation(
            f"{what}: {verdict}.", result, cause, tuple(details), decoded, meter.name, issued
        )

    def _judge(
        self, meter: MeterRecord, key: MeterKey, decoded: Decoded, details: list[str]
    ) -> tuple[str | None, str, str]:
        """Return (result, cause, verdict) in the order in which a meter checks."""
        cls, sub, fields = decoded.cls, decoded.sub or 0, decoded.fields
        number = decoded.tid
        if cls == 0 and key.kt == DDTK:
            return (
                "DDTKError",
                "ddtk",
                "refused, the meter is on a default key and takes no credit",
            )
        if number is not None:
            if number >> 16 > int(self._status.get("ken", key.ken)):
                return "KeyExpiredError", "expired", "refused, the meter's key has expired (KEN)"
            state = self._state_of(number, meter, key, details)
            if state == "Used":
                return "UsedError", "used", "refused, it was entered before"
            if state == "Old":
                return (
                    "OldError",
                    "old",
                    "refused, it is older than the 50 tokens the meter remembers",
                )
        if cls == 2 and sub in KEY_CHANGE_SUBS:
            return self._judge_key_change(meter, key, sub, fields)
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
        newest = self._status.get("tid_newest")
        known = self._tid_state is not None or (newest is not None and (number or 0) > newest)
        if number is None or known:
            return "Accept", "none", "the meter accepts it"
        return "Accept", "none", "the meter accepts it, if it was not entered before"

    def _state_of(self, number: int, meter: MeterRecord, key: MeterKey, details: list[str]) -> str:
        if self._tid_state is not None:
            return self._tid_state(number)
        oldest, newest = self._status.get("tid_oldest"), self._status.get("tid_newest")
        if oldest is not None and number < oldest:
            return "Old"
        if newest is not None and number == newest:
            return "Used"
        made = datetime.combine(meter.made, time(), UTC)
        first, last = tid.first_and_last(key.bdt)
        if oldest is None and first <= made <= last and key.number == 1:
            start = tid.tid_of(made, key.bdt)
            if number <= start:
                details.append(f"The meter was made on {meter.made}: older tokens are refused.")
                return "Used" if number == start else "Old"
        return "Valid"

    def _judge_key_change(
        self, meter: MeterRecord, key: MeterKey, sub: int, fields: Mapping[str, int]
    ) -> tuple[str | None, str, str]:
        number = KEY_CHANGE_SUBS[sub]
        ordinal = ("1st", "2nd", "3rd", "4th")[number - 1]
        if number > (4 if meter.ea == 11 else meter.kct):
            return (
                "FunctionError",
                "function",
                f"refused, the meter takes key changes of {meter.kct} tokens only",
            )
        if fields.get("ti", 0) > 99 or fields.get("krn", 1) not in range(1, 10):
            return "RangeError", "range", "refused, no key has such a KRN or tariff index"
        if number == 1:
            try:
                check_change(key.kt, fields["kt"])
            except VendingError:
                return (
                    "KeyTypeError",
                    "key-type",
                    f"refused, a {KEY_TYPES[key.kt]} may not become a {KEY_TYPES[fields['kt']]}",
                )
        return f"{ordinal}KCT", "none", "the meter takes it and waits for the rest of its set"

    # -- guesses ----------------------------------------------------------------------------------

    def _read(self, text: str, meter: MeterRecord, key: MeterKey) -> Decoded | None:
        """Return the token under a key of a meter, if it is authentic under that key."""
        try:
            octets = self._pos.decoder_key(meter, key)
        except VendingError:
            return None  # the keys at hand do not make this one
        decoded = decode(text, key=octets, ea=meter.ea, tables=meter.tables)
        return decoded if decoded.authentic else None

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

    def _key_guesses(
        self,
        text: str,
        meter: MeterRecord,
        present: MeterKey,
        keys: list[MeterKey],
        log: list[Issued],
    ) -> list[Guess]:
        guesses = []
        for key in keys:
            decoded = None if key.number == present.number else self._read(text, meter, key)
            if decoded is None:
                continue
            sure = any(e.meter == meter.name and e.key.number == key.number for e in log)
            plausible = self._plausible(decoded, meter, key)
            what = f"{describe(decoded)}{_issued_on(decoded, key)}"
            if key.number < present.number:
                changed = next(k.since for k in keys if k.number == key.number + 1)
                lost = (
                    "it belongs to a key change that is done"
                    if decoded.cls == 2 and decoded.sub in KEY_CHANGE_SUBS
                    else "tokens not entered before the change are lost"
                )
                text_ = (
                    f"{what} under the meter's previous key ({key}), before the key change of "
                    f"{_minute(changed)}: {lost}"
                )
                guesses.append(Guess("previous-key", text_, sure, plausible, 0))
            else:
                sections = [
                    entry.grouped
                    for entry in self._pos.issued(meter.name)
                    if entry.section and entry.key.number == key.number - 1
                ]
                text_ = (
                    f"{what} under a key the meter does not have yet ({key}): enter the key "
                    f"change first, {', '.join(sections)}"
                )
                guesses.append(Guess("next-key", text_, sure, plausible, 0))
        return guesses

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

    def _typing_guesses(self, text: str, meter: MeterRecord) -> list[Guess]:
        keys = self._pos.keys_of(meter.name)
        present = self._present_key(keys)
        issued = {entry.token for entry in self._pos.issued(meter.name)}
        guesses = []
        for near, what in neighbours(text):
            if split(near)[0] not in (0, 2):
                continue
            decoded = self._read(near, meter, present)
            if decoded is None:
                continue
            text_ = (
                f"a typing error, {what} gives {digits.grouped(near)}: "
                f"{describe(decoded)}{_issued_on(decoded, present)}"
            )
            plausible = self._plausible(decoded, meter, present)
            guesses.append(Guess("typing", text_, near in issued, plausible, 1))
        return sorted(guesses, key=lambda guess: guess.rank)

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
            if len(differs) > 1 and not (plausible and self._recent(decoded, key)):
                continue  # thousands were tried: chance would be the better explanation
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


__all__ = ["Explanation", "Guess", "TidState", "explain", "neighbours"]
