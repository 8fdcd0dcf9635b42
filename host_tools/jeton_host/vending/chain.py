"""The keys that a point of sale vended for a meter, and which of them the meter can have now.

Keys are compared by their value, not by their number in the chain: a key change can keep the same
decoder key (only the KEN changes) or bring an earlier one back (KRN 1, 2, 1).
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jeton_host.errors import VendingError
from jeton_host.vending import tid
from jeton_host.vending.keys import PAIRS
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterKey, MeterRecord

Events = Iterable[Mapping[str, Any]]
"""A live meter's log: `seq` (from 1) and `kind` of each entry that the meter still has."""

_State = tuple[int, str, str | None]
"""(number of the key, SGC that the meter shows, base date that it shows)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One vended key change."""

    before: MeterKey
    after: MeterKey
    sections: tuple[Issued, ...]

    @property
    def rollover(self) -> bool:
        """Return whether the base date changes."""
        return self.before.bdt != self.after.bdt

    @property
    def tokens(self) -> str:
        """Return its tokens, in order, as they are printed: groups of four digits."""
        return ", ".join(section.grouped for section in self.sections)


class Chain:
    """The keys that a point of sale gave a meter, oldest first, and the changes between them."""

    def __init__(self, pos: PointOfSale, meter: MeterRecord, keys: list[MeterKey] | None = None):
        """Read keys and tokens of a meter; `keys` is for one that the point of sale lacks."""
        self._pos = pos
        self.meter = meter
        self.keys = pos.keys_of(meter.name)[::-1] if keys is None else keys
        self.issued = pos.issued(meter.name) if keys is None else []
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
        """Return a value that is equal for equal decoder keys.

        A key that cannot be derived is equal to itself only.
        """
        found = self._identities.get(key.number)
        if found is None:
            try:
                found = self._pos.decoder_key(self.meter, key)
            except VendingError:
                found = key.number
            self._identities[key.number] = found
        return found

    def same(self, key: MeterKey) -> list[MeterKey]:
        """Return all entries of the chain with the same decoder key as `key`, oldest first."""
        identity = self.identity(key)
        return [other for other in self.keys if self.identity(other) == identity]

    def change_to(self, number: int) -> Change | None:
        """Return the change to key `number`; None for the first key."""
        return next((c for c in self.changes if c.after.number == number), None)

    def change_from(self, number: int) -> Change | None:
        """Return the change from key `number`; None for the last key."""
        return next((c for c in self.changes if c.before.number == number), None)

    def branches(self) -> bool:
        """Return whether two changes lead from the same key to different ones."""
        leads: dict[object, set[object]] = {}
        for change in self.changes:
            before, after = self.identity(change.before), self.identity(change.after)
            leads.setdefault(before, set()).add(after)
        return any(len(after - {before}) > 1 for before, after in leads.items())

    def mixed(self, status: Mapping[str, Any]) -> tuple[MeterKey, MeterKey] | None:
        """Return the keys of which a status shows section 1 and section 2, if they are two."""
        if not {"krn", "kt", "ti", "ken"} <= set(status):
            return None
        one = [k for k in self.keys if (k.krn, k.kt) == (status["krn"], status["kt"])]
        one = [key for key in one if key.ken >> 4 == status["ken"] >> 4]
        two = [key for key in self.keys if key.ti == status["ti"]]
        two = [key for key in two if key.ken & 15 == status["ken"] & 15]
        if not one or not two or any(key in two for key in one):
            return None
        return one[-1], two[-1]

    def route(self, starts: Sequence[MeterKey], key: MeterKey) -> list[Change] | None:
        """Return the shortest list of changes from one of `starts` to `key`; None without one."""
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
        """Return the keys that a meter with this `status` can have, newest first.

        Without a status: all keys, because it is not known what was entered. If the status matches
        none of them, another system changed the key: return `shown`.
        """
        if "krn" not in status:
            return self.keys[::-1]
        least, most = _changes_done(events)
        # Normally a meter is set up with its first key: try this first.
        for starts in (self.keys[:1], self.keys):
            found = self._reached(starts, status, least, most)
            if found:
                return found
        return self.shown(status)

    def _reached(
        self, starts: Sequence[MeterKey], status: Mapping[str, Any], least: int, most: int | None
    ) -> list[MeterKey]:
        states: set[_State] = {(key.number, key.sgc, key.bdt) for key in starts}
        kct = status.get("kct", self.meter.kct)
        numbers: set[int] = set()
        # More changes than there are states (4 per key) reach no new state.
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
                    sgc = "000000"  # a key change of two tokens does not contain the SGC
                yield change.after.number, sgc, None if change.rollover else bdt

    def _fits(self, state: _State, status: Mapping[str, Any]) -> bool:
        number, sgc, bdt = state
        key = self.keys[number - 1]
        shown = {
            "krn": key.krn, "kt": key.kt, "ti": key.ti, "ken": key.ken, "sgc": sgc, "bdt": bdt,
        }  # fmt: skip
        return all(status[name] == value for name, value in shown.items() if name in status)

    def shown(self, status: Mapping[str, Any]) -> list[MeterKey]:
        """Return the keys that the meter can have if another system changed it.

        They have the attributes that the meter shows, and the number 0. A base date is never
        transferred: if the meter shows none, each is possible. A meter can also show no SGC, and
        never shows how its key was derived.
        """
        last = self.keys[-1]
        shown = {name: status[name] for name in ("krn", "kt", "ti", "ken") if name in status}
        groups = {last.sgc: None} | {key.sgc: None for key in reversed(self.keys)}
        if status.get("sgc", "000000") != "000000":
            groups = {status["sgc"]: None}
        found = []
        for sgc, dkga, bdt in itertools.product(groups, self._dkgas(), self._dates(status)):
            key = replace(last, number=0, sgc=sgc, dkga=dkga, bdt=bdt, given=None, **shown)
            found.append(key)
        return found

    def _dkgas(self) -> list[int]:
        first = self.keys[-1].dkga
        return [first] + [dkga for dkga, ea in PAIRS if ea == self.meter.ea and dkga != first]

    def _dates(self, status: Mapping[str, Any]) -> list[str]:
        """Return the base dates that the meter can have, the likeliest first."""
        if status.get("bdt"):
            return [status["bdt"]]
        known = list(tid.BASE_DATES)
        last = self.keys[-1].bdt
        if "bdt" not in status:
            return [last, *(bdt for bdt in known if bdt != last)]
        after = known[known.index(last) + 1 :]  # the base date has changed
        return after + [bdt for bdt in known if bdt not in after]


def _changes_done(events: Events | None) -> tuple[int, int | None]:
    """Return the least and the greatest number of key changes that a meter has done.

    The greatest is None unless the log is complete: the oldest entries can be overwritten.
    """
    entries = list(events or ())
    count = sum(entry["kind"] == "key_changed" for entry in entries)
    complete = bool(entries) and entries[0]["seq"] == 1
    return count, count if complete else None
