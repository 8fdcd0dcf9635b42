"""The point of sale of the full screen: issues tokens for one meter, as `jeton vend` does."""

import os
from datetime import datetime

from jeton_host.client.answers import Status
from jeton_host.errors import VendingError
from jeton_host.meters import named as meters
from jeton_host.vending import tid
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterKey

_EARLIER = 50  # the most entries in the list of tokens


class Desk:
    """The point of sale for one meter.

    Tokens are issued at the time of the meter's clock, see `follow`. `at` and `rnd` fix the time
    of issue and the random number, for pictures that do not change.
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
        self._fixed = at
        self._at = at
        self._rnd = rnd
        pos.meter(name)  # raises VendingError for an unknown meter

    def follow(self, clock: datetime) -> None:
        """Issue the next tokens at a time of the meter's clock, for example in November 2024.

        A time outside the TID range of the key, as of a clock that was never set, is not used:
        then the clock of the computer counts.
        """
        first, last = tid.first_and_last(self._pos.meter(self.name).key.bdt)
        self._at = self._fixed or (clock if first <= clock <= last else None)

    def next_krn(self) -> int:
        """Return the key revision number after the next key change."""
        return self._pos.meter(self.name).key.krn % 9 + 1

    def earlier(self) -> list[list[Issued]]:
        """Return the tokens issued last, the newest at the end; a key change is one entry."""
        return _together(self._pos.issued(self.name))[-_EARLIER:]

    # The meter's key, compared with that of the point of sale.

    def waiting(self, status: Status) -> list[list[Issued]]:
        """Return the issued key changes that were not entered into the meter, in order."""
        had = self._had(status)
        if had is None:
            return []
        changes = [one for one in _together(self._pos.issued(self.name)) if one[0].section]
        return [change for change in changes if change[0].key.number >= had.number]

    def differs(self, status: Status) -> str:
        """Return the difference between the two keys in one line, "" if there is none."""
        here = self._pos.meter(self.name).key
        had = self._had(status)
        if had is None:
            return f"meter: KRN {status.krn}, TI {status.ti:02d}: key unknown here"
        return "" if had == here else f"meter: KRN {status.krn}, desk: KRN {here.krn}"

    def to_key(self, issued: list[Issued], status: Status) -> list[str]:
        """Return the tokens to enter for `issued`: first the key changes that it needs.

        For an empty list, return all key changes that were not entered.

        Raise VendingError for a key change that was entered before: it would count as a wrong
        token.
        """
        waiting = self.waiting(status)
        if not issued:
            return [one.token for change in waiting for one in change]
        first = issued[0]
        if first.cls == 1:  # needs no key
            return [first.token]
        waits = any(change[0].token == first.token for change in waiting)
        if first.section is not None and not waits and self._had(status) is not None:
            raise VendingError(
                f"this key change was entered before: the meter has KRN {status.krn}"
            )
        before = [change for change in waiting if change[0].key.number < first.key.number]
        return [one.token for several in (*before, issued) for one in several]

    def _had(self, status: Status) -> MeterKey | None:
        """Return the meter's key in the point of sale, None if it is unknown there."""
        keys = self._pos.keys_of(self.name)
        for with_sgc in (
            True,
            False,
        ):  # a key change of two tokens does not change the SGC in the meter
            for key in keys:
                if (key.krn, key.kt, key.ti, key.ken) != (
                    status.krn, status.kt, status.ti, status.ken,
                ):  # fmt: skip
                    continue
                # After a key change, the meter does not know its base date.
                if status.bdt in (None, key.bdt) and (not with_sgc or status.sgc == key.sgc):
                    return key
        return None

    # Tokens.

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
        """Start tests or displays, by their numbers; 0 is all."""
        wanted = [_whole(number, "a test", "0 for all, or 1 to 18") for number in numbers.split()]
        return [self._pos.test(self.name, wanted, at=self._at)]

    def clear_credit(self) -> list[Issued]:
        """Clear the credit."""
        return [self._pos.clear_credit(self.name, at=self._at, rnd=self._rnd)]

    def clear_tamper(self, status: Status | None = None) -> list[Issued]:
        """Clear the tamper condition, under the key that the meter has.

        A tampered meter can refuse the codes of a key change, so this token comes before them.
        """
        key = self._had(status) if status else None
        return [self._pos.clear_tamper(self.name, at=self._at, rnd=self._rnd, key=key)]

    def key_change(self, krn: str, bdt: str) -> list[Issued]:
        """Change the key revision number and, if `bdt` is not empty, the base date."""
        number = _whole(krn, "a key revision number", "1 to 9")
        return self._pos.key_change(self.name, krn=number, bdt=bdt.strip() or None, at=self._at)


def desk_for(where: str, pos: PointOfSale | None = None) -> Desk | str:
    """Return the desk for the name or the port of a meter, or one line why there is none."""
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
        f"No vending: the meter at {where} is not registered in the point of sale. Meters of "
        "`jeton new` are registered."
    )


def _together(issued: list[Issued]) -> list[list[Issued]]:
    """Return each token as a list; the tokens of a key change are one list."""
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
