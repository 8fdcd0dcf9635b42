"""The vending desk beside a meter: issues tokens for it, as `jeton vend` does."""

import os
from datetime import datetime

from host_tools import meters
from host_tools.errors import VendingError
from host_tools.vending.pos import Issued, PointOfSale

_EARLIER = 20  # tokens of former days that are listed


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

    def earlier(self) -> list[Issued]:
        """Return what was issued last, the newest at the end."""
        return self._pos.issued(self.name)[-_EARLIER:]

    def credit(self, amount: str) -> list[Issued]:
        """Sell energy, kWh."""
        return [self._pos.credit(self.name, amount.strip(), at=self._at, rnd=self._rnd)]

    def power_limit(self, watts: str) -> list[Issued]:
        """Set the maximum power, W."""
        number = _whole(watts, "W")
        return [self._pos.power_limit(self.name, number, at=self._at, rnd=self._rnd)]

    def test(self, numbers: str) -> list[Issued]:
        """Ask for tests or displays, by their numbers; 0 for all."""
        wanted = [_whole(number, "a test") for number in numbers.split()]
        return [self._pos.test(self.name, wanted, at=self._at)]

    def clear_tamper(self) -> list[Issued]:
        """Clear the tamper condition."""
        return [self._pos.clear_tamper(self.name, at=self._at, rnd=self._rnd)]

    def key_change(self, krn: str, bdt: str) -> list[Issued]:
        """Change the key to another revision number and, unless it is empty, base date."""
        number = _whole(krn, "a key revision number")
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


def _whole(text: str, what: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise VendingError(f"{text!r} is not {what}: give a whole number")
    return int(text)
