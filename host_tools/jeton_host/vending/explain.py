"""Explain a token: what its 20 digits say, and why a meter would refuse it.

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
from datetime import datetime, timedelta
from typing import Any

from jeton.sts import digits
from jeton.sts import tokens as layouts
from jeton_host import clock, token_text
from jeton_host.errors import VendingError
from jeton_host.typed import typed
from jeton_host.vending import tid
from jeton_host.vending.chain import Chain, Events
from jeton_host.vending.guesses import Guess, Guesser, also_possible, likelihood, rank
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.predictions import (
    FUTURE,
    LAST_TEST,
    NO_TESTS,
    Prediction,
    TidState,
    capitalized,
    change_text,
    minute_text,
)
from jeton_host.vending.records import Issued, MeterKey, MeterRecord
from jeton_host.vending.tokens import Decoded, decode, describe, split, tests_of
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
    key-type, reserved, tamper, lock-out or unknown. "lock-out": the live meter accepts no token
    now; the summary also says the result without the lock-out. "key-change": the result depends on
    which of the vended key changes were entered, and this is not known; then `result` is None, and
    `cases` lists the result of each case.
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
                {"cause": g.cause, "text": g.text, "sure": g.sure, "plausible": g.plausible}
                for g in self.guesses
            ]
        if self.cases:
            found["cases"] = [
                {"if": c.condition, "result": c.result, "cause": c.cause, "text": c.text}
                for c in self.cases
            ]
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
    now: datetime | None = None,
) -> Explanation:
    """Explain a token for `meter`, or for the first known meter whose key it matches.

    `status`: the `Status.as_dict` of the live meter, if there is one: it shows which key the meter
    has now.
    `tid_state`: asks the live meter whether a TID is used or old. `events`: the log of the live
    meter, from which its key changes are counted. Raise VendingError for an unknown meter. A
    faulty token is no error: the Explanation says what is wrong with it.
    """
    moment = tid.utc(now or clock.now())
    found = _Explainer(pos, status or {}, tid_state, events, moment).explain(token, meter)
    out = way_out(pos, found.meter, found.cause, status or {})
    return replace(found, details=(*found.details, out)) if out else found


class _Explainer(Guesser):
    def explain(self, token: str, name: str | None) -> Explanation:
        meter = None if name is None else self._pos.meter(name)
        try:
            cls, _ = split(token)
        except VendingError as error:
            return self._no_token(digits.clean(token), str(error), meter)
        text = token_text.one(token)
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
        """Put the lock-out first in the explanation if the live meter is locked now."""
        until, clock = self._status.get("lock_until"), self._status.get("clock")
        if not until or not clock:
            return found
        left = datetime.fromisoformat(until) - datetime.fromisoformat(clock)
        if left <= timedelta():
            return found
        return replace(
            found,
            summary=f"Locked: after wrong tokens, meter {found.meter} accepts no token for "
            f"another {left.total_seconds():.0f} s (LockOut). Without the lock: {found.summary}",
            result="LockOut",
            cause="lock-out",
        )

    # -- without a key ----------------------------------------------------------------------------

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
                "The standard reserves token class 3: no meter accepts this token.",
                "FunctionError", "reserved", meter=name,
            )  # fmt: skip
        guesses = self._near(text, meter)
        if guesses:
            return Explanation(
                f"Not a valid token, {likelihood(guesses[0])} {guesses[0].text}.",
                "CRCError", "typing", tuple(also_possible(guesses)),
                meter=name, guesses=tuple(guesses[:8]),
            )  # fmt: skip
        return Explanation(
            "Not a valid token: the standard reserves class 3, and the checksum is wrong.",
            "CRCError", "reserved", meter=name,
        )  # fmt: skip

    def _class_1(self, text: str, meter: MeterRecord | None) -> Explanation:
        decoded = decode(text)
        name = meter.name if meter else None
        if not decoded.authentic:
            guesses = self._near(text, meter)
            return Explanation(
                f"Not a valid token, {likelihood(guesses[0])} {guesses[0].text}."
                if guesses
                else "Not a valid token: a test token (class 1) with a wrong checksum.",
                "CRCError", "typing", decoded=decoded, meter=name, guesses=tuple(guesses),
            )  # fmt: skip
        maker = decoded.fields.get("mfr_code", 0)
        what = capitalized(describe(decoded))
        if meter and maker not in (0, meter.mfr_code):
            return Explanation(
                f"{what}: meter {name} is of maker {meter.mfr_code} and refuses it.",
                "MfrCodeError", "maker", decoded=decoded, meter=name,
            )  # fmt: skip
        if decoded.sub not in (0, 1):
            return Explanation(
                f"{what}: refused, the meter does not support this kind of token.",
                "FunctionError", "function", decoded=decoded, meter=name,
            )  # fmt: skip
        numbers = tests_of(decoded)
        missing = [str(n) for n in numbers if n in NO_TESTS or n > LAST_TEST]
        if missing:
            return Explanation(
                f"{what}: refused, an electricity meter has no test {', '.join(missing)}.",
                "FunctionError", "function", decoded=decoded, meter=name,
            )  # fmt: skip
        if not numbers:
            return Explanation(
                f"{what}: refused, it requests no test.",
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
                "This point of sale did not issue this token, "
                f"{likelihood(guesses[0])} {guesses[0].text}.",
                "CRCError" if guesses[0].sure else None, "typing", guesses=tuple(guesses),
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
        predictions = [self._prediction(text, chain, key) for key in possible]
        good = [
            (prediction, prediction.decoded) for prediction in predictions if prediction.decoded
        ]
        if not good:
            return self._refused(text, chain, possible, predictions, log)
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
        if len({(prediction.result, prediction.cause) for prediction in predictions}) == 1:
            return Explanation(
                f"{what}: {first.text}.", first.result, first.cause,
                (f"Authentic under the meter's key: {first.key}.", *details),
                decoded, meter.name, issued,
            )  # fmt: skip
        cases = self._cases(chain, predictions)
        results = "; ".join(f"if {case.condition}, {case.text}" for case in cases)
        details.insert(0, f"Authentic under the key {first.key}.")
        details += [
            f"{capitalized(change_text(change))}: {change.tokens}." for change in chain.changes
        ]
        details.append(
            "What the meter shows matches more than one of its keys."
            if "krn" in self._status
            else "It is not known which key changes were entered on the meter."
        )
        return Explanation(
            f"{what}: {results}.", None, "key-change", tuple(details),
            decoded, meter.name, issued, cases=tuple(cases),
        )  # fmt: skip

    def _refused(
        self,
        text: str,
        chain: Chain,
        possible: list[MeterKey],
        predictions: list[Prediction],
        log: list[Issued],
    ) -> Explanation:
        """Explain a token that is authentic under none of the keys that the meter may have."""
        meter = chain.meter
        guesses = self._key_guesses(text, chain, possible, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._other_meters(text, meter, log)
        if not any(guess.sure for guess in guesses):
            guesses += self._typing_guesses(text, chain, possible)
            guesses += self._parameter_guesses(text, meter, possible[0], chain.keys)
        guesses.sort(key=rank)
        details = [f"The meter's key: {possible[0]}."]
        if len(possible) > 1:
            details = [f"The key for the next token: {possible[0]}."]
        elif possible[0].number == 0:
            details.append("The meter shows this key; this point of sale has no matching key.")
        unknown = [prediction for prediction in predictions if prediction.result is None]
        details += [prediction.text for prediction in unknown[:1]]
        if unknown and not (guesses and guesses[0].sure):
            head = f"It is not known whether meter {meter.name} accepts it"
            result = None
        else:
            head, result = f"Meter {meter.name} refuses it (CRCError)", "CRCError"
        if not guesses:
            why = (
                "its key cannot be derived from the available vending keys"
                if unknown
                else "it matches no present or previous key of this meter and no similar key; no "
                "single typing error explains it"
            )
            return Explanation(
                f"{head}: {why}.", result, "unknown", tuple(details), meter=meter.name
            )
        best = guesses[0]
        likely = "" if best.sure else "likely " if best.plausible else "perhaps "
        details += also_possible(guesses)
        return Explanation(
            f"{head}: {likely}{best.text}.",
            result, best.cause, tuple(details), meter=meter.name, guesses=tuple(guesses[:8]),
        )  # fmt: skip

    def _cases(self, chain: Chain, predictions: list[Prediction]) -> list[Possibility]:
        """Return the result for each possible set of entered key changes; CRCError last."""
        groups: dict[tuple[str | None, str], list[Prediction]] = {}
        for prediction in predictions:
            groups.setdefault((prediction.result, prediction.cause), []).append(prediction)
        ordered = sorted(groups.values(), key=lambda group: group[0].decoded is None)
        numbers = [prediction.key.number for prediction in reversed(predictions)]
        return [
            Possibility(
                _condition(
                    chain, numbers, [prediction.key.number for prediction in reversed(group)]
                ),
                group[0].result,
                group[0].cause,
                group[0].text.rstrip("."),
            )
            for group in ordered
        ]


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
