"""The vending desk beside a meter: issues tokens for it, as `jeton vend` does."""

import os
from datetime import datetime

from jeton_host.client.answers import Status
from jeton_host.errors import VendingError
from jeton_host.meters import named as meters
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterKey

_EARLIER = 50  # tokens that are listed


class Desk:
    """A point of sale's side of one meter.

    `at` and `rnd` are for pictures that are always the same: when, and with which random number.
    """

    def __init__(
        self,
        pos: PointOfSale,
        name: str,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
    ) -> None:
        self.name = name
        self._pos = pos
        self._at = at
        self._rnd = rnd
        pos.meter(name)  # or it says that it knows none

    def next_krn(self) -> int:
        """Return the key revision number that a key change would bring."""
        return self._pos.meter(self.name).key.krn % 9 + 1

    def earlier(self) -> list[list[Issued]]:
        """Return what was issued last, the newest at the end; a key change is one entry."""
        return _together(self._pos.issued(self.name))[-_EARLIER:]

    # How the meter's key and this desk's go together.

    def waiting(self, status: Status) -> list[list[Issued]]:
        """Return the key changes that were issued and that the meter has not had, in order."""
        had = self._had(status)
        if had is None:
            return []
        changes = [one for one in _together(self._pos.issued(self.name)) if one[0].section]
        return [change for change in changes if change[0].key.number >= had.number]

    def differs(self, status: Status) -> str:
        """Return in one line how the meter's key and the desk's differ, else nothing."""
        here = self._pos.meter(self.name).key
        had = self._had(status)
        if had is None:
            return f"meter: KRN {status.krn}, TI {status.ti:02d}: no key of this desk"
        return "" if had == here else f"meter: KRN {status.krn}, desk: KRN {here.krn}"

    def to_key(self, issued: list[Issued], status: Status) -> list[str]:
        """Return the tokens to key in for `issued`: key changes that it waits for come first.

        For nothing they are all key changes that wait.

        VendingError for a key change that the meter has had: it would count as a wrong token.
        """
        waiting = self.waiting(status)
        if not issued:
            return [one.token for change in waiting for one in change]
        first = issued[0]
        if first.cls == 1:  # no key is needed for it
            return [first.token]
        waits = any(change[0].token == first.token for change in waiting)
        if first.section is not None and not waits and self._had(status) is not None:
            raise VendingError(f"the meter has had this key change: it has KRN {status.krn}")
        before = [change for change in waiting if change[0].key.number < first.key.number]
        return [one.token for several in (*before, issued) for one in several]

    def _had(self, status: Status) -> MeterKey | None:
        """Return which of its keys the meter has, None where this desk knows no such key."""
        keys = self._pos.keys_of(self.name)
        for with_sgc in (True, False):  # a set of two tokens brings a meter no SGC
            for key in keys:
                if (key.krn, key.kt, key.ti, key.ken) != (
                    status.krn, status.kt, status.ti, status.ken,
                ):  # fmt: skip
                    continue
                # A base date that a token has changed is not told to the meter.
                if status.bdt in (None, key.bdt) and (not with_sgc or status.sgc == key.sgc):
                    return key
        return None

    # What it issues.

    def credit(self, amount: str) -> list[Issued]:
        """Sell energy, kWh."""
        return [self._pos.credit(self.name, amount.strip(), at=self._at, rnd=self._rnd)]

    def power_limit(self, watts: str) -> list[Issued]:
        """Set the maximum power, W."""
        return [self._pos.power_limit(self.name, watts, at=self._at, rnd=self._rnd)]

    def unbalance_limit(self, watts: str) -> list[Issued]:
        """Set the maximum unbalance between phases, W."""
        return [self._pos.unbalance_limit(self.name, watts, at=self._at, rnd=self._rnd)]

    def tariff(self, rate: str) -> list[Issued]:
        """Set the tariff rate."""
        number = _whole(rate, "a tariff rate", "0 to 65535")
        return [self._pos.tariff(self.name, number, at=self._at, rnd=self._rnd)]

    def test(self, numbers: str) -> list[Issued]:
        """Ask for tests or displays, by their numbers; 0 for all."""
        wanted = [_whole(number, "a test", "0 for all, or 1 to 18") for number in numbers.split()]
        return [self._pos.test(self.name, wanted, at=self._at)]

    def clear_credit(self) -> list[Issued]:
        """Clear the credit."""
        return [self._pos.clear_credit(self.name, at=self._at, rnd=self._rnd)]

    def clear_tamper(self) -> list[Issued]:
        """Clear the tamper condition."""
        return [self._pos.clear_tamper(self.name, at=self._at, rnd=self._rnd)]

    def key_change(self, krn: str, bdt: str) -> list[Issued]:
        """Change the key to another revision number and, unless it is empty, base date."""
        number = _whole(krn, "a key revision number", "1 to 9")
        return self._pos.key_change(self.name, krn=number, bdt=bdt.strip() or None, at=self._at)


def desk_for(where: str, pos: PointOfSale | None = None) -> Desk | str:
    """Return the desk for a meter's name or its port, or in one line why there is none."""
    pos = pos or PointOfSale()
    try:
        if meters.exists(where) or where == "virtual":
            return Desk(pos, where)
        port = os.path.realpath(where)
        for meter in meters.all_meters():
            if meter.port() == port:
                return Desk(pos, meter.name)
    except VendingError as error:
        return str(error)
    return (
        f"Nothing to vend: the point of sale here does not know the meter at {where}. It knows "
        "those that `jeton new` made in this home."
    )


def _together(issued: list[Issued]) -> list[list[Issued]]:
    """Return tokens one by one, but the sections of a key change as one."""
    found: list[list[Issued]] = []
    for one in issued:
        if one.section is not None and one.section > 1 and found:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _whole(text: str, what: str, span: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise VendingError(f"{text!r} is not {what}: a whole number, {span}")
    return int(text)
