"""Explain a token: what its 20 digits say, and why a meter would refuse it.

The result is that of the firmware: the token is entered into a copy of the meter (`meter_copy`).

Only two sources of keys are used: decoder keys that the user's vending keys derive, and decoder
keys that are stored in the point of sale.

If a token is not valid, similar keys (another TI, KRN, SGC or base date) and single typing errors
are tried. A match is likely, never certain: the checksum has 16 bits, so one wrong guess in 65,536
matches by chance. Therefore few guesses are tried, they are ranked by how plausible the issue date
of the token would be, and each text says that it is a guess.

A point of sale has no data about which key changes were entered on the meter. Without a live
meter, the explanation lists the result for each case.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jeton.sts import digits
from jeton.values import text as text_of
from jeton_host import clock, token_text
from jeton_host.client.answers import Snapshot
from jeton_host.errors import VendingError, WrongValueError
from jeton_host.typed import typed
from jeton_host.vending import damaged, meter_copy, tid
from jeton_host.vending.chain import Chain, Events
from jeton_host.vending.guesses import (
    MOST_GUESSES,
    Guess,
    Guesser,
    Receipt,
    corrections,
    guessed,
    near_sgcs,
    ranked,
)
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.predictions import (
    FUTURE,
    MeterState,
    Prediction,
    TidState,
    capitalized,
    change_text,
    minute_text,
    mixed_text,
    parameter_text,
)
from jeton_host.vending.records import Issued, MeterKey, MeterRecord, describe_meter
from jeton_host.vending.tokens import Decoded, decode, describe, split
from jeton_host.vending.way_out import way_out


@dataclass(frozen=True, slots=True)
class Possibility:
    """The result of a token if `condition` is true: which key changes were entered or not."""

    condition: str
    result: str | None
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a token is, and what a meter does with it: a summary of one line, and details.

    `result`: the result that the meter would give, by the name in the standard; None if it cannot
    be known. For a section of a key change, without a live meter: the result if this section is
    entered first.
    `cause`: one word for programs: none, not-a-token, typing, other-meter, previous-key, next-key,
    key-change, key, used, old, expired, ddtk, function, range, format, overflow, order, maker,
    key-type, reserved, tamper, lock-out, damaged or unknown. "damaged": a spreadsheet or a program
    has rounded the token. "lock-out": the live meter accepts no token
    now; the summary also says the result without the lock-out. "key-change": the result depends on
    which of the vended key changes were entered, and this is not known; then `result` is None, and
    `cases` lists the result of each case. "no-key": the meter was not set up yet.
    `tokens`: the explanation of each token if several were given; then `result` is that of the
    last one.
    """

    summary: str
    result: str | None
    cause: str
    details: tuple[str, ...] = ()
    decoded: Decoded | None = None
    meter: str | None = None
    issued: datetime | None = None
    guesses: tuple[Guess, ...] = ()
    cases: tuple[Possibility, ...] = ()
    tokens: tuple["Explanation", ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return all fields for --json; never a part of a key."""
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
                {
                    "cause": g.cause,
                    "text": g.text,
                    "sure": g.sure,
                    "plausible": g.plausible,
                    "certainty": g.certainty,
                }
                for g in self.guesses
            ]
        if self.cases:
            found["cases"] = [
                {"if": c.condition, "result": c.result, "cause": c.cause, "text": c.text}
                for c in self.cases
            ]
        if self.tokens:
            found["tokens"] = [one.as_dict() for one in self.tokens]
        return found


@typed
def explain(
    token: str,
    *,
    pos: PointOfSale,
    meter: str | None = None,
    status: Mapping[str, Any] | None = None,
    tid_state: TidState | None = None,
    events: Events | None = None,
    snapshot: Snapshot | None = None,
    receipt: Receipt | None = None,
    search: bool = True,
    now: datetime | None = None,
) -> Explanation:
    """Explain a token for `meter`, or for the first known meter whose key it matches.

    The result is that of the meter's firmware, which runs in this process on a copy of the meter.

    `snapshot`: that of the live meter (`Meter.snapshot`): with it the result is exact.
    `status`: the `Status.as_dict` of the live meter, if there is no snapshot: it shows which key
    the meter has now. `tid_state`: asks the live meter whether a TID is used or old. `events`: the
    log of the live meter, from which its key changes are counted.
    `receipt`: what the receipt of the token says. `search`: for a refused token, try other keys
    and corrections of digits, which takes up to a second.

    Raise VendingError for an unknown meter. A faulty token is no error: the Explanation says what
    is wrong with it.
    """
    moment = tid.utc(now or clock.now())
    explainer = _Explainer(pos, status or {}, tid_state, events, moment, snapshot)
    explainer.receipt = receipt
    explainer.search = search
    found = explainer.explain(token, meter)
    shown = status or {}
    if snapshot is not None:
        state = meter_copy.from_snapshot(snapshot, meter_copy.Profiles()).state
        shown = {"krn": state.krn, "tamper": state.tamper, "profile": text_of(state.profile)}
    out = way_out(pos, found.meter, found.cause, shown)
    if out:
        found = replace(found, details=(*found.details, out))
    return _with_damage(found, token, pos)


def _with_damage(found: Explanation, token: str, pos: PointOfSale) -> Explanation:
    """Return the explanation of a refused token with what a spreadsheet has done to it."""
    if found.result not in ("FormatError", "CRCError", None) or found.cases:
        return found
    why, sure = damaged.token(token, pos)
    if found.cause == "not-a-token" and why:
        return replace(found, summary=f"{found.summary.rstrip('.')}; {why}.")
    if sure:
        return replace(found, summary=f"Not a whole token: {why}.", cause="damaged", guesses=())
    return replace(found, details=(*found.details, why)) if why else found


class _Explainer(Guesser):
    def explain(self, token: str, name: str | None) -> Explanation:
        meter = None if name is None else self._pos.meter(name)
        try:
            text = token_text.one(token)
        except WrongValueError as error:
            found = token_text.found_in(token)
            return self._not_one(found, f"Not a token: {error}.", meter)
        parts = _parts(text)
        log = self._pos.issued(token=parts[0])
        if meter is None:
            meter = self._find_meter(parts, log)
        chain = Chain(self._pos, meter) if meter else None
        states = self._states(chain, parts) if chain else self._states_of_none(text)
        splits = len(states[0].copy.entry.tokens(text)) > 1
        if chain is None or len(parts) == 1:
            return self._one(text, chain, states)
        if not splits:
            before = [state.again() for state in states]
            why = self._one(text, chain, states)
            if why.result == "FormatError":
                return self._not_one(parts, why.summary, meter, before)
            return why
        return self._in_one_go(parts, chain, states)

    def _in_one_go(self, parts: list[str], chain: Chain, states: list[MeterState]) -> Explanation:
        """Explain several tokens that the meter takes one after another."""
        found = [self._one(part, chain, states) for part in parts]
        last = found[-1]
        each = tuple(
            f"{digits.grouped(part)}: {one.summary}"
            for part, one in zip(parts, found, strict=True)
        )
        results = ", ".join(one.result or "not known" for one in found)
        count = len(parts)
        summary = (
            f"These {20 * count} digits are {count} tokens, which meter {chain.meter.name} takes "
            f"one after another: {results}."
        )
        cause = next((one.cause for one in found if one.cause != "none"), "none")
        return replace(last, summary=summary, cause=cause, details=each, tokens=tuple(found))

    def _not_one(
        self,
        parts: list[str],
        summary: str,
        meter: MeterRecord | None,
        states: list[MeterState] | None = None,
    ) -> Explanation:
        """Explain several tokens that the meter does not take in one go."""
        found = []
        for part in parts:
            of = meter or self._find_meter([part], self._pos.issued(token=part))
            chain = Chain(self._pos, of) if of else None
            if meter is None or states is None:
                states = self._states(chain, parts) if chain else self._states_of_none(part)
            found.append(self._one(part, chain, states))
        each = (
            f"{digits.grouped(part)}: {one.summary}"
            for part, one in zip(parts, found, strict=True)
        )
        return Explanation(
            summary,
            "FormatError",
            "not-a-token",
            ("Entered one after another, the tokens give:", *each),
            meter=meter.name if meter else None,
            tokens=tuple(found),
        )

    def _states_of_none(self, text: str) -> list[MeterState]:
        """Return the state of any meter: it answers for tokens that need no key."""
        decoded = None
        if text[:1] and len(text) == digits.DIGITS and _class_of(text) == 1:
            decoded = decode(text)
        maker = decoded.fields.get("mfr_code", 0) if decoded else 0
        meter = describe_meter("any", drn="00000000000", mfr_code=maker)
        value = bytes(8)
        copy = meter_copy.from_status(
            meter,
            meter.key,
            value,
            {},
            at=0,
            lock_until=0,
            tids={0},
            sections={},
            port=self._profiles,
        )
        return [MeterState(meter.key, copy, False, "it is not known for which meter it is")]

    # -- one token --------------------------------------------------------------------------------

    def _one(self, text: str, chain: Chain | None, states: list[MeterState]) -> Explanation:
        """Explain one token; it is then entered into the copies in `states`."""
        locked = [state.again() for state in states if state.copy.locked_s]
        of = chain or self._no_meter(states)
        predictions = [self._predict(text, of, state) for state in states]
        if locked and all(one.result == "LockOut" for one in predictions):
            left = locked[0].copy.locked_s
            for state in locked:
                state.copy.unlock()
            found = self._one(text, chain, locked)
            return replace(
                found,
                summary=f"Locked: after wrong tokens, meter {found.meter} accepts no token for "
                f"another {left} s (LockOut). Without the lock: {found.summary}",
                result="LockOut",
                cause="lock-out",
            )
        cls = _class_of(text)
        if cls is None:
            return self._no_token(text, chain, predictions)
        if cls == 3:
            return self._class_3(text, chain, predictions)
        if cls == 1:
            return self._class_1(text, chain, predictions)
        if chain is None:
            return self._unknown(text, cls)
        return self._for_meter(text, chain, predictions)

    def _no_meter(self, states: list[MeterState]) -> Chain:
        """Return the empty chain of no meter."""
        meter = describe_meter("any", drn="00000000000")
        return Chain(self._pos, meter, [states[0].key])

    def _no_token(
        self, text: str, chain: Chain | None, predictions: list[Prediction]
    ) -> Explanation:
        first = predictions[0]
        guesses: list[Guess] = []
        if len(text) == digits.DIGITS and digits.is_digits(text):
            guesses = self._near(text, chain)
        count = len(text) // digits.DIGITS
        why = first.text
        if len(_parts(text)) > 1:
            why = (
                f"these {len(text)} digits are {count} tokens: a token has 20 digits, enter one "
                "at a time"
            )
        summary = f"Not a token: {why}."
        if first.cause != "not-a-token":  # the meter answers before it reads the digits
            summary = f"{capitalized(first.text)}. {summary}"
        return Explanation(
            summary, first.result, first.cause, tuple(corrections(guesses[:3])),
            meter=chain.meter.name if chain else None, guesses=tuple(guesses[:MOST_GUESSES]),
        )  # fmt: skip

    def _class_3(
        self, text: str, chain: Chain | None, predictions: list[Prediction]
    ) -> Explanation:
        first = predictions[0]
        name = chain.meter.name if chain else None
        if first.result == "FunctionError":
            return Explanation(
                "The standard reserves token class 3: no meter accepts this token.",
                "FunctionError", "reserved", meter=name,
            )  # fmt: skip
        if first.result != "CRCError":
            summary = f"A token of the reserved class 3: {first.text}."
            return Explanation(summary, first.result, first.cause, meter=name)
        return self._faulty(
            text, chain, "the standard reserves class 3, and the checksum is wrong", "reserved"
        )

    def _faulty(
        self,
        text: str,
        chain: Chain | None,
        why: str,
        cause: str,
        decoded: Decoded | None = None,
    ) -> Explanation:
        """Explain a token that is wrong on each meter: its checksum needs no key."""
        name = chain.meter.name if chain else None
        guesses = self._near(text, chain)
        head = (
            f"Meter {name} refuses it (CRCError)" if name else "Each meter refuses it (CRCError)"
        )
        return Explanation(
            f"{head}: {guessed(guesses)}." if guesses else f"{head}: {why}.",
            "CRCError", "typing" if guesses else cause, tuple(corrections(guesses[1:4])),
            decoded, name, guesses=tuple(guesses[:MOST_GUESSES]),
        )  # fmt: skip

    def _class_1(
        self, text: str, chain: Chain | None, predictions: list[Prediction]
    ) -> Explanation:
        first = predictions[0]
        decoded = decode(text)
        name = chain.meter.name if chain else None
        if first.result == "CRCError":
            why = "it is a test token (class 1) with a wrong checksum"
            return self._faulty(text, chain, why, "typing", decoded)
        what = capitalized(describe(decoded))
        if first.cause == "maker" and chain:
            summary = f"{what}: meter {name} is of maker {chain.meter.mfr_code} and refuses it."
        elif first.result == "Accept":
            summary = f"{what}. It needs no key and may be entered any number of times."
        else:
            summary = f"{what}: {first.text}."
        return Explanation(summary, first.result, first.cause, decoded=decoded, meter=name)

    def _unknown(self, text: str, cls: int) -> Explanation:
        guesses = self._near(text, None)
        if guesses:
            return Explanation(
                f"This point of sale did not issue this token: {guessed(guesses)}.",
                "CRCError" if guesses[0].sure else None, "typing",
                tuple(corrections(guesses[1:4])), guesses=tuple(guesses[:MOST_GUESSES]),
            )  # fmt: skip
        kind = "credit" if cls == 0 else "management or key change"
        known = self._pos.meters()
        if not known:
            tail = (
                "nothing more can be said without the meter's key: register the meter with "
                "jeton new"
            )
        else:
            tail = (
                f"it matches no present or previous key of the {len(known)} meters of this point "
                "of sale. It is mistyped or for another meter; name a meter to search further"
            )
        return Explanation(f"A {kind} token (class {cls}); {tail}.", None, "unknown")

    # -- for one meter ----------------------------------------------------------------------------

    def _find_meter(self, parts: list[str], log: list[Issued]) -> MeterRecord | None:
        if log:
            return self._pos.meter(log[-1].meter)
        found = []
        for meter in self._pos.meters():
            for steps, key in enumerate(self._pos.keys_of(meter.name)):
                for part in parts:
                    if _class_of(part) not in (0, 2):
                        continue
                    decoded = self._read(part, meter, key)
                    if decoded:
                        plausible = self._plausible(decoded, meter, key)
                        found.append(((not plausible, steps), meter))
        found.sort(key=lambda item: item[0])
        return found[0][1] if found else None

    def _for_meter(self, text: str, chain: Chain, predictions: list[Prediction]) -> Explanation:
        meter = chain.meter
        log = self._pos.issued(token=text)
        good = [
            (prediction, prediction.decoded) for prediction in predictions if prediction.decoded
        ]
        if not good:
            return self._refused(text, chain, predictions, log)
        # A key under which the token was issued comes before a key that matches by chance.
        own = {entry.key.number for entry in log if entry.meter == meter.name}
        first, decoded = next((pair for pair in good if pair[0].key.number in own), good[0])
        details: list[str] = []
        issued = None
        what = capitalized(describe(decoded)) + f" for meter {meter.name}"
        if decoded.tid is not None:
            issued = tid.tid_time(decoded.tid, self._issued_under(chain, first.key, log).bdt)
            what += f", issued {minute_text(issued)} (TID {decoded.tid})"
            if issued > self._now + FUTURE:
                details.append(
                    "Its issue date is in the future; a meter does not check this and accepts it."
                )
        for entry in log[-1:]:
            other = "" if entry.meter == meter.name else f" for meter {entry.meter}"
            details.append(
                f"This point of sale issued it{other}; requested at {minute_text(entry.at)}."
            )
        details += self._on_receipt(chain, first.key)
        if first.key.number == 0:
            details += self._tried_keys(chain, first.key)
        details += self._if_mixed(chain)
        if len({(prediction.result, prediction.cause) for prediction in predictions}) == 1:
            return Explanation(
                f"{what}: {first.text}.", first.result, first.cause,
                (f"Authentic under the meter's key: {first.key}.", *details),
                decoded, meter.name, issued,
            )  # fmt: skip
        cases = self._cases(chain, predictions)
        results = "; ".join(f"if {case.condition}, {case.text}" for case in cases)
        details.insert(0, f"Authentic under the key {first.key}.")
        cause = "key-change"
        if len({prediction.key.number for prediction in predictions}) == 1:
            cause = "unknown"
            details.append("The status of the meter does not show which of these is true.")
        else:
            details += [
                f"{capitalized(change_text(change))}: {change.tokens}." for change in chain.changes
            ]
            details.append(
                "What the meter shows matches more than one of its keys."
                if self._live
                else "It is not known which key changes were entered on the meter."
            )
        return Explanation(
            f"{what}: {results}.", None, cause, tuple(details),
            decoded, meter.name, issued, cases=tuple(cases),
        )  # fmt: skip

    def _refused(
        self, text: str, chain: Chain, predictions: list[Prediction], log: list[Issued]
    ) -> Explanation:
        """Explain a token that is authentic under none of the keys that the meter may have."""
        meter = chain.meter
        possible = list({one.key.number: one.key for one in predictions}.values())
        results = {one.result for one in predictions}
        result = next(iter(results)) if len(results) == 1 else None
        if result not in ("CRCError", None):  # the meter answers before it decrypts the token
            first = predictions[0]
            return Explanation(
                f"{capitalized(first.text)}.", result, first.cause, meter=meter.name
            )
        guesses = self._all_guesses(text, chain, possible, log) if self.search else []
        details = [f"The meter's key: {possible[0]}."]
        if len(possible) > 1:
            details = [f"The key for the next token: {possible[0]}."]
        elif possible[0].number == 0:
            details.append("The meter shows this key; this point of sale has no matching key.")
            details += self._tried_keys(chain, possible[0])
        details += self._on_receipt(chain, possible[0])
        details += self._if_mixed(chain)
        details += [one.text for one in predictions if one.result is None][:1]
        head = f"Meter {meter.name} refuses it (CRCError)"
        best = guesses[0] if guesses else None
        if result is None and best and best.sure:
            result = "CRCError"
        changed = best is not None and best.cause == "key" and not self._live
        if result is None or changed:
            head, result = f"It is not known whether meter {meter.name} accepts it", None
        if self.search:
            details.append(self.tried(chain, possible))
        if best is None:
            why = (
                "its key cannot be derived from the available vending keys"
                if result is None
                else "it matches no present or previous key of this meter"
            )
            if self.search and result is not None:
                why += " and no similar key; no single typing error explains it"
            return Explanation(
                f"{head}: {why}.", result, "unknown", tuple(details), meter=meter.name
            )
        if changed:
            details.append(
                "If another system gave the meter this key, the meter accepts the token; with the "
                "key that this point of sale knows, it refuses it (CRCError)."
            )
        details += corrections(guesses[1:4])
        return Explanation(
            f"{head}: {guessed(guesses)}.",
            result, best.cause, tuple(details), meter=meter.name,
            guesses=tuple(guesses[:MOST_GUESSES]),
        )  # fmt: skip

    def _all_guesses(
        self, text: str, chain: Chain, possible: list[MeterKey], log: list[Issued]
    ) -> list[Guess]:
        """Return why the token may not be authentic, the best guess first."""
        guesses = self._key_guesses(text, chain, possible, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._other_meters(text, chain.meter, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._typing_guesses(text, chain, possible)
            guesses += self._parameter_guesses(text, chain.meter, possible[0], chain.keys)
        return ranked(guesses)

    def _tried_keys(self, chain: Chain, key: MeterKey) -> list[str]:
        """Say which keys were tried for a key change that another system made; or what it is."""
        value = self._value(chain.meter, key)
        if self._snapshot is not None:
            owners = self._parts_of(chain, value) if value else {}
            if len(set(owners.values())) > 1:
                return [f"In the meter, {mixed_text(owners)}."]
            if key.given is not None:
                return ["The meter has a key that the available vending keys do not derive."]
            return ["Another system changed the key; it was read from the meter itself."]
        if mixed := chain.mixed(self._status):
            first, second = mixed
            return [
                "What the meter shows is partly of one key and partly of another: "
                + mixed_text({1: str(first), 2: str(second)})
                + "."
            ]
        shown = chain.shown(self._status)
        dates = list(dict.fromkeys(one.bdt for one in shown))
        if len(dates) == 1:
            return []
        return [
            "Another system changed the key, and a meter does not know its base date after that: "
            f"tried the base dates {', '.join(dates)} with {self._shown_text(key)}."
        ]

    def _if_mixed(self, chain: Chain) -> list[str]:
        """Warn of key changes whose sections may be mixed: a status does not show that."""
        if self._snapshot is not None or "krn" not in self._status or not chain.branches():
            return []
        return [
            "Two key changes were issued for the same key: if sections of both were entered, the "
            "meter's key is neither of the two, and it refuses all tokens (CRCError)."
        ]

    def _shown_text(self, key: MeterKey) -> str:
        return f"KRN {key.krn}, SGC {key.sgc}, tariff index {key.ti:02d}"

    def _on_receipt(self, chain: Chain, key: MeterKey) -> list[str]:
        """Say what the receipt and the meter's key do not have in common."""
        if self.receipt is None:
            return []
        given = self.receipt.as_dict()
        near = dict(near_sgcs(key.sgc))
        differs = []
        for name, value in given.items():
            if value != getattr(key, name):
                typed = f": {near[value]}" if name == "sgc" and value in near else ""
                own = getattr(key, name)
                differs.append(f"{parameter_text(name, value)} (the meter has {own}{typed})")
        if not differs:
            return ["The receipt agrees with the meter's key."]
        return [f"The receipt says {', '.join(differs)}."]

    def _cases(self, chain: Chain, predictions: list[Prediction]) -> list[Possibility]:
        """Return the result for each possible state of the meter; CRCError last."""
        groups: dict[tuple[str | None, str], list[Prediction]] = {}
        for prediction in predictions:
            groups.setdefault((prediction.result, prediction.cause), []).append(prediction)
        ordered = sorted(groups.values(), key=lambda group: group[0].decoded is None)
        numbers = list(dict.fromkeys(one.key.number for one in reversed(predictions)))
        return [
            Possibility(
                self._when(chain, numbers, group),
                group[0].result,
                group[0].cause,
                group[0].text.rstrip("."),
            )
            for group in ordered
        ]

    def _when(self, chain: Chain, numbers: list[int], group: list[Prediction]) -> str:
        """Return the condition of a group of predictions in words."""
        own = list(dict.fromkeys(one.key.number for one in reversed(group)))
        parts = [] if own == numbers else [_condition(chain, numbers, own)]
        special = list(dict.fromkeys(one.condition for one in group if one.condition))
        if special and len(own) == 1:
            parts.append(" or ".join(special))
        return " and ".join(parts) or "it is otherwise"


def _condition(chain: Chain, possible: list[int], numbers: list[int]) -> str:
    """Return the key changes that were and were not entered if the key is one of `numbers`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and possible.index(number) == possible.index(runs[-1][-1]) + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = []
    for run in runs:
        entered = chain.change_to(run[0]) if run[0] != possible[0] else None
        missing = chain.change_from(run[-1]) if run[-1] != possible[-1] else None
        parts = [f"{change_text(entered)} was entered"] if entered else []
        parts += [f"{change_text(missing)} was not entered"] if missing else []
        texts.append(" and ".join(parts))
    return ", or ".join(texts)


def _class_of(text: str) -> int | None:
    """Return the class of a token; None if the digits are not a token."""
    try:
        return split(text)[0]
    except VendingError:
        return None


def _parts(text: str) -> list[str]:
    """Return the tokens in a number: each 20 digits are one; a wrong number is one part."""
    count = len(text)
    if not digits.is_digits(text) or count % digits.DIGITS or count <= digits.DIGITS:
        return [text]
    return [text[at : at + digits.DIGITS] for at in range(0, count, digits.DIGITS)]
