"""The keys of a meter as they were vended, change by change, and which of them it can have by now.

Keys are told apart by themselves, not by their numbers: a change may leave the key as it is (a new
KEN alone) or bring an earlier one back (KRN 1, 2, 1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jeton_host.errors import VendingError
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterKey, MeterRecord

Events = Iterable[Mapping[str, Any]]
"""A live meter's log: `seq` from 1 and `kind` of each entry it still has."""

_State = tuple[int, str, str | None]
"""(number of the key, SGC and base date that the meter shows)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One vended key change."""

    before: MeterKey
    after: MeterKey
    sections: tuple[Issued, ...]

    @property
    def rollover(self) -> bool:
        """Say whether the base date changes."""
        return self.before.bdt != self.after.bdt

    @property
    def tokens(self) -> str:
        """Return its tokens, in order, as they are printed."""
        return ", ".join(section.grouped for section in self.sections)


class Chain:
    """The keys that a point of sale gave a meter, oldest first, and the changes between them."""

    def __init__(self, pos: PointOfSale, meter: MeterRecord):
        self._pos = pos
        self.meter = meter
        self.keys = pos.keys_of(meter.name)[::-1]
        self.issued = pos.issued(meter.name)
        self._identities: dict[int, object] = {}
        self.changes = [
            Change(
                before,
                after,
                tuple(e for e in self.issued if e.section and e.key.number == before.number),
            )
            for before, after in zip(self.keys, self.keys[1:], strict=False)
        ]

    def identity(self, key: MeterKey) -> object:
        """Return what is equal for equal decoder keys; a key that cannot be made equals itself."""
        found = self._identities.get(key.number)
        if found is None:
            try:
                found = self._pos.decoder_key(self.meter, key)
            except VendingError:
                found = key.number
            self._identities[key.number] = found
        return found

    def same(self, key: MeterKey) -> list[MeterKey]:
        """Return the keys of the chain that are this one, oldest first."""
        identity = self.identity(key)
        return [other for other in self.keys if self.identity(other) == identity]

    def change_to(self, number: int) -> Change | None:
        """Return the change that brought key `number`, None for the first."""
        return next((c for c in self.changes if c.after.number == number), None)

    def change_from(self, number: int) -> Change | None:
        """Return the change that ended key `number`, None for the last."""
        return next((c for c in self.changes if c.before.number == number), None)

    def route(self, starts: Sequence[MeterKey], key: MeterKey) -> list[Change] | None:
        """Return the fewest changes that lead from one of `starts` to `key`, None if none do."""
        target = self.identity(key)
        routes: dict[object, list[Change]] = {self.identity(start): [] for start in starts}
        heads = list(routes)
        while heads and target not in routes:
            head = heads.pop(0)
            for change in self.changes:
                after = self.identity(change.after)
                if self.identity(change.before) == head and after not in routes:
                    routes[after] = [*routes[head], change]
                    heads.append(after)
        return routes.get(target)

    def possible(self, status: Mapping[str, Any], events: Events | None) -> list[MeterKey]:
        """Return the keys that a meter which shows `status` can have, newest first.

        Without a status it can have each: the point of sale does not learn what is entered. A
        meter that shows none of them has a key from elsewhere: what it shows, as number 0.
        """
        if "krn" not in status:
            return self.keys[::-1]
        least, most = _changes_done(events)
        # A meter is set up with its first key, as a rule.
        for starts in (self.keys[:1], self.keys):
            found = self._reached(starts, status, least, most)
            if found:
                return found
        return [self._shown(status)]

    def _reached(
        self, starts: Sequence[MeterKey], status: Mapping[str, Any], least: int, most: int | None
    ) -> list[MeterKey]:
        states: set[_State] = {(key.number, key.sgc, key.bdt) for key in starts}
        kct = status.get("kct", self.meter.kct)
        numbers: set[int] = set()
        # Beyond `least`, as many more as there are states: then all that can be reached was.
        last = least + 4 * len(self.keys) if most is None else most
        for done in range(last + 1):
            if done >= least:
                numbers |= {state[0] for state in states if self._fits(state, status)}
            states = {after for state in states for after in self._after(state, kct)}
        return [key for key in reversed(self.keys) if key.number in numbers]

    def _after(self, state: _State, kct: int) -> Iterable[_State]:
        number, sgc, bdt = state
        identity = self.identity(self.keys[number - 1])
        for change in self.changes:
            if self.identity(change.before) == identity:
                if len(change.sections) > 2:
                    sgc = change.after.sgc
                elif kct == 2:
                    sgc = "000000"  # a meter of two tokens does not learn it
                yield change.after.number, sgc, None if change.rollover else bdt

    def _fits(self, state: _State, status: Mapping[str, Any]) -> bool:
        number, sgc, bdt = state
        key = self.keys[number - 1]
        shown = {
            "krn": key.krn, "kt": key.kt, "ti": key.ti, "ken": key.ken, "sgc": sgc, "bdt": bdt,
        }  # fmt: skip
        return all(status[name] == value for name, value in shown.items() if name in status)

    def _shown(self, status: Mapping[str, Any]) -> MeterKey:
        last = self.keys[-1]
        shown = {name: status[name] for name in ("krn", "kt", "ti", "ken") if name in status}
        if status.get("sgc", "000000") != "000000":
            shown["sgc"] = status["sgc"]
        return replace(last, number=0, bdt=status.get("bdt") or last.bdt, given=None, **shown)


def _changes_done(events: Events | None) -> tuple[int, int | None]:
    """Return how many key changes a meter has done at least and, if its log is whole, at most."""
    entries = list(events or ())
    count = sum(entry["kind"] == "key_changed" for entry in entries)
    whole = bool(entries) and entries[0]["seq"] == 1
    return count, count if whole else None
