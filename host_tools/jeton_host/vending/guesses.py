"""Guesses why a token is not authentic: another key, another meter, or a typing error."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jeton.sts import digits
from jeton_host.vending import tid
from jeton_host.vending.chain import Chain, Change
from jeton_host.vending.keys import DDTK, DUTK, PAIRS
from jeton_host.vending.predictions import (
    KEY_CHANGE_SUBS,
    Predictor,
    issue_date_text,
    minute_text,
    parameter_text,
)
from jeton_host.vending.records import Issued, MeterKey, MeterRecord
from jeton_host.vending.tokens import TESTS, Decoded, decode, describe, split, tests_of


@dataclass(frozen=True, slots=True)
class Guess:
    """One change (key, meter or digits) with which the token is authentic.

    `sure`: the point of sale issued exactly this token. `plausible`: its fields and its date are
    those of a normal token. `steps`: how many things were changed.
    """

    cause: str
    text: str
    sure: bool
    plausible: bool
    steps: int

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Return a sort key: the best guess comes first."""
        return (not self.sure, not self.plausible, self.steps)


class Guesser(Predictor):
    """Tries other keys, other meters and typing errors that make a token authentic."""

    def _near(self, text: str, meter: MeterRecord | None) -> list[Guess]:
        if meter is None:
            return sorted(self._issued_nearby(text) + _near_tests(text), key=rank)
        chain = Chain(self._pos, meter)
        return self._typing_guesses(text, chain, self._possible(chain))

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
                    f"a typing error, because with {what} it is {digits.grouped(near)}, "
                    f"{describe(decoded)}{issue_date_text(decoded, key)}"
                )
                plausible = self._plausible(decoded, chain.meter, key)
                guesses.append(Guess("typing", text_, near in issued, plausible, 1))
        return sorted(guesses, key=rank)

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
                # Thousands of keys were tried, so one can match by chance: accept only a match
                # with a recent issue date.
                if not (plausible and self._recent(decoded, key)):
                    continue
                plausible = decoded.tid is not None
            what = (
                f"it is for this meter, but with {' and '.join(differs)}: "
                f"{describe(decoded)}{issue_date_text(decoded, key)}"
            )
            guesses.append(Guess("key", what, False, plausible, len(differs)))
        return guesses

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
            (name, value)
            for name, values in options.items()
            for value in values
            if value != getattr(key, name)
        ]
        base = replace(key, given=None)
        for name, value in singles:
            yield meter.ea, replace(base, **{name: value}), [parameter_text(name, value)]
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
                        [parameter_text(name, value), parameter_text(other, second)],
                    )


def rank(guess: Guess) -> tuple[bool, bool, int]:
    """Return a sort key: the best guess comes first."""
    return guess.rank


def likelihood(guess: Guess) -> str:
    """Return "likely" or "perhaps" for a guess."""
    return "likely" if guess.sure or guess.plausible else "perhaps"


def also_possible(guesses: list[Guess]) -> list[str]:
    """Return the second to fourth best guess as sentences."""
    return [f"Also possible: {guess.text}." for guess in guesses[1:4]]


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
        plausible = known and decoded.fields["control"] > 0
        reason = (
            f"a typing error, because with {what} it is {digits.grouped(near)}, "
            f"{describe(decoded)}"
        )
        guesses.append(Guess("typing", reason, False, plausible, 1))
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
