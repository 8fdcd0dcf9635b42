"""Guesses why a token is not authentic: another key, another meter, a typing error."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jeton.sts import digits
from jeton_host.vending import tid
from jeton_host.vending.chain import Chain, Change
from jeton_host.vending.keys import DDTK, DUTK, PAIRS
from jeton_host.vending.records import Issued, MeterKey, MeterRecord
from jeton_host.vending.tokens import TESTS, Decoded, decode, describe, split, tests_of
from jeton_host.vending.verdicts import (
    KEY_CHANGE_SUBS,
    Judge,
    issue_date_text,
    minute_text,
    parameter_text,
)


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


class Guesser(Judge):
    """Looks for the key, the meter or the typing error that would make a token authentic."""

    def _near(self, text: str, meter: MeterRecord | None) -> list[Guess]:
        if meter is None:
            return sorted(self._issued_nearby(text) + _near_tests(text), key=rank)
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
            what = f"{describe(decoded)}{issue_date_text(decoded, key)}"
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
        when = f", before the key change of {minute_text(change.after.since)}" if change else ""
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
                    f"a typing error, {what} gives {digits.grouped(near)}: "
                    f"{describe(decoded)}{issue_date_text(decoded, key)}"
                )
                plausible = self._plausible(decoded, chain.meter, key)
                guesses.append(Guess("typing", text_, near in issued, plausible, 1))
        return sorted(guesses, key=rank)

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
                f"{describe(decoded)}{issue_date_text(decoded, key)}"
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
    """Return what sorts the best guess first."""
    return guess.rank


def likelihood(guess: Guess) -> str:
    """Return in one word how likely a guess is."""
    return "likely" if guess.sure or guess.plausible else "perhaps"


def also_possible(guesses: list[Guess]) -> list[str]:
    """Return the next best guesses as sentences."""
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
