"""Guesses why a token is not authentic: another key, another meter, or a typing error."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jeton.sts import digits
from jeton_host.vending import meter_copy, tid
from jeton_host.vending.chain import Chain, Change
from jeton_host.vending.keys import DDTK, DUTK, PAIRS, check_krn, check_sgc, check_ti
from jeton_host.vending.predictions import (
    KEY_CHANGE_SUBS,
    Predictor,
    issue_date_text,
    minute_text,
    parameter_text,
)
from jeton_host.vending.records import Issued, MeterKey, MeterRecord
from jeton_host.vending.tokens import TESTS, Decoded, decode, describe, split, tests_of

MOST_GUESSES = 8

_NEAR_WITH = ("krn", "bdt")
"""The parameters that are tried together with an SGC of swapped or mistyped digits."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One change (key, meter or digits) with which the token is authentic.

    `sure`: the point of sale issued exactly this token. `plausible`: its fields and its date are
    those of a normal token. `steps`: how many things were changed. `age`: days since its issue.
    """

    cause: str
    text: str
    sure: bool
    plausible: bool
    steps: int
    age: int = 0

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """Return a sort key: the best guess comes first."""
        return (not self.sure, not self.plausible, self.steps, self.age)

    @property
    def certainty(self) -> str:
        """Return how sure the guess is: certain, likely or possible."""
        return "certain" if self.sure else "likely" if self.plausible else "possible"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the receipt of a token says about the key; None: it does not say."""

    sgc: str | None = None
    krn: int | None = None
    ti: int | None = None
    bdt: str | None = None

    def __post_init__(self) -> None:
        checks: dict[str, Any] = {
            "sgc": check_sgc, "krn": check_krn, "ti": check_ti, "bdt": tid.check_bdt,
        }  # fmt: skip
        for name, value in self.as_dict().items():
            checks[name](value)

    def as_dict(self) -> dict[str, Any]:
        """Return what the receipt says: parameter -> value."""
        found = {"sgc": self.sgc, "krn": self.krn, "ti": self.ti, "bdt": self.bdt}
        return {name: value for name, value in found.items() if value is not None}


class Guesser(Predictor):
    """Tries other keys, other meters and typing errors that make a token authentic.

    `search` False: try nothing.
    """

    receipt: Receipt | None = None
    search = True

    def _near(self, text: str, chain: Chain | None) -> list[Guess]:
        if not self.search:
            return []
        if chain is None:
            return ranked(self._issued_nearby(text) + _near_tests(text))
        if self._snapshot is not None:
            key = self._key_in(chain, meter_copy.from_snapshot(self._snapshot, self._profiles))
            return self._typing_guesses(text, chain, [key])
        return self._typing_guesses(text, chain, self._possible(chain))

    def tried(self, chain: Chain, possible: list[MeterKey]) -> str:
        """Return what was tried for a token that is not authentic under the meter's key."""
        others = len(self._pos.meters()) - 1
        known = len({chain.identity(key) for key in chain.keys})
        meters = f", those of {_count(others, 'other meter')}" if others > 0 else ""
        receipt = ", the key that the receipt describes" if self.receipt else ""
        return (
            f"Tried: {_count(known, 'known key')} of this meter{meters}{receipt}; each single "
            "typing error; keys with one or two other values of KRN, tariff index, base date "
            f"({', '.join(tid.BASE_DATES)}), key type, DKGA and SGC (also with swapped or "
            "mistyped digits)."
        )

    def _age(self, decoded: Decoded, key: MeterKey) -> int:
        """Return the days since the issue of a token; 0 for one without a date."""
        if decoded.tid is None:
            return 0
        return abs((self._now - tid.tid_time(decoded.tid, key.bdt)).days)

    def _key_guesses(
        self, text: str, chain: Chain, possible: list[MeterKey], log: list[Issued]
    ) -> list[Guess]:
        """Return a guess for each previous or later key of the meter that the token matches."""
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
            what = f"{describe(decoded)}{issue_date_text(decoded, key)}"
            route = chain.route(possible, newest)
            if oldest == 0:
                cause = "key"
                reason = f"{what}, under a key other than the one that the meter shows ({key})"
            elif newest.number > oldest and route:
                cause = "next-key"
                reason = (
                    f"{what}, under a key that the meter does not have yet ({key}): enter the key "
                    f"change first, {', '.join(change.tokens for change in route)}"
                )
            else:
                cause = "previous-key"
                reason = self._previous(chain, key, decoded, what, route)
            guesses.append(Guess(cause, reason, sure, plausible, 0))
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
        when = f", before the key change of {minute_text(change.after.since)}" if change else ""
        if decoded.cls == 2 and decoded.sub in KEY_CHANGE_SUBS:
            effect = "it belongs to a key change that the meter has already done"
        else:
            effect = "tokens that were not entered before the change are lost"
        if route:
            tokens = ", ".join(step.tokens for step in route)
            effect += f", unless the key change {tokens} brings that key back"
        return f"{what}, under the meter's previous key ({key}){when}: {effect}"

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
                    f"{describe(decoded)}{issue_date_text(decoded, key)}"
                )
                if sure or self._plausible(decoded, other, key):
                    age = self._age(decoded, key)
                    guesses.append(Guess("other-meter", what, sure, True, 1, age))
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
                    f"a typing error, because with {what} it is {digits.grouped(near)}, "
                    f"{describe(decoded)}{issue_date_text(decoded, key)}"
                )
                sure = near in issued
                if sure or self._plausible(decoded, chain.meter, key):
                    age = self._age(decoded, key)
                    guesses.append(Guess("typing", text_, sure, True, 1, age))
        return ranked(guesses)

    def _issued_nearby(self, text: str) -> list[Guess]:
        """Return a guess for each issued token, of any meter, that differs by one typing error."""
        near = dict(neighbours(text))
        return [
            Guess(
                "typing",
                f"a typing error, because with {near[entry.token]} it is {entry.grouped}, "
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
        for ea, key, differs in itertools.chain(
            self._receipt_keys(meter, present), self._near_keys(meter, present)
        ):
            same = (ea, replace(key, number=0, since=self._now, ken=0, given=None))
            if same in tried:
                continue
            tried.add(same)
            near = meter if ea == meter.ea else replace(meter, ea=ea)
            decoded = self._read(text, near, key)
            # Thousands of keys are tried, so one can match by chance: accept only a possible token
            # and, if two parameters differ, one with a recent issue date.
            if decoded is None or not self._plausible(decoded, meter, key):
                continue
            receipt = differs[-1].endswith(_ON_RECEIPT)
            steps = 0 if receipt else len(differs)
            if steps > 1 and not self._recent(decoded, key):
                continue
            plausible = steps < 2 or decoded.tid is not None
            what = (
                f"it is for this meter, but with {' and '.join(differs)}: "
                f"{describe(decoded)}{issue_date_text(decoded, key)}"
            )
            age = self._age(decoded, key)
            guesses.append(Guess("key", what, False, plausible, steps, age))
        return guesses

    def _receipt_keys(
        self, meter: MeterRecord, present: MeterKey
    ) -> Iterator[tuple[int, MeterKey, list[str]]]:
        """Yield (EA, key, differences) for the keys that a receipt describes.

        What it does not say is that of the present key; each base date is tried if it gives none.
        """
        if self.receipt is None:
            return
        given = self.receipt.as_dict()
        base = replace(present, given=None, **given)
        dates = [base.bdt] if self.receipt.bdt else list(tid.BASE_DATES)
        groups = [(base.sgc, "")]
        if self.receipt.sgc:
            groups += [(sgc, f" ({what} on the receipt)") for sgc, what in near_sgcs(base.sgc)]
        for sgc, typed in groups:
            for bdt in dates:
                key = replace(base, sgc=sgc, bdt=bdt)
                differs = [
                    parameter_text(name, getattr(key, name)) + (typed if name == "sgc" else "")
                    for name in ("sgc", "krn", "ti", "bdt")
                    if getattr(key, name) != getattr(present, name)
                ]
                if differs:
                    as_said = _ON_RECEIPT if not typed else ""
                    yield meter.ea, key, [*differs[:-1], differs[-1] + as_said]

    def _near_keys(
        self, meter: MeterRecord, key: MeterKey
    ) -> Iterator[tuple[int, MeterKey, list[str]]]:
        """Yield (EA, key, differences) for keys that differ in one or two parameters."""
        groups = self._pos.keys.supply_groups | {m.key.sgc for m in self._pos.meters()}
        options: dict[str, list[Any]] = {
            "krn": list(range(1, 10)),
            "ti": list(range(100)),
            "bdt": list(tid.BASE_DATES),
            "kt": [DDTK, DUTK],
            "sgc": sorted(groups),
        }
        singles = [
            (name, value, parameter_text(name, value))
            for name, values in options.items()
            for value in values
            if value != getattr(key, name)
        ]
        near = [
            ("sgc", sgc, f"{parameter_text('sgc', sgc)} ({what})")
            for sgc, what in near_sgcs(key.sgc)
            if sgc not in groups
        ]
        base = replace(key, given=None)
        for name, value, text in singles + near:
            yield meter.ea, replace(base, **{name: value}), [text]
        for dkga, ea in PAIRS:
            if (dkga, ea) != (key.dkga, meter.ea):
                made = f"DKGA{dkga:02d} and EA{ea:02d}"
                yield ea, replace(base, dkga=dkga), [made]
        for one, two in itertools.chain(
            itertools.combinations(singles, 2),
            itertools.product([one for one in singles if one[0] in _NEAR_WITH], near),
        ):
            if one[0] != two[0]:
                both: dict[str, Any] = {one[0]: one[1], two[0]: two[1]}
                yield meter.ea, replace(base, **both), [one[2], two[2]]


_ON_RECEIPT = ", as the receipt says"


def near_sgcs(sgc: str) -> Iterator[tuple[str, str]]:
    """Yield (SGC, difference) for two neighbouring digits swapped and for one digit changed."""
    for place in range(len(sgc) - 1):
        one, two = sgc[place], sgc[place + 1]
        if one != two:
            near = sgc[:place] + two + one + sgc[place + 2 :]
            yield near, f"digits {place + 1} and {place + 2} of {sgc} swapped"
    for place, char in enumerate(sgc):
        for other in "0123456789":
            if other != char:
                yield (
                    sgc[:place] + other + sgc[place + 1 :],
                    f"digit {place + 1} of {sgc} changed from {char} to {other}",
                )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def ranked(guesses: list[Guess]) -> list[Guess]:
    """Return guesses with the best first; if one is certain, only the certain ones."""
    ordered = sorted(guesses, key=lambda guess: guess.rank)
    return [guess for guess in ordered if guess.sure] or ordered


def guessed(guesses: list[Guess]) -> str:
    """Return the best guess in words, with how sure it is."""
    best = guesses[0]
    if best.cause == "typing" and best.sure:
        return f"likely {best.text}"  # the token is certain, the typing error is not
    hedge = {"certain": "", "likely": "likely ", "possible": "perhaps "}[best.certainty]
    return hedge + best.text


def corrections(guesses: list[Guess]) -> list[str]:
    """Return guesses as sentences that begin with how sure they are."""
    return [f"Also {guess.certainty}: {guess.text}." for guess in guesses]


def _near_tests(text: str) -> list[Guess]:
    """Return a guess for each test token that differs by one typing error."""
    guesses = []
    for near, what in neighbours(text):
        if split(near)[0] != 1:
            continue
        decoded = decode(near)
        if not decoded.authentic or decoded.sub not in (0, 1):
            continue
        known = all(number < len(TESTS) for number in tests_of(decoded))
        if not known or not decoded.fields["control"]:
            continue  # no meter would accept it
        reason = (
            f"a typing error, because with {what} it is {digits.grouped(near)}, "
            f"{describe(decoded)}"
        )
        guesses.append(Guess("typing", reason, False, True, 1))
    return guesses


def neighbours(text: str) -> Iterator[tuple[str, str]]:
    """Yield (token, correction) for each one digit changed and each two neighbours swapped."""
    for place, char in enumerate(text):
        for other in "0123456789":
            if other != char:
                near = text[:place] + other + text[place + 1 :]
                if int(near) < digits.LIMIT:
                    yield near, f"digit {place + 1} changed from {char} to {other}"
    for place in range(len(text) - 1):
        one, two = text[place], text[place + 1]
        if one != two:
            near = text[:place] + two + one + text[place + 2 :]
            if int(near) < digits.LIMIT:
                yield near, f"digits {place + 1} and {place + 2} swapped"
